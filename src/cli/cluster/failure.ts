/**
 * An end with a message for the user and the exit code that goes with it (interfaces §3): no defect, so no stack. An empty message: there is
 * nothing left to say.
 */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: number

  constructor(exitCode: number, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}

export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(
    1,
    error instanceof Error && !isSystemError(error) ? (error.stack ?? error.message) : textOf(error),
  )
}

/** A file or socket that the system refuses: nobody's defect. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
