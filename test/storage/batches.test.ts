// Writes become batches of bounded size: in order, complete in the end, and each as large as allowed.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asIndex } from '../../src/raft/types.ts'
import { endAfter, splitWrite } from '../../src/storage/batches.ts'
import { runs } from '../runs.ts'
import { metaOf } from './conformance.ts'
import { memoryDisk, openDisk } from './replicas.ts'
import { applyRows, entries, entry, must, write } from './samples.ts'

/** Bytes of an entry without a body. */
const LEAST = entry(2, 1, '').frame.length
const sized = (bytes: number, at = 0): ReturnType<typeof entry> => entry(2 + at, 1, 'x'.repeat(bytes - LEAST))
const bytesOf = (group: readonly { readonly frame: Uint8Array }[]): number =>
  group.reduce((sum, { frame }) => sum + frame.length, 0)

const snapshot = await (async () => {
  const source = (await openDisk(memoryDisk())).snapshotSource()
  return { meta: { ...metaOf(source), index: asIndex(20) }, snapshotId: source.id, keepLog: false }
})()

describe('a write', () => {
  test('loses nothing and keeps the order, whatever its entries are', () => {
    const sizes = fc.array(fc.integer({ min: LEAST, max: LEAST + 300 }), { maxLength: 12 })
    const drawn = fc.record({
      batchBytesMax: fc.integer({ min: 1, max: 700 }),
      batchItemsMax: fc.integer({ min: 1, max: 6 }),
    })
    fc.assert(
      fc.property(sizes, drawn, (drawnSizes, drawnLimits) => {
        const whole = write({ entries: drawnSizes.map(sized) })
        const parts = splitWrite(whole, drawnLimits)
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
