// Exit codes of `jepsen-lite`. Unlike those of `kv`: 1 always means that a violation was found.

export const EXIT = {
  ok: 0,
  violation: 1,
  /** Neither shown right nor wrong: a search ran out of its budget. It fails a pipeline all the same. */
  undecided: 2,
  /** The command line is wrong, a file cannot be read, a fault had no effect, or the harness itself is defective. */
  failed: 3,
} as const

/**
 * An end with a message for the user and no stack: no defect. Anything else that is thrown ends with its stack, and
 * exit code 3.
 */
export class CommandError extends Error {
  override readonly name = 'Failure'
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message)
    this.exitCode = exitCode
  }
}
