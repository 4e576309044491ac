/**
 * An end with a message for the user and the exit code that goes with it: no defect, so no stack. An
 * empty message: there is nothing left to say.
 */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: number

  constructor(exitCode: number, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}

export class FullDisk extends Failure {
  constructor(path: string) {
    super(1, `${path} cannot be written: the disk is full. Free space on it, then try again.`)
  }
}

/** What the system says of a write that finds no room does not name the file. */
export function writing<T>(path: string, write: () => T): T {
  try {
    return write()
  } catch (error) {
    throw isSystemError(error) && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
      ? new FullDisk(path)
      : error
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
