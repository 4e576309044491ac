// A recorded history: the requests of clients, their times, and their answers. It is written by the simulator, by runs
// of real processes and by the study, and read by the checker and by the report.
//
// On disk it is JSONL. The first line is a header. Then each line is one event, **in the order in which they
// happened**: the recorder is one process and writes each event at once. So if one operation ended on an earlier line
// than another began, it did end before it, even at an equal `time`. Times are milliseconds of one monotonic clock of
// the recorder (fractions are allowed) and never go back.
//
// An operation ends in one of three ways (docs/reference/errors.md):
//
//   ok        the store answered. A condition that did not hold is also `ok`, with `applied: false`: it is an answer.
//   fail      certainly never applied, and without data (not leader, overloaded, a read that was not answered in time).
//   unknown   may have been applied, or may be applied later. An operation without an end is also unknown, and in doubt
//             an operation is unknown.
//
// A client has one operation open at a time. After `unknown` it may continue under the same id: no checker assumes that
// the earlier operation of this client is over.
//
// docs/reference/jepsen-lite.md describes the format for people who write or read such files. `json-shapes.ts` refuses
// files that do not follow it.

import { faultOfEvent } from './json-shapes.ts'
import type { WatchMessage, WatchSelection } from './watch-record.ts'

const HISTORY_VERSION = 1
/** The revision of an empty store. */
export const FIRST_REVISION = 1

export type HistoryEvent =
  | HistoryHeader
  | InvokeEvent
  | OkEvent
  | FailEvent
  | UnknownEvent
  | WatchStartEvent
  | WatchMessageEvent
  | NoteEvent
  | FinalEvent

export interface HistoryHeader {
  readonly type: 'history'
  readonly version: typeof HISTORY_VERSION
  /** The name of what the clients did: 'register', 'kv', 'append', 'cas', 'lock', … */
  readonly workload: string
  /**
   * The checker's model (`jepsen-lite check --model`). Absent: values and revisions if any result has a revision, else
   * values.
   */
  readonly model?: string
  /** The value of every key at the beginning. Absent or null: there are no keys. */
  readonly initial?: string | null
  /**
   * How much faster or slower than real time the clocks of nodes may run, a fraction (0.01: one per cent). Absent: 0.
   */
  readonly clockDriftMax?: number
  /**
   * The history begins with an empty store, at revision 1, and contains every change that any client requested. So
   * every revision must belong to a change in it. Absent: false.
   */
  readonly complete?: boolean
  /**
   * The store may have forgotten an idempotency token before it saw it again, because its limits were very low. Then
   * attempts under one token are separate operations, and an attempt that was answered as a repeat has an unknown
   * outcome. Absent: false.
   */
  readonly forgetsTokens?: boolean
  /**
   * The name of a client whose watches, one after the other, received every change of every key from revision 1 on. The
   * whole history is judged by these changes (checker/log/). Absent: there is no such client.
   */
  readonly log?: string
  readonly seed?: number
  /** The command that records this history, or a similar one, again. */
  readonly command: string
  /** Names of the nodes, in the order in which a report shows them. */
  readonly nodes?: readonly string[]
  /** Other facts for a reader: versions, timeouts, the choices of the simulator. */
  readonly [detail: string]: unknown
}

/** A client begins an operation. */
interface InvokeEvent {
  readonly type: 'invoke'
  /** Unique in the history. */
  readonly id: number
  readonly client: string | number
  readonly time: number
  /** The node to which the operation is sent. */
  readonly node: string
  readonly op: AnyOperation
  /**
   * Operations with the same number are the steps of one transaction: a transaction of the store, or something that an
   * application does in several requests and that should look as if it happened at one instant. Absent: the operation
   * is alone.
   */
  readonly transaction?: number
}

export interface OkEvent {
  readonly type: 'ok'
  readonly id: number
  readonly time: number
  readonly result: RecordedResult
}

export interface FailEvent {
  readonly type: 'fail'
  readonly id: number
  readonly time: number
  /** A code of docs/reference/errors.md, if there is one. */
  readonly why: string
}

export interface UnknownEvent {
  readonly type: 'unknown'
  readonly id: number
  readonly time: number
  readonly why: string
}

/** A client asks for a watch. A watch that resumes after a lost connection has another `id`. */
interface WatchStartEvent {
  readonly type: 'watch'
  /** No operation has the same. */
  readonly id: number
  readonly client: string | number
  readonly time: number
  readonly node: string
  readonly asked: WatchSelection
}

