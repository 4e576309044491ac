import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NumberMap } from '../../../src/server/node/number-map.ts'
import { runs } from '../../runs.ts'

/** Many keys that share a slot, some beyond 32 bits. */
const key = fc.oneof(
  fc.nat(40),
  fc.nat(40).map((n) => n * 256),
  fc.nat(9).map((n) => 2 ** 40 + n * 256),
  // Only their low 32 bits count.
  fc.nat(20).map((n) => n * 2 ** 32 + 5),
)
const step = fc.record({ key, keep: fc.boolean() })

test('is a map', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1500, size: 'max' }), (steps) => {
      const map = new NumberMap<{ at: number }>()
      const model = new Map<number, { at: number }>()
      for (const [at, { key, keep }] of steps.entries()) {
        if (keep) {
          map.set(key, { at })
          model.set(key, { at })
        } else expect(map.delete(key)).toBe(model.delete(key))
        expect(map.get(key)).toEqual(model.get(key))
        expect(map.size).toBe(model.size)
      }
      expect(map.entries()).toEqual([...model].sort(([a], [b]) => a - b))
      const values: { at: number }[] = []
      map.forEach((value) => {
        values.push(value)
      })
      expect(values.sort((a, b) => a.at - b.at)).toEqual([...model.values()].sort((a, b) => a.at - b.at))
    }),
    { numRuns: runs(100) },
  )
})

test('grows, and finds everything again', () => {
  const map = new NumberMap<{ key: number }>()
  for (let key = 0; key < 5000; key++) map.set(key, { key })
  for (let key = 0; key < 5000; key += 3) map.delete(key)
  for (let key = 0; key < 5000; key++) expect(map.get(key)?.key).toBe(key % 3 === 0 ? undefined : key)
})
