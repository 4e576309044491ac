import { getSystemErrorMessage } from 'node:util'
import { hostPort } from '../server/addresses.ts'

/**
 * An expected failure: a message for the user and the exit code that goes with it, without a stack. An empty message:
 * everything has been said.
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

export function writing<T>(path: string, write: () => T): T {
  try {
    return write()
  } catch (error) {
    throw unwritable(path, error)
  }
}

/** The system's error for a failed write does not always name the file. */
export function unwritable(path: string, error: unknown): unknown {
  if (!isSystemError(error)) return error
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') return new FullDisk(path)
  return new Failure(1, `${path} cannot be written: ${reasonOf(error)}.`)
}

export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(
    1,
    error instanceof Error && !isSystemError(error) ? (error.stack ?? error.message) : messageOf(error),
  )
}

/** An error of the system, for a file or socket: not a defect of this program. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}

/** "no such file or directory", without the call, the code and the path that Node.js puts around it. */
export function reasonOf(error: unknown): string {
  if (isSystemError(error) && error.errno !== undefined)
    return getSystemErrorMessage(error.errno) ?? error.message
  return error instanceof Error ? error.message : String(error)
}

/** The same, after the file or the address that it is about. */
export function messageOf(error: unknown): string {
  if (!isSystemError(error)) return reasonOf(error)
  const { path, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  const place =
    path ?? (address === undefined || port === undefined ? address : hostPort({ host: address, port }))
  return place === undefined ? error.message : `${place}: ${reasonOf(error)}`
}

/** There is no such file or directory. */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
