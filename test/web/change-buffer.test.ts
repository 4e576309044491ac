// The changes that the live page keeps, and the counts of all others.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeUtf8, utf8Text } from '../../src/bytes/index.ts'
import { asRevision } from '../../src/operations/forms/store.ts'
import type { DecodedEvent } from '../../src/operations/watch.ts'
import {
  type BufferView,
  ChangeBuffer,
  type FeedChange,
  findShown,
  listEntries,
} from '../../web/src/pages/live/change-buffer.ts'
import { runs } from '../runs.ts'

const deletion = (key: string): DecodedEvent => ({
  type: 'delete',
  key: encodeUtf8(key),
  revision: asRevision(1),
  prev: undefined,
})
const contains = (text: string) => (key: Uint8Array) => utf8Text(key)?.includes(text) === true
const all = contains('')
const keysOf = (changes: readonly FeedChange[]) => changes.map(({ event }) => utf8Text(event.key))

test('the newest changes are kept; those that were filtered out and dropped are counted', () => {
  const buffer = new ChangeBuffer(3)
  buffer.receive(['a1', 'b1', 'a2', 'a3', 'a4', 'b2'].map(deletion), 1, contains('a'))
  const view = buffer.view()
  expect(keysOf(view.changes)).toEqual(['a4', 'a3', 'a2'])
  expect(view).toMatchObject({ received: 6, filtered: 2, dropped: 1 })
  expect(view.changes[0]).toMatchObject({ number: 5, time: 1 })
})

test('a smaller buffer drops the oldest, and a larger one has room for more', () => {
  const buffer = new ChangeBuffer(3)
  buffer.receive(['1', '2', '3', '4'].map(deletion), 1, all)
  buffer.resize(2)
  expect(keysOf(buffer.view().changes)).toEqual(['4', '3'])
  expect(buffer.view().dropped).toBe(2)
  buffer.resize(4)
  buffer.receive(['5', '6'].map(deletion), 1, all)
  expect(keysOf(buffer.view().changes)).toEqual(['6', '5', '4', '3'])
  expect(buffer.view().dropped).toBe(2)
})

test('what came during a pause stands behind it, and what is shown during it is not dropped', () => {
  const buffer = new ChangeBuffer(3)
  buffer.receive(['1', '2', '3'].map(deletion), 1, all)
  const paused = buffer.view()
  buffer.receive(['4', '5'].map(deletion), 1, all)
  const during = findShown(buffer.view(), paused, 3, all)
  expect(keysOf(during.changes)).toEqual(['3', '2', '1'])
  expect(during).toMatchObject({ behind: 2, dropped: 0, filtered: 0 })
  buffer.receive(['6', '7'].map(deletion), 1, all)
  expect(findShown(buffer.view(), paused, 3, all)).toMatchObject({ behind: 3, dropped: 1 })
  const after = findShown(buffer.view(), undefined, 3, all)
  expect(keysOf(after.changes)).toEqual(['7', '6', '5'])
  expect(after).toMatchObject({ behind: 0, dropped: 4 })
})

test('a filter of now hides what an earlier one kept, and gives it back', () => {
  const buffer = new ChangeBuffer(5)
  buffer.receive(['a', 'b', 'ab'].map(deletion), 1, all)
  const filtered = findShown(buffer.view(), undefined, 5, contains('b'))
  expect(keysOf(filtered.changes)).toEqual(['ab', 'b'])
  expect(filtered).toMatchObject({ filtered: 1, dropped: 0 })
  expect(findShown(buffer.view(), undefined, 5, all).changes).toHaveLength(3)
})

test('shown, filtered out, behind the pause and dropped are together all that was received', () => {
  const step = fc.oneof(
    fc.record({ keys: fc.array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 12 }) }),
    fc.record({ filter: fc.constantFrom('', 'a', 'b') }),
    fc.record({ cap: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ isPaused: fc.boolean() }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let cap = 3
      let fits = all
      let paused: BufferView | undefined
      const buffer = new ChangeBuffer(cap)
      for (const each of steps) {
        if ('keys' in each) buffer.receive(each.keys.map(deletion), 1, fits)
        else if ('filter' in each) fits = contains(each.filter)
        else if ('cap' in each) {
          cap = each.cap
          buffer.resize(cap)
        } else paused = each.isPaused ? buffer.view() : undefined
        const view = buffer.view()
        const { changes, filtered, behind, dropped } = findShown(view, paused, cap, fits)
        expect(changes.length).toBeLessThanOrEqual(cap)
        expect(dropped).toBeGreaterThanOrEqual(0)
        expect(changes.length + filtered + behind + dropped).toBe(view.received)
        expect(view.changes.length + view.filtered + view.dropped).toBe(view.received)
      }
    }),
    { numRuns: runs(200) },
  )
})

/** Limit on the bytes of keys and values that a buffer keeps. */
const BYTES_MAX = 32 << 20

test('what is kept depends on the last size and on bytes, however often the size was changed', () => {
  const value = new Uint8Array(8 << 20)
  const put = (number: number, length: number): DecodedEvent => ({
    type: 'put',
    ...{ key: encodeUtf8(String(number)), revision: asRevision(number), prev: undefined },
    record: {
      ...{ key: encodeUtf8(String(number)), value: value.subarray(0, length), version: 1, lease: undefined },
      ...{ createRevision: asRevision(number), modRevision: asRevision(number) },
    },
  })
  const step = fc.oneof(
    fc.record({ length: fc.constantFrom(0, 1 << 20, 8 << 20) }),
    fc.record({ cap: fc.integer({ min: 1, max: 8 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let cap = 3
      let kept: DecodedEvent[] = []
      const buffer = new ChangeBuffer(cap)
      const sizeOf = (event: DecodedEvent) =>
        event.key.length + (event.type === 'put' ? event.record.value.length : 0)
      steps.forEach((each, at) => {
        if ('cap' in each) {
          cap = each.cap
          buffer.resize(cap)
        } else {
          const event = put(at + 1, each.length)
          kept.push(event)
          buffer.receive([event], 1, all)
        }
        kept = kept.slice(-cap)
        while (kept.length > 1 && kept.reduce((sum, event) => sum + sizeOf(event), 0) > BYTES_MAX)
          kept.shift()
        expect(keysOf(buffer.view().changes)).toEqual(kept.map(({ key }) => utf8Text(key)).reverse())
      })
    }),
    { numRuns: runs(200) },
  )
})

test('a gap stands between the changes before and after it', () => {
  const buffer = new ChangeBuffer(10)
  buffer.receive(['1', '2'].map(deletion), 1, all)
  const gap = { after: 2, from: asRevision(8), to: asRevision(9) }
  const names = (entries: ReturnType<typeof listEntries>) =>
    entries.map((entry) => ('number' in entry ? utf8Text(entry.event.key) : 'gap'))
  expect(names(listEntries(buffer.view().changes, [gap], false))).toEqual(['gap', '2', '1'])
  buffer.receive(['3', '4'].map(deletion), 1, all)
  const second = { after: 4, from: asRevision(20), to: undefined }
  expect(names(listEntries(buffer.view().changes, [gap, second], false))).toEqual([
    ...['gap', '4', '3', 'gap', '2', '1'],
  ])
  // Between the gap and what is left, changes were dropped.
  expect(names(listEntries(buffer.view().changes.slice(0, 1), [gap], true))).toEqual(['4'])
  expect(names(listEntries([], [gap], false))).toEqual(['gap'])
})
