import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NumberMap } from '../../../src/server/node/write/number-map.ts'
import { runs } from '../../runs.ts'

/** Many keys that share a slot, some beyond 32 bits. Of these only the low 32 bits count for the slot. */
const key = fc.oneof(
  fc.nat(40),
  fc.nat(40).map((n) => n * 64),
  fc.nat(9).map((n) => 2 ** 40 + n * 64),
  fc.nat(20).map((n) => n * 2 ** 32 + 5),
)
const step = fc.record({ key, keep: fc.boolean() })

test('is a map', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1500, size: 'max' }), (steps) => {
      const map = new NumberMap<{ at: number }>()
      const model = new Map<number, { at: number }>()
      for (const [at, { key, keep }] of steps.entries()) {
        for (const one of [map, model])
          if (keep) one.set(key, { at })
          else one.delete(key)
        expect(map.get(key)).toEqual(model.get(key))
        expect(map.size).toBe(model.size)
      }
      const sorted = [...model].sort(([a], [b]) => a - b)
      expect(map.entries()).toEqual(sorted)
      expect(map.values()).toEqual(sorted.map(([, value]) => value))
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
