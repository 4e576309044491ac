// A hub over a real state machine in virtual time, with readers that the test controls. The node may lag behind a
// leader, from which it receives entries one by one or a snapshot. A model checks the messages of each reader. The
// model is the list of all events, built without the code of the store (the guarantees of etcd's watch, and the checks
// of its robustness tests).

import assert from 'node:assert/strict'
import { expect } from 'vitest'
import type { Command, Steps } from '../../../../src/kv/index.ts'
import {
  compareKeys,
  type KeyRow,
  type KvSettings,
  type Revision,
  type Where,
} from '../../../../src/operations/forms/index.ts'
import type { NotificationLimits } from '../../../../src/server/node/watch/hub.ts'
import {
  type EventsMessage,
  type MessageForm,
  type PermittedWatch,
  type WatchEnd,
  type WatchHandle,
  WatchHub,
  type WatchLimits,
  type WatchSink,
} from '../../../../src/server/node/watch/index.ts'
import { ScanEndedError } from '../../../../src/storage/index.ts'
import type { Range, RowScan, StoredRow } from '../../../../src/storage/types.ts'
import { expectEqual } from '../../../expect-equal.ts'
import { ask, MemoryStore, rev, utf8 } from '../../../kv/store.ts'
import { VirtualClock } from '../../virtual-clock.ts'

/** A record in a form that can be compared: key, value, create, mod, version. */
export type Told = readonly [key: string, value: string, create: number, mod: number, version: number]

export interface ModelEvent {
  readonly revision: number
  readonly type: 'put' | 'delete'
  readonly key: string
  /** The record of a put. */
  readonly record: Told | undefined
  readonly prev: Told | null
}

/** The events of the store, computed with a map. */
class Model {
  readonly events: ModelEvent[] = []
  readonly #now = new Map<string, Told>()

  put(revision: number, key: string, value: string): void {
    const prev = this.#now.get(key) ?? null
    const record: Told = [key, value, prev?.[2] ?? revision, revision, (prev?.[4] ?? 0) + 1]
    this.#now.set(key, record)
    this.events.push({ revision, type: 'put', key, record, prev })
  }

  delete(revision: number, key: string): void {
    const prev = this.#now.get(key)
    if (prev === undefined) return
    this.#now.delete(key)
    this.events.push({ revision, type: 'delete', key, record: undefined, prev })
  }

  has(key: string): boolean {
    return this.#now.has(key)
  }

  keys(): string[] {
    return [...this.#now.keys()].sort()
  }
}

export type Change = readonly [key: string, value: string | undefined]

/** A clock on which work takes time, if the test sets `workedMs`. */
class WorkingClock extends VirtualClock {
  workedMs = 0
  /** Called at the end of each turn of the event loop. */
  onTurn: (() => void) | undefined

  override soon(run: () => void): void {
    super.soon(() => {
      run()
      this.onTurn?.()
    })
  }

  override now(): number {
    return super.now() + this.workedMs
  }
}

export class World {
  readonly clock = new WorkingClock()
  readonly model = new Model()
  readonly leader = new MemoryStore()
  readonly node = new MemoryStore()
  readonly readers: Reader[] = []
  readonly failures: unknown[] = []
  hub: WatchHub
  openScans = 0
  /** The number of rows that the hub has read one by one. */
  reads = 0
  /** The time that the hub takes for each row and its events. */
  readMs = 0
  /** Whether scans end with an error, as when the disk is short of room. */
  endsScans = false
  /** Entries that the leader has applied and the node has not. */
  readonly #queue: { readonly command: Command; readonly timeMs: number }[] = []

  /** The steps that are left of the notification of the last entry. */
  #steps: Steps<void> | undefined

  /** The duration of a scan. */
  readonly #scanMs: number

