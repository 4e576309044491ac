// Writes become batches of bounded size: in order, complete in the end, and each as large as allowed.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asIndex } from '../../src/raft/types.ts'
import { costOf, cut, endAfter, packed, RECORD_BYTES_MAX } from '../../src/storage/batches.ts'
import { runs } from '../runs.ts'
import { metaOf } from './conformance.ts'
import { memoryDisk, openDisk } from './replicas.ts'
import { applyRows, entries, entry, must, write } from './samples.ts'

/** Bytes of an entry without a body. */
const LEAST = entry(2, 1, '').frame.length
const sized = (bytes: number, at = 0): ReturnType<typeof entry> => entry(2 + at, 1, 'x'.repeat(bytes - LEAST))
const list = (...sizes: readonly number[]): ReturnType<typeof entry>[] => sizes.map(sized)
const bytesOf = (group: readonly { readonly frame: Uint8Array }[]): number =>
  group.reduce((sum, { frame }) => sum + frame.length, 0)
const sizesOf = (groups: readonly (readonly ReturnType<typeof entry>[])[]): number[][] =>
  groups.map((group) => group.map(({ frame }) => frame.length))

const snapshot = await (async () => {
  const source = (await openDisk(memoryDisk())).snapshotSource()
  return { meta: { ...metaOf(source), index: asIndex(20) }, snapshotId: source.id, keepLog: false }
})()

test('a write costs its entries, and the record that a truncation may rewrite', () => {
  expect(costOf(write({}))).toEqual({ bytes: 0, items: 0 })
  expect(costOf(write({ entries: list(100, 150) }))).toEqual({ bytes: 250, items: 2 })
  expect(costOf(write({ truncateFrom: 2, entries: list(100) }))).toEqual({
    bytes: 100 + RECORD_BYTES_MAX,
    items: 1,
  })
  expect(RECORD_BYTES_MAX).toBe(262_144)
})

test.each([
  [[], 250, undefined, []],
  [[100], 99, undefined, [[100]]],
  [[100, 100, 60], 260, undefined, [[100, 100, 60]]],
  [[100, 100, 61], 260, undefined, [[100, 100], [61]]],
  [[300, 100, 300, 100], 250, undefined, [[300], [100], [300], [100]]],
  [[100, 100, 100], 999, 3, [[100, 100, 100]]],
  [[100, 100, 100], 999, 2, [[100, 100], [100]]],
  [[100, 100, 100], 999, 1, [[100], [100], [100]]],
])('entries of %j in groups of %i bytes and %s items', (sizes, bytesMax, itemsMax, expected) => {
  expect(sizesOf(packed(list(...sizes), bytesMax, itemsMax))).toEqual(expected)
})

