// Valid ids, indexes and terms; and the error of an assertion.

import { describe, expect, test } from 'vitest'
import { InvariantError, invariant } from '../../src/raft/invariant.ts'
import { asIndex, asReplicaId, asTerm } from '../../src/raft/types.ts'

describe('values that are not an id, index or term', () => {
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
