// A near cache: values of the store in the memory of this process.
//
// Promise: a value that `get` returns was the value of its key at some time within the last `ttlMs`, or since the call.
// This holds whatever has happened to the watch, and also if the process was stopped or the machine suspended. While
// the watch works, a change reaches the cache within milliseconds. A `get` shows nothing older than what one before it
// has returned, of any key.
//
// Limits: between a change and its event `get` returns the value before; `kv.get` does not. A watch at a node that is
// stopped is noticed after 2 s, and moves after 3 s. A `get` whose entry is too old fails if the store is unreachable.
// Each change under the prefix costs a message, also of keys that are not held. Callers share the record: its bytes
// must not be changed.
//
// Keys: PREFIX + key. For a key that does not exist, `get` puts what `load` returns, unless another client was first,
// with a lease of `loadedTtlMs` if that is given.
//
// Invariant: an entry is the result of a read that began at `readAt` and that no later event or gap of the watch has
// invalidated. A change, a gap, and a `load` delete entries and invalidate reads in flight; only reads create entries.
// So an entry shows its key as it was at the revision of its read, and at the last revision of the watch.
//
// An absent key has no revision of its own: the node says only at which revision of the store it is absent. If every
// such answer counted from there, each of them would outdate all entries of a store that other clients write. So the
// cache also reads whether the key was absent at the revision that it has shown already.

import {
  AbortedError,
  type AnswerInfo,
  type CallOptions,
  type Client,
  type KvRecord,
  PreconditionFailedError,
} from '../client/index.ts'
import { type Stopwatch, startStopwatch } from '../client/suspend-aware-clock.ts'
import { keepProcessAlive } from '../client/timer.ts'
import {
  boundCheck,
  bytesCheck,
  checkOptions,
  checkValue,
  functionCheck,
  timeoutCheck,
} from '../client/validators.ts'
import { CALL_OPTIONS, leaseTimeCheck } from './option-checks.ts'
import { type SharedWait, sharedWait } from './shared-wait.ts'
import { keepWatching } from './watch-helpers.ts'

const TTL_MS = 30_000
const ENTRIES_MAX = 10_000
/** Interval at which the node of the watch says that it works. */
const PROGRESS_MS = 1_000
/** After this time without a word the watch does not count as working. */
const SILENCE_MAX_MS = 2_000
/** Time limit of the second read of an absent key. */
const EARLIER_MS = 1_000

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
  /** Whether the watch has received something within the last 2 s. While it has not, values are up to `ttlMs` old. */
  readonly isWatching: boolean
}

type Load = () => Promise<string | Uint8Array> | string | Uint8Array

export interface Cache extends AsyncDisposable {
  /**
   * undefined: there is no such key. Concurrent calls for one key read it once. The options limit how long this call
   * waits; `load` and the read continue for others.
   */
  get(key: string | Uint8Array, load?: Load, options?: CallOptions): Promise<KvRecord | undefined>
  readonly statistics: CacheStatistics
  close(): Promise<void>
}

/** A read of a key, in flight or complete. */
interface Entry {
  readonly readAt: Stopwatch
  readonly record: Promise<KvRecord | undefined>
  readonly answer: ReadAnswer
}

interface ReadAnswer {
  /** The revision of the store that the read has shown; 0: it is in flight, or the node has not said it. */
  revision: number
  /** An earlier revision at which the key was absent as well; 0: unknown. */
  absentAt: number
  hasFailed: boolean
}

