// The small records of the core: every bound is checked when they are written and when they are read.

import { describe, expect, test } from 'vitest'
import { Reader, Writer } from '../../src/raft/codec.ts'
import { InvariantError, invariant } from '../../src/raft/invariant.ts'
import { asIndex, asReplicaId, asTerm } from '../../src/raft/types.ts'

test.each([-1, 0.5, Number.NaN, 256, 1e9])('%d is not written as one byte', (value) => {
  expect(() => new Writer().uint8(value)).toThrow(`${value} does not fit into 8 bits`)
})

test('the largest of each size is written, the next one is not', () => {
  const all = new Writer()
    .uint8(255)
    .uint16(65_535)
    .uint32(4_294_967_295)
    .id(asReplicaId('18446744073709551615'))
  const from = new Reader(all.text('ä\u{1f600}').bytes(), 'record')
  expect([from.uint8(), from.uint16(), from.uint32(), from.id(), from.text()]).toEqual([
    255,
    65_535,
    4_294_967_295,
    '18446744073709551615',
    'ä\u{1f600}',
  ])
  from.end()
  expect(() => new Writer().uint16(65_536)).toThrow('does not fit into 16 bits')
  expect(() => new Writer().uint32(2 ** 32)).toThrow('does not fit into 32 bits')
})

test('a record that ends too early, or goes on, is refused', () => {
  expect(() => new Reader(new Uint8Array(1), 'record').uint16()).toThrow('a record ends too early')
  const from = new Reader(new Uint8Array(2), 'record')
  from.uint8()
  expect(() => from.end()).toThrow('a record has bytes after its end')
})

describe('what is no id, index or term', () => {
  test.each(['', '01', '-1', 'x', '1x', 'x1', ' 1', '123456789012345678901'])('id %j', (value) => {
    expect(() => asReplicaId(value)).toThrow('not a replica id')
  })
  test.each([-1, 0.5, 2 ** 53])('number %d', (value) => {
    expect(() => asIndex(value)).toThrow(RangeError)
    expect(() => asTerm(value)).toThrow(RangeError)
  })
  test('0 and the greatest are', () => {
    expect([asReplicaId('0'), asIndex(0), asTerm(Number.MAX_SAFE_INTEGER)]).toEqual([
      '0',
      0,
      Number.MAX_SAFE_INTEGER,
    ])
  })
})

test('an assertion that does not hold throws an error of its own name', () => {
  expect(() => invariant(false, () => 'the sentence')).toThrow(InvariantError)
  try {
    invariant(false, () => 'the sentence')
  } catch (error) {
    expect(`${error}`).toBe('InvariantError: the sentence')
  }
})
