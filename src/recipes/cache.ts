// A near cache: values of the store in the memory of this process.
//
// Promise: a value that `get` returns was the value of its key at some time within the last `ttlMs` before the call.
// This holds whatever has happened to the watch, and also if the machine was suspended. While the watch runs, a change
// reaches the cache within milliseconds. The cache never returns an older value after a newer one that it has seen.
//
// Limits: between a change and its event `get` returns the value before; `kv.get` does not. A `get` whose entry is too
// old fails if the store is unreachable. Each change under the prefix costs a message, also of keys that are not held.
// Callers share the record: its bytes must not be changed.
//
// Keys: PREFIX + key. For a key that does not exist, `get` puts what `load` returns, unless another client was first,
// with a lease of `loadedTtlMs` if that is given.
//
// Invariant: an entry is the result of a read that began at `readAt` and that no later event or gap of the watch has
// invalidated. A change, a gap, and a `load` delete entries and invalidate reads in flight; only reads create entries.

import { AbortedError, type Client, type KvRecord, PreconditionFailedError } from '../client/index.ts'
import { type Stopwatch, startStopwatch } from '../client/suspend-aware-clock.ts'
import { checkOptions, checkValue, isBound, isBytes, isFunction, isTimeout } from '../client/validators.ts'
import { isLeaseTime } from './option-checks.ts'
import { keepWatching } from './watch-helpers.ts'

const TTL_MS = 30_000
const ENTRIES_MAX = 10_000

export interface CacheOptions {
  readonly prefix: string | Uint8Array
  /** Maximum age of a value. Default 30,000. */
  readonly ttlMs?: number | undefined
  /** Keys in memory, those that do not exist included; the least recently used go. Default 10,000. */
  readonly entriesMax?: number | undefined
  /** Time after which the store deletes the result of `load`. From 1,000 on. Default: it stays. */
  readonly loadedTtlMs?: number | undefined
}

export interface CacheStatistics {
  readonly entries: number
  readonly hits: number
  readonly misses: number
  /** Whether the watch runs. While it does not, values are up to `ttlMs` old. */
  readonly isWatching: boolean
}

type Load = () => Promise<string | Uint8Array> | string | Uint8Array

export interface Cache extends AsyncDisposable {
  /** undefined: there is no such key. Concurrent calls for one key read it once. */
  get(key: string | Uint8Array, load?: Load): Promise<KvRecord | undefined>
  readonly statistics: CacheStatistics
  close(): Promise<void>
}

/** A read of a key, in flight or complete. */
interface Entry {
  readonly readAt: Stopwatch
  readonly record: Promise<KvRecord | undefined>
}

export function cache(kv: Pick<Client, 'get' | 'put' | 'watch'>, options: CacheOptions): Cache {
  checkOptions('cache', options, OPTIONS)
  checkValue('cache', 'prefix', options.prefix, isBytes)
  const { ttlMs = TTL_MS, entriesMax = ENTRIES_MAX, loadedTtlMs } = options
  const prefix = Buffer.from(options.prefix)
  /** By key in latin1, the least recently used first. */
  const entries = new Map<string, Entry>()
  const loads = new Map<string, Promise<void>>()
  const end = new AbortController()
  let isWatching = false
  let hits = 0
  let misses = 0

  const watching = keepWatching(
    kv,
    { ...(prefix.length === 0 ? { all: true } : { prefix }), keysOnly: true },
    end.signal,
    ({ events }) => {
      for (const { keyBytes } of events) entries.delete(nameOf(keyBytes))
    },
    (cause) => {
      isWatching = cause === undefined
      entries.clear()
    },
  ).finally(() => {
    isWatching = false
  })

  /** Returns the entry, or begins a read. Callers of a read that fails or is invalidated still get its result. */
  function read(key: Uint8Array): Promise<KvRecord | undefined> {
    const name = nameOf(key)
    const held = entries.get(name)
    const isFresh = held !== undefined && held.readAt.elapsedMs() < ttlMs
    if (isFresh) hits += 1
    else misses += 1
    const entry = isFresh ? held : { readAt: startStopwatch(), record: kv.get(key) }
    entries.delete(name)
    entries.set(name, entry)
    const [oldest] = entries.keys()
    if (entries.size > entriesMax && oldest !== undefined) entries.delete(oldest)
    if (!isFresh)
      entry.record.catch(() => {
        if (entries.get(name) === entry) entries.delete(name)
      })
    return entry.record
  }

  /** Puts what `load` returns. A read that has begun before may not show it, and is invalidated. */
  async function fill(key: Uint8Array, load: Load): Promise<void> {
    const value = await load()
    try {
      await kv.put(key, value, { ifAbsent: true, ttlMs: loadedTtlMs })
    } catch (error) {
      // Another client was first: its value counts.
      if (!(error instanceof PreconditionFailedError)) throw error
    }
    entries.delete(nameOf(key))
  }

  const close = async () => {
    end.abort()
    await watching
    entries.clear()
  }

  return {
    get: async (key, load) => {
      checkValue('cache.get', 'key', key, isBytes)
      if (load !== undefined) checkValue('cache.get', 'load', load, isFunction)
      if (end.signal.aborted)
        throw new AbortedError('cache.get: the cache is closed', { code: 'closed', written: 'no' })
      const bytes = Buffer.concat([prefix, Buffer.from(key)])
      const record = await read(bytes)
      if (record !== undefined || load === undefined) return record
      const name = nameOf(bytes)
      const loading = loads.get(name) ?? fill(bytes, load).finally(() => loads.delete(name))
      loads.set(name, loading)
      await loading
      return read(bytes)
    },
    get statistics() {
      return { entries: entries.size, hits, misses, isWatching }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

const nameOf = (key: Uint8Array): string => Buffer.from(key).toString('latin1')

const OPTIONS = { prefix: isBytes, ttlMs: isTimeout, entriesMax: isBound, loadedTtlMs: isLeaseTime }
