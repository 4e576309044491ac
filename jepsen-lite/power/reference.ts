// The sequence of states that the batches of the recorded replica make. At each point of the trace, it must have
// reached at least the state that a sent message or answer depends on.

import type { BatchMark, EntryMark, PositionMark, ReplicaState, TraceMark } from './trace-markers.ts'

/** The replica after some number of batches of one process. The boot counter is that of the process. */
interface ReferenceState {
  readonly term: number
  readonly vote: string
  readonly commit: number
  /** Log from `first`. Compaction may have removed entries up to `compacted`. */
  readonly first: number
  readonly log: readonly EntryMark[]
  readonly compacted: number
  readonly applied: PositionMark
  readonly stateHash: string
}

/** The replica has sent something that binds it. */
interface Binding {
  readonly what: string
  readonly isKeptBy: (state: ReferenceState) => boolean
}

/** The demand of the marks up to some point of the trace. */
export interface Demand {
  /**
   * While a directory is being formatted, nothing was acknowledged yet. While it is being opened, the boot counter may
   * have been raised or not.
   */
  readonly phase: 'formatting' | 'opening' | 'running'
  /** The directory must hold at least this many batches. */
  readonly atLeast: number
  /** The reason for that. */
  readonly because: string
  /** Limit on the number of batches that the state can hold. */
  readonly atMost: number
}

export class Reference {
  readonly states: readonly ReferenceState[]
  readonly start: ReplicaState
  readonly #demands: readonly Demand[]

  constructor(marks: readonly TraceMark[]) {
    const opened = marks.find((mark) => mark.kind === 'opened')
    if (opened === undefined) throw new Error('the recorded process never opened its directory')
    this.start = opened.replica
    const states = [startState(opened.replica)]
    for (const mark of marks) {
      const before = states.at(-1)
      if (mark.kind === 'submitted' && before !== undefined) states.push(after(before, mark.batch))
    }
    this.states = states
    this.#demands = collectDemands(marks, states)
  }

  demandAfter(marks: number): Demand {
    const demand = this.#demands[marks]
    if (demand === undefined) throw new RangeError(`there are no ${marks} marks`)
    return demand
  }

  /** The numbers of all states in the sequence that a found replica equals. */
  matches(found: ReplicaState): number[] {
    return this.states.flatMap((state, number) => (differencesTo(state, found).length === 0 ? [number] : []))
  }
}

const startState = ({
  term,
  vote,
  commit,
  first,
  log,
  applied,
  stateHash,
}: ReplicaState): ReferenceState => ({
  term,
  vote,
  commit,
  first,
  log,
  applied,
  stateHash,
  compacted: first - 1,
})

function after(before: ReferenceState, batch: BatchMark): ReferenceState {
  let { first, log, compacted, applied, stateHash } = {
    ...before,
    applied: batch.applied,
    stateHash: batch.stateHash,
  }
  for (const write of batch.writes) {
    const { snapshot, truncateFrom, entries = [] } = write
    if (snapshot !== undefined) {
      ;({ at: applied, stateHash } = snapshot)
      if (!snapshot.keepLog) [first, log, compacted] = [snapshot.at[0] + 1, [], snapshot.at[0]]
    }
    if (truncateFrom !== undefined) log = log.slice(0, Math.max(0, truncateFrom - first))
    if (entries.length > 0) log = [...log, ...entries]
  }
  // Never above what is applied with this batch.
  compacted = Math.max(compacted, Math.min(batch.compactTo ?? 0, applied[0]))
  const { term, vote, commit } = batch
  return { term, vote, commit, first, log, compacted, applied, stateHash }
}