/** A message of a watch, or how it ended. */
interface WatchMessageEvent {
  readonly type: 'told'
  readonly id: number
  readonly time: number
  readonly told: WatchMessage
}

/**
 * An event that is not an operation of a client. The report draws these values of `what`, except `phase`, and lists all
 * notes:
 *
 *   inject, heal            a fault begins and ends: `fault` (kind), `id` (the same in both), `nodes`, `processes`,
 *                           `effect` (in one of both), parameters.
 *   kill, start, pause, resume, wipe, ended      of the process or the data of `node`, or of `process`.
 *   block, unblock          the event loop of `process` does something else, and no longer.
 *   output                  `process` has written `text` to `stream`.
 *   role                    `node` is now `role` ('leader', 'follower', 'candidate', 'learner', …) in `term`.
 *   phase                   `phase` begins: of a run 'calm', 'faults', 'heal', 'end'.
 *   violation               a rule inside the store was broken: `message`
 */
export interface NoteEvent {
  readonly type: 'note'
  readonly time: number
  readonly node?: string
  /** A process of a simulation, which is no node. */
  readonly process?: string
  readonly what: string
  readonly [detail: string]: unknown
}

/**
 * All rows of one node, after the faults are over and the node has applied everything that is committed. There is one
 * such event for each node, all at one revision.
 */
export interface FinalEvent {
  readonly type: 'final'
  readonly time: number
  readonly node: string
  readonly revision: number
  readonly stateHash: string
  readonly rows: readonly RecordedRow[]
}

export interface RecordedRow {
  readonly key: string
  readonly value: string
  readonly modRevision: number
  readonly version?: number
}

/** A row of a list; without its value if only keys were requested. */
export type ListedRow = Omit<RecordedRow, 'value'> & { readonly value?: string }

export type ReadLevel = 'linearizable' | 'lease' | 'stale'

/** Keys and values are texts in a history. A workload writes unique values if it can. */
export type HistoryOperation =
  | ({ readonly f: 'get'; readonly key: string } & ReadFields & PastField)
  /** A put: unconditional, or only if the key's mod revision is `ifRevision`, or only if the key is absent. */
  | ({ readonly f: 'put'; readonly key: string; readonly value: string } & ConditionFields &
      TokenField &
      LeaseFields)
  | ({ readonly f: 'del'; readonly key: string } & ConditionFields & TokenField)
  /**
   * Compare and set by value; null is the absent key. Over HTTP: a read, then a put under the condition that the key
   * has not changed since.
   */
  | ({
      readonly f: 'cas'
      readonly key: string
      readonly from: string | null
      readonly to: string
    } & TokenField)
  /**
   * Adds `value` at the end of the key's value; an absent key has ''. Over HTTP: a read, then a put with a condition,
   * repeated until a put succeeds.
   */
  | ({ readonly f: 'append'; readonly key: string; readonly value: string } & TokenField)
  | RecordedRange
  /**
   * Acquires the lock `key`: a put of `owner` if the key is absent. The fencing token is the revision of this put.
   */
  | ({ readonly f: 'acquire'; readonly key: string; readonly owner: string } & TokenField)
  /** Releases the lock: a delete if the key's mod revision is the fencing `token`. */
  | ({
      readonly f: 'release'
      readonly key: string
      readonly owner: string
      readonly token: number
    } & TokenField)

/** Operations that are not about single keys. Only histories with a `log` are judged by them. */
export type StoreOperation =
  /** Deletes the keys that begin with `prefix`, or from `start` to `end`. */
  | { readonly f: 'del-range'; readonly prefix?: string; readonly start?: string; readonly end?: string }
  /** History before this revision ends. */
  | { readonly f: 'compact'; readonly revision: number }
  | { readonly f: 'grant'; readonly ttlMs: number }
  | { readonly f: 'keep-alive'; readonly lease: string }
  | { readonly f: 'revoke'; readonly lease: string }
  /** Whether there is such a lease. */
  | { readonly f: 'lease'; readonly lease: string }
  /** Waits for a lock, or to be elected. The fencing token is in the answer. */
  | { readonly f: 'lock'; readonly name: string }
  | { readonly f: 'unlock'; readonly name: string; readonly token: number }
  /** A put that is done only while the lock is held with this token. */
  | {
      readonly f: 'guarded-put'
      readonly name: string
      readonly token: number
      readonly key: string
      readonly value: string
    }
  | { readonly f: 'push'; readonly queue: string; readonly value: string; readonly priority: number }
  | { readonly f: 'pop'; readonly queue: string }
  | { readonly f: 'ack' | 'nack'; readonly queue: string; readonly item: string; readonly token: number }

