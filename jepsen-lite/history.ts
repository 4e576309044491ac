// A recorded history: what clients asked, when, and what they were told. Written by the simulator and by the runner of
// real processes, read by the checkers and by the report.
//
// On disk it is JSONL. The first line is a header; then one event a line, **in the order in which they happened**: the
// recorder is one process and writes an event at its instant. So an operation that ended on an earlier line than
// another began did end before it, even at an equal `time`. Times are milliseconds of one monotonic clock of the
// recorder (fractions allowed) and never fall.
//
// How an operation ends is the heart of it (docs/reference/errors.md):
//
//   ok        the store answered. A condition that did not hold is `ok` too, with `applied: false`: the store looked, and said so.
//   fail      certainly never applied, and nothing was learned from it (not leader, overloaded, a read that ran into its deadline).
//   unknown   may have been applied, or may be at any later time. An operation without an end is unknown as well. When in doubt: unknown.
//
// A client has one operation open at a time. After `unknown` it may go on under the same id: no checker infers from a
// client's id that the earlier operation is over.
//
// docs/reference/jepsen-lite.md describes the format for who writes or reads such files; `shapes.ts` refuses what does
// not keep to it.

import { faultOfEvent, isEvent } from './shapes.ts'

export const HISTORY_VERSION = 1
/** Of an empty store. */
export const FIRST_REVISION = 1

export type HistoryEvent = HistoryHeader | Invoke | Ok | Fail | Unknown | Note | Final

export interface HistoryHeader {
  readonly type: 'history'
  readonly version: typeof HISTORY_VERSION
  /** What the clients did: 'register', 'kv', 'append', 'cas', 'lock', … */
  readonly workload: string
  /**
   * The checker's model (`jepsen-lite check --model`). Absent: values and revisions if any result carries revisions,
   * else values.
   */
  readonly model?: string
  /** What every key holds at the beginning. Absent or null: there are no keys. */
  readonly initial?: string | null
  /** How much faster or slower than true the clocks of nodes may run, as a fraction (0.01: one percent). Absent: 0. */
  readonly clockDriftMax?: number
  /**
   * The history begins with an empty store, at revision 1, and holds every change that anybody asked for. Then every
   * revision must be accounted for by a change in it. Absent: false.
   */
  readonly complete?: boolean
  /**
   * The store may have forgotten an idempotency token before it saw it again, since its limits were that low: then
   * attempts under one token are operations of their own, and one that was answered as a repeat is of unknown outcome.
   * Absent: false.
   */
  readonly forgetsTokens?: boolean
  readonly seed?: number
  /** What to type to get this history, or one like it, again. */
  readonly command: string
  /** Names of the nodes, in the order in which a report shows them. */
  readonly nodes?: readonly string[]
  /** Anything else that a reader wants to know: versions, time-outs, the swarm's choices. */
  readonly [detail: string]: unknown
}

/** A client sends an operation. */
export interface Invoke {
  readonly type: 'invoke'
  /** Unique in the history. */
  readonly id: number
  readonly client: string | number
  readonly time: number
  /** The node that was asked. */
  readonly node: string
  readonly op: Operation
}

export interface Ok {
  readonly type: 'ok'
  readonly id: number
  readonly time: number
  readonly result: Result
}

export interface Fail {
  readonly type: 'fail'
  readonly id: number
  readonly time: number
  /** A code of docs/reference/errors.md where there is one. */
  readonly why: string
}

export interface Unknown {
  readonly type: 'unknown'
  readonly id: number
  readonly time: number
  readonly why: string
}

/**
 * Something that no client did. The report draws what it knows of `what`; anything else it lists:
 *
 *   inject, heal            a fault begins and ends: `fault` (its kind), `id` (pairs the two), `nodes`, and how it was set
 *   kill, start, pause, resume, wipe      of `node`
 *   role                    `node` is now `role` ('leader', 'follower', 'candidate', 'learner', …) in `term`
 *   phase                   `phase`: 'faults', 'heal', 'end'
 *   violation               `invariant`, `message`
 */
export interface Note {
  readonly type: 'note'
  readonly time: number
  readonly node?: string
  readonly what: string
  readonly [detail: string]: unknown
}

/**
 * All that one node holds after the faults are over and it has applied everything committed. One per node, all at one
 * revision.
 */
export interface Final {
  readonly type: 'final'
  readonly time: number
  readonly node: string
  readonly revision: number
  readonly stateHash: string
  readonly rows: readonly Row[]
}

export interface Row {
  readonly key: string
  readonly value: string
  readonly modRevision: number
  readonly version?: number
}

/** A row of a list; without its value where only keys were asked for. */
export type ListedRow = Omit<Row, 'value'> & { readonly value?: string }

export type Consistency = 'linearizable' | 'lease' | 'stale'