/** How a found replica differs from this state; empty when it does not. */
export function differencesTo(state: ReferenceState, found: ReplicaState): string[] {
  const differences = (['term', 'vote', 'commit', 'stateHash'] as const)
    .filter((field) => state[field] !== found[field])
    .map((field) => `${field} is ${found[field] || 'none'} instead of ${state[field] || 'none'}`)
  if (state.applied.join() !== found.applied.join())
    differences.push(`applied is index ${found.applied[0]} instead of ${state.applied[0]}`)
  if (found.first < state.first || found.first > state.compacted + 1)
    differences.push(
      `the log begins at ${found.first}, not between ${state.first} and ${state.compacted + 1}`,
    )
  const last = state.first + state.log.length - 1
  const foundLast = found.first + found.log.length - 1
  if (foundLast !== last) differences.push(`the log ends at ${foundLast} instead of ${last}`)
  const wrong = found.log.findIndex((entry, at) => {
    const expected = entryAt(state, found.first + at)
    return expected !== undefined && entry.join() !== expected.join()
  })
  if (wrong >= 0) differences.push(`another entry lies at index ${found.first + wrong}`)
  return differences
}

const entryAt = ({ first, log }: ReferenceState, index: number): EntryMark | undefined => log[index - first]

// ---------------------------------------------------------------------------------------------------------------------

function collectDemands(marks: readonly TraceMark[], states: readonly ReferenceState[]): Demand[] {
  let demand: Demand = {
    phase: marks[0]?.kind === 'formatted' ? 'formatting' : 'opening',
    atLeast: 0,
    because: 'the directory was formatted and opened',
    atMost: 0,
  }
  const demands = [demand]
  for (const mark of marks) {
    demand = next(demand, mark, states)
    demands.push(demand)
  }
  return demands
}

function next(before: Demand, mark: TraceMark, states: readonly ReferenceState[]): Demand {
  switch (mark.kind) {
    case 'formatted':
      return { ...before, phase: 'opening' }
    case 'opened':
      return { ...before, phase: 'running' }
    case 'submitted':
      return { ...before, atMost: before.atMost + 1 }
    case 'stored':
      return raised(before, before.atMost, `batch ${before.atMost} was reported durable`)
    case 'ending':
      return before
    default: {
      const { what, isKeptBy } = promised(mark, states[before.atMost])
      return raised(before, firstKeeping(states, before.atMost, isKeptBy), what)
    }
  }
}

const raised = (before: Demand, atLeast: number, because: string): Demand =>
  atLeast > before.atLeast ? { ...before, atLeast, because } : before

/**
 * The first state of the last unbroken run of states that keep the promise and end with the newest one. If the newest
 * one does not keep it: the first later state that does.
 */
function firstKeeping(
  states: readonly ReferenceState[],
  newest: number,
  isKeptBy: (state: ReferenceState) => boolean,
): number {
  const keeps = (number: number): boolean => {
    const state = states[number]
    return state !== undefined && isKeptBy(state)
  }
  let number = newest
  while (number < states.length && !keeps(number)) number++
  while (number > 0 && keeps(number - 1)) number--
  return number
}

type PromiseMark = Exclude<TraceMark, { kind: 'formatted' | 'opened' | 'submitted' | 'stored' | 'ending' }>

/** `now`: the state with everything that was handed to the storage before. */
function promised(mark: PromiseMark, now: ReferenceState | undefined): Binding {
  switch (mark.kind) {
    case 'term':
      return { what: `a promise of term ${mark.term} left`, isKeptBy: ({ term }) => term >= mark.term }
    case 'vote':
      return {
        what: `the vote of term ${mark.term} for ${mark.vote} left`,
        isKeptBy: ({ term, vote }) => term > mark.term || (term === mark.term && vote === mark.vote),
      }
    case 'accepted': {
      const entry = now === undefined ? undefined : entryAt(now, mark.index)
      return {
        what: `index ${mark.index} was acknowledged to the leader`,
        isKeptBy: holder(mark.index, entry),
      }
    }
    case 'answered': {
      const [index, term] = mark.at
      return {
        what: `a client learned that index ${index} of term ${term} is committed`,
        isKeptBy: holder(index, [term, mark.crc]),
      }
    }
  }
}

/** `entry` is undefined when any entry may be there, because its content is not known yet. */
const holder =
  (index: number, entry: EntryMark | undefined) =>
  (state: ReferenceState): boolean => {
    if (index <= state.compacted && index <= state.applied[0]) return true
    const held = entryAt(state, index)
    return held !== undefined && (entry === undefined || held.join() === entry.join())
  }
