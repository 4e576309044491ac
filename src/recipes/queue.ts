// A work queue.
//
// Promise: an item whose `push` has returned is delivered at least once, until it is acknowledged or has become a dead
// letter. Only the consumer that holds an item can acknowledge it: taking an item gives it a token, and every other
// taking gives a higher one; an acknowledgement with an old token fails with `ItemLostError`. So no item is
// acknowledged twice. An item whose consumer has died, or is silent for `visibilityMs`, comes back: it is held by a key
// with a lease, and the clock of the cluster decides. After `attemptsMax` deliveries an item becomes a dead letter.
//
// Order: higher priority first. Within one priority an item comes before another one if its `push` had returned before
// the other `push` was called, in whichever process. One process takes items in this order. Where several processes
// compete, each takes one of the first few, so that they do not all want the same item; so an item may be overtaken,
// and what comes back, comes back to its old place.
//
// Limits: at least once means: sometimes twice. A consumer that is too slow loses its item to another one while it is
// still at work (`item.signal` fires; `item.token` is a fencing token for the system that it changes). A `push` that
// fails with `written: 'unknown'` may have been done. A `pop` that fails in this way may have taken an item, which
// comes back. Delays and `visibilityMs` are a second at least, and the cluster raises them to twice its election
// time-out; they end some tens of milliseconds late, or up to five seconds after a change of leader. Taking an item
// needs room in the store for one key more: where it is full (`storage_full`), no item can be taken until something
// else is deleted, or `store_bytes_max` is raised.
//
// Taking an item is one read and one transaction, whatever the length of the queue. Calls of `pop` of one queue object
// that are under way at a time share the read, and those that wait share one watch, which wakes them. After lost races
// they wait for a random time of some takings, at most 250 ms, before they look for the new item, and mostly find that
// it is gone: so a new item does not make all processes that wait try to take it.
//
// Keys (ID is made of priority, a revision before the push, and random digits, so that the order of keys is the order
// of items):
//   queue/NAME/ready/ID    {"attempts","error"?}                an item that can be taken
//   queue/NAME/held/ID     {"attempts","delayed"?,"error"?}     one that a consumer holds, or that is delayed
//   queue/NAME/hold/ID     with a lease: while it exists, the item stays held
//   queue/NAME/dead/ID     {"attempts","error"?}                a dead letter
//   queue/NAME/value/ID    the bytes of the item, which are written once
// Once a second, and when nothing is ready, a `pop` first puts back the items that are held without a hold. If they are
// very many, it puts back the first ones and takes one of these; the next look goes on.

import { randomBytes } from 'node:crypto'
import { whenAborted } from '../client/abort-listeners.ts'
import {
  type AnswerInfo,
  type CallOptions,
  type Client,
  CompactedError,
  type KvRecord,
  OutcomeUnknownError,
  QuorateError,
  type Txn,
  type TxnOperation,
  type WatchBatch,
} from '../client/index.ts'
import { after } from '../client/timer.ts'
import { type Check, checkOptions, checkValue, isBound, isBytes, isText } from '../client/validators.ts'
import { abortedBy, CALL, isDelay, isLeaseTime, isWait } from './checks.ts'
import { type KeyPlace, placeOf } from './place.ts'
import { type ConsumeOptions, consume } from './queue-consume.ts'
import { HeldItem, type QueueEntry, type QueueItem } from './queue-item.ts'
import { reasonOf } from './reason.ts'
import { changeAfter, pause } from './watching.ts'

const VISIBILITY_MS = 30_000
const ATTEMPTS_MAX = 5
const PRIORITY_MAX = 999
const PAUSE_MAX_MS = 250
/** Items whose hold has ended are looked for so often, and when there is no other: it counts all that are held. */
const HOLDS_MS = 1_000
/** Of how many of the first items one is taken, at most. */
const CONTENTION_MAX = 32
/** Items that are put back at a time. */
const PAGE = 32
/** Items that are put back, at most, before one is taken. All holds are read for that. */
const PUT_BACK_MAX = 1_024

