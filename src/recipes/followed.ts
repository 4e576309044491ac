// A small range that is followed: its records as they were when they were last read. A watch says when to read again,
// and from time to time the range is read anyway. So what is shown depends on no event, and `confirmedAt` is true: a
// linearizable read that began then has shown it. While the store cannot be reached, the last records stay.

import { AbortedError, type Client, type KvRecord } from '../client/index.ts'
import { ageMs, type Instant, instantNow } from './age.ts'
import { isClosed, keepWatching, pause } from './watching.ts'

const AGAIN_MS = 1_000

export interface View {
  readonly records: readonly KvRecord[]
  /** Of the store, when they were read. */
  readonly revision: number
  /** They are at least as new. */
  readonly confirmedAt: Instant
}

export interface FollowOptions {
  readonly prefix: Uint8Array
  /** Only the key that is `prefix`. */
  readonly isOneKey?: boolean | undefined
  /** It is read at least so often. */
  readonly confirmMs: number
  readonly onView: (view: View) => void
  /** It could not be read. Called again for each try. */
  readonly onError: (error: unknown) => void
}

export type FollowClient = Pick<Client, 'txn' | 'watch'>

export class Followed {
  /** Resolves with the first view; rejects with `closed` if it, or the client, was closed before. */
  readonly ready: Promise<View>
  readonly #kv: FollowClient
  readonly #options: FollowOptions
  readonly #end = new AbortController()
  readonly #running: Promise<unknown>
  #view: View | undefined
  /** Wakes the reader. */
  #wake = () => {}
  #isDue = true

  constructor(kv: FollowClient, options: FollowOptions) {
    this.#kv = kv
    this.#options = options
    const first = Promise.withResolvers<View>()
    this.ready = first.promise
    this.ready.catch(() => undefined)
    const place = options.isOneKey === true ? { key: options.prefix } : { prefix: options.prefix }
    const due = () => {
      this.#isDue = true
      this.#wake()
    }
    // Both end with the signal, without an error. If the watch ends before, the client was closed: a reading finds it.
    this.#running = Promise.all([
      keepWatching(kv, { ...place, keysOnly: true }, this.#end.signal, due, due).then(due),
      this.#read(place, first.resolve).then((cause) => first.reject(closedBy(cause))),
    ])
  }

  get view(): View | undefined {
    return this.#view
  }

  get confirmedMsAgo(): number {
    return this.#view === undefined ? Number.POSITIVE_INFINITY : ageMs(this.#view.confirmedAt)
  }

  async close(): Promise<void> {
    this.#end.abort()
    await this.#running
  }

  /** Until it is closed, or the client: then it returns the error that says so. */
  async #read(
    place: { key: Uint8Array } | { prefix: Uint8Array },
    onFirst: (view: View) => void,
  ): Promise<unknown> {
    const { signal } = this.#end
    while (!signal.aborted) {
      this.#isDue = false
      const confirmedAt = instantNow()
      let waitMs = this.#options.confirmMs
      try {
        const { results, revision } = await this.#kv.txn(
          // Without a limit: a part of the range would be taken for all of it. The store refuses too long a one.
          { success: [{ get: place }] },
          { signal },
        )
        const records = results[0]?.get?.kvs ?? []
        const view = { records, revision, confirmedAt }
        // What cannot be used confirms nothing.
        this.#options.onView(view)
        this.#view = view
        onFirst(view)
      } catch (error) {
        if (signal.aborted) break
        this.#options.onError(error)
        if (isClosed(error)) return error
        waitMs = Math.min(waitMs, AGAIN_MS)
        this.#isDue = false
      }
      if (!this.#isDue) await this.#rest(waitMs, signal)
    }
    return undefined
  }

  async #rest(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    await pause(ms, AbortSignal.any([signal, woken.signal]))
    this.#wake = () => {}
  }
}

const closedBy = (cause: unknown): unknown =>
  cause ?? new AbortedError('it was closed before it was read', { code: 'closed', written: 'no' })
