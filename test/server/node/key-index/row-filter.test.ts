// The filter of rows that do not exist: it is never wrong about an existing row, and is seldom useless.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RowFilter } from '../../../../src/server/node/key-index/row-filter.ts'
import { fixKeyHash, hashOfKey } from '../../../../src/storage/key-hash.ts'
import { runs } from '../../../runs.ts'
import { bytes } from '../../../storage/samples.ts'

// How many keys a table loses, or a filter takes for others, depends on their hashes.
fixKeyHash(1)

const keysOf = (count: number, of: string): Uint8Array[] =>
  Array.from({ length: count }, (_, at) => bytes(`${of}/${at}`))
const excluded = (filter: RowFilter, keys: readonly Uint8Array[]): number =>
  keys.filter((key) => filter.excludes(hashOfKey(key))).length

test('with many more keys than it began with room for, it still knows most that do not exist', () => {
  const filter = new RowFilter(100)
  const keys = keysOf(32_000, 'row')
  for (const [at, key] of keys.entries()) {
    if (at === 2000) filter.complete()
    filter.add(hashOfKey(key))
  }
  expect(excluded(filter, keys)).toBe(0)
  expect(excluded(filter, keysOf(10_000, 'absent'))).toBeGreaterThan(9600)
})

test('excludes nothing until it is complete, also after it has forgotten everything', () => {
  const filter = new RowFilter(1000)
  const absent = keysOf(100, 'absent')
  expect(excluded(filter, absent)).toBe(0)
  filter.complete()
  expect(excluded(filter, absent)).toBe(100)
  filter.forgetAll()
  expect(excluded(filter, absent)).toBe(0)
})

test('of any size is never wrong about a row that exists', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.uniqueArray(fc.string({ maxLength: 12 }), { maxLength: 30 }),
      (filterBytes, names) => {
        const keys = names.map((name) => bytes(name))
        const filter = new RowFilter(filterBytes)
        for (const [at, key] of keys.entries()) {
          if (at === 10) filter.complete()
          filter.add(hashOfKey(key))
        }
        expect(excluded(filter, keys)).toBe(0)
      },
    ),
    { numRuns: runs(50) },
  )
})
