// The state of each node of a local cluster, from its process and from its HTTP API.

import { type HttpReply, requestHttp } from '../server/http-request.ts'
import { isObject, parseJson } from './cluster-file.ts'
import type { NodeView } from './node-view.ts'
import type { SupervisedNode } from './supervised-node.ts'

/** A node that runs and does not answer within this time is unreachable. */
export const STATUS_TIMEOUT_MS = 1_000
/** The first request makes a node load most of its API, which takes seconds on a busy machine. */
export const FIRST_STATUS_TIMEOUT_MS = 10_000

/** The output of `kv cluster status -o json`. */
export interface ClusterStatus {
  readonly cluster_id: string | null
  readonly leader: string | null
  readonly term: number | null
  readonly nodes: readonly LocalNodeStatus[]
}

export interface LocalNodeStatus {
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

type Json = Readonly<Record<string, unknown>>

/** `view`: what it reports by itself. */
type StatedNode = Pick<SupervisedNode, 'name' | 'url' | 'pid' | 'paused' | 'requests'> & {
  readonly view?: NodeView | undefined
}

export async function clusterStatus(
  clusterId: string | null,
  nodes: readonly StatedNode[],
  timeoutMs = STATUS_TIMEOUT_MS,
): Promise<ClusterStatus> {
  const answers = await Promise.all(
    nodes.map(async (node) => {
      const isRunning = node.pid !== undefined && !node.paused
      const answer = isRunning ? await statusOf(node, timeoutMs) : undefined
      // The process may have ended or been paused in the meantime.
      const current = node.pid !== undefined && !node.paused ? answer : undefined
      return { status: nodeStatus(node, current), leader: current?.leader }
    }),
  )
  // A leader that is cut off may not know yet that it was replaced: the highest term is right.
  const newest = answers.toSorted((a, b) => (a.status.term ?? -1) - (b.status.term ?? -1))
  const named = newest.findLast(
    ({ status, leader }) => status.role === 'leader' || typeof leader === 'string',
  )
  const leader = named?.status.role === 'leader' ? named.status.name : stringOrNull(named?.leader)
  const statuses = answers.map(({ status }) => status)
  // The leader may be a node that was started by hand. A local node counts as leader only while it leads.
  const isReplaced = statuses.some(({ name, role }) => name === leader && role !== 'leader')
  return {
    cluster_id: clusterId,
    leader: isReplaced ? null : leader,
    term: newest.at(-1)?.status.term ?? null,
    nodes: statuses,
  }
}

/** While rights are checked, the status needs a user. Then it is what the node reports to its supervisor. */
async function statusOf({ url, view, requests }: StatedNode, timeoutMs: number): Promise<Json | undefined> {
  const reply = await requestHttp(`${url}/v1/status`, { timeoutMs, tls: requests }).catch(() => undefined)
  if (reply?.status === UNAUTHENTICATED && view !== undefined)
    return { role: view.role, term: view.term, leader: view.leader }
  return jsonOf(reply)
}

const UNAUTHENTICATED = 401

/** The JSON object of a response with status 200. */
function jsonOf(reply: HttpReply | undefined): Json | undefined {
  const value = reply?.status === 200 ? parseJson(reply.text) : undefined
  return isObject(value) ? value : undefined
}

function nodeStatus(
  { name, url, pid, paused }: Pick<SupervisedNode, 'name' | 'url' | 'pid' | 'paused'>,
  answer: Json | undefined,
): LocalNodeStatus {
  return {
    name,
    pid: pid ?? null,
    url,
    state: pid === undefined ? 'stopped' : paused ? 'paused' : answer ? 'running' : 'unreachable',
    role: stringOrNull(answer?.role),
    term: numberOrNull(answer?.term),
    commit_index: numberOrNull(answer?.commit_index),
    applied_index: numberOrNull(answer?.applied_index),
    revision: numberOrNull(answer?.revision),
  }
}

const stringOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null)

const numberOrNull = (value: unknown): number | null => (typeof value === 'number' ? value : null)
