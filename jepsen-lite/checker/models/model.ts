// A model says what one key may do: a state, and what each operation makes of it. It is pure and sequential, so it can
// be read as the specification that a history is held against.

import type { Operation, Result } from '../../history.ts'

export interface Model<State> {
  readonly name: string
  /** The operations that it understands. A history with others cannot be judged by it. */
  readonly operations: readonly Operation['f'][]
  initial(value: string | null): State
  /** Equal texts are equal states; shown to people as well. */
  textOf(state: State): string
  /**
   * What an operation with this result means; `result` undefined: its outcome is unknown, and the step is the effect
   * that it may have had. undefined: it neither changed anything nor tells anything.
   */
  stepOf(op: KeyOperation, result: Result | undefined): Step<State> | undefined
}

/** All that a model sees: a range read has been taken apart into reads of single keys. */
export type KeyOperation = Exclude<Operation, { readonly f: 'range' }>

export interface Step<State> {
  /** Steps with equal texts do the same. */
  readonly text: string
  /** It never changes what the key is; at most the state afterwards says more exactly what that was already. */
  readonly isObservation: boolean
  /** Steps that have one can only come by rising order: a lower one that is left behind can never come any more. */
  readonly order?: number | undefined
  /** The state afterwards; undefined: this cannot happen in this state. */
  apply(state: State): State | undefined
}
