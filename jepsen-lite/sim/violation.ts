// What a schedule can end with.

/** Something that must never be, is. `invariant` names the rule, so that a shrunk schedule is held to the same one. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly invariant: string

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`)
    this.invariant = invariant
  }
}

/** Ends a process in the middle of whatever it does, as a crash would. Nobody catches it but the simulator. */
export class CrashSignal extends Error {
  override readonly name = 'CrashSignal'
}