  constructor(limits: Partial<WatchLimits> = {}, scanMs = 0, notification?: NotificationLimits) {
    this.#scanMs = scanMs
    this.hub = new WatchHub({
      clock: this.clock,
      limits: {
        watchesMax: 1000,
        watchSliceRows: 2,
        watchSliceMs: 1,
        watchMessageBytesMax: 48 << 20,
        ...limits,
      },
      storage: {
        get: (rowKey) => {
          this.reads++
          this.clock.workedMs += this.readMs
          return this.node.rows.get(hex(rowKey))
        },
        scan: (range) => this.#scan(range),
      },
      state: this.node.state,
      lifecycle: { fail: (error) => this.failures.push(error) },
      ...(notification !== undefined && { notification }),
    })
  }

  get revision(): number {
    return this.node.state.revision
  }

  /** Applies all changes as one entry: each at a separate revision, or, in a transaction, all at one. */
  change(changes: readonly Change[], inOne = false): void {
    const before = this.model.events.length
    let { revision } = this.leader.state
    const differs = (key: string, value: string | undefined): boolean =>
      value !== undefined || this.model.has(key)
    const commands = changes.map(([key, value]) =>
      value === undefined
        ? ({ kind: 'delete', key: utf8(key), condition: undefined, prev: false } as const)
        : ({ kind: 'put', key: utf8(key), value: utf8(value), condition: undefined, prev: false } as const),
    )
    if (inOne) {
      const success = changes.map(([key, value]) =>
        value === undefined
          ? ({ kind: 'delete', where: { key: utf8(key) }, prev: false } as const)
          : ({ kind: 'put', key: utf8(key), value: utf8(value), prev: false } as const),
      )
      this.#lead({ kind: 'txn', txn: { compare: [], success, failure: [] } })
      revision = rev(revision + 1)
    } else this.#lead({ kind: 'batch', commands })
    for (const [key, value] of changes) {
      if (!inOne && differs(key, value)) revision = rev(revision + 1)
      if (value === undefined) this.model.delete(revision, key)
      else this.model.put(revision, key, value)
    }
    const isIdle = inOne && this.model.events.length === before
    expect(this.leader.state.revision).toBe(isIdle ? revision - 1 : revision)
  }