export function cache(kv: Pick<Client, 'get' | 'put' | 'watch'>, options: CacheOptions): Cache {
  checkOptions('cache', options, OPTIONS)
  checkValue('cache', 'prefix', options.prefix, bytesCheck)
  const { ttlMs = TTL_MS, entriesMax = ENTRIES_MAX, loadedTtlMs } = options
  const prefix = Buffer.from(options.prefix)
  /** Entries by key in latin1, the least recently used first. */
  const entries = new Map<string, Entry>()
  const loads = new Map<string, Promise<void>>()
  const end = new AbortController()
  /** When the watch has last received something; undefined: it is broken. */
  let heardAt: Stopwatch | undefined
  /** All events up to this revision have been applied. */
  let watched = 0
  /** The highest revision that a `get` has shown. */
  let shown = 0
  let hits = 0
  let misses = 0

  const hear = (revision: number) => {
    heardAt = startStopwatch()
    watched = Math.max(watched, revision)
  }
  const watching = keepWatching(
    kv,
    {
      ...(prefix.length === 0 ? { all: true } : { prefix }),
      keysOnly: true,
      progressMs: PROGRESS_MS,
      onProgress: hear,
    },
    end.signal,
    ({ revision, events }) => {
      for (const { keyBytes } of events) entries.delete(keyName(keyBytes))
      hear(revision)
    },
    (cause) => {
      heardAt = cause === undefined ? startStopwatch() : undefined
      entries.clear()
    },
  ).finally(() => {
    heardAt = undefined
  })

  const isYoung = ({ readAt }: Entry) => readAt.elapsedMs() < ttlMs
  /** Whether the entry shows no less than this revision. A read in flight is checked at its end. */
  const shows = (name: string, entry: Entry, revision: number) => {
    const { revision: readAt } = entry.answer
    return readAt === 0 || Math.max(readAt, entries.get(name) === entry ? watched : 0) >= revision
  }

  /** Returns the entry, or begins a read. Callers of a read that fails or is invalidated still get its result. */
  function findEntry(key: Uint8Array, atLeast: number): { readonly entry: Entry; readonly isOwn: boolean } {
    const name = keyName(key)
    const held = entries.get(name)
    const isHit = held !== undefined && isYoung(held) && shows(name, held, atLeast)
    if (isHit) hits += 1
    else misses += 1
    const entry = isHit ? held : begin(key)
    entries.delete(name)
    entries.set(name, entry)
    const [oldest] = entries.keys()
    if (entries.size > entriesMax && oldest !== undefined) entries.delete(oldest)
    if (!isHit)
      entry.record.catch(() => {
        entry.answer.hasFailed = true
        if (entries.get(name) === entry) entries.delete(name)
      })
    return { entry, isOwn: !isHit }
  }

  function begin(key: Uint8Array): Entry {
    const readAt = startStopwatch()
    const answer = { revision: 0, absentAt: 0, hasFailed: false }
    return { readAt, record: readFromStore(key, answer), answer }
  }

  async function readFromStore(key: Uint8Array, answer: ReadAnswer): Promise<KvRecord | undefined> {
    let readAt = 0
    const onAnswer = ({ revision = 0 }: AnswerInfo) => {
      readAt = revision
    }
    const record = await kv.get(key, { onAnswer })
    const known = Math.max(shown, watched)
    if (record === undefined && known > 0 && known < readAt && (await wasAbsent(key, known)))
      answer.absentAt = known
    answer.revision = readAt
    return record
  }

  /** Any node that has the revision can answer. If none does in time, the key counts as absent from its read on. */
  async function wasAbsent(key: Uint8Array, revision: number): Promise<boolean> {
    try {
      const call = { revision, consistency: 'stale', timeoutMs: EARLIER_MS } as const
      return (await kv.get(key, call)) === undefined
    } catch {
      return false
    }
  }

  /** The earliest revision, from `atLeast` on, at which the key is known to have been as the answer says. */
  function revisionShown(record: KvRecord | undefined, answer: ReadAnswer, atLeast: number): number {
    const since = record === undefined ? answer.revision : record.modRevision
    return answer.absentAt >= atLeast && answer.absentAt > 0 ? answer.absentAt : Math.max(since, atLeast)
  }

  /**
   * Reads once more what is too old when it is handed over: the process may have been stopped, or another call may have
   * begun the read earlier. Then the read may also have failed too early for this call.
   */
  async function read(key: Uint8Array, wait: SharedWait): Promise<KvRecord | undefined> {
    const atLeast = shown
    for (let isLast = false; ; isLast = true) {
      const { entry, isOwn } = findEntry(key, atLeast)
      try {
        const record = await wait(entry.record)
        if (!isLast && !(isYoung(entry) && shows(keyName(key), entry, atLeast))) continue
        shown = Math.max(shown, revisionShown(record, entry.answer, atLeast))
        return record
      } catch (error) {
        if (isOwn || isLast || !entry.answer.hasFailed) throw error
      }
    }
  }

  /** Puts what `load` returns. A read that has begun before may not show it, and is invalidated. */
  async function fill(key: Uint8Array, load: Load): Promise<void> {
    const value = await keepProcessAlive((async () => load())())
    try {
      await kv.put(key, value, { ifAbsent: true, ttlMs: loadedTtlMs })
    } catch (error) {
      // Another client was first: its value counts.
      if (!(error instanceof PreconditionFailedError)) throw error
    }
    entries.delete(keyName(key))
  }

  const close = async () => {
    end.abort()
    await watching
    entries.clear()
  }

  return {
    get: async (key, load, options = {}) => {
      checkValue('cache.get', 'key', key, bytesCheck)
      if (load !== undefined) checkValue('cache.get', 'load', load, functionCheck)
      checkOptions('cache.get', options, CALL_OPTIONS)
      const wait = sharedWait('cache.get', options)
      if (end.signal.aborted)
        throw new AbortedError('cache.get: the cache is closed', { code: 'closed', written: 'no' })
      const bytes = Buffer.concat([prefix, Buffer.from(key)])
      const record = await read(bytes, wait)
      if (record !== undefined || load === undefined) return record
      const name = keyName(bytes)
      const loading = loads.get(name) ?? fill(bytes, load).finally(() => loads.delete(name))
      loads.set(name, loading)
      await wait(loading, 'unknown')
      return read(bytes, wait)
    },
    get statistics() {
      const isWatching = heardAt !== undefined && heardAt.elapsedMs() < SILENCE_MAX_MS
      return { entries: entries.size, hits, misses, isWatching }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

const keyName = (key: Uint8Array): string => Buffer.from(key).toString('latin1')

const OPTIONS = {
  prefix: bytesCheck,
  ttlMs: timeoutCheck,
  entriesMax: boundCheck,
  loadedTtlMs: leaseTimeCheck,
}
