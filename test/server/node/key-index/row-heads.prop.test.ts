// The head in memory must be the last remembered one, or none.

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ROW_HEAD_BYTES } from '../../../../src/kv/types.ts'
import { RowHeads } from '../../../../src/server/node/key-index/row-heads.ts'
import { fixKeyHash, hashOfKey } from '../../../../src/storage/key-hash.ts'
import { hashOfStored, Row, TRAILER_BYTES } from '../../../../src/storage/rows.ts'
import { expectEqual } from '../../../expect-equal.ts'
import { runs } from '../../../runs.ts'
import { bytes, must, sealRow } from '../../../storage/samples.ts'

// How many keys a table loses, or a filter takes for others, depends on their hashes.
fixKeyHash(1)

type Step =
  /** `changed`: the row was changed, and not read. */
  | {
      readonly do: 'remember'
      readonly key: number
      readonly value: string | undefined
      readonly changed: boolean
    }
  | { readonly do: 'end' }
  | { readonly do: 'forget' }

/** Many keys begin with another key, and some are longer than a slot. */
const KEYS = Array.from({ length: 25 }, (_, n) => {
  const key = bytes(`${n % 5 === 4 ? 'long '.repeat(14) : 'key'}${'.'.repeat(n)}`)
  return { n, key, hash: hashOfKey(key) }
})

const stored = (key: Uint8Array, value: string): Uint8Array =>
  sealRow(new Uint8Array(), key, bytes(value)).stored

const changedRow = (key: Uint8Array, value: string | undefined): Row =>
  new Row(new Uint8Array(), key, hashOfKey(key), value === undefined ? undefined : bytes(value))

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('remember' as const),
      key: fc.nat(KEYS.length - 1),
      value: fc.option(fc.string({ maxLength: 2 * ROW_HEAD_BYTES, size: 'max' }), { nil: undefined }),
      changed: fc.boolean(),
    }),
  },
  { weight: 10, arbitrary: fc.constant({ do: 'end' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'forget' as const }) },
)

test('heads are those of the last remembered rows, or unknown', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 16 }), (steps, room) => {
      const heads = new RowHeads(room)
      const model = new Map<number, Uint8Array | undefined>()
      let ofEntry = new Set<number>()
      for (const now of steps) {
        if (now.do === 'end') {
          heads.endEntry()
          ofEntry = new Set(ofKnown(heads))
          continue
        }
        if (now.do === 'forget') {
          heads.forgetAll()
          model.clear()
          ofEntry.clear()
          continue
        }
        const { n, key, hash } = must(KEYS[now.key])
        const row = now.value === undefined ? undefined : stored(key, now.value)
        if (now.changed) heads.changed(key, changedRow(key, now.value))
        else heads.remember(key, hash, row)
        model.set(n, row)
        ofEntry.add(n)
        const inOrder = [...ofEntry].sort((a, b) => a - b)
        expectEqual(ofKnown(heads), inOrder, 'known at its beginning, or remembered since')
        for (const each of KEYS) expectTrue(heads, each, model)
      }
    }),
    { numRuns: runs(300) },
  )
})

/** The keys whose head is known. */
const ofKnown = (heads: RowHeads): number[] =>
  KEYS.flatMap(({ n, key, hash }) => (heads.get(key, hash) === undefined ? [] : n))

/** `model`: the stored rows. */
function expectTrue(
  heads: RowHeads,
  { n, key, hash }: (typeof KEYS)[number],
  model: ReadonlyMap<number, Uint8Array | undefined>,
): void {
  const said = heads.get(key, hash)
  if (said === undefined) return
  expectEqual(model.has(n), true, `${n} was never remembered`)
  const row = model.get(n)
  if (row === undefined || said === 'absent') {
    expectEqual(said, row ?? 'absent')
    return
  }
  const { mix, crc } = hashOfStored(row)
  const length = row.length - TRAILER_BYTES
  expectEqual([said.length, said.mix, said.crc], [length, mix, crc])
  const head = row.subarray(0, Math.min(length, ROW_HEAD_BYTES))
  if (Buffer.compare(said.bytes, head) !== 0) expect(said.bytes).toEqual(head)
}

/** The known head of the key: the text of its row. */
const known = (heads: RowHeads, key: Uint8Array, hash = hashOfKey(key)): string | undefined => {
  const said = heads.get(key, hash)
  return said === undefined || said === 'absent' ? said : Buffer.from(said.bytes).toString()
}

