// The first storage error is final.
//
// After a failed write LevelDB continues to answer "done" for batches that are lost at the next start. After a failed
// sync the kernel may report the same pages as clean. So the first error, also of a read, is kept, and every later call
// gets it as its answer.

import { UnknownKindError } from '../bytes/index.ts'
import { asError, hasErrorCode, isError } from '../system/errors.ts'
import {
  CorruptionError,
  damageError,
  isDiskFull,
  StorageFailedError,
  StorageInvariantError,
  StorageRefusedError,
} from './errors.ts'

export class StickyError {
  error: Error | undefined
  readonly #dir: string | undefined
  #listener: (error: Error) => void = () => {}

  /** `dir`: of the storage, for messages. */
  constructor(dir?: string) {
    this.#dir = dir
  }

  /** Calls `listener` with the first error when it occurs; at once if it has occurred. */
  whenFailed(listener: (error: Error) => void): void {
    this.#listener = listener
    if (this.error !== undefined) listener(this.error)
  }

  /** Throws the first error, if there was one. */
  check(): void {
    if (this.error !== undefined) throw this.error
  }

  /** Keeps the first error and returns it. */
  fail(thrown: unknown): Error {
    if (this.error === undefined) {
      this.error = this.#explained(asError(thrown))
      this.#listener(this.error)
    }
    return this.error
  }

  /** Returns what `run` returns. An exception of `run` is final. */
  guard<T>(run: () => T): T {
    this.check()
    try {
      return run()
    } catch (thrown) {
      throw this.fail(thrown)
    }
  }

  #explained(error: Error): Error {
    if (error instanceof StorageInvariantError || error instanceof StorageRefusedError) return error
    // Nothing is wrong with the disk.
    if (error instanceof UnknownKindError) return error
    if (error instanceof CorruptionError || hasErrorCode(error, 'LEVEL_CORRUPTION'))
      return damageError(error.message, this.#dir, { cause: error })
    if (isDiskFull(error))
      return new StorageFailedError(
        `The disk is full: ${deepest(error).message}. Nothing was acknowledged after it, and nothing before it is lost. ` +
          `Free space on the disk, then start the node again: it checks its files before it serves.`,
        { cause: error },
      )
    return new StorageFailedError(
      `The storage failed: ${deepest(error).message}. Nothing was acknowledged after it. ` +
        `Look at the disk (file size limit, I/O errors), then start the node again: it checks its files before it serves.`,
      { cause: error },
    )
  }
}

const deepest = (error: Error): Error => (isError(error.cause) ? deepest(error.cause) : error)
