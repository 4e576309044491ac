// The permissions of several roles together, against a model that looks at every key.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Rights } from '../../src/kv/auth/rights.ts'
import type { KeyRange, Permission } from '../../src/operations/forms/index.ts'
import { runs } from '../runs.ts'

/** Keys of one byte, and the end behind them all. */
const KEYS = 120
const key = (at: number): Uint8Array => Uint8Array.of(at)
const rangeOf = (from: number, to: number): KeyRange => ({
  start: key(from),
  end: to >= KEYS ? undefined : key(to),
})

interface Span {
  readonly from: number
  readonly to: number
}

const span = (lengthMax: number) =>
  fc
    .record({ from: fc.integer({ min: 0, max: KEYS - 1 }), length: fc.integer({ min: 0, max: lengthMax }) })
    .map(({ from, length }): Span => ({ from, to: from + length }))

const isPermitted = (asked: Span, permitted: readonly Span[]): boolean => {
  const end = Math.min(asked.to, KEYS)
  for (let at = asked.from; at < end; at++)
    if (!permitted.some(({ from, to }) => from <= at && at < to)) return false
  return asked.to < KEYS || asked.from >= asked.to || permitted.some(({ to }) => to >= KEYS)
}

const readsOf = (spans: readonly Span[]): readonly Permission[] =>
  spans.map(({ from, to }) => ({ access: 'read', range: rangeOf(from, to) }))

const roleOf = (permissions: readonly Permission[]) => ({ name: 'r', permissions })

test('a range is permitted exactly if the ranges of all roles together contain it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(span(6), { maxLength: 40 }), { maxLength: 4 }),
      fc.array(span(60), { minLength: 1, maxLength: 10 }),
      (roles, asked) => {
        const rights = new Rights(roles.map((spans) => roleOf(readsOf(spans))))
        for (const each of asked) {
          const range = rangeOf(each.from, each.to)
          expect(rights.mayRead(range)).toBe(isPermitted(each, roles.flat()))
          expect(rights.mayWrite(range)).toBe(each.to <= each.from)
        }
      },
    ),
    { numRuns: runs(500) },
  )
})

test('a range may span the ranges of many roles in turn', () => {
  const all = Array.from({ length: 100 }, (_, at): Span => ({ from: at, to: at + 1 }))
  const rightsOf = (spans: readonly Span[]) =>
    new Rights([0, 1].map((rest) => roleOf(readsOf(spans.filter(({ from }) => from % 2 === rest)))))
  for (const gap of [undefined, 0, 1, 31, 32, 33, 34, 98, 99])
    for (const length of [10, 31, 32, 33, 34, 35, 100]) {
      const rights = rightsOf(all.filter(({ from }) => from !== gap))
      expect(rights.mayRead(rangeOf(0, length))).toBe(gap === undefined || gap >= length)
    }
  expect(rightsOf(all).mayRead(rangeOf(0, 101))).toBe(false)
  expect(rightsOf([...all, { from: 100, to: KEYS }]).mayRead(rangeOf(0, KEYS))).toBe(true)
})
