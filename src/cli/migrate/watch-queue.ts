// The changes of the source that a watch has received and the target does not have. While they wait, the watch reads
// ahead, up to a limit.

import type { Client, WatchBatch, WatchEvent } from '../../client/index.ts'
import {
  changeBytes,
  countShared,
  lastChanges,
  OPERATIONS_MAX,
  type SourceChange,
  type SourceRevision,
  sourceRecord,
} from './changes.ts'
import { isPositionKey } from './position.ts'

const AHEAD_BYTES_MAX = 16 * 1024 * 1024
/** Memory of a change beside its key and value. */
const CHANGE_BYTES = 200
/** How often the source reports how far the watch is. */
const PROGRESS_MS = 500

export class WatchQueue implements AsyncDisposable {
  /** The newest revision of the source whose changes the queue has had. */
  seen: number
  readonly #revisions: SourceRevision[] = []
  readonly #closing = new AbortController()
  readonly #reading: Promise<void>
  #bytes = 0
  #failure: unknown
  #wake = () => {}
  #resume = () => {}

  /** `from`: its first revision. */
  constructor(source: Client, prefix: string, from: number, signal: AbortSignal) {
    this.seen = from - 1
    const place = prefix === '' ? { all: true } : { prefix }
    const watch = source.watch({
      ...place,
      fromRevision: from,
      progressMs: PROGRESS_MS,
      signal: AbortSignal.any([signal, this.#closing.signal]),
      onProgress: (revision) => {
        if (revision <= this.seen) return
        this.seen = revision
        this.#wake()
      },
    })
    this.#reading = this.#read(watch).catch((error: unknown) => {
      this.#failure = error ?? new Error('the watch has ended')
      this.#wake()
    })
  }

  get isEmpty(): boolean {
    return this.#revisions.length === 0
  }

  /** Whether a change of a later revision waits. */
  hasAfter(revision: number): boolean {
    const [first] = this.#revisions
    return first !== undefined && first.revision > revision
  }

  /** Takes the first revisions, as many as share a transaction, up to `last`. Throws what ended the watch. */
  take(last: number): readonly SourceRevision[] {
    const first = this.#revisions.slice(0, OPERATIONS_MAX).filter(({ revision }) => revision <= last)
    // Changes that arrived before the watch ended are still applied.
    if (first.length === 0 && this.#failure !== undefined) throw this.#failure
    if (first.length === 0) return []
    const taken = this.#revisions.splice(0, countShared(first))
    for (const each of taken) this.#bytes -= revisionBytes(each)
    this.#resume()
    return taken
  }

  /** Resolves with true when something has arrived, and with false after this time or when `signal` fires. */
  wait(ms: number, signal?: AbortSignal): Promise<boolean> {
    if (!this.isEmpty || this.#failure !== undefined) return Promise.resolve(true)
    return new Promise((resolve) => {
      const finish = (arrived: boolean) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', stop)
        this.#wake = () => {}
        resolve(arrived)
      }
      const stop = () => finish(false)
      const timer = setTimeout(stop, ms)
      signal?.addEventListener('abort', stop)
      this.#wake = () => finish(true)
      if (signal?.aborted) stop()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#resume()
    await this.#reading
  }

  async #read(watch: AsyncIterable<WatchBatch>): Promise<void> {
    for await (const { revision, events } of watch) {
      const changes = events.filter(({ keyBytes }) => !isPositionKey(keyBytes)).map(sourceChange)
      const received = { revision, changes: lastChanges(changes) }
      this.#revisions.push(received)
      this.#bytes += revisionBytes(received)
      this.seen = Math.max(this.seen, revision)
      this.#wake()
      while (this.#bytes > AHEAD_BYTES_MAX && !this.#closing.signal.aborted)
        await new Promise<void>((resolve) => (this.#resume = resolve))
    }
  }
}

const sourceChange = (event: WatchEvent): SourceChange =>
  event.type === 'put'
    ? { type: 'put', record: sourceRecord(event.kv) }
    : { type: 'delete', key: event.keyBytes }

const revisionBytes = ({ changes }: SourceRevision): number =>
  changes.reduce((sum, change) => sum + changeBytes(change) + CHANGE_BYTES, 0)