// Pairs with the same hash: of equal length, one a prefix of the other, and longer than a slot.
test.each([
  ['declinate', 'macallums'],
  ['key', 'keyb44nrm1'],
  ['keyb44nrm1', 'key'],
  [`declinate${'.'.repeat(60)}`, `macallums${'.'.repeat(60)}`],
])('%s is not taken for %s', (one, other) => {
  const heads = new RowHeads(1)
  const [a, b] = [bytes(one), bytes(other)]
  const hash = 7
  heads.remember(a, hash, stored(a, 'of the first'))
  expect([known(heads, a, hash), known(heads, b, hash)]).toEqual(['of the first', undefined])
  heads.remember(b, hash, undefined)
  expect(known(heads, b, hash)).toBe('absent')
  expect(known(heads, a, hash)).toBe('of the first')
})

test('keys of any length are kept, also those that differ only behind the longest that fits', () => {
  const heads = new RowHeads(64)
  const keys = [1, 59, 60, 61, 62, 4097].flatMap((length) =>
    ['a', 'b'].flatMap((letter) => [
      { key: bytes(letter.padEnd(length, '.')), text: `${letter} first of ${length}` },
      { key: bytes(letter.padStart(length, '.')), text: `${letter} last of ${length}` },
    ]),
  )
  // For keys of one byte, the first and the last are the same.
  const different = keys.filter(({ key, text }) => key.length > 1 || text.includes('first'))
  for (const { key, text } of different) heads.remember(key, hashOfKey(key), stored(key, text))
  heads.endEntry()
  expect(different.map(({ key }) => known(heads, key))).toEqual(different.map(({ text }) => text))
  // The name of a long key in the table is not a valid key.
  const long = bytes('a'.padEnd(61, '.'))
  const name = new Uint8Array(61)
  name[0] = long[0] ?? 0
  name.set(createHash('sha256').update(long).digest(), 1)
  expect(known(heads, name)).toBeUndefined()
})

describe("heads of users' keys", () => {
  const keyOfUser = (n: number, length = 0): Uint8Array => bytes(`\u0008user/${n}`.padEnd(length, '.'))
  const put = (heads: RowHeads, key: Uint8Array, head: string | undefined): boolean =>
    heads.put(key, hashOfKey(key), head === undefined ? undefined : bytes(head))

  test('are all known once all rows were read, until one has no place', () => {
    const heads = new RowHeads(7)
    put(heads, keyOfUser(1), 'head')
    expect(heads.knowsAllKeys).toBe(false)
    heads.loaded()
    expect(heads.knowsAllKeys).toBe(true)
    for (let n = 0; n < 9; n++) put(heads, keyOfUser(n), 'head')
    expect(heads.knowsAllKeys, 'until the entry has ended').toBe(true)
    heads.endEntry()
    expect(heads.knowsAllKeys).toBe(false)
    heads.forgetAll()
    heads.loaded()
    expect(heads.knowsAllKeys).toBe(true)
  })

  test('are all known as long as there may be more of them', () => {
    const heads = new RowHeads(100_000)
    heads.loaded()
    for (let n = 0; n < 20_000; n++) {
      put(heads, keyOfUser(n), 'head')
      heads.endEntry()
    }
    expect(heads.knowsAllKeys).toBe(true)
  })
})

/** With room for 4,096 the table never grows, with more it grows several times. */
test.each([4096, 30_000])(
  'with room for %i, hardly anything is forgotten, and nothing is mixed up',
  (room) => {
    const heads = new RowHeads(room)
    const keys = Array.from({ length: room }, (_, n) => bytes(`some/service/${n}`))
    const expected = new Map<Uint8Array, string>()
    const write = (key: Uint8Array, value: string): void => {
      expected.set(key, value)
      heads.changed(key, changedRow(key, value))
    }
    const mixedUp: string[] = []
    const check = (key: Uint8Array): string | undefined => {
      const said = known(heads, key)
      if (said !== undefined && said !== expected.get(key)) mixedUp.push(said)
      return said
    }
    for (const [n, key] of keys.entries()) {
      write(key, `value ${n}`)
      // An older key is written and read while the tables change.
      const older = keys[(n * 7919) % (n + 1)]
      if (older !== undefined && n % 3 === 0) write(older, `new ${n}`)
      if (older !== undefined) check(older)
    }
    const kept = keys.filter((key) => check(key) !== undefined)
    expect(mixedUp).toEqual([])
    expect(kept.length / keys.length).toBeGreaterThan(0.99)
  },
)
