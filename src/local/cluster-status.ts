// The state of each node of a local cluster: what the supervisor knows of its process, and what the node says of itself
// over HTTP.

import { askNode } from './ask-node.ts'
import type { SupervisedNode } from './supervised-node.ts'

/** A node that runs and does not answer within this time is unreachable. */
const ANSWER_LIMIT_MS = 1_000
/**
 * The first answer of a node takes longer: the node loads most of its API for it, which takes seconds on a busy
 * machine.
 */
export const FIRST_ANSWER_LIMIT_MS = 10_000

/** `kv cluster status -o json`, to the letter. */
export interface ClusterStatus {
  readonly cluster_id: string | null
  readonly leader: string | null
  readonly term: number | null
  readonly nodes: readonly NodeStatus[]
}

export interface NodeStatus {
  readonly name: string
  readonly pid: number | null
  readonly url: string
  readonly state: 'running' | 'paused' | 'stopped' | 'unreachable'
  readonly role: string | null
  readonly term: number | null
  readonly commit_index: number | null
  readonly applied_index: number | null
  readonly revision: number | null
}

type OwnWords = Pick<NodeStatus, 'role' | 'term' | 'commit_index' | 'applied_index' | 'revision'>

const SILENT: OwnWords = { role: null, term: null, commit_index: null, applied_index: null, revision: null }

/** `LocalNode`, as far as it is needed here. */
interface KnownNode {
  readonly name: string
  readonly url: string
  readonly process: Pick<SupervisedNode, 'pid' | 'paused'>
}

export async function clusterStatus(
  clusterId: string | null,
  nodes: readonly KnownNode[],
  limitMs = ANSWER_LIMIT_MS,
): Promise<ClusterStatus> {
  const answers = await Promise.all(nodes.map((node) => nodeStatus(node, limitMs)))
  const statuses = answers.map(({ status }) => status)
  return {
    cluster_id: clusterId,
    leader: leaderOf(answers),
    term: [...statuses].sort(byTerm).at(-1)?.term ?? null,
    nodes: statuses,
  }
}

/**
 * What is wrong with the nodes that run, in their own words: a full disk of the leader may be why another node is not
 * ready.
 */
export async function faultsOf(nodes: readonly KnownNode[]): Promise<string[]> {
  const running = nodes.filter(({ process }) => process.pid !== undefined && !process.paused)
  const told = running.map(async ({ name, url }) => {
    const { errors } = (await askNode(url, '/v1/status', ANSWER_LIMIT_MS)) ?? {}
    return Array.isArray(errors) ? errors.map((error) => `${name}: ${error}`) : []
  })
  return (await Promise.all(told)).flat()
}

interface Answer {
  readonly status: NodeStatus
  /** The leader, as this node knows it. */
  readonly leader: string | null
}

/**
 * A leader that is cut off may not know yet that it was replaced: the answer with the highest term is right. The leader
 * may be a node that was started by hand, which the others name. A local node counts as leader only while it runs.
 */
function leaderOf(answers: readonly Answer[]): string | null {
  const named = answers
    .filter(({ leader }) => leader !== null)
    .sort((a, b) => byTerm(a.status, b.status))
    .at(-1)
  const own = answers.find(({ status }) => status.name === named?.leader)?.status
  return own === undefined || own.role === 'leader' ? (named?.leader ?? null) : null
}

async function nodeStatus({ name, url, process }: KnownNode, limitMs: number): Promise<Answer> {
  const stopped = { status: { name, pid: null, url, state: 'stopped', ...SILENT }, leader: null } as const
  if (process.pid === undefined) return stopped
  const words = process.paused ? undefined : await askNode(url, '/v1/status', limitMs)
  // It may have ended, or have been paused, during the question.
  if (process.pid === undefined) return stopped
  const { pid } = process
  if (process.paused) return { status: { name, pid, url, state: 'paused', ...SILENT }, leader: null }
  if (words === undefined)
    return { status: { name, pid, url, state: 'unreachable', ...SILENT }, leader: null }
  const own = ownWords(words)
  return {
    status: { name, pid, url, state: 'running', ...own },
    leader: own.role === 'leader' ? name : stringOrNull(words.leader),
  }
}

function ownWords(status: Readonly<Record<string, unknown>>): OwnWords {
  return {
    role: stringOrNull(status.role),
    term: numberOrNull(status.term),
    commit_index: numberOrNull(status.commit_index),
    applied_index: numberOrNull(status.applied_index),
    revision: numberOrNull(status.revision),
  }
}

function stringOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}

function byTerm(a: NodeStatus, b: NodeStatus): number {
  return (a.term ?? -1) - (b.term ?? -1)
}
