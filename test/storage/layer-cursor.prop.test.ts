// The merged rows of layers, against a map: in both directions, and after jumps.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hashOfKey } from '../../src/storage/key-hash.ts'
import { LayerCursor } from '../../src/storage/layer-cursor.ts'
import { RowTable } from '../../src/storage/row-table.ts'
import { Row } from '../../src/storage/rows.ts'
import { runs } from '../runs.ts'
import { bytes, text } from './samples.ts'

const NO_PREFIX = new Uint8Array()
const KEYS = 12
const name = (key: number): string => String.fromCharCode(97 + key)

const layer = fc.array(fc.tuple(fc.nat(KEYS - 1), fc.option(fc.nat(99), { nil: undefined })), {
  maxLength: 8,
})
const key = fc.nat(KEYS)

function tableOf(changes: readonly (readonly [number, number | undefined])[]): RowTable {
  const table = new RowTable()
  for (const [at, value] of changes) {
    const rowKey = bytes(name(at))
    const stored = value === undefined ? undefined : bytes(String(value))
    table.put(new Row(NO_PREFIX, rowKey, hashOfKey(rowKey), stored))
  }
  return table
}

test('a cursor gives the newest row of each key, in the order of the range', () => {
  fc.assert(
    fc.property(
      fc.array(layer, { maxLength: 6 }),
      fc.tuple(key, key),
      fc.boolean(),
      fc.array(fc.tuple(fc.nat(5), key, fc.option(key, { nil: undefined })), { maxLength: 4 }),
      (changes, [from, to], reverse, jumps) => {
        const tables = changes.map(tableOf)
        const newest = new Map(
          tables.flatMap((table) => [...table].map((row) => [text(row.key) ?? '', row] as const)),
        )
        const range = { gte: bytes(name(from)), lt: bytes(name(to)), reverse }
        const cursor = new LayerCursor(tables, range)
        const all = [...newest.keys()].sort().filter((each) => each >= name(from) && each < name(to))
        if (reverse) all.reverse()
        let expected = all
        for (const [count, jump, before] of [...jumps, [KEYS, undefined, undefined] as const]) {
          for (let left = count; left > 0 && expected.length > 0; left--) {
            const [first = '', ...others] = expected
            expect(cursor.current?.row).toBe(newest.get(first))
            cursor.advance()
            expected = others
          }
          if (jump === undefined) break
          const end = reverse || before === undefined ? to : Math.min(before, to)
          cursor.seek(bytes(name(jump)), end === to ? undefined : bytes(name(end)))
          expected = all.filter((each) =>
            reverse ? each < name(jump) : each >= name(jump) && each < name(end),
          )
        }
        expect(cursor.current).toBeUndefined()
      },
    ),
    { numRuns: runs(1000) },
  )
})

test('all cursors over a table share its order, until the table changes', () => {
  const table = tableOf([
    [3, 1],
    [1, 1],
    [2, 1],
  ])
  const { sorted } = table
  expect(sorted.map(({ key }) => text(key))).toEqual(['b', 'c', 'd'])
  expect(table.sorted).toBe(sorted)
  for (const row of tableOf([[0, 1]])) table.put(row)
  expect(table.sorted.map(({ key }) => text(key))).toEqual(['a', 'b', 'c', 'd'])
})
