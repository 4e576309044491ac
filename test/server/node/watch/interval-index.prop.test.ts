// The watchers of a key, compared with a filter over all intervals, while watchers are added and removed.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Interval, IntervalIndex } from '../../../../src/server/node/watch/interval-index.ts'
import { fixKeyHash } from '../../../../src/storage/key-hash.ts'
import { runs } from '../../../runs.ts'

const key = fc.string({ unit: fc.constantFrom('\0', 'a', 'b', '\xff'), maxLength: 3 })

const interval: fc.Arbitrary<Interval> = fc.oneof(
  key.map((start) => ({ start, end: undefined, isKey: true })),
  fc.record({ start: key, end: fc.option(key, { nil: undefined }), isKey: fc.constant(false) }),
)

const has = ({ start, end, isKey }: Interval, name: string): boolean =>
  isKey ? name === start : name >= start && (end === undefined || name < end)

test('a key finds exactly the intervals that have it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(interval, fc.nat(), key), { maxLength: 200 }),
      // A long sequence of ranges in order, which unbalances trees.
      fc.nat(300),
      (steps, inOrder) => {
        const index = new IntervalIndex<Interval>()
        const all: Interval[] = []
        const add = (item: Interval): void => {
          index.add(item)
          all.push(item)
        }
        for (let at = 0; at < inOrder; at++)
          add({ start: String.fromCharCode(at % 256), end: undefined, isKey: false })
        for (const step of steps) {
          if (typeof step === 'object') add({ ...step })
          else if (typeof step === 'number') {
            const [removed] = all.splice(step % Math.max(1, all.length), 1)
            if (removed !== undefined) index.remove(removed)
          } else {
            const found: Interval[] = []
            index.collect(step, found)
            const expected = all.filter((item) => has(item, step))
            expect([found.length, new Set(found).size]).toEqual([expected.length, expected.length])
            expect(expected.every((item) => found.includes(item))).toBe(true)
          }
          expect(index.size).toBe(all.length)
        }
        for (const item of all) index.remove(item)
        const left: Interval[] = []
        index.collect('a', left)
        expect([index.size, left]).toEqual([0, []])
      },
    ),
    { numRuns: runs(300) },
  )
})

/** How deep each of many ranges is added: an index reads the start of the new one once at each level. */
function depths(): number[] {
  const index = new IntervalIndex<Interval>()
  return Array.from({ length: 200 }, (_, at) => {
    let reads = 0
    index.add({
      get start() {
        reads++
        return String.fromCharCode(at)
      },
      end: undefined,
      isKey: false,
    })
    return reads
  })
}

test('the shape of an index follows from the key of the hashes: a simulated run repeats', () => {
  fixKeyHash(1)
  const first = depths()
  expect(depths()).toEqual(first)
  fixKeyHash(2)
  expect(depths()).not.toEqual(first)
  // Ranges in order make no list.
  expect(Math.max(...first)).toBeLessThan(50)
})
