// A view of a small range: its records as they were when they were last read. A watch triggers the next read, and a
// timer does so at least every `confirmMs`. Neither keeps a process alive. The content depends on reads alone, so no
// lost event can make it wrong.
//
// The client's `mirror` applies events instead, and reads nothing while nothing changes. Its content is right, but it
// cannot bound its age, which is what recipes promise here.

import { AbortedError, type Client, type KvRecord } from '../client/index.ts'
import { type Stopwatch, startStopwatch } from '../client/suspend-aware-clock.ts'
import { pause } from '../client/timer.ts'
import { isClosed } from './transient-errors.ts'
import { anySignal, keepWatching } from './watch-helpers.ts'

const RETRY_MS = 1_000

export interface ViewContent {
  readonly records: readonly KvRecord[]
  /** The revision of the store at which the records were read. */
  readonly revision: number
  /** The records are at least as recent as this instant. */
  readonly confirmedAt: Stopwatch
}

export type ViewClient = Pick<Client, 'txn' | 'watch'>

interface ViewOptions {
  readonly range: { readonly key: Uint8Array } | { readonly prefix: Uint8Array }
  readonly confirmMs: number
  readonly onContent: (content: ViewContent) => void
  /** Called for each attempt to read that fails. */
  readonly onError: (error: unknown) => void
}

export class RangeView {
  /** Resolves after the first read. Rejects with `closed` if the view, or the client, is closed before. */
  readonly ready: Promise<void>
  readonly #kv: ViewClient
  readonly #options: ViewOptions
  readonly #end = new AbortController()
  readonly #running: Promise<unknown>
  #confirmedAt: Stopwatch | undefined
  /** Wakes the reader. */
  #wake = new AbortController()

  constructor(kv: ViewClient, options: ViewOptions) {
    this.#kv = kv
    this.#options = options
    const first = Promise.withResolvers<void>()
    this.ready = first.promise
    this.ready.catch(() => undefined)
    const { signal } = this.#end
    const wake = () => this.#wake.abort()
    // The watch ends early only if the client is closed. Then the next read finds that out.
    this.#running = Promise.all([
      keepWatching(kv, { ...options.range, keysOnly: true }, signal, wake, wake).then(wake),
      this.#read(first.resolve).then((cause) => first.reject(cause)),
    ])
  }

  get isRead(): boolean {
    return this.#confirmedAt !== undefined
  }

  /** Upper bound on the age of the records. */
  get confirmedMsAgo(): number {
    return this.#confirmedAt?.elapsedMs() ?? Number.POSITIVE_INFINITY
  }

  async close(): Promise<void> {
    this.#end.abort()
    await this.#running
  }

  /** Reads until the view or the client is closed. Returns the error that says so. */
  async #read(onFirst: () => void): Promise<unknown> {
    const { range, confirmMs, onContent, onError } = this.#options
    const { signal } = this.#end
    while (!signal.aborted) {
      this.#wake = new AbortController()
      const confirmedAt = startStopwatch()
      let waitMs = confirmMs
      try {
        // Without a limit: a part of the range would be taken for all of it. The store rejects a range that is too
        // long.
        const { results, revision } = await this.#kv.txn({ success: [{ get: range }] }, { signal })
        onContent({ records: results[0]?.get?.kvs ?? [], revision, confirmedAt })
        this.#confirmedAt = confirmedAt
        onFirst()
      } catch (error) {
        if (signal.aborted) break
        onError(error)
        if (isClosed(error)) return error
        waitMs = Math.min(confirmMs, RETRY_MS)
        // Events do not shorten the pause after a failure.
        this.#wake = new AbortController()
      }
      await pause(waitMs, anySignal(signal, this.#wake.signal), { unref: true })
    }
    return new AbortedError('the view was closed', { code: 'closed', written: 'no' })
  }
}
