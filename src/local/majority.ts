// Whether a majority of the voters runs. Voters are not only the local nodes (voters.ts).

import type { ManagedNode } from './lifecycle.ts'
import { anotherAnswers, asked, knownVoters, type Local, type Voter } from './voters.ts'

/** Among the voters that the configuration names; `without`: as if this node did not run. */
export async function majorityOf(
  nodes: readonly ManagedNode[],
  without?: ManagedNode,
): Promise<'there' | 'possible' | 'impossible'> {
  const others = nodes.filter((node) => node !== without)
  const running = others.filter(({ process }) => process.pid !== undefined && !process.paused)
  const voters = await knownVoters(running)
  if (voters === undefined) return others.some(mayRun) ? 'possible' : 'impossible'
  const left = voters.filter(({ name }) => name !== without?.name)
  const states = await Promise.all(left.map((voter) => stateOf(voter, nodes, running)))
  const isMajority = (count: number): boolean => count > voters.length / 2
  if (isMajority(states.filter((state) => state === 'ready').length)) return 'there'
  return isMajority(states.filter((state) => state !== 'away').length) ? 'possible' : 'impossible'
}

/** It serves, and cannot become ready. */
export async function hasNoMajority(node: ManagedNode, nodes: readonly ManagedNode[]): Promise<boolean> {
  return node.peerListener !== undefined && (await majorityOf(nodes)) === 'impossible'
}

async function stateOf(
  voter: Voter,
  nodes: readonly ManagedNode[],
  running: readonly Local[],
): Promise<'ready' | 'coming' | 'away'> {
  const node = nodes.find(({ name }) => name === voter.name)
  if (node !== undefined && (await isOrMayBe(node, voter)))
    return node.process.ready ? 'ready' : mayRun(node) ? 'coming' : 'away'
  const answer = await asked(voter, running)
  return answer === undefined ? 'away' : answer.knowsLeader ? 'ready' : 'coming'
}

function mayRun({ process, busy }: ManagedNode): boolean {
  return busy || (process.pid !== undefined && !process.paused)
}

/**
 * Whether the voter is this node, or may be. After a start at other ports the configuration names the old ones until
 * there is a leader. A voter of the same name may also be a node that was started by hand.
 */
async function isOrMayBe(node: ManagedNode, voter: Voter): Promise<boolean> {
  return node.url === voter.url || (mayRun(node) && !(await anotherAnswers(voter, node.url)))
}