export interface QueueOptions {
  /** A consumer that is silent for so long loses its item. From 1,000 on. Default 30,000. */
  readonly visibilityMs?: number | undefined
  /** After so many deliveries that were not acknowledged, an item becomes a dead letter. Default 5. */
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

export interface Queue {
  /** Returns the id of the item. */
  push(value: string | Uint8Array, options?: PushOptions): Promise<string>
  /** Takes an item; undefined: none came in time. */
  pop(options?: PopOptions): Promise<QueueItem | undefined>
  /** The item that would be taken next, without taking it. Like `pop`, it puts back first what must be put back. */
  peek(options?: CallOptions): Promise<QueueEntry | undefined>
  len(options?: CallOptions): Promise<QueueLength>
  /**
   * Runs `handler` for each item until `signal` fires: then it takes no more, waits for the handlers under way, and
   * resolves. An item is acknowledged when its handler has returned, and given back when it has thrown.
   */
  consume(handler: (item: QueueItem) => unknown, options: ConsumeOptions): Promise<void>
  readonly dead: DeadLetters
}

export interface DeadLetters {
  list(): AsyncGenerator<QueueEntry, void, undefined>
  /** Puts a dead letter back, or all; they begin with no attempts. Returns how many there were. */
  requeue(id?: string, options?: CallOptions): Promise<number>
  /** Returns whether there was one. */
  delete(id: string, options?: CallOptions): Promise<boolean>
}

export type QueueClient = Pick<Client, 'count' | 'get' | 'list' | 'txn' | 'watch'>

/** What the state of an item says. */
interface ItemState {
  readonly attempts: number
  readonly error?: string | undefined
  readonly delayed?: true | undefined
}

/** What can be taken first, as it was at one revision. */
interface Look {
  readonly ready: readonly KvRecord[]
  /** There was nothing else. */
  readonly isAll: boolean
  /** What had to be put back was put back before. */
  readonly withHolds: boolean
  readonly revision: number
}

/** What was put back at once. */
interface PutBack {
  /** The id of the last item; undefined: there were no more. */
  readonly upTo: string | undefined
}

/** A look that calls of `pop` share. */
interface SharedLook extends Look {
  /** Of `ready`: what none of them has chosen. */
  readonly left: KvRecord[]
}

/** At this revision, and when so many takings had failed, there was no item to be had. */
interface Nothing {
  readonly revision: number
  readonly failures: number
}

/** What calls of `pop` wait for together. */
interface Waiting {
  /** From the next revision on it wakes them. */
  readonly revision: number
  /** Those that wait. They leave it: a promise would hold each that ever waited for it, until the next change. */
  readonly calls: Set<PromiseWithResolvers<void>>
  /** Ends it: nobody waits any more. */
  readonly end: AbortController
}

export function queue(kv: QueueClient, name: string | Uint8Array, options: QueueOptions = {}): Queue {
  return new WorkQueue(kv, placeOf('queue', 'queue', name), options)
}

class WorkQueue implements Queue {
  readonly #kv: QueueClient
  readonly #place: KeyPlace
  readonly #visibilityMs: number
  readonly #attemptsMax: number
  /** From 1 on: doubled when a race for an item was lost, less by one when one was won. */
  #contention = 1
  /** When this process has last seen that no item must be put back, by `performance.now()`. */
  #holdsSeenAt = Number.NEGATIVE_INFINITY
  /** How long the last taking took. */
  #takingMs = 5
  /** Items, with their revisions, that calls are taking, or have taken while a look runs that may show them. */
  readonly #taking = new Set<string>()
  /** Calls of `pop` that do not wait: there should be an item for each. */
  #popping = 0
  /** The looks that have not begun, by the time-out of the calls that share them. */
  readonly #nextLooks = new Map<number | undefined, Promise<SharedLook>>()
  /** The last look of each kind, until it has ended: whether it failed or not. */
  readonly #lastLooks = new Map<number | undefined, Promise<unknown>>()
  #waiting: Waiting | undefined
  /** Takings that have failed: the items may still be there. */
  #failures = 0
  #ordinal = 0

  constructor(kv: QueueClient, place: KeyPlace, options: QueueOptions) {
    checkOptions('queue', options, QUEUE)
    this.#kv = kv
    this.#place = place
    this.#visibilityMs = options.visibilityMs ?? VISIBILITY_MS
    this.#attemptsMax = options.attemptsMax ?? ATTEMPTS_MAX
  }

