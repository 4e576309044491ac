// Answers and watch messages of a correct store pass when they are judged by the log. Requests may be unanswered or
// applied late, fields may be missing, and some clients may be unrecorded.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { judge } from '../../../jepsen-lite/checker/index.ts'
import { compareKeys } from '../../../jepsen-lite/checker/keys.ts'
import type {
  WatchedEvent,
  WatchedRow,
  WatchMessage,
  WatchSelection,
} from '../../../jepsen-lite/checker/watch/index.ts'
import {
  type AnyOperation,
  formatEvent,
  type HistoryOperation,
  parseHistory,
  type RecordedResult,
} from '../../../jepsen-lite/workload/history.ts'
import { runs } from '../../runs.ts'
import { type Asked, Story } from './story.ts'

const KEYS = ['a', 'b/1', 'b/2', 'c']
/** Times to live of the leases, in the order of their grants. */
const LEASES = ['0', '1', '2']
const key = fc.constantFrom(...KEYS)
const value = fc.constantFrom('x', 'y')
const lease = fc.constantFrom(...LEASES)
const is = <F extends string>(f: F) => fc.constant(f)
const conditions = { ifRevision: fc.integer({ min: 1, max: 8 }), ifAbsent: fc.constant(true as const) }

const put = fc.oneof(
  fc.record({ f: is('put'), key, value }),
  fc.record({ f: is('put'), key, value, ifRevision: conditions.ifRevision }),
  fc.record({ f: is('put'), key, value, ifAbsent: conditions.ifAbsent }),
  fc.record({ f: is('put'), key, value, lease }),
  fc.record({ f: is('put'), key, value, ttlMs: fc.integer({ min: 1, max: 30 }) }),
)
const del = fc.oneof(
  fc.record({ f: is('del'), key }),
  fc.record({ f: is('del'), key, ifRevision: conditions.ifRevision }),
)
type Single = AnyOperation
interface Txn {
  readonly f: 'txn'
  readonly steps: readonly HistoryOperation[]
}

