// The order of ranges, sorted in steps, and the parts of their encoding: they are those of one step.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RangeRowWriter, rangeRowBytes } from '../../../src/etcd/key-values.ts'
import { EncodedValues } from '../../../src/etcd/message.ts'
import { type KeyValue, RangeRequest, RangeResponse } from '../../../src/etcd/messages/kv.ts'
import { runSteps } from '../../../src/kv/index.ts'
import { arrange, limited, Selection, sortInSteps } from '../../../src/server/etcd/range-order.ts'
import { runs } from '../../runs.ts'

const request = fc
  .record({ sortOrder: fc.nat(2), sortTarget: fc.nat(4) })
  .map((ordered) => ({ ...RangeRequest.decode(new Uint8Array()), ...ordered }))

/** Few values, so that many rows are equal. */
const rows = fc
  .tuple(fc.nat(3_000), fc.integer({ min: 1, max: 50 }), fc.nat())
  .map(([count, values, seed]): readonly KeyValue[] =>
    Array.from({ length: count }, (_, at) => {
      const drawn = ((at + seed) * 7_919) % values
      const key = Buffer.from(String(at).padStart(5, '0'))
      const numbers = { createRevision: drawn, modRevision: drawn, version: drawn, lease: 0n }
      return { key, value: Buffer.from(`${drawn}`), ...numbers }
    }),
  )

test('rows that are sorted in steps have the order of those that are sorted at once', () => {
  fc.assert(
    fc.property(rows, request, (read, ordered) => {
      const inSteps = runSteps(sortInSteps(read, ordered))
      const atOnce = arrange(read, ordered)
      expect(inSteps.length).toBe(atOnce.length)
      expect(inSteps.every((row, at) => row === atOnce[at])).toBe(true)
    }),
    { numRuns: runs(100) },
  )
})

test('a step has few rows', () => {
  const read = fc.sample(
    rows.filter(({ length }) => length > 2_048),
    { numRuns: 1, seed: 1 },
  )[0]
  if (read === undefined) expect.fail()
  const ordered = { ...RangeRequest.decode(new Uint8Array()), sortTarget: 4, sortOrder: 2 }
  const runsOfRows = Math.ceil(read.length / 512)
  const merges = Math.ceil(Math.log2(runsOfRows))
  const steps = [...sortInSteps(read, ordered)].length
  expect(steps).toBeGreaterThanOrEqual(runsOfRows + (merges - 1) * Math.floor(read.length / 512))
})

test('the parts of a message are the message', () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 700 }), fc.nat(9), (kvs, rowsOfPart, head) => {
      const parts: Uint8Array[] = []
      for (let at = 0; at < kvs.length; at += rowsOfPart)
        parts.push(RangeResponse.encode({ kvs: kvs.slice(at, at + rowsOfPart) }))
      const encoded = new EncodedValues(parts, kvs.length, (part) => RangeResponse.decode(part).kvs)
      const header = { clusterId: 1n, memberId: 2n, revision: 3, raftTerm: 4 }
      const facts = { header, more: true, count: 7 }
      const all = RangeResponse.encodeInParts({ ...facts, kvs: encoded }, head)
      expect(all.length).toBe(parts.length < 2 ? 1 : parts.length + 2)
      const joined = Buffer.concat(all).subarray(head)
      expect(joined.equals(RangeResponse.encode({ ...facts, kvs }))).toBe(true)
    }),
    { numRuns: runs(100) },
  )
})

test('rows that are selected slice by slice are those that are selected at once', () => {
  const few = fc.oneof(fc.constant(0), fc.nat(12))
  const filters = fc.record({
    ...{ minModRevision: few, maxModRevision: few, minCreateRevision: few, maxCreateRevision: few },
  })
  const read = fc.array(fc.record({ createRevision: fc.nat(12), modRevision: fc.nat(12) }), { maxLength: 30 })
  fc.assert(
    fc.property(
      read,
      filters,
      fc.integer({ min: -2, max: 2 }),
      fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1 }),
      fc.boolean(),
      (numbers, filter, beyond, sizes, knowsMore) => {
        const all: readonly KeyValue[] = numbers.map((each, at) => ({
          ...{ key: Buffer.of(at), value: Buffer.of(), version: 1, lease: 0n },
          ...each,
        }))
        const filtered = { ...RangeRequest.decode(new Uint8Array()), ...filter }
        // About as many as there are.
        const limit = Math.max(1, arrange(all, filtered).length + beyond)
        const asked = { ...filtered, limit }
        const expected = limited(arrange(all, asked), asked)
        const selection = new Selection(asked, limit)
        const selected: KeyValue[] = []
        for (let at = 0, slice = 0; !selection.isComplete; slice++) {
          const rowsMax = Math.min(sizes[slice % sizes.length] ?? 1, selection.rowsMax)
          const rows = all.slice(at, at + rowsMax)
          at += rows.length
          const isLast = at >= all.length
          // Only the last slice, or one with as many rows as were wanted, is sure to know.
          const knows = isLast || knowsMore || rows.length === selection.rowsMax
          selection.take({ rows, more: knows ? !isLast : undefined }, (row) => selected.push(row))
        }
        expect(selected.map(({ key }) => key[0])).toEqual(expected.kvs.map(({ key }) => key[0]))
        expect(selection.more).toBe(expected.more)
      },
    ),
    { numRuns: runs(4_000) },
  )
})

test('a row that is written in place is that of the encoder, and so many bytes, whatever its numbers', () => {
  const length = fc.oneof(fc.nat(3), fc.constantFrom(127, 128, 129, 16_383, 16_384, 70_000))
  const number = fc.oneof(
    fc.nat(300),
    fc.maxSafeNat(),
    fc.nat(53).map((bits) => 2 ** bits - 1),
  )
  const numbers = fc.record({ createRevision: number, modRevision: number, version: number })
  const lease = fc.option(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), { nil: undefined })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(length, length, numbers, lease), { maxLength: 8 }),
      fc.nat(7),
      (drawn, takenAt) => {
        const writer = new RangeRowWriter()
        const parts: Uint8Array[] = []
        let bytes = 0
        const kvs = drawn.map(([keyBytes, valueBytes, facts, id], at): KeyValue => {
          const row = { key: Buffer.alloc(keyBytes, at + 1), ...facts, lease: id?.toString() }
          const value = Buffer.alloc(valueBytes, at + 1)
          writer.add(row, value)
          bytes += rangeRowBytes(row, valueBytes)
          if (at === takenAt) parts.push(...writer.take())
          return { ...row, value, lease: BigInt.asIntN(64, id ?? 0n) }
        })
        parts.push(...writer.take())
        expect([writer.rows, writer.bytes]).toEqual([kvs.length, bytes])
        expect(Buffer.concat(parts).equals(RangeResponse.encode({ kvs }))).toBe(true)
      },
    ),
    { numRuns: runs(2_000) },
  )
})
