// The store can be read as it was at each revision that is kept. Its events name the changes of each revision,
// whatever was compacted before.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeVersionKey } from '../../src/kv/codec/rows.ts'
import { decodeEvents, eventsKey, type KeyEvent } from '../../src/kv/history.ts'
import { type Command, TABLE_EVENTS, TABLE_VERSIONS } from '../../src/kv/types.ts'
import type { KeyRow, Revision } from '../../src/operations/forms/index.ts'
import { expectEqual } from '../expect-equal.ts'
import { runs } from '../runs.ts'
import { ask, batchOf, deleteOf, hex, MemoryStore, putOf, rev, utf8 } from './store.ts'

type Kept = Readonly<Record<string, readonly [value: string, create: number, mod: number, version: number]>>

/** Every state that the store has had, by revision. */
class Model {
  states: Kept[] = [{}, {}]

  get revision(): number {
    return this.states.length - 1
  }

  at(revision: number): Kept {
    return this.states[revision] ?? {}
  }

  put(key: string, value: string): void {
    const now = this.at(this.revision)
    const [, create, , version] = now[key] ?? ['', this.revision + 1, 0, 0]
    this.states.push({ ...now, [key]: [value, create, this.revision + 1, version + 1] })
  }

  delete(key: string): void {
    const { [key]: before, ...rest } = this.at(this.revision)
    if (before !== undefined) this.states.push(rest)
  }
}

const KEYS = ['a', 'a\0', 'a\0b', 'ab', '\0', 'b', '\xff', 'a\x01']

type Step =
  | {
      readonly do: 'change'
      readonly changes: readonly (readonly [key: number, value: string | undefined])[]
    }
  | { readonly do: 'compact'; readonly to: number | undefined }
  | { readonly do: 'settings'; readonly revisions: number; readonly bytes: number; readonly ageMs: number }
  | { readonly do: 'wait'; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      changes: fc.array(
        fc.tuple(
          fc.nat(KEYS.length - 1),
          fc.option(fc.string({ maxLength: 6 }), { nil: undefined, freq: 3 }),
        ),
        { minLength: 1, maxLength: 5 },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('compact' as const),
      to: fc.option(fc.nat(60), { nil: undefined }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('settings' as const),
      revisions: fc.integer({ min: 1, max: 30 }),
      bytes: fc.integer({ min: 0, max: 60 }),
      ageMs: fc.integer({ min: 1000, max: 5000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(3000) }) },
)

const commandOf = (changes: readonly (readonly [number, string | undefined])[]): Command => {
  const commands = changes.map(([at, value]) => {
    const key = KEYS[at] ?? ''
    return value === undefined ? deleteOf(key) : putOf(key, value)
  })
  const [only] = commands
  return only !== undefined && commands.length === 1 ? only : batchOf(...commands)
}

test('the store reads as it was, and its events are the changes', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = new MemoryStore()
      const model = new Model()
      let now = 0
      for (const next of steps) {
        now += next.do === 'wait' ? next.ms : 1
        take(next, store, model, now)
        expectNow(store, model)
        // A change adds a revision to history. Only these two take some away.
        if (next.do === 'compact' || next.do === 'settings') expectHistory(store, model)
      }
      expectHistory(store, model)
    }),
    { numRuns: runs(300) },
  )
})

function take(step: Step, store: MemoryStore, model: Model, now: number): void {
  switch (step.do) {
    case 'change':
      for (const [at, value] of step.changes) {
        const key = KEYS[at] ?? ''
        if (value === undefined) model.delete(key)
        else model.put(key, value)
      }
      store.apply(ask(commandOf(step.changes)), now)
      return
    case 'compact': {
      const revision = step.to === undefined ? undefined : rev(step.to)
      const { compacted } = store.state.history
      const { outcome } = store.apply(ask({ kind: 'compact', revision }), now)
      if (revision === undefined) expectDone(store, now)
      else if (revision < compacted) expect(outcome).toMatchObject({ code: 'compacted' })
      else if (revision > model.revision) expect(outcome).toMatchObject({ code: 'future_revision' })
      else expect(outcome).toMatchObject({ kind: 'compacted' })
      if (revision !== undefined) expect(store.state.history.compacted).toBeGreaterThanOrEqual(compacted)
      return
    }
    case 'settings': {
      const { revisions: historyRevisionsMax, bytes: historyBytesMax, ageMs: historyAgeMs } = step
      const settings = { historyRevisionsMax, historyBytesMax, historyAgeMs }
      const { outcome } = store.apply(ask({ kind: 'settings', settings }), now)
      if (outcome.revision > model.revision) model.states.push(model.at(model.revision))
      return
    }
    default:
  }
}

