// A mirror of a range: its keys in memory, kept up to date by a watch.
//
// The range is read as it was at one revision, and the watch begins with the next one. So no change is missed or
// applied twice. When the events that are needed next were compacted, the range is read again.

import { Backoff } from './backoff.ts'
import { CompactedError } from './errors.ts'
import { type Interruption, pauseUntilInterrupted } from './interruption.ts'
import type { KvRecord, ListOptions, RangeOptions, ReadOptions } from './types.ts'
import { checkMirror } from './validate-arguments.ts'
import { type ClientWatch, mayPass } from './watch.ts'
import type { MirrorOptions, MirrorView, WatchBatch, WatchOptions } from './watch-types.ts'

const RESYNC_BASE_MS = 10
const RESYNC_MAX_MS = 2_000

/** Calls that a mirror needs of the client. */
export interface MirrorCalls {
  count(options: RangeOptions): Promise<number>
  list(options: ListOptions): AsyncGenerator<KvRecord, void, undefined>
  watch(options: WatchOptions): ClientWatch
  readonly interruption: Interruption
}

export async function* mirror(
  calls: MirrorCalls,
  options: MirrorOptions,
): AsyncGenerator<MirrorView, void, undefined> {
  checkMirror(options)
  const { onResync, all, progressMs, ...range } = options
  const { signal, timeoutMs } = options
  const backoff = new Backoff(RESYNC_BASE_MS, RESYNC_MAX_MS)
  const view = new View()
  let isShown = false
  for (;;) {
    try {
      await read(calls, view, range)
      const place = all === true ? { all } : range
      await using watch = calls.watch({
        ...place,
        signal,
        timeoutMs,
        progressMs,
        fromRevision: view.revision + 1,
      })
      await watch.ready
      backoff.reset()
      isShown = true
      yield view
      for await (const batch of watch) {
        view.apply(batch)
        // Batches received while the application was busy become one view.
        for (let more = watch.takeReceived(); more !== undefined; more = watch.takeReceived())
          view.apply(more)
        yield view
      }
    } catch (error) {
      if (error instanceof CompactedError) onResync?.(error)
      // After its first view it waits for the cluster without limit, as a watch does.
      else if (!isShown || timeoutMs !== undefined || !mayPass(error)) throw error
      await pauseUntilInterrupted(backoff.next(), calls.interruption)
    }
    const reason = calls.interruption.reason()
    if (reason !== undefined) throw reason
  }
}

/** The view becomes what the range is at a revision that is not before its own. */
async function read(calls: MirrorCalls, view: View, range: ListOptions): Promise<void> {
  let revision: number | undefined
  const onAnswer: ReadOptions['onAnswer'] = (info) => {
    revision = info.revision
  }
  const minRevision = view.revision > 0 ? view.revision : undefined
  await calls.count({ ...range, minRevision, onAnswer })
  if (revision === undefined) throw new Error('the node has not said the revision of its answer')
  const records: KvRecord[] = []
  for await (const record of calls.list({ ...range, revision })) records.push(record)
  view.fill(records, revision)
}

/** By the bytes of the keys, one character each: in the order of these names keys are in the order of their bytes. */
class View implements MirrorView {
  readonly #records = new Map<string, KvRecord>()
  #names: string[] = []
  #isSorted = true
  revision = 0

  fill(records: readonly KvRecord[], revision: number): void {
    this.#records.clear()
    for (const record of records) this.#records.set(keyName(record.keyBytes), record)
    this.#names = [...this.#records.keys()]
    this.#isSorted = true
    this.revision = revision
  }

  apply({ revision, events }: WatchBatch): void {
    for (const event of events) {
      const name = keyName(event.keyBytes)
      if (event.type === 'delete') {
        if (this.#records.delete(name)) this.#isSorted = false
      } else {
        if (!this.#records.has(name)) this.#isSorted = false
        this.#records.set(name, event.kv)
      }
    }
    this.revision = revision
  }

  get size(): number {
    return this.#records.size
  }

  get(key: string | Uint8Array): KvRecord | undefined {
    return this.#records.get(keyName(key))
  }

  has(key: string | Uint8Array): boolean {
    return this.#records.has(keyName(key))
  }

  forEach(
    call: (record: KvRecord, key: string, map: ReadonlyMap<string, KvRecord>) => void,
    on?: unknown,
  ): void {
    for (const [key, record] of this.entries()) call.call(on, record, key, this)
  }

  *values(): Generator<KvRecord, undefined, undefined> {
    if (!this.#isSorted) {
      this.#names = [...this.#records.keys()].sort((a, b) => (a < b ? -1 : 1))
      this.#isSorted = true
    }
    for (const name of this.#names) {
      const record = this.#records.get(name)
      if (record !== undefined) yield record
    }
    return undefined
  }

  *keys(): Generator<string, undefined, undefined> {
    for (const { key } of this.values()) yield key
    return undefined
  }

  *entries(): Generator<[string, KvRecord], undefined, undefined> {
    for (const record of this.values()) yield [record.key, record]
    return undefined
  }

  [Symbol.iterator](): Generator<[string, KvRecord], undefined, undefined> {
    return this.entries()
  }
}

const keyName = (key: string | Uint8Array): string => Buffer.from(key as Uint8Array).toString('latin1')
