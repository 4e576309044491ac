// The revision of a store without keys is raised: the revisions between were never there.

import { describe, expect, test } from 'vitest'
import {
  compactedUpTo,
  decodeEvents,
  type EventRow,
  eventsKey,
  firstOfEvents,
  isReadable,
  REVISIONS_PER_ROW,
  watchFloor,
} from '../../src/kv/history.ts'
import { TABLE_EVENTS } from '../../src/kv/types.ts'
import { asRevision } from '../../src/operations/forms/index.ts'
import { ask, deleteOf, MemoryStore, putOf } from './store.ts'

const raise = (store: MemoryStore, to: number) =>
  store.apply(ask({ kind: 'raise-revision', revision: asRevision(to) })).outcome

/** All rows of events, in order. */
const eventRows = (store: MemoryStore): EventRow[] =>
  [...store.rows]
    .map(([name, row]) => ({ key: Buffer.from(name, 'hex'), row }))
    .filter(({ key }) => key[0] === TABLE_EVENTS)
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({ key, row }) => decodeEvents(firstOfEvents(key), row))

const spans = (store: MemoryStore): [number, number][] =>
  eventRows(store).map(({ first, last }) => [first, last])

/** A store whose keys were all deleted. */
function emptied(): MemoryStore {
  const store = new MemoryStore()
  store.apply(ask(putOf('a', '1')))
  store.apply(ask(deleteOf('a')))
  return store
}

describe('a raise', () => {
  test('of a new store leaves nothing before it', () => {
    const store = new MemoryStore()
    expect(raise(store, 1_000)).toEqual({ kind: 'revision-raised', revision: 1_000 })
    expect(store.apply(ask(putOf('a', '1'))).outcome).toMatchObject({
      revision: 1_001,
      createRevision: 1_001,
    })
    expect(spans(store)).toEqual([[1_001, 1_001]])
    expect(compactedUpTo(asRevision(999), store.state.history)).toBe(1_000)
    expect(watchFloor(store.state.history)).toBe(1_000)
  })

  // The row before the gap must not be continued, however small the gap is.
  test.each([1, 2, REVISIONS_PER_ROW, 1_000_000])('of %d revisions keeps the history before', (by) => {
    const store = emptied()
    const before = store.state.revision
    expect(raise(store, before + by)).toMatchObject({ kind: 'revision-raised', revision: before + by })
    for (const name of ['b', 'c']) store.apply(ask(putOf(name, '1')))
    expect(spans(store)).toEqual([
      [before - 1, before],
      [before + 1, before + by],
      [before + by + 1, before + by + 2],
    ])
    for (const revision of [before, before + by])
      expect(isReadable(asRevision(revision), store.state)).toBe(true)
    for (let between = before + 1; between < before + Math.min(by, 20); between++)
      expect(isReadable(asRevision(between), store.state)).toBe(false)
    expect(store.rows.has(Buffer.from(eventsKey(asRevision(before + 1))).toString('hex'))).toBe(true)
    // The skipped revisions are none that the settings would keep others for.
    const kept = eventRows(store)
    store.apply(ask({ kind: 'compact', revision: undefined }))
    expect(eventRows(store)).toEqual(kept)
  })

  test('to the same revision again changes nothing', () => {
    const store = emptied()
    raise(store, 500)
    const { rows, state } = store
    const before = [new Map(rows), state]
    expect(raise(store, 500)).toEqual({ kind: 'revision-raised', revision: 500 })
    expect([new Map(store.rows), store.state]).toEqual(before)
  })

  test('once more remembers the newer gap', () => {
    const store = emptied()
    for (const to of [100, 200]) raise(store, to)
    store.apply(ask(putOf('b', '1')))
    expect(store.state.history).toMatchObject({ skipped: { after: 100, to: 200 }, compacted: 100 })
    expect(isReadable(asRevision(50), store.state)).toBe(false)
    expect(isReadable(asRevision(100), store.state)).toBe(true)
  })

  test('is refused where there are keys, and downwards', () => {
    const store = new MemoryStore()
    store.apply(ask(putOf('a', '1')))
    const { revision } = store.state
    expect(raise(store, 10)).toMatchObject({ kind: 'refused', code: 'bad_request', numbers: [1, 10] })
    expect(raise(store, 1)).toMatchObject({ kind: 'refused', reason: 'revision-passed' })
    expect(store.state.revision).toBe(revision)
  })
})
