// The grid of the logs: which indexes it shows, and the state of each entry. Pure functions.

import type { EntryView, MachineView } from '../../../jepsen-lite/lab/view.ts'

/** Columns at most. */
const SHOWN = 20

/** State of an entry on one node. Each state includes those before it. */
export type EntryState = 'received' | 'durable' | 'committed' | 'applied'

export const ENTRY_STATES: readonly EntryState[] = ['received', 'durable', 'committed', 'applied']

export const ENTRY_TEXTS: Readonly<Record<EntryState, string>> = {
  received: 'in memory only',
  durable: 'on its disk',
  committed: 'committed',
  applied: 'committed and applied',
}

export function entryState(
  { durable, commit, applied }: Pick<MachineView, 'durable' | 'commit' | 'applied'>,
  index: number,
): EntryState {
  if (index <= applied) return 'applied'
  if (index <= commit) return 'committed'
  return index <= durable ? 'durable' : 'received'
}

export const IN_STORE = 'not in the log: its effect is in the store'

/** The words for an index before the log; undefined: it is not before the log. */
export function beforeLogText(
  { firstIndex, lastIncluded }: Pick<MachineView, 'firstIndex' | 'lastIncluded'>,
  index: number,
): string | undefined {
  if (index >= firstIndex) return undefined
  if (lastIncluded?.index !== index) return IN_STORE
  return `${IN_STORE}; the log begins after it, and knows its term ${lastIncluded.term}`
}

/** The newest indexes of all logs, and the one that follows them. */
export function shownIndexes(nodes: readonly MachineView[]): number[] {
  const last = Math.max(0, ...nodes.map(({ lastIndex }) => lastIndex)) + 1
  const first = Math.max(1, last - SHOWN + 1)
  return Array.from({ length: last - first + 1 }, (_, at) => first + at)
}

export const entryAt = ({ log }: Pick<MachineView, 'log'>, index: number): EntryView | undefined =>
  log[index - (log[0]?.index ?? 0)]

/**
 * Whether the log of the leader of the newest term has another entry at this index, or none. Such an entry is not yet
 * lost: a later leader may have it, and then it is the other one that differs.
 */
export function differsFrom(
  { index, term }: Pick<EntryView, 'index' | 'term'>,
  leader: Pick<MachineView, 'log' | 'term' | 'lastIndex'> | undefined,
): boolean {
  if (leader === undefined || term >= leader.term) return false
  if (index > leader.lastIndex) return true
  const own = entryAt(leader, index)
  return own !== undefined && own.term !== term
}

/** Followers by an index that the leader knows of them. */
export function followersAt(
  { progress }: Pick<MachineView, 'progress'>,
  what: 'match' | 'next',
  index: number,
): string[] {
  return progress.filter((follower) => follower[what] === index).map(({ name }) => name)
}

/** Tints of terms. Neighbours differ. */
export const TERM_TINTS = 6
export const termTint = (term: number): number => term % TERM_TINTS
