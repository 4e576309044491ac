// Sentences for somebody who sees the lab for the first time. Pure functions.

import type { LinkView, MachineView } from '../../../jepsen-lite/lab/view.ts'
import { isMajority } from './majorities.ts'

const COUNTS = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven']

const countWord = (count: number): string => COUNTS[count] ?? String(count)

/** The sentence that says to a newcomer which page this is. */
export const introduction = (count: number): string =>
  `A Raft cluster${count === 0 ? '' : ` of ${countWord(count)} node${count === 1 ? '' : 's'}`} runs in this page, in ` +
  'slow motion.'

/**
 * Whether nothing changes until an election timer runs out: no leader reaches a majority, and no node stands for
 * election.
 */
export function isTimerNext(nodes: readonly MachineView[], cuts: readonly LinkView[]): boolean {
  const running = nodes.filter(({ state }) => state === 'running')
  if (running.some(({ role }) => role === 'candidate' || role === 'pre-candidate')) return false
  const reaches = (from: string, to: string): boolean =>
    running.some(({ name }) => name === to) && !cuts.some((cut) => cut.from === from && cut.to === to)
  const leads = running.some(
    (node) => node.role === 'leader' && isMajority(node, (name) => reaches(node.name, name)),
  )
  return !leads && running.some(({ role, election }) => role === 'follower' && election !== undefined)
}

export const NO_CLIENT = 'All clients wait for an answer, or stand still.'

/** Why the two actions that everybody sees first are not possible; undefined: they are. */
export function whyNotNow(hasLeader: boolean, hasClient: boolean): string | undefined {
  if (!hasLeader) return 'There is no leader yet: nobody to write at, or to cut off.'
  return hasClient ? undefined : NO_CLIENT
}
