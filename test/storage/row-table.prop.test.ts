// Rows of a table in the order of their keys, sorted at once or in steps.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hashOfKey } from '../../src/storage/key-hash.ts'
import { RowTable } from '../../src/storage/row-table.ts'
import { Row } from '../../src/storage/rows.ts'
import { runs } from '../runs.ts'

const NOTHING = new Uint8Array()

function tableOf(keys: readonly Uint8Array[]): RowTable {
  const table = new RowTable()
  for (const key of keys) table.put(new Row(NOTHING, key, hashOfKey(key), NOTHING))
  return table
}

const hex = (table: RowTable): string[] => table.sorted.map(({ key }) => Buffer.from(key).toString('hex'))

/** Sorts a table in steps. Returns the number of steps. */
function sortInSteps(table: RowTable): number {
  const steps = table.sort()
  let count = 1
  while (!steps.next().done) count++
  return count
}

test('a table is sorted alike at once and in steps', () => {
  const key = fc.uint8Array({ maxLength: 4 })
  fc.assert(
    fc.property(fc.array(key, { maxLength: 400, size: 'max' }), (keys) => {
      const [atOnce, inSteps] = [tableOf(keys), tableOf(keys)]
      sortInSteps(inSteps)
      expect(inSteps.isSorted).toBe(true)
      expect(hex(inSteps)).toEqual(hex(atOnce))
      // Sorted already.
      expect(sortInSteps(inSteps)).toBe(1)
    }),
    { numRuns: runs(200) },
  )
})

test('each step sorts or merges some tens of rows', () => {
  const rows = 20_000
  const keys = Array.from({ length: rows }, (_, at) => {
    const bytes = Buffer.alloc(5)
    bytes.writeUInt8(at % 3)
    bytes.writeUInt32BE(Math.imul(at, 0x9e3779b1) >>> 0, 1)
    return bytes
  })
  const table = tableOf(keys)
  // Once to look at each row, once for runs of 64, and once for each level of their merging.
  const levels = 2 + Math.ceil(Math.log2(rows / 3 / 64))
  expect(sortInSteps(table)).toBeGreaterThan((levels * rows) / 64)
  expect(hex(table)).toEqual(keys.map((key) => key.toString('hex')).sort())
})
