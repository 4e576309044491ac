// The rows of a simulated disk, compared with a sorted list.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MemoryRows, type RowEdit } from '../../../../jepsen-lite/sim/world/memory-rows.ts'
import type { Pair } from '../../../../src/storage/engine.ts'
import { keyString } from '../../../../src/storage/keys.ts'
import { runs } from '../../../runs.ts'

const keyOf = (number: number): Uint8Array => Uint8Array.of(number >> 8, number & 0xff)
const nameOf = (number: number): string => keyString(keyOf(number))
const KEYS = 1_500
const number = fc.nat(KEYS)

const action = fc.oneof(
  { weight: 4, arbitrary: fc.record({ put: fc.array(number, { maxLength: 400 }) }) },
  { weight: 3, arbitrary: fc.record({ delete: fc.array(number, { maxLength: 400 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      from: number,
      to: number,
      reverse: fc.boolean(),
      seek: fc.option(number),
      page: fc.nat(9),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ copies: true } as const) },
)

test('scans show the rows of the instant at which they began', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
      let rows = new MemoryRows()
      let expected = new Map<number, number>()
      const open: { readonly read: () => number[]; readonly shows: readonly number[] }[] = []
      for (const [version, one] of actions.entries()) {
        if ('put' in one) {
          const edits = one.put.map(
            (key): RowEdit => [nameOf(key), [keyOf(key), keyOf(version)] as unknown as Pair],
          )
          rows.edit(edits)
          for (const key of one.put) expected.set(key, version)
        } else if ('delete' in one) {
          rows.edit(one.delete.map((key): RowEdit => [nameOf(key), undefined]))
          for (const key of one.delete) expected.delete(key)
        } else if ('copies' in one) {
          // The copy continues, and the original changes.
          const copy = rows.copy()
          rows.edit([...expected.keys()].map((key): RowEdit => [nameOf(key), undefined]))
          rows = copy
          expected = new Map(expected)
        } else {
          const { from, to, reverse, page } = one
          // A scan is moved only forwards.
          const seek = one.seek === null || one.seek < from || one.seek > to ? null : one.seek
          const scan = rows.scan({ gte: keyOf(from), lt: keyOf(to), reverse, keysOnly: false })
          if (seek !== null) scan.seek(keyOf(seek))
          const inside = [...expected.keys()].filter((key) => {
            const isSought = seek === null || (reverse ? key < seek : key >= seek)
            return key >= from && key < to && isSought
          })
          const read = () => {
            const found: number[] = []
            for (;;) {
              const pairs = scan.next(page + 1)
              if (pairs.length === 0) return found
              found.push(...pairs.map(([key]) => ((key[0] ?? 0) << 8) + (key[1] ?? 0)))
            }
          }
          open.push({ read, shows: inside.sort((a, b) => (reverse ? b - a : a - b)) })
        }
        expect(rows.count).toBe(expected.size)
      }
      for (const { read, shows } of open) expect(read()).toEqual(shows)
      for (const [key, version] of expected) expect(rows.get(keyOf(key))).toEqual(keyOf(version))
    }),
    { numRuns: runs(200) },
  )
})