export type AnyOperation = HistoryOperation | StoreOperation

/**
 * A list of keys in the order of their bytes in UTF-8, all at one revision: the keys that begin with `prefix`, or from
 * `start` to `end`, or all.
 */
export type RecordedRange = {
  readonly f: 'range'
  readonly prefix?: string
  /** Inclusive. */
  readonly start?: string
  /** Exclusive. */
  readonly end?: string
  /** Only keys after this one, in the requested order. */
  readonly after?: string
  /** The maximum number of rows. */
  readonly limit?: number
  /** Absent: asc. */
  readonly order?: 'asc' | 'desc'
  /** Whether the rows have no values. */
  readonly keysOnly?: true
  /**
   * With the number of all keys in the range, independent of `after` and `limit`. `countOnly`: this number without
   * rows.
   */
  readonly count?: true
  readonly countOnly?: true
  /**
   * All rows in one answer of any size. The answer has no `more`, and `count` is the number of rows that were sent.
   */
  readonly stream?: true
} & ReadFields

export interface ReadFields {
  /** Absent: linearizable. */
  readonly consistency?: ReadLevel
  readonly maxStalenessMs?: number
  readonly minRevision?: number
}

/** The key as it was at this revision. Only histories with a `log` may have it. */
interface PastField {
  readonly at?: number
}

export interface ConditionFields {
  readonly ifRevision?: number
  readonly ifAbsent?: true
}

export interface TokenField {
  /** The Idempotency-Key. Operations with equal tokens are one request, sent several times. */
  readonly idempotency?: string
}

/** The key goes when this lease ends, or a lease of its own with this time to live. */
export interface LeaseFields {
  readonly lease?: string
  readonly ttlMs?: number
}

/**
 * The answer of the store. Its fields depend on the operation. A recorder leaves out fields that it does not know.
 */
export interface RecordedResult {
  /**
   * get: the value; null: no such key. cas with `applied: false`: the value that it found, if known. append: the whole
   * value afterwards, if known.
   */
  readonly value?: string | null
  /** get of a key that exists, put, cas, append: the key's mod revision. acquire: the fencing token. */
  readonly modRevision?: number
  /** get of a key that exists, put, cas, append, acquire: the key's version. */
  readonly version?: number
  /**
   * The revision of the store that the answer reflects (`Kv-Revision`). For a change that was made: the revision that
   * it made.
   */
  readonly revision?: number
  /**
   * A change with a condition, cas, acquire, release: false means that the condition did not hold and nothing was
   * changed. Absent: true.
   */
  readonly applied?: boolean
  /** With `applied: false`: the key's mod revision; null if there is no such key. */
  readonly current?: number | null
  /** del, release: the number of keys that were deleted. */
  readonly deleted?: 0 | 1
  /** range: the rows, in the order of the answer. */
  readonly rows?: readonly ListedRow[]
  /** range: there are keys after the last row. Absent: there are none, unless there are as many rows as `limit`. */
  readonly more?: boolean
  /** range, with `more`: the `after` of the next page. */
  readonly next?: string
  /** range: see `count` of Range. */
  readonly count?: number
  /** Reads: the level at which they were served, and for stale reads the bound on their age that the answer claims. */
  readonly served?: ReadLevel
  readonly stalenessMs?: number
  /** true: the store says that it had applied this request before; false: it says that it had not. */
  readonly replayed?: boolean
  /** del-range, revoke: the number of keys that were deleted. */
  readonly removed?: number
  /** grant: the lease. */
  readonly lease?: string
  /** grant, keep-alive: it lives so long. */
  readonly ttlMs?: number
  /** lock, pop: the fencing token. */
  readonly token?: number
  /** push, pop: the id of the item. */
  readonly item?: string
  /** pop: deliveries of the item so far, with this one. */
  readonly attempts?: number
  /** pop: of the item. */
  readonly priority?: number
  /** The node that answered, if it is another node than the one in the invocation. */
  readonly node?: string
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing

export const formatEvent = (event: HistoryEvent): string => JSON.stringify(event)

/**
 * Numbers the operations and adds the times. `write` decides where the events go: to a file, a list, a trace hash.
 */
/** How an operation ended. */
export type OperationEnd =
  | { readonly kind: 'ok'; readonly result: RecordedResult }
  | { readonly kind: 'fail' | 'unknown'; readonly why: string }

export class Recorder {
  readonly #now: () => number
  readonly #write: (event: HistoryEvent) => void
  #lastId = 0

