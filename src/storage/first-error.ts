// The first storage error is the last word.
//
// After a write that failed, LevelDB goes on to answer "done" for batches that will be gone after the next start; after
// a sync that failed, the kernel may call the very same pages clean. So whatever fails first, a read included, is kept
// and answered to everything that follows.

import {
  asError,
  CorruptionError,
  hasCode,
  InvariantError,
  isDiskFull,
  isError,
  rejoinAdvice,
  StorageFailedError,
  StorageRefusedError,
} from './errors.ts'

export class FirstError {
  readonly #nodeName: string
  #error: Error | undefined
  #told: (error: Error) => void = () => {}

  constructor(nodeName: string) {
    this.#nodeName = nodeName
  }

  get error(): Error | undefined {
    return this.#error
  }

  /** Calls `told` with the first error, at the moment when it is met; at once when that was before. */
  whenFailed(told: (error: Error) => void): void {
    this.#told = told
    if (this.#error !== undefined) told(this.#error)
  }

  /** Throws when something has failed before. */
  check(): void {
    if (this.#error !== undefined) throw this.#error
  }

  /** Keeps the first error and returns it. */
  fail(thrown: unknown): Error {
    if (this.#error === undefined) {
      this.#error = this.#explained(asError(thrown))
      this.#told(this.#error)
    }
    return this.#error
  }

  /** What `run` returns; what it throws is final. */
  guard<T>(run: () => T): T {
    this.check()
    try {
      return run()
    } catch (thrown) {
      throw this.fail(thrown)
    }
  }

  #explained(error: Error): Error {
    if (error instanceof InvariantError || error instanceof StorageRefusedError) return error
    if (error instanceof CorruptionError || hasCode(error, 'LEVEL_CORRUPTION'))
      return new CorruptionError(`Damaged data: ${error.message}. ${rejoinAdvice(this.#nodeName)}`, {
        cause: error,
      })
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
