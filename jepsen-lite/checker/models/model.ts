// A model says how one key may behave: a state, and what each operation does to it. It is pure and sequential, so it
// can be read as the specification for a history.

import type { HistoryOperation, RecordedResult } from '../../workload/history.ts'

export interface KeyModel<State> {
  readonly name: string
  /** The operations that it supports. A history with others cannot be judged by it. */
  readonly operations: readonly HistoryOperation['f'][]
  initial(value: string | null): State
  /** Equal texts mean equal states. They are also shown to people. */
  formatState(state: State): string
  /**
   * The step of an operation with this result. `result` undefined: its outcome is unknown, and the step is its possible
   * effect. Returns undefined if the operation neither changed anything nor tells anything.
   */
  computeStep(op: KeyOperation, result: RecordedResult | undefined): ModelStep<State> | undefined
}

/** The operations that a model sees. A range read is split into reads of single keys. */
export type KeyOperation = Exclude<HistoryOperation, { readonly f: 'range' }>

export interface ModelStep<State> {
  /** Steps with equal texts do the same. */
  readonly text: string
  /** Whether the step never changes the key. It may make the state more precise. */
  readonly isObservation: boolean
  /** Steps with an order can come only in rising order: a lower one can never come after a higher one. */
  readonly order?: number | undefined
  /** The state afterwards; undefined: the step is impossible in this state. */
  apply(state: State): State | undefined
}
