// A near cache: values of the store in the memory of this process, kept true by a watch.
//
// Promise: a value that `get` returns was the value of its key at some time from `ttlMs` before the call on, whatever
// has happened to the watch: every entry is read again, linearizably, when it is that old, also if the machine has
// slept meanwhile. While the watch is well, a change reaches the cache within milliseconds. After a break of the watch
// in which events may have been lost, the cache is emptied. It never replaces a value by an older one. At most
// `entriesMax` keys are held; those used longest ago go.
//
// Limits: between a change and its event a `get` returns the value before. Who must not read it uses `kv.get`. A `get`
// whose entry is too old fails if the store cannot be reached: the cache does not serve beyond its bound. The cache
// follows all changes under its prefix, also of keys that it does not hold: each costs a message. Callers share the
// record: its bytes must not be changed.
//
// Keys: PREFIX + key, with the value as it is. `load` is called for a key that the store does not have; what it returns
// is put if it is still absent (in this process one `load` for a key runs at a time), with a lease of `loadedTtlMs` if
// that is given.

import {
  AbortedError,
  type Client,
  type KvRecord,
  PreconditionFailedError,
  type WatchBatch,
} from '../client/index.ts'
import { checkOptions, checkValue, isBound, isBytes, isFunction, isTimeout } from '../client/validators.ts'
import { ageMs, type Instant, instantNow } from './age.ts'
import { isLeaseTime } from './checks.ts'
import { keepWatching } from './watching.ts'

const TTL_MS = 30_000
const ENTRIES_MAX = 10_000

export interface CacheOptions {
  readonly prefix: string | Uint8Array
  /** No value is older. Default 30,000. */
  readonly ttlMs?: number | undefined
  /** Keys in memory, those that do not exist included. Default 10,000. */
  readonly entriesMax?: number | undefined
  /** What `load` returns is deleted from the store after this time. From 1,000 on. Default: it stays. */
  readonly loadedTtlMs?: number | undefined
}

export interface CacheStatistics {
  readonly entries: number
  readonly hits: number
  readonly misses: number
  /** Whether the watch is running. While it is not, values are up to `ttlMs` old. */
  readonly isWatching: boolean
}

export interface Cache extends AsyncDisposable {
  /** undefined: there is no such key. Concurrent calls for one key read it once. */
  get(
    key: string | Uint8Array,
    load?: () => Promise<string | Uint8Array> | string | Uint8Array,
  ): Promise<KvRecord | undefined>
  readonly statistics: CacheStatistics
  close(): Promise<void>
}

type CacheClient = Pick<Client, 'get' | 'put' | 'watch'>

export function cache(kv: CacheClient, options: CacheOptions): Cache {
  checkOptions('cache', options, OPTIONS)
  checkValue('cache', 'prefix', options.prefix, isBytes)
  return new NearCache(kv, options)
}

interface Entry {
  readonly record: KvRecord | undefined
  /** The revision up to which it is known to be true. */
  readonly revision: number
  /** Before it was read. */
  readonly readAt: Instant
}

interface Reading {
  readonly beganAt: Instant
  readonly entry: Promise<Entry>
  /** The highest revision that has changed the key since the reading began. */
  changedAt: number
}

class NearCache implements Cache {
  readonly #kv: CacheClient
  readonly #prefix: Buffer
  readonly #ttlMs: number
  readonly #entriesMax: number
  readonly #loadedTtlMs: number | undefined
  /** By key in latin1, the one used longest ago first. */
  readonly #entries = new Map<string, Entry>()
  readonly #readings = new Map<string, Reading>()
  readonly #loads = new Map<string, Promise<void>>()
  readonly #end = new AbortController()
  readonly #watching: Promise<void>
  #isWatching = false
  #hits = 0
  #misses = 0