const operation: fc.Arbitrary<Single | Txn> = fc.oneof(
  { weight: 5, arbitrary: put },
  { weight: 3, arbitrary: del },
  { weight: 2, arbitrary: fc.record({ f: is('get'), key }) },
  { weight: 1, arbitrary: fc.record({ f: is('get'), key, consistency: is('stale') }) },
  { weight: 1, arbitrary: fc.record({ f: is('get'), key, at: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ f: is('range'), prefix: fc.constantFrom('', 'b/') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      f: is('range'),
      prefix: fc.constantFrom('', 'b/'),
      limit: fc.integer({ min: 1, max: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ f: is('del-range'), prefix: fc.constantFrom('', 'b/', 'z') }) },
  { weight: 1, arbitrary: fc.record({ f: is('compact'), revision: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ f: is('grant'), ttlMs: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ f: is('keep-alive'), lease }) },
  { weight: 2, arbitrary: fc.record({ f: is('revoke'), lease }) },
  { weight: 1, arbitrary: fc.record({ f: is('lease'), lease }) },
  {
    weight: 2,
    arbitrary: fc.record({
      f: is('txn'),
      steps: fc.uniqueArray(
        fc.oneof(
          fc.record({ f: is('put'), key, value }),
          fc.record({ f: is('del'), key }),
          fc.record({ f: is('put'), key, value, ifRevision: conditions.ifRevision }),
        ),
        { minLength: 1, maxLength: 3, selector: (one) => one.key },
      ),
    }),
  },
)

const FIELDS = ['revision', 'modRevision', 'version', 'current', 'removed', 'deleted'] as const
const LANES = 4
const lane = fc.integer({ min: 0, max: LANES - 1 })
const watched: fc.Arbitrary<WatchSelection> = fc
  .record({
    key: fc.option(key, { nil: undefined }),
    only: fc.option(fc.constantFrom('put' as const, 'delete' as const), { nil: undefined }),
    from: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
    prev: fc.boolean(),
    values: fc.boolean(),
  })
  .map(({ key: one, from, only, ...others }) => ({
    ...(one === undefined ? { start: '' } : { key: one }),
    ...(from !== undefined && { from }),
    ...(only !== undefined && { only }),
    ...others,
  }))

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: is('ask'), lane, op: operation }) },
  { weight: 5, arbitrary: fc.record({ what: is('apply'), lane }) },
  {
    weight: 6,
    arbitrary: fc.record({
      what: is('end'),
      lane,
      unknown: fc.integer({ min: 0, max: 3 }).map((one) => one === 0),
      omitted: fc.subarray([...FIELDS], { maxLength: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: is('late'), which: fc.nat({ max: 10 }) }) },
  { weight: 3, arbitrary: fc.record({ what: is('log') }) },
  { weight: 1, arbitrary: fc.record({ what: is('relog') }) },
  { weight: 2, arbitrary: fc.record({ what: is('expire'), lease: fc.nat({ max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ what: is('watch'), asked: watched }) },
  { weight: 2, arbitrary: fc.record({ what: is('tell'), which: fc.nat({ max: 5 }) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface Event {
  readonly key: string
  readonly revision: number
  readonly record: WatchedRow | null
  readonly prev: WatchedRow | null
}

class Store {
  revision = 1
  compacted = 0
  readonly rows = new Map<string, WatchedRow>()
  readonly events: Event[] = []
  readonly leases = new Map<string, { readonly ttlMs: number; deadlineMs: number }>()
  granted = 0
  /** The newest revision of the log. */
  toldUpTo = 1

  stateAt(revision: number): Map<string, WatchedRow> {
    const rows = new Map<string, WatchedRow>()
    for (const one of this.events) {
      if (one.revision > revision) break
      if (one.record === null) rows.delete(one.key)
      else rows.set(one.key, one.record)
    }
    return rows
  }

  /** Undefined: refused with an error, which says that it was not done. */
  answer(op: Single, nowMs: number): RecordedResult | undefined {
    switch (op.f) {
      case 'get': {
        const now = op.consistency === 'stale' ? Math.max(1, this.revision - 2) : this.revision
        if (op.at !== undefined && op.at > now) return undefined
        if (op.at !== undefined && op.at < this.compacted) return { applied: false }
        const row = this.stateAt(op.at ?? now).get(op.key)
        return row === undefined
          ? { value: null, revision: now }
          : { value: row.value, modRevision: row.modRevision, version: row.version, revision: now }
      }
      case 'range': {
        const all = [...this.rows.values()]
          .filter((row) => row.key.startsWith(op.prefix ?? ''))
          .sort((a, b) => compareKeys(a.key, b.key))
        const rows = all.slice(0, op.limit ?? all.length)
        const more = rows.length < all.length
        const last = rows.at(-1)?.key
        return {
          rows: rows.map((row) => ({ key: row.key, value: row.value, modRevision: row.modRevision })),
          revision: this.revision,
          ...(more && { more, next: last ?? '' }),
        }
      }
      case 'put':
      case 'del':
        return this.#change([op], nowMs)?.[0]
      case 'del-range': {
        const keys = [...this.rows.keys()].filter((one) => one.startsWith(op.prefix ?? ''))
        return this.#remove(keys)
      }
      case 'compact': {
        if (op.revision > this.toldUpTo) return undefined
        if (op.revision <= this.compacted) return { applied: false, revision: this.revision }
        this.compacted = op.revision
        return { revision: this.revision }
      }
      case 'grant': {
        const id = String(this.granted++)
        this.leases.set(id, { ttlMs: op.ttlMs, deadlineMs: nowMs + op.ttlMs })
        return { lease: id, ttlMs: op.ttlMs }
      }
      case 'keep-alive': {
        const held = this.leases.get(op.lease)
        if (held === undefined) return { applied: false }
        held.deadlineMs = nowMs + held.ttlMs
        return { ttlMs: held.ttlMs }
      }
      case 'lease':
        return this.leases.has(op.lease) ? { ttlMs: 0 } : { applied: false }
      case 'revoke': {
        if (!this.leases.has(op.lease)) return { applied: false }
        return this.end(op.lease)
      }
      default:
        return undefined
    }
  }

  end(id: string): RecordedResult {
    this.leases.delete(id)
    return this.#remove([...this.rows.values()].filter((row) => row.lease === id).map((row) => row.key))
  }

  #remove(keys: readonly string[]): RecordedResult {
    if (keys.length > 0) this.revision++
    for (const one of keys) this.#set(one, null)
    return { removed: keys.length, revision: this.revision }
  }

  #set(at: string, record: WatchedRow | null): void {
    this.events.push({ key: at, revision: this.revision, record, prev: this.rows.get(at) ?? null })
    if (record === null) this.rows.delete(at)
    else this.rows.set(at, record)
  }

  /** All or nothing. */
  transaction(steps: readonly HistoryOperation[], nowMs: number): readonly (RecordedResult | undefined)[] {
    return this.#change(steps, nowMs) ?? steps.map(() => undefined)
  }

  #change(steps: readonly HistoryOperation[], nowMs: number): (RecordedResult | undefined)[] | undefined {
    for (const one of steps) {
      if (one.f !== 'put' && one.f !== 'del') continue
      const found = this.rows.get(one.key)?.modRevision
      const isRefused =
        (one.ifAbsent && found !== undefined) || (one.ifRevision !== undefined && one.ifRevision !== found)
      if (isRefused)
        return steps.map((other) =>
          other === one || steps.length === 1
            ? {
                applied: false,
                revision: this.revision,
                ...(steps.length === 1 && { current: found ?? null }),
              }
            : undefined,
        )
      if (one.f === 'put' && one.lease !== undefined && !this.leases.has(one.lease))
        return steps.map(() => ({ applied: false }))
    }
    const changes = steps.some((one) => one.f === 'put' || (one.f === 'del' && this.rows.has(one.key)))
    if (changes) this.revision++
    return steps.map((one) => {
      if (one.f === 'del') {
        const deleted = this.rows.has(one.key) ? 1 : 0
        if (deleted === 1) this.#set(one.key, null)
        return { deleted, revision: this.revision }
      }
      if (one.f !== 'put') return undefined
      const before = this.rows.get(one.key)
      let held = one.lease
      if (one.ttlMs !== undefined) {
        held = `own ${this.granted++}`
        this.leases.set(held, { ttlMs: one.ttlMs, deadlineMs: nowMs + one.ttlMs })
      }
      const version = (before?.version ?? 0) + 1
      this.#set(one.key, {
        key: one.key,
        value: one.value,
        createRevision: before?.createRevision ?? this.revision,
        modRevision: this.revision,
        version,
        ...(held !== undefined && { lease: held }),
      })
      return { modRevision: this.revision, version, revision: this.revision }
    })
  }
}

/** Nobody else writes its values. */
const renamed = (op: Single | Txn): Single | Txn =>
  op.f === 'txn'
    ? { ...op, steps: op.steps.map((one) => (one.f === 'put' ? { ...one, value: 'u' } : one)) }
    : op.f === 'put'
      ? { ...op, value: 'u' }
      : op

interface Lane {
  readonly op: Single | Txn
  /** Not recorded: none. */
  readonly asked: readonly Asked[]
  answer?: readonly (RecordedResult | undefined)[]
}

interface Watching {
  readonly asked: WatchSelection
  readonly tell: (told: WatchMessage) => void
  /** Everything before it was delivered. */
  next: number
  hasEnded: boolean
}

/** The lane that is not recorded, or none. */
function played(steps: readonly Step[], unrecorded: number | undefined): Story {
  const isComplete = unrecorded === undefined
  const story = new Story({ workload: 'watch', log: 'log', ...(isComplete && { complete: true }) })
  const store = new Store()
  const lanes = new Map<number, Lane>()
  const late: (Single | Txn)[] = []
  const watches: Watching[] = []
  let transaction = 0
  const now = (): number =>
    story.events.at(-1)?.type === 'history' ? 0 : (story.events.at(-1) as { time: number }).time

  const begin = (asked: WatchSelection, client: string): Watching => {
    const tell = story.watch(asked, client)
    const first = Math.max(2, asked.from ?? store.revision + 1)
    const one: Watching = { asked, tell, next: first, hasEnded: false }
    if (first < store.compacted) {
      one.hasEnded = true
      tell({
        kind: 'compacted',
        next: first,
        compactRevision: store.compacted,
        resumeFrom: store.compacted + 1,
      })
    } else tell({ kind: 'created', revision: store.revision, from: first })
    return one
  }
  const rowOf = (row: WatchedRow, values: boolean) => {
    if (values) return row
    const { value: _, ...others } = row
    return others
  }
  const wants = (event: Event, { key: one, only }: WatchSelection): boolean =>
    (one === undefined || event.key === one) &&
    (only === undefined || only === (event.record === null ? 'delete' : 'put'))
  const tellNext = (one: Watching, isLog = false): boolean => {
    if (one.hasEnded) return false
    if (!isLog && one.next < store.compacted && one.next <= store.revision) {
      one.hasEnded = true
      one.tell({
        kind: 'compacted',
        next: one.next,
        compactRevision: store.compacted,
        resumeFrom: store.compacted + 1,
      })
      return false
    }
    const next = store.events.find((event) => event.revision >= one.next && wants(event, one.asked))
    if (next === undefined) {
      if (one.next <= store.revision) one.tell({ kind: 'progress', revision: store.revision })
      one.next = Math.max(one.next, store.revision + 1)
      return false
    }
    const events = store.events
      .filter((event) => event.revision === next.revision && wants(event, one.asked))
      .map((event): WatchedEvent => {
        const { values, prev } = one.asked
        return {
          key: event.key,
          type: event.record === null ? 'delete' : 'put',
          ...(event.record !== null && { record: rowOf(event.record, values) }),
          ...(prev && { prev: event.prev === null ? null : rowOf(event.prev, values) }),
        }
      })
    one.tell({ kind: 'events', revision: next.revision, events })
    one.next = next.revision + 1
    return true
  }

  let log = begin({ start: '', from: 1, prev: false, values: true }, 'log')
  const tellLog = (): boolean => {
    const more = tellNext(log, true)
    store.toldUpTo = log.next - 1
    return more
  }
  const apply = (op: Single | Txn): readonly (RecordedResult | undefined)[] =>
    op.f === 'txn' ? store.transaction(op.steps, now()) : [store.answer(op, now())]

  for (const one of steps) {
    switch (one.what) {
      case 'ask': {
        if (lanes.has(one.lane)) break
        const op = one.lane === unrecorded ? renamed(one.op) : one.op
        if (op.f === 'keep-alive' || op.f === 'revoke' || op.f === 'lease' || (op.f === 'put' && op.lease)) {
          if (Number((op as { lease: string }).lease) >= store.granted) break
        }
        const client = `c${one.lane}`
        const isRecorded = one.lane !== unrecorded
        if (op.f === 'txn') transaction++
        const asked = !isRecorded
          ? []
          : op.f === 'txn'
            ? op.steps.map((part, at) => story.ask(part, `${client}.${at}`, transaction))
            : [story.ask(op, client)]
        lanes.set(one.lane, { op, asked })
        break
      }
      case 'apply': {
        const at = lanes.get(one.lane)
        if (at !== undefined && at.answer === undefined) at.answer = apply(at.op)
        break
      }
      case 'end': {
        const at = lanes.get(one.lane)
        if (at === undefined) break
        lanes.delete(one.lane)
        const isRead = at.op.f === 'get' || at.op.f === 'range' || at.op.f === 'lease'
        for (const [index, asked] of at.asked.entries()) {
          const result = at.answer?.[index]
          if (isRead && (one.unknown || at.answer === undefined)) asked.fail()
          else if (at.answer === undefined || one.unknown) asked.unknown()
          else if (result === undefined) asked.fail()
          else {
            const kept = { ...result } as Record<string, unknown>
            for (const field of one.omitted)
              if (!(at.op.f === 'range' && field === 'revision')) delete kept[field]
            asked.ok(kept as RecordedResult)
          }
        }
        if (at.answer === undefined && !isRead) late.push(at.op)
        break
      }
      case 'late': {
        const [op] = late.splice(one.which % Math.max(1, late.length), 1)
        if (op !== undefined) apply(op)
        break
      }
      case 'log':
        tellLog()
        break
      case 'relog':
        log.tell({ kind: 'stopped', resumeFrom: log.next })
        log = begin({ start: '', from: log.next, prev: false, values: true }, 'log')
        break
      case 'expire': {
        const due = [...store.leases].filter(([, { deadlineMs }]) => deadlineMs < now())
        const id = due[one.lease % Math.max(1, due.length)]?.[0]
        if (id !== undefined) store.end(id)
        break
      }
      case 'watch':
        watches.push(begin(one.asked, `w${watches.length}`))
        break
      case 'tell': {
        const watch = watches[one.which % Math.max(1, watches.length)]
        if (watch !== undefined) tellNext(watch)
        break
      }
    }
  }
  while (tellLog());
  log.tell({ kind: 'due', revision: store.revision })
  for (const watch of watches) {
    while (tellNext(watch));
    if (!watch.hasEnded) watch.tell({ kind: 'due', revision: store.revision })
  }
  const rows = [...store.rows.values()].map(({ key: one, value: what, modRevision, version }) => ({
    ...{ key: one, value: what, modRevision, version },
  }))
  story.final('n1', store.revision, 'hash', rows)
  return story
}

test.each([
  ['all of them are recorded', undefined],
  ['one client is not recorded', LANES - 1],
] as const)('what a right store has done is never called wrong: %s', (_, unrecorded) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const { events } = played(steps, unrecorded)
      const { findings } = judge(parseHistory(events.map(formatEvent).join('\n')))
      expect(findings.map(({ check, message }) => `${check}: ${message}`)).toEqual([])
    }),
    { numRuns: runs(500) },
  )
})
