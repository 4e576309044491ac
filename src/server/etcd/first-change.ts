// Waiting for the first change of keys. It costs a watch, and nothing while nothing happens.

import { ApiError, asRevision, type Revision, type Where } from '../../operations/forms/index.ts'
import { PROGRESS_MS_MAX } from '../../operations/watch.ts'
import { errorOfWatch, WATCH_STALENESS_MAX_MS } from '../api/watch.ts'
import type { WatchEnd, WatchSink } from '../node/watch/index.ts'
import { DEADLINE_EXCEEDED, type EtcdCall } from './call.ts'
import { CANCELLED } from './errors.ts'

/** Throws `GrpcError` if the client has gone. */
export function checkWaiting({ isOver }: EtcdCall): void {
  if (isOver) throw CANCELLED
}

/**
 * Resolves when a key was changed after a revision, or may have been: read again. `only`: the kind of change; undefined
 * for both. Rejects when the client has gone, the right to read has ended, or the node stops.
 */
export async function waitForChange(
  where: Where,
  revision: Revision,
  only: 'put' | 'delete' | undefined,
  call: EtcdCall,
): Promise<void> {
  const sink = new FirstChange()
  const from = asRevision(revision + 1)
  const request = { where, from, only, prev: false, values: false, progressMs: PROGRESS_MS_MAX }
  const begun = await call
    .execute(
      { kind: 'watch', request, maxStalenessMs: WATCH_STALENESS_MAX_MS },
      { openSink: () => sink, deadline: call.nextDeadline() },
    )
    .catch(undefinedIfCompacted)
  if (begun === undefined) return
  const forget = call.whenOver(() => sink.fail(CANCELLED))
  const stopTimer = call.whenLate(() => sink.fail(DEADLINE_EXCEEDED))
  try {
    checkWaiting(call)
    await sink.changed
  } finally {
    forget()
    stopTimer()
    begun.watch.cancel()
  }
}

/** Events that are compacted may have been the change. */
function undefinedIfCompacted(error: unknown): undefined {
  if (error instanceof ApiError && error.code === 'compacted') return undefined
  throw error
}

class FirstChange implements WatchSink {
  readonly isFull = false
  readonly changed: Promise<void>
  readonly #changed: () => void
  readonly fail: (error: Error) => void

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.changed = promise
    this.#changed = resolve
    this.fail = reject
    // Nobody may wait for it any more.
    promise.catch(() => {})
  }

  events(): void {
    this.#changed()
  }

  ended(end: WatchEnd): void {
    if (end.kind === 'compacted' || end.kind === 'too-large') this.#changed()
    else this.fail(errorOfWatch(end))
  }

  waits(): void {}
  progress(): void {}
}
