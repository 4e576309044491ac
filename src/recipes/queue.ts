// A work queue.
//
// Promise: an item whose `push` has returned is delivered at least once, until it is acknowledged or has become a dead
// letter. Each delivery has a token, greater than those of all deliveries before, and only the holder of the newest one
// can acknowledge the item; `ack` of an earlier holder fails with `ItemLostError`. An item whose consumer has died, or
// is silent for `visibilityMs`, is delivered again. After `attemptsMax` deliveries it becomes a dead letter.
//
// Order: higher priority first. Within one priority an item comes before another if its `push` had returned before the
// other `push` was called, in any process. Where several consumers compete, an item may be overtaken by some others.
// Items that an import has restored come last, until the cluster has more revisions than the old one had: let consumers
// empty the queue before producers start.
//
// Limits: at least once means sometimes twice, so `item.token` is a fencing token for other systems. A `push` that
// fails with `written: 'unknown'` may have been done. A `pop` that fails so may have taken an item, which is delivered
// again later. Delays and `visibilityMs` are leases: a second at least, and late by up to five seconds after a change
// of leader. `pop` reads all holds: this is for some hundred held or delayed items, whatever the number of the others.
// Taking an item writes a key, so a full store (`storage_full`) must get space before a queue in it can be emptied.
//
// Keys (ID is made of priority, a revision before the push, and random digits, so keys are in the order of items):
//   queue/NAME/item/ID     {"attempts","error"?}     an item that is not a dead letter
//   queue/NAME/hold/ID     with a lease: a consumer holds the item, or it is delayed
//   queue/NAME/dead/ID     {"attempts","error"?}     a dead letter
//   queue/NAME/value/ID    the bytes of the item, written once
//
// Invariant: an item can be taken when it has no hold with a lease. Taking it writes its hold and its new number of
// attempts in one transaction that compares the item's mod revision; that revision is the token. When the lease of a
// hold ends, the hold disappears, and nothing has to be put back. An item without a value, which an import may not have
// written yet, gets a hold and no attempt: it is tried again after `visibilityMs`.

import crypto from 'node:crypto'
import {
  type AnswerInfo,
  type CallOptions,
  type Client,
  type KvRecord,
  OutcomeUnknownError,
  type ReadOptions,
  type TxnOperation,
  type WatchBatch,
} from '../client/index.ts'
import { jsonText } from '../client/json-text.ts'
import { type Stopwatch, startStopwatch } from '../client/suspend-aware-clock.ts'
import { pause } from '../client/timer.ts'
import {
  boundCheck,
  bytesCheck,
  type Check,
  checkOptions,
  checkValue,
  textCheck,
} from '../client/validators.ts'
import { isOwned, reportForeignKey } from './foreign-keys.ts'
import { type KeySpace, keySpace } from './key-space.ts'
import { CALL_OPTIONS, delayCheck, leaseTimeCheck, waitCheck } from './option-checks.ts'
import { type ConsumeOptions, consume } from './queue-consume.ts'
import { heldItem, type QueueEntry, type QueueItem } from './queue-item.ts'
import { isTransient } from './transient-errors.ts'
import { startTimeLimit } from './wait-until.ts'
import { anySignal, changeAfter, isGone } from './watch-helpers.ts'

const VISIBILITY_MS = 30_000
const ATTEMPTS_MAX = 5
const PRIORITY_MAX = 999
/** Maximum number of first items among which competing consumers choose. */
const CONTENTION_MAX = 32
/** Maximum pause of a consumer that has lost races. It saves three of four attempts of twelve idle consumers. */
const PAUSE_MAX_MS = 250
/** The pause of a waiting `pop` after a failed call. */
const RETRY_MS = 1_000
const NO_VALUE = '; an import that still runs may write its value'
const NOT_ACKNOWLEDGED = 'it was not acknowledged in time'

export interface QueueOptions {
  /** A consumer that is silent for so long loses its item. From 1,000 on. Default 30,000. */
  readonly visibilityMs?: number | undefined
  /** Number of deliveries after which an item that is not acknowledged becomes a dead letter. Default 5. */
  readonly attemptsMax?: number | undefined
}

export interface PushOptions extends CallOptions {
  /** From 0 to 999; higher first. Default 0. */
  readonly priority?: number | undefined
  /** The item cannot be taken before. From 1,000 on, or 0. */
  readonly delayMs?: number | undefined
}

export interface PopOptions extends CallOptions {
  /** How long to wait for an item. `Infinity`: until `signal` fires. Default 0. */
  readonly waitMs?: number | undefined
}

