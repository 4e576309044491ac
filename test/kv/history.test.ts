// Rows of events: where one ends, how many go in one step of compaction, and what is due at which moment.

import { describe, expect, test } from 'vitest'
import { tombstoneKey, versionKey } from '../../src/kv/codec/rows.ts'
import { MalformedBytesError, UnknownKindError } from '../../src/kv/errors.ts'
import {
  decodeEvents,
  EVENT_ROWS_PER_STEP_MAX,
  EVENTS_PER_STEP_MAX,
  type EventRow,
  eventsKey,
  firstOfEvents,
  REVISIONS_PER_ROW,
  ROW_BYTES,
  watchFloor,
} from '../../src/kv/history.ts'
import { TABLE_EVENTS } from '../../src/kv/types.ts'
import { ask, batchOf, deleteOf, hex, MemoryStore, putOf, rev, utf8 } from './store.ts'

/** All rows of events, in order. */
function eventRows(store: MemoryStore): EventRow[] {
  return [...store.rows]
    .map(([name, row]) => ({ key: Buffer.from(name, 'hex'), row }))
    .filter(({ key }) => key[0] === TABLE_EVENTS)
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({ key, row }) => decodeEvents(firstOfEvents(key), row))
}

const lengths = (store: MemoryStore): number[] => eventRows(store).map(({ first, last }) => last - first + 1)

const keysIn = ({ events }: EventRow): string[] => events.map(({ key }) => Buffer.from(key).toString())

describe('a row of events ends', () => {
  test(`after ${REVISIONS_PER_ROW} revisions`, () => {
    const store = new MemoryStore()
    for (let n = 0; n <= 2 * REVISIONS_PER_ROW; n++) store.apply(ask(putOf('a', `${n}`)))
    expect(lengths(store)).toEqual([REVISIONS_PER_ROW, REVISIONS_PER_ROW, 1])
  })

  // An event of a new key has five bytes and the key.
  test.each([
    ['at ROW_BYTES', 0, [4, 1]],
    ['not one byte before', 1, [5]],
  ])('%s', (_, fewer, expected) => {
    const store = new MemoryStore()
    const keyBytes = ROW_BYTES / 4 - 5
    for (const [at, letter] of ['a', 'b', 'c', 'd'].entries())
      store.apply(ask(putOf(letter.repeat(at === 0 ? keyBytes - fewer : keyBytes), '')))
    store.apply(ask(putOf('e', '')))
    expect(lengths(store)).toEqual(expected)
  })

  test('behind the last change of one entry, however many that has', () => {
    const store = new MemoryStore()
    const names = Array.from({ length: 100 }, (_, n) => `${n}`.padStart(4000, 'x'))
    store.apply(ask(putOf('first', '')))
    store.apply(ask(batchOf(...names.map((name) => putOf(name, '')))))
    for (const name of ['y', 'z']) store.apply(ask(putOf(name, '')))
    expect(eventRows(store).map(keysIn)).toEqual([
      ['first', ...names],
      ['y', 'z'],
    ])
    // The same batch again, over the versions of the first one.
    store.apply(ask(batchOf(...names.map((name) => putOf(name, '')))))
    store.apply(ask(putOf('z', '')))
    expect(eventRows(store).map(keysIn).slice(1)).toEqual([['y', 'z', ...names], ['z']])
  })
})

test('of thousands of keys that go at once each event names the rows that it has replaced', () => {
  const store = new MemoryStore()
  const names = Array.from({ length: 2500 }, (_, n) => `${n}`.padStart(4, '0'))
  for (let at = 0; at < names.length; at += 500)
    store.apply(ask(batchOf(...names.slice(at, at + 500).map((name) => putOf(name, name)))))
  store.apply(ask({ kind: 'delete-range', range: { start: utf8(''), end: undefined } }))
  const last = eventRows(store).at(-1)
  expect(last && keysIn(last)).toEqual(names)
  // The store of this test compares the hash of each row that it deletes.
  while (eventRows(store).length > 0) store.apply(ask({ kind: 'compact', revision: undefined }), 10_000_000)
  expect(store.rows.size).toBe(0)
})