  constructor(
    header: Omit<HistoryHeader, 'type' | 'version'> & { readonly workload: string; readonly command: string },
    now: () => number,
    write: (event: HistoryEvent) => void,
  ) {
    this.#now = now
    this.#write = write
    write({ ...header, type: 'history', version: HISTORY_VERSION })
  }

  /** Returns the id, with which the operation must be ended. */
  invoke(client: string | number, node: string, op: AnyOperation, transaction?: number): number {
    this.#lastId += 1
    const part = transaction === undefined ? {} : { transaction }
    this.#write({ type: 'invoke', id: this.#lastId, client, time: this.#now(), node, op, ...part })
    return this.#lastId
  }

  end(id: number, end: OperationEnd): void {
    if (end.kind === 'ok') this.ok(id, end.result)
    else if (end.kind === 'fail') this.fail(id, end.why)
    else this.unknown(id, end.why)
  }

  ok(id: number, result: RecordedResult): void {
    this.#write({ type: 'ok', id, time: this.#now(), result })
  }

  fail(id: number, why: string): void {
    this.#write({ type: 'fail', id, time: this.#now(), why })
  }

  unknown(id: number, why: string): void {
    this.#write({ type: 'unknown', id, time: this.#now(), why })
  }

  /** Returns the id of the watch. */
  watch(client: string | number, node: string, selection: WatchSelection): number {
    this.#lastId += 1
    this.#write({ type: 'watch', id: this.#lastId, client, time: this.#now(), node, asked: selection })
    return this.#lastId
  }

  watchMessage(id: number, message: WatchMessage): void {
    this.#write({ type: 'told', id, time: this.#now(), told: message })
  }

  note(what: string, details: { readonly node?: string; readonly [detail: string]: unknown } = {}): void {
    this.#write({ ...details, type: 'note', time: this.#now(), what })
  }

