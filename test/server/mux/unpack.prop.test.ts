// Messages of clients are read as msgpackr reads them, or refused.

import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { expect, test } from 'vitest'
import { UnreadableError, unpack } from '../../../src/server/mux/unpack.ts'
import { runs } from '../../runs.ts'

const packr = new Packr({ useRecords: false })
const pack = (value: unknown): Buffer => Buffer.from(packr.pack(value))

const leaf = fc.oneof(
  fc.constantFrom(
    null,
    true,
    false,
    0,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 53 - 1,
  ),
  fc.integer(),
  fc.constantFrom(-1, -32, -33, -128, -129, -32_768, -32_769, -(2 ** 31)),
  // msgpackr writes −0 as 0.
  fc.double({ noNaN: true }).map((number) => number + 0),
  fc.string({ unit: 'grapheme' }),
  fc.string({ minLength: 30, maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
)
const map = fc.uniqueArray(fc.tuple(fc.string(), leaf), { selector: ([name]) => name, maxLength: 20 })
const value = fc.array(
  fc.oneof(
    leaf,
    fc.array(
      fc.oneof(
        leaf,
        fc.array(leaf),
        map.map((pairs) => new Map(pairs)),
      ),
    ),
    map.map((pairs) => new Map(pairs)),
  ),
)

test('values come back as they were', () => {
  fc.assert(
    fc.property(value, (given) => {
      expect(unpack(pack(given))).toEqual(given)
    }),
    { numRuns: runs(300) },
  )
})

test.each([
  ['d3ffffffff80000000', -(2 ** 31)],
  ['cf001fffffffffffff', 2 ** 53 - 1],
  ['ca3f800000', 1],
  ['d0ff', -1],
  ['c500020102', Buffer.from([1, 2])],
  ['c6000000020102', Buffer.from([1, 2])],
  ['da0002c3a9', 'é'],
  ['db00000002c3a9', 'é'],
  ['dc000101', [1]],
  ['dd0000000101', [1]],
  ['de0001a16101', new Map([['a', 1]])],
  ['df00000001a16101', new Map([['a', 1]])],
])('%s, which msgpackr does not write', (hex, expected) => {
  expect(unpack(Buffer.from(hex, 'hex'))).toEqual(expected)
})

test.each(['a1ff', 'd903eda080', 'a2c328', '81a1ff01', '92a1fea1ff'])(
  'the text in %s, which is not UTF-8, is refused',
  (hex) => {
    expect(() => unpack(Buffer.from(hex, 'hex'))).toThrow(UnreadableError)
  },
)

test('a replacement character is text like any other', () => {
  expect(unpack(Buffer.from('a3efbfbd', 'hex'))).toBe('\ufffd')
})

test('a message that is cut off anywhere is refused', () => {
  fc.assert(
    fc.property(value, fc.nat(), (given, cut) => {
      const bytes = pack(given)
      expect(() => unpack(bytes.subarray(0, cut % bytes.length))).toThrow(UnreadableError)
    }),
    { numRuns: runs(300) },
  )
})

test('bytes of any kind are read or refused, and the next message is read', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        unpack(Buffer.from(bytes))
      } catch (error) {
        expect(error).toBeInstanceOf(UnreadableError)
      }
      expect(unpack(pack([1, 'a']))).toEqual([1, 'a'])
    }),
    { numRuns: runs(1000) },
  )
})