describe('one step of compaction', () => {
  /** Makes everything due, and takes one step. */
  function step(store: MemoryStore): void {
    const rows = eventRows(store)
    let [count, events] = [0, 0]
    while (count < rows.length && count < EVENT_ROWS_PER_STEP_MAX && events < EVENTS_PER_STEP_MAX)
      events += rows[count++]?.events.length ?? 0
    store.apply(ask({ kind: 'compact', revision: undefined }), 10_000_000)
    const { history, revision } = store.state
    expect(eventRows(store)).toEqual(rows.slice(count))
    expect(history.first).toBe(rows[count]?.first ?? revision + 1)
    expect(history.compacted).toBe(history.first - 1)
    const kept = rows.slice(count).flatMap((row) => row.events)
    const bytes = kept.reduce(
      (sum, { key, before }) => sum + (before ? key.length + before.valueBytes : 0),
      0,
    )
    expect(history.bytes).toBe(bytes)
    // The versions that remain are the newest, tombstones, and those that a remaining event has replaced.
    for (const { key, revision, tombstone, before } of rows.slice(0, count).flatMap((row) => row.events)) {
      if (tombstone) expect(store.rows.has(hex(tombstoneKey(key, revision)))).toBe(false)
      if (before) expect(store.rows.has(hex(versionKey(key, before.revision)))).toBe(false)
    }
  }

  test(`deletes at most ${EVENT_ROWS_PER_STEP_MAX} rows`, () => {
    const store = new MemoryStore()
    // Revisions without an event.
    const changes = REVISIONS_PER_ROW * (EVENT_ROWS_PER_STEP_MAX + 2)
    for (let n = 0; n < changes; n++)
      store.apply(ask({ kind: 'settings', settings: { rangeKeysMax: 1000 + n } }))
    step(store)
    expect(eventRows(store)).toHaveLength(2)
    step(store)
    expect(eventRows(store)).toHaveLength(0)
    step(store)
  })

  test(`deletes rows until they had ${EVENTS_PER_STEP_MAX} events`, () => {
    const store = new MemoryStore()
    const names = Array.from({ length: EVENTS_PER_STEP_MAX / 2 }, (_, n) => `key-${n}`)
    for (let round = 0; round < 2; round++) {
      store.apply(ask(batchOf(...names.map((name) => putOf(name, 'value')))))
      store.apply(ask({ kind: 'delete-range', range: { start: utf8(''), end: undefined } }))
    }
    const before = eventRows(store).length
    step(store)
    expect(eventRows(store).length).toBeLessThan(before)
    expect(eventRows(store).length).toBeGreaterThan(0)
    while (eventRows(store).length > 0) step(store)
    expect(store.state.history.bytes).toBe(0)
  })
})

test('bytes that are no events are refused', () => {
  expect(() => firstOfEvents(versionKey(utf8('a'), rev(2)))).toThrow(MalformedBytesError)
  const store = new MemoryStore()
  store.apply(ask(putOf('a', '')))
  const row = store.rows.get(hex(eventsKey(rev(2)))) ?? new Uint8Array()
  const changed = Uint8Array.from(row)
  changed[10] = 4
  expect(() => decodeEvents(rev(2), changed)).toThrow(UnknownKindError)
  expect(() => decodeEvents(rev(2), row.subarray(0, -1))).toThrow('a row of events')
})

test('compaction may be repeated, but it goes neither back nor beyond the newest revision', () => {
  const store = new MemoryStore()
  for (let at = 0; at < 5; at++) store.apply(ask(putOf('k', `${at}`)))
  const compact = (revision: number) => store.apply(ask({ kind: 'compact', revision: rev(revision) })).outcome
  expect(compact(4)).toMatchObject({ kind: 'compacted', compactRevision: 4 })
  expect(compact(4)).toMatchObject({ kind: 'compacted', compactRevision: 4 })
  expect(compact(3)).toMatchObject({ kind: 'refused', code: 'compacted', numbers: [3, 4] })
  const forward = { kind: 'compact', revision: rev(4), onlyForward: true } as const
  expect(store.apply(ask(forward)).outcome).toMatchObject({ code: 'compacted', numbers: [4, 4] })
  expect(store.apply(ask({ ...forward, revision: rev(5) })).outcome).toMatchObject({ compactRevision: 5 })
  expect(compact(7)).toMatchObject({ kind: 'refused', code: 'future_revision', numbers: [7, 6] })
  expect(compact(6)).toMatchObject({ kind: 'compacted', compactRevision: 6 })
})

test('the events of the revision to which a client compacts are kept, and may be watched, deletions too', () => {
  const store = new MemoryStore()
  const compact = (revision: number | undefined, now = 0) =>
    store.apply(ask({ kind: 'compact', revision: revision === undefined ? undefined : rev(revision) }), now)
  for (let at = 0; at < REVISIONS_PER_ROW; at++) store.apply(ask(putOf('k', `${at}`)))
  store.apply(ask(deleteOf('k')))
  const { revision } = store.state
  expect(watchFloor(store.state.history)).toBe(1)
  compact(revision - 1)
  expect(watchFloor(store.state.history)).toBe(revision - 2)
  compact(revision)
  expect(watchFloor(store.state.history)).toBe(revision - 1)
  const events = eventRows(store).flatMap((row) => row.events)
  expect(events.filter((event) => event.revision === revision)).toMatchObject([{ tombstone: {} }])
  // History that is too old goes altogether.
  compact(undefined, 10_000_000)
  expect(eventRows(store)).toEqual([])
  expect(store.state.history).toMatchObject({ compacted: revision, first: revision + 1 })
  expect(watchFloor(store.state.history)).toBe(revision)
})

test('a store that gets the rows of another one, as with a snapshot, adds its events to theirs', () => {
  const [own, other] = [new MemoryStore(), new MemoryStore()]
  own.apply(ask(putOf('own', '1')))
  other.apply(ask(putOf('other', '1')))
  own.becomes(other)
  for (const store of [own, other]) store.apply(ask(putOf('both', '2')))
  expect(own.rows).toEqual(other.rows)
})