/** Nothing is left that the settings allow to compact, and everything else is kept. */
function expectDone(store: MemoryStore, now: number): void {
  const { history, settings, revision } = store.state
  if (history.bytes > settings.historyBytesMax) expect(history.first).toBe(revision + 1)
  if (history.first > revision) return
  const { last, clusterTimeMs } = eventsAt(store, history.first)
  expect(revision - last).toBeLessThan(settings.historyRevisionsMax)
  expect(now - clusterTimeMs).toBeLessThanOrEqual(settings.historyAgeMs)
}

const eventsAt = (store: MemoryStore, first: Revision) => {
  const row = store.rows.get(hex(eventsKey(first)))
  if (row === undefined) throw new Error(`no events at ${first}`)
  return decodeEvents(first, row)
}

function expectNow(store: MemoryStore, model: Model): void {
  expect(store.state.revision).toBe(model.revision)
  expectEqual(shape(store.list(undefined)), sorted(model.at(model.revision)))
}

function expectHistory(store: MemoryStore, model: Model): void {
  const { history, revision, keys } = store.state
  for (let at = history.compacted; at <= revision; at = rev(at + 1)) {
    expectEqual(shape(store.list(at)), sorted(model.at(at)), `at ${at}`)
    expectEqual(shape(store.list(at, true)), sorted(model.at(at)).reverse(), `at ${at}, backwards`)
  }
  // Every revision from the first on is in exactly one row, with its changes.
  let first = history.first
  const events: KeyEvent[] = []
  while (first <= revision) {
    const row = eventsAt(store, first)
    events.push(...row.events)
    first = rev(row.last + 1)
  }
  for (const { key, revision: at, tombstone, before } of events) {
    const name = Buffer.from(key).toString()
    const [was, is] = [model.at(at - 1)[name], model.at(at)[name]]
    expectEqual([before?.revision, before?.valueBytes], [was?.[2], was && utf8(was[0]).length])
    expectEqual(tombstone === undefined, is !== undefined)
  }
  const changed = model.states.flatMap((_, at) => (at >= history.first ? differences(model, at) : []))
  expectEqual(
    events.map(({ key, revision: at }) => [at, Buffer.from(key).toString()]),
    changed,
  )
  // Versions that no read can reach are deleted.
  const rows = [...store.rows.keys()].map((name) => Buffer.from(name, 'hex'))
  const versions = rows.filter(([table]) => table === TABLE_VERSIONS).map(decodeVersionKey)
  const tombstones = events.filter(({ tombstone }) => tombstone !== undefined)
  const replaced = events.filter(({ before }) => before !== undefined)
  expect(versions).toHaveLength(keys + replaced.length + tombstones.length)
  expect(rows.filter(([table]) => table === TABLE_EVENTS)).toHaveLength(new Set(rowsOf(store)).size)
  const bytes = replaced.reduce((sum, { key, before }) => sum + key.length + (before?.valueBytes ?? 0), 0)
  expect(history.bytes).toBe(bytes)
}

function rowsOf(store: MemoryStore): number[] {
  const firsts: number[] = []
  for (let first = store.state.history.first; first <= store.state.revision; ) {
    firsts.push(first)
    first = rev(eventsAt(store, first).last + 1)
  }
  return firsts
}

const differences = (model: Model, at: number): [number, string][] => {
  const [was, is] = [model.at(at - 1), model.at(at)]
  const keys = new Set([...Object.keys(was), ...Object.keys(is)])
  return [...keys].filter((key) => was[key] !== is[key]).map((key) => [at, key])
}

const shape = (records: readonly KeyRow[]): unknown[] =>
  records.map(({ key, value, createRevision, modRevision, version }) => [
    Buffer.from(key).toString(),
    [Buffer.from(value).toString(), createRevision, modRevision, version],
  ])

const sorted = (state: Kept): unknown[] =>
  Object.entries(state).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

test('a store that gets the rows of another one, as with a snapshot, adds its events to theirs', () => {
  const [own, other] = [new MemoryStore(), new MemoryStore()]
  own.apply(ask(putOf('own', '1')))
  other.apply(ask(putOf('other', '1')))
  own.becomes(other)
  for (const store of [own, other]) store.apply(ask(putOf('both', '2')))
  expect(own.rows).toEqual(other.rows)
})
