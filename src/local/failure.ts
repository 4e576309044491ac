import { getSystemErrorMap } from 'node:util'
import { hostPort } from '../system/addresses.ts'

/**
 * An expected failure: a message of one line for the user and the exit code, without a stack. An empty message prints
 * nothing: the reason has been printed already.
 */
export class Failure extends Error {
  override readonly name: string = 'Failure'
  readonly exitCode: number
  /** Lines that follow the message. */
  readonly details: readonly string[]

  constructor(exitCode: number, message: string, details: readonly string[] = []) {
    super(message)
    this.exitCode = exitCode
    this.details = details
  }
}

/** The end that the user has requested, by a signal or by an answer. */
export class Cancellation extends Failure {
  override readonly name = 'Cancellation'
}

export class FullDiskFailure extends Failure {
  constructor(path: string) {
    super(1, `cannot write ${path}: the disk is full; free space on it, then try again`)
  }
}

export function writing<T>(path: string, write: () => T): T {
  try {
    return write()
  } catch (error) {
    throw unwritable(path, error)
  }
}

/** A Failure that names the file: the system's error for a failed write does not always name it. */
export function unwritable(path: string, error: unknown): unknown {
  if (!isSystemError(error)) return error
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') return new FullDiskFailure(path)
  return new Failure(1, `cannot write ${path}: ${failureReason(error)}`)
}

export const asFailure = (error: unknown): Failure =>
  error instanceof Failure ? error : new Failure(1, failureMessage(error))

/** An error of the system for a file or socket: not a defect of this program. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}

/** "no such file or directory", without the call, the code and the path that Node.js adds. */
export function failureReason(error: unknown): string {
  if (isSystemError(error) && error.errno !== undefined)
    return getSystemErrorMap().get(error.errno)?.[1] ?? error.message
  return error instanceof Error ? error.message : String(error)
}

/** The reason, after the file or the address that it concerns. */
export function failureMessage(error: unknown): string {
  if (!isSystemError(error)) return failureReason(error)
  const { path, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  const subject =
    path ?? (address === undefined || port === undefined ? address : hostPort({ host: address, port }))
  return subject === undefined ? error.message : `${subject}: ${failureReason(error)}`
}

/** Whether the error says that there is no such file or directory. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