  final(node: string, revision: number, stateHash: string, rows: readonly RecordedRow[]): void {
    this.#write({ type: 'final', time: this.#now(), node, revision, stateHash, rows })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading

/** The file is not a history, or it contradicts itself. So it says nothing about the store. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError'
}

export interface History {
  readonly header: HistoryHeader
  readonly calls: readonly HistoryCall[]
  /** Operations that are not about single keys. */
  readonly storeCalls: readonly StoreCall[]
  /** Watches in the order of their requests. */
  readonly watches: readonly WatchCall[]
  readonly notes: readonly NoteEvent[]
  readonly finals: readonly FinalAtPosition[]
}

/** A final event with its position among the events. */
type FinalAtPosition = FinalEvent & { readonly position: number }

/** An operation from its invocation to its end. */
export interface HistoryCall {
  readonly id: number
  readonly client: string | number
  readonly node: string
  readonly op: HistoryOperation
  readonly transaction: number | undefined
  readonly startMs: number
  /** undefined: it never ended, so its outcome is unknown. */
  readonly endMs: number | undefined
  /**
   * Positions among the events: one call is before another if its `end` is below the other's `start`. Infinity: it
   * never ended. If the outcome is unknown, `end` is only the time at which the client gave up; the effect may come
   * later.
   */
  readonly start: number
  readonly end: number
  readonly outcome: CallOutcome
}

export type StoreCall = Omit<HistoryCall, 'op'> & { readonly op: StoreOperation }

/** A watch with its messages, each with its position among the events. */
export interface WatchCall {
  readonly id: number
  readonly client: string | number
  readonly node: string
  readonly selection: WatchSelection
  readonly start: number
  readonly messages: readonly {
    readonly position: number
    readonly timeMs: number
    readonly message: WatchMessage
  }[]
}

export type CallOutcome =
  | { readonly kind: 'ok'; readonly result: RecordedResult }
  | { readonly kind: 'fail'; readonly why: string }
  | { readonly kind: 'unknown'; readonly why: string }

const NEVER_ENDED: CallOutcome = { kind: 'unknown', why: 'it was still open when the recording ended' }

/** Combines each invocation with its end. Throws HistoryError if events contradict each other. */
export function buildHistory(events: Iterable<HistoryEvent>): History {
  let header: HistoryHeader | undefined
  const open = new Map<number, Omit<HistoryCall, 'op' | 'endMs' | 'end' | 'outcome'> & { op: AnyOperation }>()
  const seen = new Set<number>()
  const calls: HistoryCall[] = []
  const storeCalls: StoreCall[] = []
  const watches = new Map<number, WatchCall & { messages: WatchCall['messages'][number][] }>()
  const keep = (call: Omit<HistoryCall, 'op'> & { op: AnyOperation }): void => {
    const { op, ...rest } = call
    if (isStoreOperation(op)) storeCalls.push({ ...rest, op })
    else calls.push({ ...rest, op })
  }
  const notes: NoteEvent[] = []
  const finals: FinalAtPosition[] = []
  let position = 0
  let timeMs = Number.NEGATIVE_INFINITY
  for (const event of events) {
    position += 1
    if (event.type === 'history') {
      if (header !== undefined) throw new HistoryError('a second header')
      if (event.complete === true && typeof event.initial === 'string')
        throw new HistoryError('a complete history begins with an empty store, so it has no initial value')
      header = event
      continue
    }
    if (header === undefined) throw new HistoryError('the header is missing')
    if (!(event.time >= timeMs)) throw new HistoryError(`event ${position}: time goes back to ${event.time}`)
    timeMs = event.time
    switch (event.type) {
      case 'invoke': {
        const { id, client, node, op, time, transaction } = event
        const isRange = op.f === 'range' || op.f === 'del-range'
        if (isRange && op.prefix !== undefined && (op.start ?? op.end) !== undefined)
          throw new HistoryError(`event ${position}: a range by prefix has no start and no end`)
        if (seen.has(id)) throw new HistoryError(`event ${position}: operation ${id} is invoked twice`)
        seen.add(id)
        open.set(id, { id, client, node, op, transaction, startMs: time, start: position })
        break
      }
      case 'ok':
      case 'fail':
      case 'unknown': {
        const call = open.get(event.id)
        if (call === undefined) throw new HistoryError(`event ${position}: operation ${event.id} is not open`)
        open.delete(event.id)
        keep({ ...call, endMs: event.time, end: position, outcome: outcomeFrom(event) })
        break
      }
      case 'watch': {
        const { id, client, node, asked } = event
        if (asked.key !== undefined && (asked.start ?? asked.end) !== undefined)
          throw new HistoryError(`event ${position}: a watch of one key has no start and no end`)
        if (seen.has(id)) throw new HistoryError(`event ${position}: ${id} is the id of an operation`)
        seen.add(id)
        watches.set(id, { id, client, node, selection: asked, start: position, messages: [] })
        break
      }
      case 'told': {
        const watch = watches.get(event.id)
        if (watch === undefined) throw new HistoryError(`event ${position}: there is no watch ${event.id}`)
        watch.messages.push({ position, timeMs: event.time, message: event.told })
        break
      }
      case 'note':
        notes.push(event)
        break
      case 'final':
        finals.push({ ...event, position })
        break
      default:
        throw assertNever(event)
    }
  }
  if (header === undefined) throw new HistoryError('an empty history')
  for (const call of open.values()) {
    keep({ ...call, endMs: undefined, end: Number.POSITIVE_INFINITY, outcome: NEVER_ENDED })
  }
  calls.sort((a, b) => a.start - b.start)
  storeCalls.sort((a, b) => a.start - b.start)
  return { header, calls, storeCalls, watches: [...watches.values()], notes, finals }
}

const STORE_OPERATIONS: ReadonlySet<AnyOperation['f']> = new Set<StoreOperation['f']>([
  ...(['del-range', 'compact', 'grant', 'keep-alive', 'revoke', 'lease'] as const),
  ...(['lock', 'unlock', 'guarded-put', 'push', 'pop', 'ack', 'nack'] as const),
])

export const isStoreOperation = (op: AnyOperation): op is StoreOperation => STORE_OPERATIONS.has(op.f)

/** Reads JSONL. An incomplete last line, for example after a crash, is also an error. */
export function parseHistory(text: string): History {
  return buildHistory(parseEvents(text))
}

function* parseEvents(text: string): Generator<HistoryEvent> {
  let number = 0
  for (const line of text.split('\n')) {
    number += 1
    if (line.trim() === '') continue
    let event: unknown
    try {
      event = JSON.parse(line)
    } catch {
      throw new HistoryError(`line ${number} is not JSON`)
    }
    const fault = faultOfEvent(event)
    if (fault !== undefined) throw new HistoryError(`line ${number}: ${fault}: ${line.slice(0, 200)}`)
    yield event as HistoryEvent
  }
}

function outcomeFrom(event: OkEvent | FailEvent | UnknownEvent): CallOutcome {
  return event.type === 'ok' ? { kind: 'ok', result: event.result } : { kind: event.type, why: event.why }
}

function assertNever(value: never): Error {
  return new HistoryError(`an unknown event: ${JSON.stringify(value)}`)
}