/** Keys and values are text in a history; a workload makes the values that it writes unique where it can. */
export type Operation =
  | ({ readonly f: 'get'; readonly key: string } & ReadOptions)
  /** Unconditional, or made only if the key's mod revision is `ifRevision`, or only if the key is absent. */
  | ({ readonly f: 'put'; readonly key: string; readonly value: string } & Conditions & Once)
  | ({ readonly f: 'del'; readonly key: string } & Conditions & Once)
  /**
   * Compare and set by value; null is the absent key. Over HTTP: a read, then a put under the condition of what was
   * read.
   */
  | ({ readonly f: 'cas'; readonly key: string; readonly from: string | null; readonly to: string } & Once)
  /**
   * Puts `value` behind what the key holds; an absent key holds ''. Over HTTP: a read, then a conditional put, until
   * one is made.
   */
  | ({ readonly f: 'append'; readonly key: string; readonly value: string } & Once)
  | Range
  /**
   * Takes the lock `key`: a put of `owner` if the key is absent. The fencing token is the revision that it is given.
   */
  | ({ readonly f: 'acquire'; readonly key: string; readonly owner: string } & Once)
  /** Gives the lock back: a delete if the key's mod revision is the fencing `token`. */
  | ({ readonly f: 'release'; readonly key: string; readonly owner: string; readonly token: number } & Once)

/**
 * Keys in their order (that of their bytes in UTF-8), all at one revision: those that begin with `prefix`, or from
 * `start` to `end`, or all.
 */
export type Range = {
  readonly f: 'range'
  readonly prefix?: string
  /** Inclusive. */
  readonly start?: string
  /** Exclusive. */
  readonly end?: string
  /** Only what comes behind this key, in the order asked for. */
  readonly after?: string
  /** Rows at most. */
  readonly limit?: number
  /** Absent: asc. */
  readonly order?: 'asc' | 'desc'
  /** Without values. */
  readonly keysOnly?: true
  /**
   * With the number of all keys in the range, whatever `after` and `limit` say; `countOnly`: with that, and no rows.
   */
  readonly count?: true
  readonly countOnly?: true
  /**
   * All of it in one answer, whatever its size, row by row: the answer has no `more`, and `count` is the number of rows
   * that were sent.
   */
  readonly stream?: true
} & ReadOptions

export interface ReadOptions {
  /** Absent: linearizable. */
  readonly consistency?: Consistency
  readonly maxStalenessMs?: number
  readonly minRevision?: number
}

export interface Conditions {
  readonly ifRevision?: number
  readonly ifAbsent?: true
}

export interface Once {
  /** The Idempotency-Key. Operations with equal tokens are one request, sent several times. */
  readonly idempotency?: string
}

/**
 * What the store answered: which fields there are depends on the operation, and a recorder leaves out what it was not
 * told.
 */
export interface Result {
  /**
   * get: the value; null: no such key. cas with `applied: false`: what it found, if it says. append: the whole value
   * afterwards, if known.
   */
  readonly value?: string | null
  /** get of a key that exists, and every change of a key that stands: its mod revision. acquire: the fencing token. */
  readonly modRevision?: number
  /** get of a key that exists, and every change of a key that stands: its version. */
  readonly version?: number
  /**
   * The revision of the store that the answer reflects (`Kv-Revision`). For a change that was made: the revision that
   * it made.
   */
  readonly revision?: number
  /**
   * A change under a condition, cas, acquire, release: false says that the condition did not hold and nothing was
   * changed. Absent: true.
   */
  readonly applied?: boolean
  /** With `applied: false`: the key's mod revision as it was, null when there was no such key. */
  readonly current?: number | null
  /** del: how many keys there were to delete. */
  readonly deleted?: 0 | 1
  /** range: as they were answered. */
  readonly rows?: readonly ListedRow[]
  /** range: there are keys behind the last row. Absent: there are none, unless there are as many rows as `limit`. */
  readonly more?: boolean
  /** range, with `more`: what to go on `after`. */
  readonly next?: string
  /** range: see there. */
  readonly count?: number
  /** Reads: what was served, and for stale ones the bound on their age that the answer claims. */
  readonly served?: Consistency
  readonly stalenessMs?: number
  /** The store says that it had applied this request before; false: it says that it had not. */
  readonly replayed?: boolean
  /** Who answered, when it was not the node that was asked. */
  readonly node?: string
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing

export const formatEvent = (event: HistoryEvent): string => JSON.stringify(event)

/**
 * Numbers the operations and stamps the times. Where the events go is `write`'s business: a file, a list, a trace hash.
 */
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

  /** The id with which the operation ends. */
  invoke(client: string | number, node: string, op: Operation): number {
    this.#lastId += 1
    this.#write({ type: 'invoke', id: this.#lastId, client, time: this.#now(), node, op })
    return this.#lastId
  }

  ok(id: number, result: Result): void {
    this.#write({ type: 'ok', id, time: this.#now(), result })
  }