  async push(value: string | Uint8Array, options: PushOptions = {}): Promise<string> {
    checkValue('queue.push', 'value', value, isBytes)
    checkOptions('queue.push', options, PUSH)
    const { priority = 0, delayMs = 0, ...call } = options
    const bytes = typeof value === 'string' ? value : new Uint8Array(value)
    this.#ordinal = (this.#ordinal + 1) % 0x1_00_00_00
    const ordinal = this.#ordinal
    // Every push that has returned has a lower revision, and its id a still lower one.
    const { revision } = await this.#kv.txn({ success: [{ get: { key: this.#key('ready') } }] }, call)
    const id = idOf(priority, revision, ordinal)
    await this.#kv.txn(
      {
        success: [
          { put: { key: this.#key('value', id), value: bytes } },
          ...(delayMs === 0
            ? [this.#put('ready', id, { attempts: 0 })]
            : [this.#put('held', id, { attempts: 0, delayed: true }), this.#hold(id, delayMs)]),
        ],
      },
      call,
    )
    return id
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Taking

  async pop(options: PopOptions = {}): Promise<QueueItem | undefined> {
    checkOptions('queue.pop', options, POP)
    // The signal does not end a transaction that may have taken an item: the item would be lost until its hold ends.
    const { waitMs = 0, signal, ...call } = options
    const until = performance.now() + waitMs
    for (;;) {
      const tried = await this.#tryPop(call, signal)
      if ('item' in tried) return tried.item
      const leftMs = until - performance.now()
      if (leftMs <= 0) return undefined
      // When the time is over it looks once more: the watch may be at a node that has just stopped, and tells nothing.
      await this.#waitForChange(tried, leftMs, signal)
    }
  }

  async #tryPop(
    call: CallOptions,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly item: QueueItem } | Nothing> {
    this.#popping += 1
    try {
      for (;;) {
        throwIfAborted(signal)
        const look = await orAborted(this.#lookTogether(call), signal)
        throwIfAborted(signal)
        const record = this.#choose(look.left)
        if (record !== undefined) {
          const item = await this.#tryTake(record, call)
          if (item !== undefined) return { item }
        } else if (look.isAll) {
          if (look.withHolds) return { revision: look.revision, failures: this.#failures }
          // The next look sees what must be put back as well.
          this.#holdsSeenAt = Number.NEGATIVE_INFINITY
        }
      }
    } finally {
      this.#popping -= 1
    }
  }

  /** One of the first that no call of this process is taking. */
  #choose(left: KvRecord[]): KvRecord | undefined {
    for (;;) {
      const at = Math.floor(Math.random() * Math.min(this.#contention, left.length))
      const [record] = left.splice(at, 1)
      if (record === undefined || !this.#taking.has(takingOf(record))) return record
    }
  }

  /** undefined: another consumer was first, or has done it since. */
  async #tryTake(record: KvRecord, call: CallOptions): Promise<QueueItem | undefined> {
    const taking = takingOf(record)
    this.#taking.add(taking)
    let item: QueueItem | undefined
    try {
      item = await this.#take(this.#idIn('ready', record.keyBytes), record, call)
    } catch (error) {
      // What others have left to this call may still be there.
      this.#taking.delete(taking)
      this.#failures += 1
      this.#waiting?.end.abort()
      throw error
    }
    // The item is no longer there as it was, but a look that began before may show it. Who shares one chooses before
    // this is forgotten: they wait for the look itself.
    void Promise.all(this.#lastLooks.values()).then(() => this.#taking.delete(taking))
    this.#contention =
      item === undefined ? Math.min(CONTENTION_MAX, 2 * this.#contention) : Math.max(1, this.#contention - 1)
    return item
  }

  /** The next look that begins. All calls with the same time-out that need one meanwhile share it. */
  #lookTogether(call: CallOptions): Promise<SharedLook> {
    const { timeoutMs } = call
    const shared = this.#nextLooks.get(timeoutMs)
    if (shared !== undefined) return shared
    const begin = async (): Promise<SharedLook> => {
      await this.#lastLooks.get(timeoutMs)
      this.#nextLooks.delete(timeoutMs)
      this.#lastLooks.set(timeoutMs, ended)
      const withHolds = performance.now() - this.#holdsSeenAt >= HOLDS_MS
      const look = await this.#look(withHolds, call)
      return { ...look, left: [...look.ready] }
    }
    const look = begin()
    const end = () => {
      if (this.#lastLooks.get(timeoutMs) === ended) this.#lastLooks.delete(timeoutMs)
    }
    const ended = look.then(end, end)
    this.#nextLooks.set(timeoutMs, look)
    return look
  }

  /** The first items that can be taken, at one revision. What must be put back is put back first. */
  async #look(withHolds: boolean, call: CallOptions): Promise<Look> {
    let back: PutBack | undefined
    for (;;) {
      const limit = this.#contention + this.#popping
      const { ready, revision } = await this.#first(limit, call)
      const found = { ready, isAll: ready.length < limit, withHolds, revision }
      if (!withHolds) return found
      const counts = await this.#counts(['held', 'hold'], revision, call)
      if (counts === undefined) continue
      const [held, hold] = counts
      if (held === hold) {
        this.#holdsSeenAt = performance.now()
        return found
      }
      // Holds may end all the time: those that have ended since are looked at next time.
      const { upTo } = back ?? {}
      const next = ready.filter(({ keyBytes }) => upTo === undefined || this.#idIn('ready', keyBytes) <= upTo)
      if (back !== undefined && next.length > 0)
        return { ready: next, isAll: false, withHolds: false, revision }
      back = await this.#putBack(call)
      if (back.upTo === undefined) this.#holdsSeenAt = performance.now()
    }
  }

  /** What can be taken first, and the revision at which it was there. */
  async #first(
    limit: number,
    call: CallOptions,
  ): Promise<{ readonly ready: readonly KvRecord[]; readonly revision: number }> {
    const ready: KvRecord[] = []
    let revision: number | undefined
    // A page that follows may be of a later revision.
    const onAnswer = (answer: AnswerInfo) => {
      revision ??= answer.revision
    }
    for await (const record of this.#kv.list({ prefix: this.#key('ready', ''), limit, ...call, onAnswer }))
      ready.push(record)
    return { ready, revision: revision ?? 0 }
  }

  /**
   * The numbers of keys of these states at a revision; undefined: history has it no more. A transaction would count no
   * more than `range_keys_max`.
   */
  async #counts(
    states: readonly string[],
    revision: number,
    call: CallOptions,
  ): Promise<readonly number[] | undefined> {
    const at = { consistency: 'stale', revision, ...call } as const
    const count = (state: string) => this.#kv.count({ prefix: this.#key(state, ''), ...at })
    try {
      return await Promise.all(states.map(count))
    } catch (error) {
      if (error instanceof CompactedError) return undefined
      throw error
    }
  }

  /** undefined: another consumer was first, or has done it since. */
  async #take(id: string, record: KvRecord, call: CallOptions): Promise<QueueItem | undefined> {
    const { attempts, error } = stateIn(record)
    const beganAt = performance.now()
    const valueKey = this.#key('value', id)
    const taken = await this.#kv.txn(
      {
        compare: [same(this.#key('ready', id), record.modRevision)],
        success: [
          { delete: { key: this.#key('ready', id) } },
          this.#put('held', id, { attempts: attempts + 1, error }),
          this.#hold(id, this.#visibilityMs),
          { get: { key: valueKey } },
        ],
      },
      call,
    )
    this.#takingMs = performance.now() - beganAt
    const token = taken.results[1]?.put?.modRevision
    if (token === undefined) return undefined
    const read = taken.results[3]?.get
    // Of a transaction that was sent twice the cluster remembers no reads.
    const value = read?.omitted === true ? await this.#valueOfTaken(id, call) : read?.kvs?.[0]
    // The answer came so late that its hold has ended, and another consumer has done the item.
    if (value === undefined && read?.omitted === true) return undefined
    if (value === undefined) throw withoutValue(id, 'unknown')
    return new HeldItem(entryOf(id, { attempts: attempts + 1, error }, value), {
      token,
      beganAt,
      visibilityMs: this.#visibilityMs,
      commit: (success, options) => this.#whileHeld(id, token, success, options),
      operations: {
        acknowledge: () => this.#drop(id, 'held', 'hold', 'value'),
        extend: () => [this.#hold(id, this.#visibilityMs)],
        giveBack: (reason, delayMs) => this.#giveBack(id, attempts + 1, reason, delayMs),
      },
    })
  }

  /** The item is taken, whatever becomes of this. */
  async #valueOfTaken(id: string, call: CallOptions): Promise<KvRecord | undefined> {
    try {
      return await this.#kv.get(this.#key('value', id), call)
    } catch (cause) {
      const message = `the item ${id} was taken, and comes back: its value could not be read: ${reasonOf(cause)}`
      throw new OutcomeUnknownError(message, { code: 'outcome_unknown', written: 'unknown', cause })
    }
  }

  /** Returns whether the item was still held with this token. */
  async #whileHeld(
    id: string,
    token: number,
    success: readonly TxnOperation[],
    call: CallOptions,
  ): Promise<boolean> {
    const txn: Txn = { compare: [same(this.#key('held', id), token)], success }
    return (await this.#kv.txn(txn, call)).succeeded
  }

  #giveBack(
    id: string,
    attempts: number,
    error: string | undefined,
    delayMs: number,
  ): readonly TxnOperation[] {
    if (attempts >= this.#attemptsMax)
      return [...this.#drop(id, 'held', 'hold'), this.#put('dead', id, { attempts, error })]
    if (delayMs > 0)
      return [this.#put('held', id, { attempts, error, delayed: true }), this.#hold(id, delayMs)]
    return [...this.#drop(id, 'held', 'hold'), this.#put('ready', id, { attempts, error })]
  }

  /** Items that are held without a hold: their consumer is gone, or their delay is over. The first ones come first. */
  async #putBack(call: CallOptions): Promise<PutBack> {
    const holds = new Set<string>()
    const helds: KvRecord[] = []
    for await (const { keyBytes } of this.#kv.list({
      prefix: this.#key('hold', ''),
      keysOnly: true,
      ...call,
    }))
      holds.add(this.#idIn('hold', keyBytes))
    for await (const record of this.#kv.list({ prefix: this.#key('held', ''), ...call })) {
      if (holds.has(this.#idIn('held', record.keyBytes))) continue
      helds.push(record)
      if (helds.length === PUT_BACK_MAX) break
    }
    for (let at = 0; at < helds.length; at += PAGE)
      await Promise.all(helds.slice(at, at + PAGE).map((record) => this.#putBackOne(record, call)))
    const last = helds.length < PUT_BACK_MAX ? undefined : helds.at(-1)
    return { upTo: last && this.#idIn('held', last.keyBytes) }
  }

  async #putBackOne(record: KvRecord, call: CallOptions): Promise<void> {
    const id = this.#idIn('held', record.keyBytes)
    const { attempts, delayed, error } = stateIn(record)
    const isDead = delayed !== true && attempts >= this.#attemptsMax
    const reason = delayed === true ? error : 'it was not acknowledged in time'
    await this.#kv.txn(
      {
        // The list of holds may be older than that of items.
        compare: [same(record.keyBytes, record.modRevision), { key: this.#key('hold', id), exists: false }],
        success: [
          ...this.#drop(id, 'held'),
          this.#put(isDead ? 'dead' : 'ready', id, { attempts, error: reason }),
        ],
      },
      call,
    )
  }

  /** Resolves when there may be something to look at, or the time is over. */
  async #waitForChange(
    { revision, failures }: Nothing,
    leftMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (failures !== this.#failures) return
    throwIfAborted(signal)
    const waiting = this.#waitTogether(revision)
    // Another call has looked later, and waits: the next look of this one is as late.
    if (waiting === undefined) return
    const over = Promise.withResolvers<void>()
    const stopTimer = after(leftMs, () => over.resolve())
    const abort = () => over.reject(abortedBy(signal, WAIT))
    signal?.addEventListener('abort', abort, { once: true })
    waiting.calls.add(over)
    try {
      await over.promise
    } finally {
      stopTimer()
      signal?.removeEventListener('abort', abort)
      waiting.calls.delete(over)
      if (waiting.calls.size === 0) waiting.end.abort()
    }
  }

  /** For what comes after this revision. What began before serves as well: it has seen nothing yet. */
  #waitTogether(revision: number): Waiting | undefined {
    const begun = this.#waiting
    if (begun !== undefined) return begun.revision <= revision ? begun : undefined
    const waiting: Waiting = { revision, calls: new Set(), end: new AbortController() }
    const over = () => {
      if (this.#waiting === waiting) this.#waiting = undefined
    }
    waiting.end.signal.addEventListener('abort', over)
    this.#waiting = waiting
    const wake = (tell: (call: PromiseWithResolvers<void>) => void) => {
      over()
      for (const call of waiting.calls) tell(call)
    }
    this.#change(revision, waiting.end.signal).then(
      () => wake((call) => call.resolve()),
      (error: unknown) => wake((call) => call.reject(error)),
    )
    return waiting
  }

  /** Resolves when there may be something to look at, and when `signal` fires. */
  async #change(revision: number, signal: AbortSignal): Promise<void> {
    // Keys of held/, hold/ and ready/, which are neighbours.
    const range = { start: this.#key('held', ''), end: this.#key('ready0'), keysOnly: true }
    try {
      await changeAfter(this.#kv, range, revision, signal, (batch) => this.#isNews(batch))
      if (this.#contention > 1)
        await pause(Math.min(Math.random() * this.#contention * this.#takingMs, PAUSE_MAX_MS), signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /** An item has become ready, or a hold has ended by its lease: then it goes without a change of its item. */
  #isNews({ events }: WatchBatch): boolean {
    const changed = events.map(({ type, keyBytes }) => ({ type, key: this.#place.rest(keyBytes) }))
    return changed.some(({ type, key }) => {
      if (type === 'put') return key.startsWith('ready/')
      if (!key.startsWith('hold/')) return false
      const heldKey = `held/${key.slice('hold/'.length)}`
      return !changed.some((other) => other.key === heldKey)
    })
  }

  // -------------------------------------------------------------------------------------------------------------------

  async peek(options: CallOptions = {}): Promise<QueueEntry | undefined> {
    checkOptions('queue.peek', options, CALL)
    for (;;) {
      const [record] = (await this.#look(true, options)).ready
      if (record === undefined) return undefined
      const id = this.#idIn('ready', record.keyBytes)
      const { succeeded, results } = await this.#kv.txn(
        {
          compare: [same(record.keyBytes, record.modRevision)],
          success: [{ get: { key: this.#key('value', id) } }],
        },
        options,
      )
      // It was taken in between.
      if (!succeeded) continue
      const value = results[0]?.get?.kvs?.[0]
      if (value === undefined) throw withoutValue(id, 'no')
      return entryOf(id, stateIn(record), value)
    }
  }

  async len(options: CallOptions = {}): Promise<QueueLength> {
    checkOptions('queue.len', options, CALL)
    for (;;) {
      const { revision } = await this.#first(1, options)
      const counts = await this.#counts(['ready', 'held', 'hold', 'dead'], revision, options)
      if (counts === undefined) continue
      const [ready = 0, held = 0, hold = 0, dead = 0] = counts
      // What is held without a hold is put back by the next pop.
      return { ready: ready + held - hold, held: hold, dead }
    }
  }

  consume(handler: (item: QueueItem) => unknown, options: ConsumeOptions): Promise<void> {
    return consume(this, this.#visibilityMs, handler, options)
  }

  get dead(): DeadLetters {
    return {
      list: () => this.#deadLetters(),
      requeue: (id, options = {}) => this.#requeue(id, options),
      delete: async (id, options = {}) => {
        checkValue('queue.dead.delete', 'id', id, isText)
        checkOptions('queue.dead.delete', options, CALL)
        const dead = { key: this.#key('dead', id), exists: true }
        const txn = { compare: [dead], success: this.#drop(id, 'dead', 'value') }
        return (await this.#kv.txn(txn, options)).succeeded
      },
    }
  }

  async *#deadLetters(): AsyncGenerator<QueueEntry, void, undefined> {
    for await (const record of this.#kv.list({ prefix: this.#key('dead', '') })) {
      const id = this.#idIn('dead', record.keyBytes)
      const value = await this.#kv.get(this.#key('value', id))
      if (value !== undefined) yield entryOf(id, stateIn(record), value)
    }
  }

  async #requeue(only: string | undefined, options: CallOptions): Promise<number> {
    if (only !== undefined) checkValue('queue.dead.requeue', 'id', only, isText)
    checkOptions('queue.dead.requeue', options, CALL)
    const ids: string[] = []
    if (only !== undefined) ids.push(only)
    else
      for await (const { keyBytes } of this.#kv.list({
        prefix: this.#key('dead', ''),
        keysOnly: true,
        ...options,
      }))
        ids.push(this.#idIn('dead', keyBytes))
    let count = 0
    for (const id of ids) {
      const dead = { key: this.#key('dead', id), exists: true }
      const success = [...this.#drop(id, 'dead'), this.#put('ready', id, { attempts: 0 })]
      if ((await this.#kv.txn({ compare: [dead], success }, options)).succeeded) count += 1
    }
    return count
  }

  // -------------------------------------------------------------------------------------------------------------------

  #key(...parts: readonly string[]): Uint8Array {
    return this.#place.key(...parts)
  }

  #idIn(state: string, key: Uint8Array): string {
    return this.#place.rest(key).slice(state.length + 1)
  }

  #put(state: string, id: string, value: ItemState): TxnOperation {
    return { put: { key: this.#key(state, id), value: JSON.stringify(value) } }
  }

  #hold(id: string, ms: number): TxnOperation {
    return { put: { key: this.#key('hold', id), value: '', ttlMs: ms } }
  }

  #drop(id: string, ...states: readonly string[]): readonly TxnOperation[] {
    return states.map((state) => ({ delete: { key: this.#key(state, id) } }))
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const WAIT = 'the wait for an item'

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortedBy(signal, WAIT)
}

/**
 * What it waits for goes on: others may wait for it as well. No `async` function: who waits for a look is told of it
 * before what was taken meanwhile is forgotten.
 */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopListening = whenAborted(signal, () => reject(abortedBy(signal, WAIT)))
    promise.then(resolve, reject)
    promise.then(stopListening, stopListening)
  })
}

const takingOf = ({ key, modRevision }: KvRecord): string => `${key} ${modRevision}`

const idOf = (priority: number, revision: number, ordinal: number): string =>
  [
    String(PRIORITY_MAX - priority).padStart(3, '0'),
    String(revision).padStart(16, '0'),
    ordinal.toString(16).padStart(6, '0') + randomBytes(5).toString('hex'),
  ].join('-')

const priorityOf = (id: string): number => PRIORITY_MAX - Number(id.slice(0, 3))

const entryOf = (id: string, { attempts, error }: ItemState, value: KvRecord): QueueEntry => ({
  id,
  attempts,
  priority: priorityOf(id),
  value: value.value,
  text: () => value.text(),
  json: () => value.json(),
  error,
})

const withoutValue = (id: string, written: 'no' | 'unknown'): QuorateError =>
  new QuorateError(`the item ${id} has no value: somebody has deleted its key`, {
    code: 'item_without_value',
    written,
  })

const same = (key: Uint8Array, modRevision: number) =>
  ({ key, target: 'mod_revision', op: '=', to: modRevision }) as const

function stateIn(record: KvRecord): ItemState {
  const json = record.json()
  if (typeof json === 'object' && json !== null && 'attempts' in json) return json as ItemState
  throw new TypeError(`the key ${record.key} was not written by a queue`)
}

const isPriority: Check = (value) =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= PRIORITY_MAX
    ? undefined
    : `a whole number from 0 to ${PRIORITY_MAX}`

const QUEUE = { visibilityMs: isLeaseTime, attemptsMax: isBound }
const PUSH = { ...CALL, priority: isPriority, delayMs: isDelay }
const POP = { ...CALL, waitMs: isWait }