  constructor(kv: CacheClient, options: CacheOptions) {
    this.#kv = kv
    this.#prefix = Buffer.from(options.prefix)
    this.#ttlMs = options.ttlMs ?? TTL_MS
    this.#entriesMax = options.entriesMax ?? ENTRIES_MAX
    this.#loadedTtlMs = options.loadedTtlMs
    const range = this.#prefix.length === 0 ? { all: true } : { prefix: this.#prefix }
    this.#watching = keepWatching(
      kv,
      range,
      this.#end.signal,
      (batch) => this.#follow(batch),
      (cause) => this.#forget(cause),
    ).then(() => {
      // The cache or the client is closed.
      this.#isWatching = false
    })
  }

  async get(
    key: string | Uint8Array,
    load?: () => Promise<string | Uint8Array> | string | Uint8Array,
  ): Promise<KvRecord | undefined> {
    checkValue('cache.get', 'key', key, isBytes)
    if (load !== undefined) checkValue('cache.get', 'load', load, isFunction)
    if (this.#end.signal.aborted)
      throw new AbortedError('cache.get: the cache is closed', { code: 'closed', written: 'no' })
    const bytes = Buffer.concat([this.#prefix, Buffer.from(key)])
    const name = bytes.toString('latin1')
    const held = this.#entries.get(name)
    const isFresh = held !== undefined && ageMs(held.readAt) < this.#ttlMs
    if (isFresh) {
      this.#hits += 1
      this.#entries.delete(name)
      this.#entries.set(name, held)
      if (held.record !== undefined || load === undefined) return held.record
    } else this.#misses += 1
    const { record } = isFresh ? held : await this.#readOnce(name, bytes)
    if (record !== undefined || load === undefined) return record
    let loading = this.#loads.get(name)
    if (loading === undefined) {
      loading = this.#loaded(name, bytes, load).finally(() => this.#loads.delete(name))
      this.#loads.set(name, loading)
    }
    await loading
    return (await this.#readOnce(name, bytes)).record
  }

  get statistics(): CacheStatistics {
    return {
      entries: this.#entries.size,
      hits: this.#hits,
      misses: this.#misses,
      isWatching: this.#isWatching,
    }
  }

  async close(): Promise<void> {
    this.#end.abort()
    await this.#watching
    this.#entries.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** All that ask for a key at a time wait for one reading of it, unless that is too old for them. */
  #readOnce(name: string, key: Uint8Array): Promise<Entry> {
    const under = this.#readings.get(name)
    if (under !== undefined && ageMs(under.beganAt) < this.#ttlMs) return under.entry
    const beganAt = instantNow()
    const reading: Reading = { beganAt, entry: this.#read(key, beganAt), changedAt: 0 }
    this.#readings.set(name, reading)
    const end = () => {
      if (this.#readings.get(name) === reading) this.#readings.delete(name)
    }
    reading.entry.then((entry) => {
      end()
      // What has changed since is read again by the next call.
      if (entry.revision >= reading.changedAt) this.#keep(name, entry)
    }, end)
    return reading.entry
  }

  async #read(key: Uint8Array, readAt: Instant): Promise<Entry> {
    let revision = 0
    const record = await this.#kv.get(key, {
      onAnswer: (answer) => {
        revision = answer.revision ?? 0
      },
    })
    return { record, revision, readAt }
  }

  /** Puts what `load` returns. What was read before does not show it, and is used no more. */
  async #loaded(
    name: string,
    key: Uint8Array,
    load: () => Promise<string | Uint8Array> | string | Uint8Array,
  ): Promise<void> {
    const value = await load()
    try {
      await this.#kv.put(key, value, { ifAbsent: true, ttlMs: this.#loadedTtlMs })
    } catch (error) {
      // Somebody else has put one, and that is the value.
      if (!(error instanceof PreconditionFailedError)) throw error
    }
    this.#entries.delete(name)
    const reading = this.#readings.get(name)
    if (reading !== undefined) reading.changedAt = Number.POSITIVE_INFINITY
    this.#readings.delete(name)
  }

  #keep(name: string, entry: Entry): void {
    const held = this.#entries.get(name)
    if (this.#end.signal.aborted || (held !== undefined && held.revision > entry.revision)) return
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > this.#entriesMax && oldest !== undefined) this.#entries.delete(oldest)
  }

  /** An event brings the new value; only what is held is replaced, and its age stays that of its last reading. */
  #follow({ revision, events }: WatchBatch): void {
    for (const event of events) {
      const name = Buffer.from(event.keyBytes).toString('latin1')
      const reading = this.#readings.get(name)
      if (reading !== undefined) reading.changedAt = revision
      const held = this.#entries.get(name)
      if (held === undefined || held.revision >= revision) continue
      const record = event.type === 'put' ? event.kv : undefined
      this.#entries.set(name, { record, revision, readAt: held.readAt })
    }
  }

  /** A watch begins, or has ended: in between, events may have been lost. */
  #forget(cause: unknown): void {
    this.#isWatching = cause === undefined
    this.#entries.clear()
    for (const reading of this.#readings.values()) reading.changedAt = Number.POSITIVE_INFINITY
  }
}

const OPTIONS = { prefix: isBytes, ttlMs: isTimeout, entriesMax: isBound, loadedTtlMs: isLeaseTime }