export interface QueueLength {
  /** Items that can be taken. */
  readonly ready: number
  /** Items that a consumer holds, or that are delayed. */
  readonly held: number
  /** Dead letters. */
  readonly dead: number
}

/** `T`: the value of its items as JSON. */
export interface Queue<T = unknown> {
  /** Returns the id of the item. */
  push(value: string | Uint8Array, options?: PushOptions): Promise<string>
  /** Pushes a value as JSON. */
  pushJson(value: T, options?: PushOptions): Promise<string>
  /** Takes an item; undefined: none came in time. The signal ends the wait, and no transaction in flight. */
  pop(options?: PopOptions): Promise<QueueItem<T> | undefined>
  /** The item that would be taken next. */
  peek(options?: CallOptions): Promise<QueueEntry<T> | undefined>
  len(options?: CallOptions): Promise<QueueLength>
  /**
   * Runs `handler` for each item. When `signal` fires it takes no more, waits for the running handlers, and resolves.
   * An item is acknowledged when its handler has returned, and given back when it has thrown.
   */
  consume(handler: (item: QueueItem<T>) => unknown, options: ConsumeOptions<T>): Promise<void>
  readonly dead: DeadLetters<T>
}

export interface DeadLetters<T = unknown> {
  list(options?: CallOptions): AsyncGenerator<QueueEntry<T>, void, undefined>
  /** Puts one dead letter back, or all, without their attempts. Returns how many there were. */
  requeue(id?: string, options?: CallOptions): Promise<number>
  /** Returns whether there was one. */
  delete(id: string, options?: CallOptions): Promise<boolean>
}

export type QueueClient = Pick<Client, 'count' | 'get' | 'list' | 'txn' | 'watch'>

interface ItemState {
  readonly attempts: number
  readonly error?: string | undefined
}

interface ItemRecord extends ItemState {
  readonly id: string
  readonly modRevision: number
}

export function queue<T = unknown>(
  kv: QueueClient,
  name: string | Uint8Array,
  options: QueueOptions = {},
): Queue<T> {
  checkOptions('queue', options, { visibilityMs: leaseTimeCheck, attemptsMax: boundCheck })
  return new WorkQueue(kv, keySpace('queue', 'queue', name), options)
}

class WorkQueue<T> implements Queue<T> {
  readonly #kv: QueueClient
  readonly #space: KeySpace
  readonly #visibilityMs: number
  readonly #attemptsMax: number
  /** Number of items among which a pop chooses: doubled after each lost race, one less after each item taken. */
  #contention = 1
  #ordinal = 0

  constructor(kv: QueueClient, space: KeySpace, { visibilityMs, attemptsMax }: QueueOptions) {
    this.#kv = kv
    this.#space = space
    this.#visibilityMs = visibilityMs ?? VISIBILITY_MS
    this.#attemptsMax = attemptsMax ?? ATTEMPTS_MAX
  }

