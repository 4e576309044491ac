// Whether a majority of the voters runs. The voters are those of the configuration: nodes that were started by hand
// count as well.

import { requestHttp } from '../../system/http-request.ts'
import type { MemberView } from '../node/node-view.ts'
import type { SupervisedNode } from '../node/supervised-node.ts'

/** A node that does not answer within this time does not run. */
const STATUS_TIMEOUT_MS = 1_000

/** `possible`: enough voters run, but not all of them are ready. */
export type QuorumState = 'available' | 'possible' | 'impossible'

type LocalNode = Pick<SupervisedNode, 'name' | 'pid' | 'paused' | 'ready' | 'busy' | 'view'> &
  Partial<Pick<SupervisedNode, 'requests'>>

/** Checks the nodes and voters as if `without` did not run. */
export async function checkQuorum(nodes: readonly LocalNode[], without?: LocalNode): Promise<QuorumState> {
  const others = nodes.filter((node) => node !== without)
  const voters = lastKnownVoters(others)
  // A node that is starting may still report the voters.
  if (voters.length === 0) return others.some(mayBecomeReady) ? 'possible' : 'impossible'
  const rest = voters.filter(({ name }) => name !== without?.name)
  const states = await Promise.all(rest.map((voter) => findState(voter, nodes)))
  const isMajority = (count: number): boolean => count > voters.length / 2
  if (isMajority(states.filter((state) => state === 'ready').length)) return 'available'
  return isMajority(states.filter((state) => state !== 'absent').length) ? 'possible' : 'impossible'
}

/** The voters in the view of the highest term. A node that is joining knows no members yet. */
function lastKnownVoters(nodes: readonly LocalNode[]): readonly MemberView[] {
  const views = nodes.flatMap(({ view, paused }) =>
    view && !paused && view.members.length > 0 ? [view] : [],
  )
  const newest = views.sort((a, b) => a.term - b.term).at(-1)
  return newest?.members.filter(({ isVoter }) => isVoter) ?? []
}

async function findState(
  { name, url }: MemberView,
  nodes: readonly LocalNode[],
): Promise<'ready' | 'starting' | 'absent'> {
  const node = nodes.find((candidate) => candidate.name === name)
  if (node !== undefined) return node.ready ? 'ready' : mayBecomeReady(node) ? 'starting' : 'absent'
  const options = { timeoutMs: STATUS_TIMEOUT_MS, tls: nodes[0]?.requests }
  const reply = await requestHttp(`${url}/v1/status`, options).catch(() => undefined)
  // Also a refusal names the node and its leader: rights may be checked.
  if (reply?.headers['kv-node'] !== name) return 'absent'
  return reply.headers['kv-leader'] === undefined ? 'starting' : 'ready'
}

const mayBecomeReady = ({ busy, pid, paused }: LocalNode): boolean => busy || (pid !== undefined && !paused)