  /** Deletes all keys of a range at one revision. */
  deleteRange(start: string, end: string | undefined): void {
    const revision = this.leader.state.revision + 1
    this.#lead({
      kind: 'delete-range',
      range: { start: utf8(start), end: end === undefined ? undefined : utf8(end) },
    })
    for (const key of this.model.keys())
      if (
        compareKeys(utf8(key), utf8(start)) >= 0 &&
        (end === undefined || compareKeys(utf8(key), utf8(end)) < 0)
      )
        this.model.delete(revision, key)
  }

  /** Changes a setting: a revision without an event. */
  set(settings: Partial<KvSettings>): void {
    this.#lead({ kind: 'settings', settings })
  }

  compact(revision: number | undefined): void {
    this.#lead({ kind: 'compact', revision: revision === undefined ? undefined : rev(revision) })
  }

  #lead(command: Command): void {
    const timeMs = this.clock.now()
    this.leader.apply(ask(command), timeMs)
    this.#queue.push({ command, timeMs })
  }

  /** The node applies this many entries, or all. */
  apply(count = Number.POSITIVE_INFINITY): void {
    this.begin(count)
    this.notify(Number.POSITIVE_INFINITY)
  }

  /** The same, but of the last entry only those are notified that are notified at once. */
  begin(count: number): void {
    for (const { command, timeMs } of this.#queue.splice(0, count)) {
      this.notify(Number.POSITIVE_INFINITY)
      this.node.apply(ask(command), timeMs)
      this.#steps = this.hub.applied(this.node.state)
    }
  }

  /** Takes this many steps of a notification. */
  notify(count: number): void {
    for (let left = count; left > 0 && this.#steps !== undefined; left--)
      if (this.#steps.next().done) this.#steps = undefined
  }

  /** The node takes a snapshot of the leader. */
  install(): void {
    this.#queue.length = 0
    this.#steps = undefined
    this.node.rows.clear()
    for (const [key, row] of this.leader.rows) this.node.rows.set(key, row)
    this.node.state = this.leader.state
    this.hub.replaced(this.node.state)
  }

  watch(asked: Asked = {}, bufferMax = Number.POSITIVE_INFINITY): Reader {
    const reader = new Reader(this, asked, bufferMax)
    this.readers.push(reader)
    return reader
  }

  /** All readers read all messages, until no more are sent. */
  settle(): void {
    for (let round = 0; round < 1000; round++) {
      for (const reader of this.readers) reader.take()
      this.clock.advance(this.#scanMs)
      const { slow, behind } = this.hub.counts()
      if (slow === 0 && behind === 0) return
    }
    throw new Error('watches do not come to rest')
  }

  /** Asserts the guarantees of every reader. */
  judge(): void {
    expect(this.failures).toEqual([])
    for (const reader of this.readers) reader.judge()
  }

  /** Asserts that watches that have ended have released all resources. */
  expectRest(): void {
    for (const reader of this.readers) reader.cancel()
    // A search may be in progress.
    this.clock.advance(this.#scanMs)
    expect(Object.values(this.hub.inspect()).every((count) => count === 0)).toBe(true)
    expect([this.openScans, this.clock.timers]).toEqual([0, 0])
  }

  #scan({ gte, lt, reverse }: Range): RowScan {
    this.openScans++
    const rows: StoredRow[] = [...this.node.rows]
      .filter(([key]) => key >= hex(gte) && key < hex(lt))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => ({ key: Buffer.from(key, 'hex'), value }))
    if (reverse) rows.reverse()
    const ends = this.endsScans
    const close = (): void => {
      this.openScans--
    }
    const opened: Pick<RowScan, 'next' | 'finish' | 'close'> = {
      next: ({ rowsMax }, done) => {
        const error = ends ? new ScanEndedError() : undefined
        this.clock.after(this.#scanMs, () =>
          done(error, error === undefined ? rows.splice(0, rowsMax) : [], rows.length > 0),
        )
      },
      finish: (done) => {
        close()
        this.clock.soon(() => done(undefined))
      },
      close,
    }
    // The hub uses no other method of a scan.
    return opened as RowScan
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export interface Asked {
  readonly where?: Where
  readonly from?: number
  readonly only?: 'put' | 'delete'
  readonly prev?: boolean
  readonly values?: boolean
  readonly progressMs?: number
  readonly phase?: number
  readonly right?: PermittedWatch['right']
  readonly closed?: PermittedWatch['closed']
}

const ALL: Where = { start: new Uint8Array(), end: undefined }

type Message =
  | { readonly kind: 'events'; readonly revision: number; readonly events: readonly ModelEvent[] }
  | { readonly kind: 'progress'; readonly revision: number }

/** The bytes of messages do not matter here. */
const NO_BYTES = new Uint8Array()
const FORM: MessageForm = { head: () => NO_BYTES, event: () => NO_BYTES, tail: NO_BYTES }

/** A client that checks its messages. */
export class Reader implements WatchSink {
  readonly form = FORM
  readonly #world: World
  readonly #request: PermittedWatch
  readonly #watch: WatchHandle
  /** Limit on queued messages. */
  readonly #bufferMax: number
  #waiting = 0
  #waits = false
  /** The messages received, in order. */
  readonly messages: Message[] = []
  end: WatchEnd | undefined
  isCancelled = false
  /** The first revision that the watch must deliver. */
  readonly from: number
  readonly phase: number | undefined

  constructor(world: World, asked: Asked, bufferMax: number) {
    const {
      where = ALL,
      from,
      only,
      prev = false,
      values = true,
      progressMs = 10_000,
      phase,
      right,
      closed,
    } = asked
    this.#world = world
    this.phase = phase
    this.#bufferMax = bufferMax
    this.#request = {
      where,
      from: from === undefined ? undefined : rev(from),
      only,
      prev,
      values,
      progressMs,
      right,
      closed,
    }
    this.from = Math.max(from ?? world.revision + 1, 2)
    const begun = world.hub.open(this.#request, this)
    if (!begun.ok) throw new Error(begun.problem.detail)
    this.#watch = begun.value
    expect(this.#watch.from).toBe(this.from)
  }

  get isFull(): boolean {
    return this.#waiting >= this.#bufferMax
  }

  get isOpen(): boolean {
    return this.end === undefined && !this.isCancelled
  }

  events(message: EventsMessage): void {
    this.#isTold()
    this.#waiting++
    const prevs = message.prevs()
    const events = message.events.map((event, at): ModelEvent => {
      const prev = prevs[at]
      return {
        revision: event.revision,
        type: event.type,
        key: text(event.key),
        record: event.type === 'put' ? toldOf(event.record) : undefined,
        prev: prev === undefined || prev === null ? null : toldOf(prev),
      }
    })
    this.messages.push({ kind: 'events', revision: message.revision, events })
  }

  waits(): void {
    assert(this.isFull && !this.#waits, 'a watch waits for a client that can take messages')
    this.#waits = true
  }

  progress(revision: Revision): void {
    this.#isTold()
    assert(revision <= this.#world.revision, 'progress beyond the store')
    this.#waiting++
    this.messages.push({ kind: 'progress', revision })
  }

  ended(end: WatchEnd): void {
    this.#isTold()
    this.end = end
  }

  #isTold(): void {
    assert(this.isOpen, 'a message after the end')
  }

  /** Reads this many messages, or all. */
  take(count = Number.POSITIVE_INFINITY): void {
    this.#waiting = Math.max(0, this.#waiting - count)
    if (!this.#waits || this.#waiting > 0) return
    this.#waits = false
    this.#watch.drained()
  }

  /** Other watches of its connection take the room that is left. */
  fill(): void {
    this.#waiting = this.#bufferMax
  }

  cancel(): void {
    this.isCancelled = true
    this.#watch.cancel()
  }

  /** The events that it requests, up to a revision. */
  #expected(upTo: number): ModelEvent[] {
    const { only, prev } = this.#request
    return this.#world.model.events
      .filter(({ revision, type }) => revision >= this.from && revision <= upTo && (only ?? type) === type)
      .filter(({ key }) => this.#isWatched(key))
      .map((event) => (prev ? event : { ...event, prev: null }))
  }

  #isWatched(name: string): boolean {
    const key = utf8(name)
    const { where } = this.#request
    if ('key' in where) return compareKeys(key, where.key) === 0
    return compareKeys(key, where.start) >= 0 && (where.end === undefined || compareKeys(key, where.end) < 0)
  }

  judge(): void {
    const received: ModelEvent[] = []
    let last = 0
    for (const { kind, revision, ...rest } of this.messages) {
      // Ordered; atomic: the events of a revision are in one message; bookmarkable: no event follows at or below a
      // progress revision.
      assert(kind === 'events' ? revision > last : revision >= last, `revision ${revision} after ${last}`)
      last = revision
      if (kind === 'progress') {
        // Never early: all events up to there have been sent.
        expectEqual(received, this.#expected(revision))
      } else {
        const { events } = rest as Extract<Message, { kind: 'events' }>
        assert(events.length > 0 && events.every((event) => event.revision === revision))
        received.push(...events)
      }
    }
    // Reliable, resumable, unique, filtered, with the right previous records: exactly the events of the model.
    expectEqual(received, this.#expected(last))
    if (this.end === undefined) return
    const { end } = this
    const next = 'next' in end ? end.next : end.resumeFrom
    expectEqual(received, this.#expected(next - 1))
    if (end.kind !== 'compacted') return
    expect(end.next).toBeLessThanOrEqual(end.compactRevision)
    expect(end.resumeFrom).toBeGreaterThan(end.next)
    expect([0, 1]).toContain(end.resumeFrom - end.compactRevision)
  }

  /** Asserts that it has received all events that the node has applied. */
  judgeComplete(): void {
    const received = this.messages.flatMap((message) => (message.kind === 'events' ? message.events : []))
    if (this.isOpen) expectEqual(received, this.#expected(this.#world.revision))
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

const toldOf = ({ key, value, createRevision, modRevision, version }: KeyRow): Told => [
  text(key),
  text(value),
  createRevision,
  modRevision,
  version,
]
