// The order of ranges, sorted in steps, and the parts of their encoding: they are those of one step.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EncodedValues } from '../../../src/etcd/message.ts'
import { type KeyValue, RangeRequest, RangeResponse } from '../../../src/etcd/messages/kv.ts'
import { runSteps } from '../../../src/kv/index.ts'
import { arrange, sortInSteps } from '../../../src/server/etcd/range-order.ts'
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