  async push(value: string | Uint8Array, options: PushOptions = {}): Promise<string> {
    checkValue('queue.push', 'value', value, bytesCheck)
    checkOptions('queue.push', options, { ...CALL_OPTIONS, priority: priorityCheck, delayMs: delayCheck })
    const { priority = 0, delayMs = 0, ...call } = options
    const bytes = typeof value === 'string' ? value : new Uint8Array(value)
    this.#ordinal = (this.#ordinal + 1) % 0x1_00_00_00
    const ordinal = this.#ordinal
    // Every push that has returned has a lower revision than this one, and so a lower id.
    const { revision } = await this.#kv.txn({ success: [{ get: { key: this.#key('item') } }] }, call)
    const id = itemId(priority, revision, ordinal)
    const success = [
      { put: { key: this.#key('value', id), value: bytes } },
      this.#putOperation('item', id, { attempts: 0 }),
      ...(delayMs === 0 ? [] : [this.#holdOperation(id, delayMs)]),
    ]
    await this.#kv.txn({ success }, call)
    return id
  }

  async pushJson(value: T, options?: PushOptions): Promise<string> {
    return this.push(jsonText('queue.pushJson', value), options)
  }

  async pop(options: PopOptions = {}): Promise<QueueItem<T> | undefined> {
    checkOptions('queue.pop', options, { ...CALL_OPTIONS, waitMs: waitCheck })
    const { waitMs = 0, signal } = options
    const begun = startStopwatch()
    for (let hasRead = false; ; ) {
      const leftMs = waitMs - begun.elapsedMs()
      try {
        const [item] = await this.#takeItems(1, { ...options, waitMs: leftMs }, () => {
          hasRead = true
        })
        // The process may have been paused since it has taken the item, for longer than the item is held.
        if (item?.signal.aborted !== true) return item
      } catch (error) {
        // A wait that has begun lasts through an outage. An item that may have been taken is reported.
        if (!hasRead || leftMs <= 0 || !isTransient(error) || error.written === 'unknown') throw error
        await pause(Math.min(RETRY_MS, leftMs), signal)
      }
    }
  }

  /** Takes up to `count` items. Waits for the first one. The caller checks that it still holds them. */
  async #takeItems(
    count: number,
    options: PopOptions,
    onRead: () => void = () => {},
  ): Promise<readonly QueueItem<T>[]> {
    const { waitMs = 0, signal, ...call } = options
    const begun = startStopwatch()
    for (;;) {
      const { items, revision } = await this.#read(count, { ...call, signal })
      onRead()
      const leftMs = waitMs - begun.elapsedMs()
      if (items.length > 0) {
        // Competing consumers choose different items.
        const chosen = items.slice(0, count + this.#contention - 1)
        while (chosen.length > count) chosen.splice(Math.floor(Math.random() * chosen.length), 1)
        // Each call that has taken an item must return it, whatever happens to the others.
        const ends = await Promise.allSettled(chosen.map((item) => this.#take(item, call)))
        const taken = ends.flatMap((end) => (end.status === 'fulfilled' && end.value) || [])
        if (taken.length > 0) return taken
        for (const end of ends) if (end.status === 'rejected') throw end.reason
      } else if (leftMs <= 0) return []
      // At the end of the time it reads once more: the watch may be at a node that has just stopped.
      else await this.#change(revision, leftMs, signal)
    }
  }

  async peek(options: CallOptions = {}): Promise<QueueEntry<T> | undefined> {
    checkOptions('queue.peek', options, CALL_OPTIONS)
    const { items } = await this.#read(1, options)
    for (const item of items) {
      if (item.attempts >= this.#attemptsMax) continue
      const value = await this.#kv.get(this.#key('value', item.id), options)
      // Otherwise the item was acknowledged in between.
      if (value !== undefined) return queueEntry(item, value)
    }
    return undefined
  }

  async len(options: CallOptions = {}): Promise<QueueLength> {
    checkOptions('queue.len', options, CALL_OPTIONS)
    const count = (part: string) => this.#kv.count({ prefix: this.#key(part, ''), ...options })
    const [holds, items, dead] = await Promise.all([this.#readHeldIds(options), count('item'), count('dead')])
    return { ready: Math.max(0, items - holds.size), held: holds.size, dead }
  }

  consume(handler: (item: QueueItem<T>) => unknown, options: ConsumeOptions<T>): Promise<void> {
    const take = (count: number, signal: AbortSignal) =>
      this.#takeItems(count, { waitMs: Number.POSITIVE_INFINITY, signal })
    return consume(take, this.#visibilityMs, handler, options)
  }

  readonly dead: DeadLetters<T> = {
    list: (options = {}) => {
      checkOptions('queue.dead.list', options, CALL_OPTIONS)
      return this.#deadLetters({ ...options })
    },
    requeue: (id, options = {}) => this.#requeue(id, options),
    delete: async (id, options = {}) => {
      checkValue('queue.dead.delete', 'id', id, textCheck)
      checkOptions('queue.dead.delete', options, CALL_OPTIONS)
      const compare = [{ key: this.#key('dead', id), exists: true }]
      return (await this.#kv.txn({ compare, success: this.#delete(id, 'dead', 'value') }, options)).succeeded
    },
  }

  async #readHeldIds(call: ReadOptions): Promise<Set<string>> {
    const ids = new Set<string>()
    for await (const record of this.#kv.list({ prefix: this.#key('hold', ''), keysOnly: true, ...call }))
      if (isOwned('queue', record)) ids.add(this.#parseId('hold', record.keyBytes))
    return ids
  }

  /**
   * The first items without a hold, at least `count` if there are so many. `revision`: everything up to it was read.
   * The two reads may be of different revisions, because taking an item compares both keys.
   */
  async #read(count: number, call: CallOptions) {
    let revision: number | undefined
    const onAnswer = (answer: AnswerInfo) => {
      revision ??= answer.revision
    }
    const holds = await this.#readHeldIds({ ...call, onAnswer })
    for (let limit = holds.size + count + CONTENTION_MAX; ; limit *= 2) {
      const range = { prefix: this.#key('item', ''), limit }
      let found = 0
      const items: ItemRecord[] = []
      for await (const record of this.#kv.list({ ...range, ...call })) {
        found += 1
        const item = this.#parseItem('item', record)
        if (item !== undefined && !holds.has(item.id)) items.push(item)
      }
      // Otherwise all of the first keys are foreign.
      if (items.length > 0 || found < limit) return { items, revision: revision ?? 0 }
    }
  }

  /** undefined: another consumer was first, or the item has become a dead letter, or it has no value. */
  async #take(item: ItemRecord, call: CallOptions): Promise<QueueItem<T> | undefined> {
    const { id, error } = item
    const attempts = item.attempts + 1
    const compare = [
      modifiedAt(this.#key('item', id), item.modRevision),
      { key: this.#key('hold', id), target: 'lease', op: '=', to: '0' } as const,
    ]
    if (attempts > this.#attemptsMax) {
      await this.#kv.txn({ compare, success: this.#bury(id, { attempts: item.attempts, error }) }, call)
      return undefined
    }
    const key = this.#key('value', id)
    // Kept as the error of this delivery, unless the consumer gives another one.
    const state = this.#putOperation('item', id, { attempts, error: NOT_ACKNOWLEDGED })
    const delivery = { compare: [{ key, exists: true }], success: [state, { get: { key } }] }
    const start = startStopwatch()
    const success = [this.#holdOperation(id, this.#visibilityMs), { txn: delivery }]
    const { succeeded, results } = await this.#kv.txn({ compare, success }, call)
    if (!succeeded) {
      this.#contention = Math.min(CONTENTION_MAX, 2 * this.#contention)
      return undefined
    }
    this.#contention = Math.max(1, this.#contention - 1)
    const [taken, read] = results[1]?.txn?.results ?? []
    const token = taken?.put?.modRevision
    if (token === undefined) {
      reportForeignKey('queue', Buffer.from(this.#key('item', id)).toString(), NO_VALUE)
      return undefined
    }
    // A transaction that was sent twice returns no reads.
    const value = read?.get?.omitted === true ? await this.#readTakenValue(id, call) : read?.get?.kvs?.[0]
    return value && this.#heldItem(queueEntry<T>({ id, attempts, error }, value), token, start)
  }

  /** The item is taken in any case, so an error must not say that nothing was written. */
  async #readTakenValue(id: string, call: CallOptions): Promise<KvRecord | undefined> {
    try {
      return await this.#kv.get(this.#key('value', id), call)
    } catch (cause) {
      const message = `the item ${id} was taken, but its value could not be read: it is delivered again later`
      throw new OutcomeUnknownError(message, { code: 'outcome_unknown', written: 'unknown', cause })
    }
  }

  #heldItem(entry: QueueEntry<T>, token: number, start: Stopwatch): QueueItem<T> {
    const { id, attempts } = entry
    const compare = [modifiedAt(this.#key('item', id), token)]
    return heldItem(entry, token, this.#visibilityMs, start, {
      acknowledge: () => this.#delete(id, 'item', 'hold', 'value'),
      extend: () => [this.#holdOperation(id, this.#visibilityMs)],
      returnItem: (error, delayMs) => {
        if (attempts >= this.#attemptsMax) return this.#bury(id, { attempts, error })
        const hold = delayMs > 0 ? [this.#holdOperation(id, delayMs)] : this.#delete(id, 'hold')
        return [this.#putOperation('item', id, { attempts, error }), ...hold]
      },
      commit: async (success, call) => {
        const key = this.#key('item', id)
        const failure = [{ get: { key, keysOnly: true } }]
        const { succeeded, results } = await this.#kv.txn({ compare, success, failure }, call)
        if (succeeded) return 'committed'
        const read = results[0]?.get
        // A transaction that was sent twice returns no reads.
        const record = read?.omitted === true ? await this.#kv.get(key, call) : read?.kvs?.[0]
        return record === undefined ? 'removed' : 'replaced'
      },
    })
  }

  /** Resolves when an item may have become free, or after `leftMs`. */
  async #change(revision: number, leftMs: number, signal: AbortSignal | undefined): Promise<void> {
    const hold = this.#key('hold', '')
    // Keys of `hold/` and `item/` are neighbours.
    const range = { start: hold, end: this.#key('item0'), keysOnly: true }
    // A revision in which an item was taken, held longer or acknowledged frees none.
    const isFree = (event: WatchBatch['events'][number]): boolean =>
      Buffer.compare(event.keyBytes, this.#key('item')) < 0 ? isGone(event) : event.type === 'put'
    const frees = ({ events }: WatchBatch) => events.every(isFree)
    const timeLimit = startTimeLimit(leftMs)
    try {
      await changeAfter(this.#kv, range, revision, anySignal(timeLimit.signal, signal), frees)
      if (this.#contention > 1)
        await pause(Math.random() * Math.min(8 * this.#contention, PAUSE_MAX_MS), signal)
    } catch (error) {
      if (!timeLimit.signal.aborted) throw error
    } finally {
      timeLimit.stop()
    }
  }

  async *#deadLetters(options: CallOptions): AsyncGenerator<QueueEntry<T>, void, undefined> {
    for await (const record of this.#kv.list({ prefix: this.#key('dead', ''), ...options })) {
      const item = this.#parseItem('dead', record)
      const value = item && (await this.#kv.get(this.#key('value', item.id), options))
      if (item !== undefined && value !== undefined) yield queueEntry(item, value)
    }
  }

  async #requeue(only: string | undefined, options: CallOptions): Promise<number> {
    if (only !== undefined) checkValue('queue.dead.requeue', 'id', only, textCheck)
    checkOptions('queue.dead.requeue', options, CALL_OPTIONS)
    const ids: string[] = []
    const add = (record: KvRecord | undefined): void => {
      const item = record && this.#parseItem('dead', record)
      if (item !== undefined) ids.push(item.id)
    }
    if (only !== undefined) add(await this.#kv.get(this.#key('dead', only), options))
    else for await (const record of this.#kv.list({ prefix: this.#key('dead', ''), ...options })) add(record)
    let count = 0
    for (const id of ids) {
      const compare = [{ key: this.#key('dead', id), exists: true }]
      const success = [...this.#delete(id, 'dead'), this.#putOperation('item', id, { attempts: 0 })]
      if ((await this.#kv.txn({ compare, success }, options)).succeeded) count += 1
    }
    return count
  }

  #key(...parts: readonly string[]): Uint8Array {
    return this.#space.key(...parts)
  }

  #parseId(part: string, key: Uint8Array): string {
    return this.#space.suffix(key).slice(part.length + 1)
  }

  #putOperation(part: 'item' | 'dead', id: string, state: ItemState): TxnOperation {
    return { put: { key: this.#key(part, id), value: JSON.stringify(state) } }
  }

  #holdOperation(id: string, ms: number): TxnOperation {
    return { put: { key: this.#key('hold', id), value: '', ttlMs: ms } }
  }

  #delete(id: string, ...parts: readonly string[]): readonly TxnOperation[] {
    return parts.map((part) => ({ delete: { key: this.#key(part, id) } }))
  }

  #bury(id: string, state: ItemState): readonly TxnOperation[] {
    return [...this.#delete(id, 'item', 'hold'), this.#putOperation('dead', id, state)]
  }

  /** undefined: a foreign key, which is reported. */
  #parseItem(part: string, record: KvRecord): ItemRecord | undefined {
    const id = this.#parseId(part, record.keyBytes)
    try {
      const { attempts, error } = Object(record.json()) as ItemState
      const isState = Number.isSafeInteger(attempts) && (error === undefined || typeof error === 'string')
      if (ID.test(id) && isState) return { id, attempts, error, modRevision: record.modRevision }
    } catch {
      // Not JSON.
    }
    reportForeignKey('queue', record.key)
    return undefined
  }
}

const ID = /^[0-9]{3}-[0-9]{16}-[0-9a-f]+$/

const itemId = (priority: number, revision: number, ordinal: number): string =>
  [
    String(PRIORITY_MAX - priority).padStart(3, '0'),
    String(revision).padStart(16, '0'),
    ordinal.toString(16).padStart(6, '0') + crypto.randomBytes(5).toString('hex'),
  ].join('-')

const queueEntry = <T>(
  { id, attempts, error }: ItemState & { readonly id: string },
  value: KvRecord,
): QueueEntry<T> => ({
  id,
  attempts,
  priority: PRIORITY_MAX - Number(id.slice(0, 3)),
  value: value.value,
  text: () => value.text(),
  json: () => value.json() as T,
  error,
})

const modifiedAt = (key: Uint8Array, to: number) => ({ key, target: 'modRevision', op: '=', to }) as const

const priorityCheck: Check = (value) =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= PRIORITY_MAX
    ? undefined
    : `a whole number from 0 to ${PRIORITY_MAX}`
