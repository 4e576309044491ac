// What the heads in memory say must be what was remembered last, or nothing.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ROW_HEAD_BYTES } from '../../src/kv/types.ts'
import { RowHeads } from '../../src/storage/row-heads.ts'
import { hashOfStored, sealRow } from '../../src/storage/rows.ts'
import { runs } from '../runs.ts'
import { bytes } from './samples.ts'

type Step =
  | { readonly do: 'remember'; readonly key: number; readonly value: string | undefined }
  | { readonly do: 'forget' }

/** Keys of which many begin with another one, and some are too long for a slot. */
const keyOf = (n: number): Uint8Array => bytes(`${n % 5 === 4 ? 'long '.repeat(14) : 'key'}${'.'.repeat(n)}`)

const stored = (key: Uint8Array, value: string): Uint8Array =>
  sealRow(new Uint8Array(), key, bytes(value)).stored

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('remember' as const),
      key: fc.nat(24),
      value: fc.option(fc.string({ maxLength: 2 * ROW_HEAD_BYTES }), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'forget' as const }) },
)

test('heads are those of the rows remembered last, or not known', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 16 }), (steps, room) => {
      const heads = new RowHeads(room)
      const model = new Map<number, string | undefined>()
      for (const now of steps) {
        if (now.do === 'forget') {
          heads.forgetAll()
          model.clear()
          continue
        }
        const key = keyOf(now.key)
        heads.remember(key, now.value === undefined ? undefined : stored(key, now.value))
        model.set(now.key, now.value)
        expect(heads.get(key), 'just remembered').toBeDefined()
        for (let n = 0; n <= 24; n++) expectTrue(heads, n, model)
      }
    }),
    { numRuns: runs(300) },
  )
})

function expectTrue(heads: RowHeads, n: number, model: ReadonlyMap<number, string | undefined>): void {
  const key = keyOf(n)
  const said = heads.get(key)
  if (said === undefined) return
  expect(model.has(n), `${n} was never remembered`).toBe(true)
  const value = model.get(n)
  if (value === undefined) {
    expect(said).toBe('absent')
    return
  }
  if (said === 'absent') throw new Error(`${n} is not absent`)
  const payload = bytes(value)
  const { mix, crc } = hashOfStored(stored(key, value))
  expect(said.length).toBe(payload.length)
  expect(Buffer.from(said.bytes)).toEqual(Buffer.from(payload.subarray(0, ROW_HEAD_BYTES)))
  expect([said.mix, said.crc]).toEqual([mix, crc])
}

test('with room, nothing is forgotten', () => {
  const heads = new RowHeads(4096)
  const keys = Array.from({ length: 1000 }, (_, n) => bytes(`some/service/${n}`))
  for (const key of keys) heads.remember(key, stored(key, 'value'))
  const known = keys.filter((key) => heads.get(key) !== undefined)
  expect(known.length).toBeGreaterThan(980)
})
