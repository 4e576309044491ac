// How the nodes of a local cluster are: what the supervisor knows of their processes, and what each says of itself over HTTP.

import { get } from 'node:http'
import type { SupervisedNode } from './supervised-node.ts'

/** A node that runs and does not answer within this time is unreachable. */
const ANSWER_LIMIT_MS = 1_000
/** The first answer takes a node longer: it loads most of its API for it, and on a busy machine that takes seconds. */
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

type KnownNode = Pick<SupervisedNode, 'name' | 'pid' | 'paused'>

export async function clusterStatus(
  clusterId: string | null,
  nodes: readonly { readonly node: KnownNode; readonly url: string }[],
  limitMs = ANSWER_LIMIT_MS,
): Promise<ClusterStatus> {
  const statuses = await Promise.all(nodes.map(({ node, url }) => nodeStatus(node, url, limitMs)))
  // A leader that is cut off may not know yet that it was replaced: the highest term is right.
  const leader = statuses
    .filter(({ role }) => role === 'leader')
    .sort(byTerm)
    .at(-1)
  return {
    cluster_id: clusterId,
    leader: leader?.name ?? null,
    term: [...statuses].sort(byTerm).at(-1)?.term ?? null,
    nodes: statuses,
  }
}

async function nodeStatus(node: KnownNode, url: string, limitMs: number): Promise<NodeStatus> {
  const { name } = node
  if (node.pid === undefined) return { name, pid: null, url, state: 'stopped', ...SILENT }
  const words = node.paused ? undefined : await askNode(url, limitMs)
  // It may have ended, or have been paused, while it was asked.
  if (node.pid === undefined) return { name, pid: null, url, state: 'stopped', ...SILENT }
  if (node.paused) return { name, pid: node.pid, url, state: 'paused', ...SILENT }
  return { name, pid: node.pid, url, state: words ? 'running' : 'unreachable', ...(words ?? SILENT) }
}

function askNode(url: string, limitMs: number): Promise<OwnWords | undefined> {
  return new Promise((resolve) => {
    const outgoing = get(`${url}/v1/status`, { agent: false, timeout: limitMs }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', () => resolve(undefined))
      incoming.on('end', () => resolve(ownWords(Buffer.concat(chunks).toString())))
    })
    outgoing.on('timeout', () => outgoing.destroy())
    outgoing.on('error', () => resolve(undefined))
  })
}

function ownWords(text: string): OwnWords | undefined {
  try {
    const status = JSON.parse(text)
    return {
      role: typeof status.role === 'string' ? status.role : null,
      term: numberOrNull(status.term),
      commit_index: numberOrNull(status.commit_index),
      applied_index: numberOrNull(status.applied_index),
      revision: numberOrNull(status.revision),
    }
  } catch {
    return undefined
  }
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}

function byTerm(a: NodeStatus, b: NodeStatus): number {
  return (a.term ?? -1) - (b.term ?? -1)
}
