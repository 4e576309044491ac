// Optimistic transactions. The body of the application reads the store as it was at one revision, and what it writes is
// kept until it ends. Then one transaction of the server compares all that was read, and makes the changes if nothing
// of it has changed since. Otherwise the body runs again.
//
// The commit compares mod_revision. A key must have the same one, or must still not exist. In a range, no key may be
// newer than the revision that was read. That does not show that a key is gone. So each key that a range has shown is
// compared as well.

import { Backoff } from './backoff.ts'
import { createRecord } from './decode.ts'
import { ConflictError, QuorateError, UnavailableError } from './errors.ts'
import { type Interruption, pauseUntilInterrupted } from './interruption.ts'
import { ownBytes, ownKey } from './request.ts'
import { leastMs } from './retry-policy.ts'
import { afterPendingEvents } from './timer.ts'
import { checkPutOptions } from './txn.ts'
import type {
  Transaction,
  TransactionListOptions,
  TransactOptions,
  Txn,
  TxnComparison,
  TxnOperation,
  TxnPutOptions,
  TxnResult,
} from './txn-types.ts'
import type { CallOptions, KvRecord, ListOptions, ReadOptions } from './types.ts'
import { checkTransact, checkTransactionList } from './validate-arguments.ts'
import { bytesCheck, checkValue } from './validators.ts'

/** Pauses after a conflict. */
const CONFLICT_BASE_MS = 2
const CONFLICT_MAX_MS = 250

/** Calls that `transact` needs of the client. */
export interface TransactCalls {
  get(key: Uint8Array, options: ReadOptions): Promise<KvRecord | undefined>
  list(options: ListOptions): AsyncGenerator<KvRecord, void, undefined>
  txn(txn: Txn, options: CallOptions): Promise<TxnResult>
}

/** Returns the limits for a call of a body. Throws when no more than this time is left. */
type Limits = (neededMs?: number) => CallOptions

/** Waits for a body for as long as the call lasts. */
type Within = <R>(running: Promise<R> | R) => Promise<R>

