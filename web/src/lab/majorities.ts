// Majorities, by the configuration that nodes have in force. Pure functions.

import type { MachineView } from '../../../jepsen-lite/lab/view.ts'

type Voters = Pick<MachineView, 'voters' | 'votersOutgoing'>

/** Whether these nodes are a majority: of the old voters too while the configuration is joint. */
export const isMajority = ({ voters, votersOutgoing }: Voters, has: (name: string) => boolean): boolean =>
  [voters, votersOutgoing].every(
    (half, at) => (at === 1 && half.length === 0) || 2 * half.filter(has).length > half.length,
  )

/**
 * The lines for one side of a partition. Its nodes count by the configuration of their leader. Without one, that of the
 * node that has applied most is in force.
 */
export function sideLines(side: readonly MachineView[], all: readonly MachineView[]): string[] {
  const inForce = [newestFirst(side), newestFirst(all)].flat().find(({ voters }) => voters.length > 0)
  if (inForce === undefined) return []
  const { voters, votersOutgoing } = inForce
  const isHere = (name: string): boolean => side.some((node) => node.name === name)
  const runs = (name: string): boolean => side.some((node) => node.name === name && node.state === 'running')
  const count = (half: readonly string[]): string => `${half.filter(isHere).length} of ${half.length}`
  const idle = new Set([...voters, ...votersOutgoing].filter((name) => isHere(name) && !runs(name)))
  return [
    ...(votersOutgoing.length > 0
      ? [`${count(voters)} new`, `${count(votersOutgoing)} old`]
      : [count(voters)]),
    ...(idle.size > 0 ? [`${[...idle].join(', ')} not running`] : []),
    isMajority(inForce, runs) ? 'a majority' : 'no majority',
  ]
}

/** The leader of the highest term, then by what they have applied, and those that do not run at the end. */
const newestFirst = (nodes: readonly MachineView[]): readonly MachineView[] =>
  nodes.toSorted(
    (a, b) =>
      Number(b.state === 'running') - Number(a.state === 'running') ||
      leadTerm(b) - leadTerm(a) ||
      b.applied - a.applied,
  )

const leadTerm = ({ role, term }: MachineView): number => (role === 'leader' ? term : 0)
