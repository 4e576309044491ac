// To wait until the store is as it should be: look, and look again when something may have changed. Faults that pass do
// not end it: while the cluster cannot be asked, it is asked again.

import {
  OutcomeUnknownError,
  QuorateError,
  UnavailableError,
  UnreachableError,
  type WatchBatch,
  type WatchOptions,
} from '../client/index.ts'
import { after } from '../client/timer.ts'
import { changeAfter, isClosed, pause, type Watching } from './watching.ts'

/** Who gives up waits so long for the cluster to end its lease; then the lease ends by itself. */
export const GIVE_UP_MS = 1_000
/** The pause after the cluster could not be asked. */
const AGAIN_MS = 500

/** It is not yet as it should be. */
export interface NotYet {
  /** Of the store, when it was looked at. */
  readonly revision: number
  /** What must change first. */
  readonly range: WatchOptions
  /** Whether to look again. Default: after each change. */
  readonly isReason?: ((batch: WatchBatch) => boolean) | undefined
}

export interface Waiting {
  /** Ends the waiting with an `AbortError`. */
  readonly signal: AbortSignal
  /** The time to wait is over: the waiting ends with `notWithin()`, but not before it has looked once. */
  readonly patience: AbortSignal
  readonly notWithin: () => Error
}

/** `look` may change the store on the way. It is called again when its outcome is unknown, too. */
export async function until<T extends object>(
  kv: Watching,
  look: () => Promise<T | NotYet>,
  { signal, patience, notWithin }: Waiting,
): Promise<T> {
  const isOver = AbortSignal.any([signal, patience])
  for (;;) {
    let seen: T | NotYet
    try {
      seen = await look()
    } catch (error) {
      if (!isPassing(error) || patience.aborted) throw error
      await pause(AGAIN_MS, isOver)
      continue
    }
    if (!('range' in seen)) return seen
    if (patience.aborted) throw notWithin()
    try {
      await changeAfter(kv, seen.range, seen.revision, isOver, seen.isReason)
    } catch (error) {
      if (signal.aborted || isClosed(error)) throw error
      // It looks once more: the watch may be at a node that has just stopped, and tells nothing.
      if (patience.aborted) continue
      if (!isPassing(error)) throw error
      await pause(AGAIN_MS, isOver)
    }
  }
}

/** Fires after `waitMs`, which may be Infinity. Its timer keeps the process alive until it is disposed of. */
export function patienceOf(waitMs = Number.POSITIVE_INFINITY): { readonly signal: AbortSignal; end(): void } {
  const over = new AbortController()
  return { signal: over.signal, end: after(waitMs, () => over.abort()) }
}

/** Of answers that say nothing about what was asked: a node had no time or no room for it, or none was reached. */
const isPassingStatus = (status: number | undefined): boolean =>
  status !== undefined && (status === 408 || status === 429 || status >= 500)

/** The cluster could not be asked, or has not answered; or a load balancer has answered in its place. */
export const isPassing = (error: unknown): boolean =>
  error instanceof UnavailableError ||
  error instanceof UnreachableError ||
  error instanceof OutcomeUnknownError ||
  (error instanceof QuorateError &&
    (error.code === 'unexpected_answer' || error.code === 'internal') &&
    isPassingStatus(error.status))

/** A proxy has refused it, and would refuse it again. */
export const isForbidden = (error: unknown): boolean =>
  error instanceof QuorateError && error.code === 'unexpected_answer' && !isPassing(error)

/** There is no room for what was to be written. */
export const isFull = (error: unknown): boolean =>
  error instanceof QuorateError && error.code === 'storage_full'

/** What was to be written is larger than the store takes at a time, or a proxy before it. */
export const isTooLarge = (error: unknown): boolean =>
  error instanceof QuorateError &&
  (error.code === 'value_too_large' ||
    error.code === 'request_too_large' ||
    (error.code === 'unexpected_answer' && error.status === 413))

/** The lease has ended. The session may not know that yet. */
export const isWithoutLease = (error: unknown): boolean =>
  error instanceof QuorateError && error.code === 'lease_not_found'