/** `timeoutMs` limits all attempts together. */
export async function transact<T>(
  calls: TransactCalls,
  body: (tx: Transaction) => Promise<T> | T,
  options: TransactOptions,
  timeoutMs: number,
  interruption: Interruption,
): Promise<T> {
  checkTransact(body, options)
  const { attemptsMax = Number.POSITIVE_INFINITY, signal } = options
  const startedAt = performance.now()
  const deadline = startedAt + timeoutMs
  const backoff = new Backoff(CONFLICT_BASE_MS, CONFLICT_MAX_MS)
  let conflict: ConflictError | undefined
  for (let attempt = 1; ; attempt++) {
    const limits: Limits = (neededMs = 0) => {
      const leftMs = deadline - performance.now()
      if (leftMs > neededMs) return { signal, timeoutMs: leftMs }
      throw conflict ?? outOfTime(timeoutMs)
    }
    const reason = interruption.reason()
    if (reason !== undefined) throw reason
    // A commit without time for its answer would make the outcome unknown.
    const commitMs = leastMs(false, timeoutMs, 0)
    const within = <R>(running: Promise<R> | R): Promise<R> =>
      untilTheEnd(running, deadline, () => conflict ?? outOfTime(timeoutMs), interruption)
    const tried = await new Attempt(calls, limits, commitMs, within).run(body).catch((error: unknown) => {
      // A call of it had too little time left, because of the conflicts before.
      throw error instanceof UnavailableError && error.code === 'timeout' ? (conflict ?? error) : error
    })
    if (tried.committed) return tried.result
    const why =
      tried.cause === undefined
        ? 'others had changed what the transaction has read'
        : 'history no longer had the revision that the transaction reads'
    conflict = new ConflictError(`${times(attempt)} ${why}, before it could be committed`, {
      code: 'conflict',
      written: 'no',
      cause: tried.cause,
    })
    const pauseMs = backoff.next()
    if (attempt >= attemptsMax || performance.now() + pauseMs >= deadline) throw conflict
    await pauseUntilInterrupted(pauseMs, interruption)
  }
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times in a row`)

const outOfTime = (timeoutMs: number): UnavailableError =>
  new UnavailableError(
    `the body of the transaction has not ended within ${Number((timeoutMs / 1_000).toFixed(3))} s, or left too little of it to commit`,
    { code: 'timeout', written: 'no' },
  )

/** Resolves with the result of a body, or rejects when the call ends earlier. The body itself cannot be stopped. */
async function untilTheEnd<T>(
  running: Promise<T> | T,
  deadline: number,
  late: () => Error,
  interruption: Interruption,
): Promise<T> {
  let stop = () => {}
  let stopListening = () => {}
  const ended = new Promise<never>((_, reject) => {
    stop = afterPendingEvents(deadline - performance.now(), () => reject(late()))
    stopListening = interruption.listen(() => reject(interruption.reason()))
  })
  try {
    return await Promise.race([running, ended])
  } finally {
    stop()
    stopListening()
  }
}

type CommitResult<T> =
  | { readonly committed: true; readonly result: T }
  | { readonly committed: false; readonly cause: unknown }

/** A change of the body. undefined: the key is deleted. */
type Write = { readonly value: Buffer; readonly options: TxnPutOptions } | undefined

class Attempt implements Transaction {
  readonly #calls: TransactCalls
  readonly #limits: Limits
  readonly #commitMs: number
  readonly #within: Within
  #isOver = false
  /** The revision that all reads show. */
  #revision: number | undefined
  /** The read in flight that determines it. */
  #first: Promise<unknown> | undefined
  /** Set when history no longer has the revision. */
  #lost: QuorateError | undefined
  /** mod_revision of each key that was read; 0: there was no such key. */
  readonly #read = new Map<string, number>()
  /** Ranges of which the body knows a part. */
  readonly #ranges = new Set<Bounds>()
  readonly #writes = new Map<string, Write>()

  constructor(calls: TransactCalls, limits: Limits, commitMs: number, within: Within) {
    this.#calls = calls
    this.#limits = limits
    this.#commitMs = commitMs
    this.#within = within
  }

  async run<T>(body: (tx: Transaction) => Promise<T> | T): Promise<CommitResult<T>> {
    try {
      const result = await this.#within(body(this))
      this.#isOver = true
      if (this.#lost !== undefined) return { committed: false, cause: this.#lost }
      if (this.#writes.size === 0 || (await this.#commit())) return { committed: true, result }
      return { committed: false, cause: undefined }
    } catch (error) {
      if (this.#lost !== undefined && !this.#isOver) return { committed: false, cause: this.#lost }
      throw error
    } finally {
      this.#isOver = true
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Methods for the body

  async get(key: string | Uint8Array): Promise<KvRecord | undefined> {
    this.#checkOpen('get')
    checkValue('tx.get', 'key', key, bytesCheck)
    const bytes = ownKey(key)
    const name = keyText(bytes)
    if (this.#writes.has(name)) return writtenRecord(bytes, this.#writes.get(name))
    const record = await this.#readWith((options) => this.#calls.get(bytes, options))
    this.#read.set(name, record?.modRevision ?? 0)
    return record
  }

  list(options: TransactionListOptions = {}): AsyncGenerator<KvRecord, void, undefined> {
    this.#checkOpen('list')
    checkTransactionList(options)
    return this.#list(startListing(options))
  }

  put(key: string | Uint8Array, value: string | Uint8Array, options: TxnPutOptions = {}): void {
    this.#checkOpen('put')
    checkValue('tx.put', 'key', key, bytesCheck)
    checkValue('tx.put', 'value', value, bytesCheck)
    checkPutOptions('tx.put', options)
    this.#writes.set(keyText(ownKey(key)), { value: ownBytes(value), options: { ...options } })
  }

  delete(key: string | Uint8Array): void {
    this.#checkOpen('delete')
    checkValue('tx.delete', 'key', key, bytesCheck)
    this.#writes.set(keyText(ownKey(key)), undefined)
  }

  #checkOpen(what: string): void {
    if (this.#isOver)
      throw new Error(`tx.${what}: the transaction has ended; its body did not wait for this call`)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Reads

  /** The first read is linearizable. The others show the same revision, from whichever node has it. */
  async #readWith<T>(read: (options: ReadOptions) => Promise<T>): Promise<T> {
    while (this.#revision === undefined && this.#first !== undefined) await this.#first
    const limits = this.#limits()
    if (this.#revision !== undefined) {
      try {
        return await read({ ...limits, consistency: 'stale', revision: this.#revision })
      } catch (error) {
        throw this.#noteLost(error)
      }
    }
    const reading = read({
      ...limits,
      onAnswer: ({ revision }) => {
        this.#revision = revision
      },
    })
    this.#first = reading.then(
      () => {
        this.#first = undefined
      },
      () => {
        // The next read is the first one then.
        this.#first = undefined
        this.#revision = undefined
      },
    )
    const result = await reading
    if (this.#revision !== undefined) return result
    const message = 'the answer to a read does not say which revision it shows'
    throw new QuorateError(message, { code: 'unexpected_answer', written: 'no' })
  }

  /** The range that is compared ends with the last record that the body has taken. */
  async *#list(listing: Listing): AsyncGenerator<KvRecord, void, undefined> {
    const { seen, keysOnly } = listing
    let { limit: left } = listing
    if (left === 0) return
    this.#checkOpen('list')
    for await (const { name, record } of this.#merged(listing)) {
      noteSeen(listing, name)
      this.#ranges.add(seen)
      if (record === undefined) continue
      left -= 1
      yield keysOnly ? createRecord(record, NO_VALUE, record.lease) : record
      this.#checkOpen('list')
      if (left === 0) return
    }
    Object.assign(seen, listing.whole)
    this.#ranges.add(seen)
  }

  /** Stored records merged with writes of the body from before the list, in order. No record: the body deleted it. */
  async *#merged(
    listing: Listing,
  ): AsyncGenerator<{ name: string; record: KvRecord | undefined }, void, undefined> {
    const { whole, isDescending } = listing
    const writes = new Map(this.#writes)
    const own = [...writes.keys()].filter((name) => isWithin(name, whole)).sort()
    if (isDescending) own.reverse()
    const isBefore = (name: string, other: string) => (isDescending ? name > other : name < other)
    const ownRecord = (name: string) => writtenRecord(keyFromText(name), writes.get(name))
    for await (const record of this.#stored(listing, own.length)) {
      const name = keyText(record.keyBytes)
      while (own[0] !== undefined && isBefore(own[0], name))
        yield { name: own[0], record: ownRecord(own.shift() ?? '') }
      if (own[0] === name) own.shift()
      this.#read.set(name, record.modRevision)
      yield { name, record: writes.has(name) ? ownRecord(name) : record }
    }
    for (const name of own) yield { name, record: ownRecord(name) }
  }

  /** `more`: how many records may be needed beyond the limit, because the body has changed some. */
  async *#stored(listing: Listing, more: number): AsyncGenerator<KvRecord, void, undefined> {
    const { isDescending, keysOnly } = listing
    const order = isDescending ? 'desc' : 'asc'
    let limit = listing.limit + more
    let { whole: rest } = listing
    const range = () => ({ ...listOptions(rest), order, keysOnly, limit }) as const
    if (this.#revision === undefined) {
      // A page that is not complete may be continued at another revision. One record is always complete.
      const read = async (options: ReadOptions): Promise<KvRecord | undefined> => {
        for await (const record of this.#calls.list({ ...range(), ...options, limit: 1 })) return record
        return undefined
      }
      const first = await this.#readWith(read)
      if (first === undefined) return
      const name = keyText(first.keyBytes)
      rest = isDescending ? { ...rest, end: name } : { ...rest, start: following(name) }
      limit -= 1
      yield first
      if (limit === 0) return
    }
    if (rest.end !== undefined && rest.start >= rest.end) return
    try {
      const revision = this.#revision
      yield* this.#calls.list({ ...range(), ...this.#limits(), consistency: 'stale', revision })
    } catch (error) {
      throw this.#noteLost(error)
    }
  }

  #noteLost(error: unknown): unknown {
    if (error instanceof QuorateError && error.code === 'compacted') this.#lost = error
    return error
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Commit

  /** Returns whether no read has changed, so that the writes were made. */
  async #commit(): Promise<boolean> {
    const compare = this.#comparisons()
    const success = [...this.#writes].map(([name, write]): TxnOperation => {
      const key = keyFromText(name)
      return write === undefined
        ? { delete: { key } }
        : { put: { key, value: write.value, ...write.options } }
    })
    try {
      return (await this.#calls.txn({ compare, success }, this.#limits(this.#commitMs))).succeeded
    } catch (error) {
      throw error instanceof QuorateError && error.code === 'too_many_operations'
        ? tooLarge(error, compare.length, success.length)
        : error
    }
  }

  #comparisons(): readonly TxnComparison[] {
    const keys = [...this.#read].map(
      ([name, to]): TxnComparison => ({ key: keyFromText(name), target: 'mod_revision', op: '=', to }),
    )
    const to = (this.#revision ?? 0) + 1
    const ranges = joinRanges([...this.#ranges]).map(
      (range): TxnComparison => ({ ...rangePlace(range), target: 'mod_revision', op: '<', to }),
    )
    return [...keys, ...ranges]
  }
}

function tooLarge(cause: QuorateError, compared: number, changed: number): QuorateError {
  const message =
    `${cause.message}. This one compares ${compared} keys and ranges that its body has read, and changes ${changed} keys: ` +
    'read and write fewer keys in one transaction'
  return new QuorateError(message, { ...cause, cause })
}

// ---------------------------------------------------------------------------------------------------------------------
// Keys and ranges. A name has one character for each byte of its key, so names are in the order of keys.

interface Bounds {
  readonly start: string
  /** Exclusive; undefined: no end. */
  readonly end: string | undefined
}

interface Listing {
  readonly whole: Bounds
  /** The part of it that the body knows. */
  readonly seen: { start: string; end: string | undefined }
  readonly isDescending: boolean
  readonly limit: number
  readonly keysOnly: boolean
}

function startListing({ prefix, start, end, limit, order, keysOnly }: TransactionListOptions): Listing {
  const name = (bound: string | Uint8Array) => keyText(ownBytes(bound))
  const first = name(prefix ?? start ?? '')
  const beyond = prefix === undefined ? end && name(end) : afterPrefix(first)
  const whole = { start: first, end: end?.length === 0 ? first : beyond }
  const isDescending = order === 'desc'
  const seen = isDescending ? { start: whole.end ?? '', end: whole.end } : { start: first, end: first }
  return { whole, seen, isDescending, limit: limit ?? Number.POSITIVE_INFINITY, keysOnly: keysOnly === true }
}

function noteSeen({ seen, isDescending }: Listing, name: string): void {
  if (isDescending) seen.start = name
  else seen.end = following(name)
}

export const keyText = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
const keyFromText = (name: string): Buffer => Buffer.from(name, 'latin1')

/** The name that follows. */
const following = (name: string): string => `${name}\0`

/** The first name that is behind all with this prefix; undefined: there is none. */
export function afterPrefix(prefix: string): string | undefined {
  const kept = prefix.replace(/\xff+$/, '')
  if (kept === '') return undefined
  return kept.slice(0, -1) + String.fromCharCode(kept.charCodeAt(kept.length - 1) + 1)
}

const isWithin = (name: string, { start, end }: Bounds): boolean =>
  name >= start && (end === undefined || name < end)

const listOptions = ({ start, end }: Bounds) => ({
  ...(start === '' ? {} : { start: keyFromText(start) }),
  ...(end === undefined ? {} : { end: keyFromText(end) }),
})

const rangePlace = ({ start, end }: Bounds) => ({
  start: keyFromText(start),
  ...(end === undefined ? {} : { end: keyFromText(end) }),
})

/** Ranges that overlap or touch become one; empty ones vanish. */
function joinRanges(ranges: readonly Bounds[]): readonly Bounds[] {
  const sorted = ranges
    .filter(({ start, end }) => end === undefined || start < end)
    .sort((a, b) => (a.start < b.start ? -1 : 1))
  const found: { start: string; end: string | undefined }[] = []
  for (const { start, end } of sorted) {
    const last = found.at(-1)
    if (last === undefined || (last.end !== undefined && last.end < start)) found.push({ start, end })
    else if (last.end !== undefined && (end === undefined || end > last.end)) last.end = end
  }
  return found
}

const NO_VALUE = new Uint8Array()

/** A record that the body has written. It has no revisions and no version yet. */
function writtenRecord(key: Uint8Array, write: Write): KvRecord | undefined {
  if (write === undefined) return undefined
  const keyBytes = new Uint8Array(key)
  const meta = {
    key: Buffer.from(keyBytes).toString(),
    keyBytes,
    createRevision: 0,
    modRevision: 0,
    version: 0,
  }
  return createRecord(meta, new Uint8Array(write.value), write.options.lease)
}
