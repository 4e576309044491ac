// The changes of a range as they are made: the newest ones, in a buffer of a fixed size. What falls out of it is
// counted. The feed resumes by itself when its watch ends.

import { keyRange, prefixRange, type Where } from '../../../../src/operations/forms/places.ts'
import { asRevision, type Revision } from '../../../../src/operations/forms/store.ts'
import { type DecodedEvent, PROGRESS_MS_DEFAULT } from '../../../../src/operations/watch.ts'
import { describeError, RefusedError } from '../../cluster/connection.ts'
import { readMessages } from '../../cluster/watch-messages.ts'

export interface FeedOptions {
  /** Empty: all keys. */
  readonly prefix: Uint8Array
  readonly only: 'put' | 'delete' | undefined
  readonly prev: boolean
  /** Changes that are kept. */
  readonly cap: number
  /** Whether a change is kept at all. */
  readonly fits: (event: DecodedEvent) => boolean
}

export interface FeedChange {
  readonly number: number
  /** When the page received it, of `Date.now()`. */
  readonly time: number
  readonly event: DecodedEvent
}

export interface FeedView {
  /** The newest first. */
  readonly changes: readonly FeedChange[]
  /** Changes that were received. */
  readonly received: number
  /** Received changes that the filter left out. */
  readonly filtered: number
  /** Received changes that fell out of the buffer. */
  readonly dropped: number
  readonly revision: number | undefined
  readonly state: 'opening' | 'open' | 'resuming'
  /** Why the feed has a gap, or cannot begin. */
  readonly notice: string | undefined
}

export const EMPTY_FEED: FeedView = {
  changes: [],
  received: 0,
  filtered: 0,
  dropped: 0,
  revision: undefined,
  state: 'opening',
  notice: undefined,
}

/** Views a second, at most: a page that is drawn for each of 10,000 changes would do nothing else. */
const VIEW_MS = 200
const RESUME_MS = 1_000
/** Bytes of values that are kept: a value may have a megabyte. */
const BYTES_MAX = 32 << 20

const sizeEvent = (event: DecodedEvent): number =>
  event.key.length + (event.type === 'put' ? event.record.value.length : 0) + (event.prev?.value.length ?? 0)

/** Receives changes until the signal fires, and hands a view of them to `show` a few times a second. */
export async function feed(
  options: FeedOptions,
  show: (view: FeedView) => void,
  signal: AbortSignal,
): Promise<void> {
  const { prefix, only, prev, cap, fits } = options
  const where: Where = prefix.length === 0 ? keyRange({}) : prefixRange(prefix)
  let view = EMPTY_FEED
  let kept: FeedChange[] = []
  let bytes = 0
  let isChanged = false
  const timer = setInterval(() => {
    if (!isChanged) return
    isChanged = false
    show({ ...view, changes: kept.toReversed() })
  }, VIEW_MS)
  const set = (part: Partial<FeedView>): void => {
    view = { ...view, ...part }
    isChanged = true
  }
  const receive = (events: readonly DecodedEvent[], revision: Revision): void => {
    const time = Date.now()
    let { received, filtered, dropped } = view
    for (const event of events) {
      received++
      if (fits(event)) {
        kept.push({ number: received, time, event })
        bytes += sizeEvent(event)
      } else filtered++
    }
    // Cut in large steps: to cut for each change would move all others each time.
    let cut = kept.length >= 2 * cap ? kept.length - cap : 0
    if (bytes > BYTES_MAX) {
      let left = 0
      const from = kept.findLastIndex(({ event }) => {
        left += sizeEvent(event)
        return left > BYTES_MAX / 2
      })
      // The newest one stays, however large it is.
      cut = Math.max(cut, Math.min(from + 1, kept.length - 1))
    }
    if (cut > 0) {
      dropped += cut
      kept = kept.slice(cut)
      bytes = kept.reduce((sum, { event }) => sum + sizeEvent(event), 0)
    }
    set({ received, filtered, dropped, revision })
  }
  let next: Revision | undefined
  try {
    while (!signal.aborted) {
      try {
        const request = { where, from: next, only, prev, values: true, progressMs: PROGRESS_MS_DEFAULT }
        for await (const message of readMessages(request, signal)) {
          if (message.kind === 'events') receive(message.events, message.revision)
          else set({ revision: message.revision, state: 'open' })
          next = asRevision(message.revision + 1)
        }
      } catch (error) {
        if (signal.aborted) return
        const code = error instanceof RefusedError ? error.problem.code : undefined
        set({ notice: describeError(error) })
        if (code === 'compacted') {
          set({ notice: 'Changes were compacted before this page received them. The feed has a gap here.' })
          next = undefined
        } else if (error instanceof RefusedError && !error.problem.passing) {
          show({ ...view, changes: kept.toReversed() })
          return
        }
      }
      set({ state: 'resuming' })
      await new Promise((resolve) => setTimeout(resolve, RESUME_MS))
    }
  } finally {
    clearInterval(timer)
  }
}
