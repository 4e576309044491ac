// How a schedule can end.

/** A rule is broken. `invariant` names it, so that a shrunk schedule must break the same one. */
export class RuleViolation extends Error {
  override readonly name = 'Violation'
  readonly invariant: string
  readonly read: BrokenRead | undefined

  constructor(invariant: string, detail: string, read?: BrokenRead) {
    super(`${invariant}: ${detail}`)
    this.invariant = invariant
    this.read = read
  }
}

/** A read whose answer breaks a rule. It is not in the history. */
export interface BrokenRead {
  /** Number of the operation in the history. */
  readonly id: number
  /** The state that the node answers from: that after this entry. */
  readonly index: number
  /** The highest index that a client had seen when it began. */
  readonly floor: number
}

/** Ends a process in the middle of its code, like a crash. Only the simulator catches it. */
export class CrashSignal extends Error {
  override readonly name = 'CrashSignal'
}
