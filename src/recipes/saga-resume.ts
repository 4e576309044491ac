// Resumes sagas (saga.ts) that their process has left behind.
//
// Invariant: resuming a saga is harmless if another process runs it, or has ended it, so wake-ups may be too many. None
// is missed: the watch begins at a revision before the scan, and every process that dies leaves the deletion of its
// key. One whose key was overwritten without its lease owns the saga no more either.

import type { CallOptions, Client } from '../client/index.ts'
import { pause } from '../client/timer.ts'
import { abortedError } from './option-checks.ts'
import { runUserCallback } from './run-user-callback.ts'
import type { SagaOutcome, SagaView } from './saga-record.ts'
import { isClosed, isCompacted } from './transient-errors.ts'
import { startTimeLimit } from './wait-until.ts'
import { anySignal, isGone, WATCH_PROGRESS_MS } from './watch-helpers.ts'

const CONCURRENCY = 8
/** A saga that could not be ended is tried again after this time, together with a new scan. */
const RESCAN_MS = 60_000
const RETRY_MS = 1_000
/** Maximum random delay, so that few of the processes that stand by try the same saga at once. */
const SPREAD_MS = 100

export interface ResumeOptions {
  readonly signal?: AbortSignal | undefined
  /** Time limit of each call to the cluster. Default: that of the client. */
  readonly timeoutMs?: number | undefined
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
export interface ResumableSagas<Results> {
  readonly kv: Pick<Client, 'txn' | 'watch'>
  readonly ownerPrefix: Uint8Array
  /** The saga that an owner's key belongs to. */
  ownedSaga(ownerKey: Uint8Array): string
  /** Reports each foreign record, and yields the sagas that have not ended. */
  unfinished(onForeign: (error: unknown) => void, call: CallOptions): AsyncIterable<SagaView>
  /** undefined: another process runs it, or has ended it. */
  resume(id: string, call: CallOptions): Promise<SagaOutcome<Results> | undefined>
}

export async function resumeAll<Results>(
  sagas: ResumableSagas<Results>,
  { signal, timeoutMs, concurrency = CONCURRENCY }: ResumeOptions,
): Promise<readonly SagaOutcome<Results>[]> {
  const call = { signal, timeoutMs }
  const outcomes: SagaOutcome<Results>[] = []
  const errors: unknown[] = []
  async function* ids() {
    for await (const { id } of sagas.unfinished((error) => errors.push(error), call)) yield id
  }
  await forEach(ids(), concurrency, async (id) => {
    if (signal?.aborted === true) return
    try {
      const outcome = await sagas.resume(id, call)
      if (outcome !== undefined) outcomes.push(outcome)
    } catch (error) {
      errors.push(error)
    }
  })
  if (signal?.aborted === true) throw abortedError(signal, 'the resumption')
  if (errors.length === 1) throw errors[0]
  if (errors.length > 1) throw new AggregateError(errors, `${errors.length} sagas could not be ended`)
  return outcomes
}

export async function keepResuming(
  sagas: ResumableSagas<unknown>,
  { signal, timeoutMs, concurrency = CONCURRENCY, onError }: KeepResumingOptions,
): Promise<void> {
  const report = (error: unknown) => {
    if (!signal.aborted) runUserCallback(() => onError?.(error))
  }
  /** Sagas that could not be ended since the last scan. */
  const failed = new Set<string>()
  const call = { signal, timeoutMs }
  await forEach(abandoned(sagas, failed, call, report), concurrency, async (id) => {
    await pause(Math.random() * SPREAD_MS, signal)
    if (signal.aborted || failed.has(id)) return
    try {
      await sagas.resume(id, call)
    } catch (error) {
      failed.add(id)
      report(error)
    }
  })
}

/** Yields the sagas that have not ended, then each whose process has died or released it, until `signal` fires. */
async function* abandoned(
  { kv, ownerPrefix, ownedSaga, unfinished }: ResumableSagas<unknown>,
  failed: Set<string>,
  call: CallOptions & { readonly signal: AbortSignal },
  report: (error: unknown) => void,
): AsyncGenerator<string, void, undefined> {
  const { signal } = call
  while (!signal.aborted) {
    let timeLimit: ReturnType<typeof startTimeLimit> | undefined
    try {
      failed.clear()
      const { revision } = await kv.txn({}, call)
      for await (const { id } of unfinished(report, call)) yield id
      timeLimit = startTimeLimit(RESCAN_MS)
      const range = {
        prefix: ownerPrefix,
        keysOnly: true,
        progressMs: WATCH_PROGRESS_MS,
        fromRevision: revision + 1,
      }
      for await (const { events } of kv.watch({ ...range, signal: anySignal(timeLimit.signal, signal) }))
        for (const event of events) if (isGone(event)) yield ownedSaga(event.keyBytes)
    } catch (error) {
      if (isClosed(error)) throw error
      // Otherwise the next scan finds the rest.
      if (timeLimit?.signal.aborted !== true && !isCompacted(error)) {
        report(error)
        await pause(RETRY_MS, signal)
      }
    } finally {
      timeLimit?.stop()
    }
  }
}

/** Runs `work` for each id, `concurrency` at a time. */
async function forEach(
  ids: AsyncIterable<string>,
  concurrency: number,
  work: (id: string) => Promise<void>,
): Promise<void> {
  const worker = async () => {
    for await (const id of ids) await work(id)
  }
  const ends = await Promise.allSettled(Array.from({ length: concurrency }, worker))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}