  fail(id: number, why: string): void {
    this.#write({ type: 'fail', id, time: this.#now(), why })
  }

  unknown(id: number, why: string): void {
    this.#write({ type: 'unknown', id, time: this.#now(), why })
  }

  note(what: string, details: { readonly node?: string; readonly [detail: string]: unknown } = {}): void {
    this.#write({ ...details, type: 'note', time: this.#now(), what })
  }

  final(node: string, revision: number, stateHash: string, rows: readonly Row[]): void {
    this.#write({ type: 'final', time: this.#now(), node, revision, stateHash, rows })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading

/** A file that is no history, or contradicts itself: nothing can be said about the store from it. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError'
}

export interface History {
  readonly header: HistoryHeader
  readonly calls: readonly Call[]
  readonly notes: readonly Note[]
  readonly finals: readonly PlacedFinal[]
}

/** With its position among the events. */
export type PlacedFinal = Final & { readonly position: number }

/** An operation from its invocation to its end. */
export interface Call {
  readonly id: number
  readonly client: string | number
  readonly node: string
  readonly op: Operation
  readonly startMs: number
  /** undefined: it never ended; treat as unknown. */
  readonly endMs: number | undefined
  /**
   * Positions among the events: one call precedes another if its `end` is below the other's `start`. Infinity: it never
   * ended. For a call whose outcome is unknown the `end` is only when the client gave up; its effect may come later.
   */
  readonly start: number
  readonly end: number
  readonly outcome: Outcome
}

export type Outcome =
  | { readonly kind: 'ok'; readonly result: Result }
  | { readonly kind: 'fail'; readonly why: string }
  | { readonly kind: 'unknown'; readonly why: string }

const NEVER_ENDED: Outcome = { kind: 'unknown', why: 'it was still open when the recording ended' }

/** Pairs the events; throws HistoryError where they contradict each other. */
export function historyOf(events: Iterable<HistoryEvent>): History {
  let header: HistoryHeader | undefined
  const open = new Map<number, Omit<Call, 'endMs' | 'end' | 'outcome'>>()
  const seen = new Set<number>()
  const calls: Call[] = []
  const notes: Note[] = []
  const finals: PlacedFinal[] = []
  let position = 0
  let timeMs = Number.NEGATIVE_INFINITY
  for (const event of events) {
    position += 1
    if (event.type === 'history') {
      if (header !== undefined) throw new HistoryError('a second header')
      if (event.complete === true && typeof event.initial === 'string')
        throw new HistoryError(
          'a complete history begins with an empty store: its keys hold nothing initially',
        )
      header = event
      continue
    }
    if (header === undefined) throw new HistoryError('the header is missing')
    if (!(event.time >= timeMs)) throw new HistoryError(`event ${position}: time falls to ${event.time}`)
    timeMs = event.time
    switch (event.type) {
      case 'invoke': {
        const { id, client, node, op, time } = event
        if (op.f === 'range' && op.prefix !== undefined && (op.start ?? op.end) !== undefined)
          throw new HistoryError(`event ${position}: a range by prefix has no start and no end`)
        if (seen.has(id)) throw new HistoryError(`event ${position}: operation ${id} is invoked twice`)
        seen.add(id)
        open.set(id, { id, client, node, op, startMs: time, start: position })
        break
      }
      case 'ok':
      case 'fail':
      case 'unknown': {
        const call = open.get(event.id)
        if (call === undefined) throw new HistoryError(`event ${position}: operation ${event.id} is not open`)
        open.delete(event.id)
        calls.push({ ...call, endMs: event.time, end: position, outcome: outcomeOf(event) })
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
    calls.push({ ...call, endMs: undefined, end: Number.POSITIVE_INFINITY, outcome: NEVER_ENDED })
  }
  calls.sort((a, b) => a.start - b.start)
  return { header, calls, notes, finals }
}

/** Reads JSONL. A last line that a crash cut short is an error too: whoever records a crash writes to another file. */
export function parseHistory(text: string): History {
  return historyOf(eventsOf(text))
}

function* eventsOf(text: string): Generator<HistoryEvent> {
  let number = 0
  for (const line of text.split('\n')) {
    number += 1
    if (line.trim() === '') continue
    let event: unknown
    try {
      event = JSON.parse(line)
    } catch {
      throw new HistoryError(`line ${number} is no JSON`)
    }
    if (!isEvent(event))
      throw new HistoryError(`line ${number}: ${faultOfEvent(event)}: ${line.slice(0, 200)}`)
    yield event
  }
}

function outcomeOf(event: Ok | Fail | Unknown): Outcome {
  return event.type === 'ok' ? { kind: 'ok', result: event.result } : { kind: event.type, why: event.why }
}

function assertNever(value: never): Error {
  return new HistoryError(`an unknown event: ${JSON.stringify(value)}`)
}
