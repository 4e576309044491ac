// How a schedule can end.

/** A rule is broken. `invariant` names it, so that a shrunk schedule must break the same one. */
export class RuleViolation extends Error {
  override readonly name = 'Violation'
  readonly invariant: string

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`)
    this.invariant = invariant
  }
}

/** Ends a process in the middle of its code, like a crash. Only the simulator catches it. */
export class CrashSignal extends Error {
  override readonly name = 'CrashSignal'
}
