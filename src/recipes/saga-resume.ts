// Resumes sagas (saga.ts) that their process has left behind.
//
// Invariant: resuming a saga is harmless if another process runs it, or has ended it, so wake-ups may be too many. None
// is missed: the watch begins at a revision before the scan, and every process that dies leaves the deletion of its
// key.

import type { Client } from '../client/index.ts'
import { CompactedError } from '../client/index.ts'
import { abortedError } from './option-checks.ts'
import type { SagaOutcome } from './saga-record.ts'
import { isClosed } from './transient-errors.ts'
import { anySignal, pause } from './watch-helpers.ts'

const CONCURRENCY = 8
/** A saga that could not be ended is tried again after this time, together with a new scan. */
const RESCAN_MS = 60_000
const RETRY_MS = 1_000
/** Maximum random delay, so that few of the processes that stand by try the same saga at once. */
const SPREAD_MS = 100

export interface ResumeOptions {
  readonly signal?: AbortSignal | undefined
  /** Number of concurrent sagas, up to 10,000. Default 8. */
  readonly concurrency?: number | undefined
}

export interface KeepResumingOptions extends ResumeOptions {
  readonly signal: AbortSignal
  /**
   * Called for a saga that could not be ended, which is tried again within a minute; for a foreign key; and when the
   * cluster was unreachable.
   */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** The operations on the sagas of one name that resuming needs. */
export interface ResumableSagas {
  readonly kv: Pick<Client, 'txn' | 'watch'>
  readonly ownerPrefix: Uint8Array
  /** The saga that an owner's key belongs to. */
  ownedSaga(ownerKey: Uint8Array): string
  /** Reports each foreign record, and yields the ids of the sagas that have not ended. */
  unfinished(onForeign: (error: unknown) => void, signal: AbortSignal | undefined): AsyncIterable<string>
  /** undefined: another process runs it, or has ended it. */
  resume(id: string, signal: AbortSignal | undefined): Promise<SagaOutcome | undefined>
}

export async function resumeAll(
  sagas: ResumableSagas,
  { signal, concurrency = CONCURRENCY }: ResumeOptions,
): Promise<readonly SagaOutcome[]> {
  const outcomes: SagaOutcome[] = []
  const errors: unknown[] = []
  const pool = new WorkPool(concurrency, async (id) => {
    if (signal?.aborted === true) return
    try {
      const outcome = await sagas.resume(id, signal)
      if (outcome !== undefined) outcomes.push(outcome)
    } catch (error) {
      errors.push(error)
    }
  })
  try {
    for await (const id of sagas.unfinished((error) => errors.push(error), signal)) pool.add(id)
  } finally {
    await pool.idle()
  }
  if (signal?.aborted === true) throw abortedError(signal, 'the resumption')
  if (errors.length === 1) throw errors[0]
  if (errors.length > 1) throw new AggregateError(errors, `${errors.length} sagas could not be ended`)
  return outcomes
}

export async function keepResuming(
  { kv, ownerPrefix, ownedSaga, unfinished, resume }: ResumableSagas,
  { signal, concurrency = CONCURRENCY, onError }: KeepResumingOptions,
): Promise<void> {
  /** Fires when `onError` has thrown: that ends the call. */
  const failed = new AbortController()
  const isOver = anySignal(failed.signal, signal)
  const report = (error: unknown) => {
    try {
      if (!isOver.aborted) onError?.(error)
    } catch (thrown) {
      failed.abort(thrown)
    }
  }
  /** Sagas that could not be ended, until the next scan. */
  const postponed = new Set<string>()
  const pool = new WorkPool(concurrency, async (id) => {
    await pause(Math.random() * SPREAD_MS, isOver)
    if (isOver.aborted || postponed.has(id)) return
    try {
      await resume(id, isOver)
    } catch (error) {
      postponed.add(id)
      report(error)
    }
  })

  async function scanAndWatch(): Promise<void> {
    const { revision } = await kv.txn({}, { signal: isOver })
    postponed.clear()
    for await (const id of unfinished(report, isOver)) pool.add(id)
    const over = new AbortController()
    void pause(RESCAN_MS, anySignal(over.signal, isOver)).then(() => over.abort())
    try {
      const range = { prefix: ownerPrefix, only: 'delete', fromRevision: revision + 1 } as const
      for await (const { events } of kv.watch({ ...range, signal: anySignal(over.signal, isOver) }))
        for (const { keyBytes } of events) pool.add(ownedSaga(keyBytes))
    } catch (error) {
      // The time of the watch is over, or its events were compacted: the next scan finds the rest.
      if (!over.signal.aborted && !(error instanceof CompactedError)) throw error
    } finally {
      over.abort()
    }
  }

  try {
    while (!isOver.aborted) {
      try {
        await scanAndWatch()
      } catch (error) {
        if (isOver.aborted) break
        if (isClosed(error)) throw error
        report(error)
        await pause(RETRY_MS, isOver)
      }
    }
  } finally {
    failed.abort()
    await pool.idle()
  }
  if (!signal.aborted) throw failed.signal.reason
}

/** Runs `work` for each id that is added: at most `size` at a time, and not twice at a time for one id. */
class WorkPool {
  readonly #size: number
  readonly #work: (id: string) => Promise<void>
  readonly #waiting = new Set<string>()
  readonly #running = new Map<string, Promise<void>>()

  constructor(size: number, work: (id: string) => Promise<void>) {
    this.#size = size
    this.#work = work
  }

  add(id: string): void {
    this.#waiting.add(id)
    this.#start()
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  #start(): void {
    for (const id of this.#waiting) {
      if (this.#running.size >= this.#size) return
      if (this.#running.has(id)) continue
      this.#waiting.delete(id)
      const end = () => {
        this.#running.delete(id)
        this.#start()
      }
      this.#running.set(id, this.#work(id).then(end))
    }
  }
}