describe('a write', () => {
  const limits = { batchBytesMax: 260, batchItemsMax: 3 }

  test.each([[[100, 100, 60]], [[60, 60, 60]], [[]]])('that fits stays as it is: %j', (sizes) => {
    const whole = write({ entries: list(...sizes) })
    expect(cut(whole, limits)).toEqual([whole])
  })

  test('that truncates, too, when it fits exactly', () => {
    const whole = write({ truncateFrom: 2, entries: list(100, 100) })
    expect(cut(whole, { batchBytesMax: 200 + RECORD_BYTES_MAX, batchItemsMax: 2 })).toEqual([whole])
    expect(cut(whole, { batchBytesMax: 199 + RECORD_BYTES_MAX, batchItemsMax: 2 })).not.toEqual([whole])
    expect(cut(whole, { batchBytesMax: 200 + RECORD_BYTES_MAX, batchItemsMax: 1 })).not.toEqual([whole])
  })

  test.each([
    ['bytes', [100, 100, 61], [[100, 100], [61]]],
    ['items', [60, 60, 60, 60], [[60, 60, 60], [60]]],
  ])('that has too many %s is cut', (_what, sizes, expected) => {
    const whole = write({ entries: list(...sizes) })
    const parts = cut(whole, limits)
    expect(sizesOf(parts.map((part) => part.entries))).toEqual(expected)
    expect(parts.map(({ number, hardState }) => ({ number, hardState }))).toEqual(
      expected.map(() => ({ number: whole.number, hardState: whole.hardState })),
    )
  })

  test.each([
    ['a truncation', { truncateFrom: 2 }],
    ['a snapshot', { snapshot }],
  ])('that begins with %s does that by itself and once', (_what, change) => {
    const whole = write({ ...change, entries: list(100, 100, 100) })
    const parts = cut(whole, limits)
    expect(parts[0]).toEqual({ ...whole, entries: [] })
    expect(sizesOf(parts.slice(1).map((part) => part.entries))).toEqual([[100, 100], [100]])
    for (const part of parts.slice(1))
      expect(part).toMatchObject({ number: whole.number, truncateFrom: undefined, snapshot: undefined })
  })

  test('loses nothing and keeps the order, whatever its entries are', () => {
    const sizes = fc.array(fc.integer({ min: LEAST, max: LEAST + 300 }), { maxLength: 12 })
    const drawn = fc.record({
      batchBytesMax: fc.integer({ min: 1, max: 700 }),
      batchItemsMax: fc.integer({ min: 1, max: 6 }),
    })
    fc.assert(
      fc.property(sizes, drawn, (drawnSizes, drawnLimits) => {
        const whole = write({ entries: drawnSizes.map(sized) })
        const parts = cut(whole, drawnLimits)
        expect(parts.flatMap((part) => part.entries)).toEqual(whole.entries)
        for (const part of parts) {
          if (part.entries.length === 1) continue
          expect(bytesOf(part.entries)).toBeLessThanOrEqual(drawnLimits.batchBytesMax)
          expect(part.entries.length).toBeLessThanOrEqual(drawnLimits.batchItemsMax)
        }
        for (const [at, part] of parts.entries()) {
          const next = parts[at + 1]?.entries[0]
          if (next === undefined) continue
          const isFull =
            part.entries.length === drawnLimits.batchItemsMax ||
            bytesOf([...part.entries, next]) > drawnLimits.batchBytesMax
          expect(isFull, 'no more parts than need be').toBe(true)
        }
      }),
      { numRuns: runs(300) },
    )
  })
})

test.each<[string, Parameters<typeof write>[0][], number]>([
  ['nothing', [], 9],
  ['entries', [{ entries: entries(10, 12, 1) }], 12],
  ['a truncation', [{ truncateFrom: 5 }], 4],
  ['a truncation behind the end', [{ truncateFrom: 12 }], 9],
  ['a truncation with entries', [{ truncateFrom: 5, entries: entries(5, 6, 1) }], 6],
  ['a snapshot that replaces the log', [{ snapshot }], 20],
  ['a snapshot with entries', [{ snapshot, entries: entries(21, 22, 1) }], 22],
  ['a snapshot that keeps the log', [{ snapshot: { ...snapshot, keepLog: true } }], 9],
  [
    'one after the other',
    [{ entries: entries(10, 12, 1) }, { truncateFrom: 11 }, { entries: entries(11, 11, 1) }],
    11,
  ],
])('a log that ends at 9 ends elsewhere after %s', (_what, changes, end) => {
  expect(endAfter(asIndex(9), changes.map(write))).toBe(end)
})

test('a chunk of a snapshot holds no more rows and bytes than it may', async () => {
  const storage = await openDisk(memoryDisk())
  const row = (at: number, bytes: number): { key: Uint8Array; value: Uint8Array } => ({
    key: Uint8Array.of(1, at >>> 8, at & 0xff),
    value: new Uint8Array(bytes),
  })
  const { index, term } = storage.applied
  const small = Array.from({ length: 5000 }, (_, at) => row(at, 0))
  const large = Array.from({ length: 6 }, (_, at) => row(6000 + at, 100_000 - 3))
  applyRows(storage, [...small, ...large], { ...storage.applied, index: asIndex(index + 1), term })
  const source = storage.snapshotSource()
  const chunks: number[] = []
  for (let number = 0; ; number++) {
    const chunk = await new Promise<Uint8Array | undefined>((resolve, reject) =>
      source.read(number, (error, read) => (error === undefined ? resolve(read) : reject(error))),
    )
    if (chunk === undefined) break
    chunks.push(must(chunk).length)
  }
  // In addition to the rows: number, checksum, and two lengths for each row.
  const [rowBytes, largeBytes] = [3 + 8, 100_000 + 8]
  expect(chunks).toEqual([
    8 + 4096 * rowBytes + 4,
    8 + 904 * rowBytes + 2 * largeBytes + 4,
    8 + 2 * largeBytes + 4,
    8 + 2 * largeBytes + 4,
  ])
})
