// The permissions of several roles together, against those of the simulator's model, which looks at every bound.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ModelRights } from '../../jepsen-lite/sim/oracle/model-rights.ts'
import { Rights } from '../../src/kv/auth/rights.ts'
import type { AuthChange } from '../../src/kv/types.ts'
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

const readsOf = (spans: readonly Span[]): readonly Permission[] => permissionsOf('read', spans)
const permissionsOf = (access: 'read' | 'write', spans: readonly Span[]): readonly Permission[] =>
  spans.map(({ from, to }) => ({ access, range: rangeOf(from, to) }))

const roleOf = (permissions: readonly Permission[]) => ({ name: 'r', permissions })

/** A user with these roles. */
function modelOf(roles: readonly (readonly Permission[])[]): ModelRights {
  const model = new ModelRights()
  const change = (made: AuthChange) => model.change({ kind: 'auth', change: made, ifRevision: undefined })
  for (const [at, permissions] of roles.entries()) change({ kind: 'put-role', name: `r${at}`, permissions })
  change({ kind: 'put-user', name: 'u', passwordHash: 'h', roles: roles.map((_, at) => `r${at}`) })
  return model
}

function mayRead(model: ModelRights, where: KeyRange): boolean {
  const get = {
    kind: 'get',
    where,
    limit: undefined,
    keysOnly: true,
    count: false,
    countOnly: false,
  } as const
  return model.lacks('u', { kind: 'txn', txn: { compare: [], success: [get], failure: [] } }) === undefined
}

test('a range is permitted exactly if the ranges of all roles together contain it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(span(6), { maxLength: 40 }), { maxLength: 4 }),
      fc.array(span(60), { minLength: 1, maxLength: 10 }),
      (roles, asked) => {
        const granted = roles.map(readsOf)
        const [rights, model] = [new Rights(granted.map(roleOf)), modelOf(granted)]
        for (const each of asked) {
          const range = rangeOf(each.from, each.to)
          expect(rights.mayRead(range)).toBe(mayRead(model, range))
          expect(rights.mayWrite(range)).toBe(each.to <= each.from)
        }
      },
    ),
    { numRuns: runs(500) },
  )
})

test.each([
  ['read', 'write'],
  ['write', 'read'],
] as const)('a range to %s may span the ranges of many roles in turn', (access, other) => {
  const all = Array.from({ length: 100 }, (_, at): Span => ({ from: at, to: at + 1 }))
  const everything = permissionsOf(other, [{ from: 0, to: KEYS }])
  /** Each role has the other right on every key. */
  const rightsOf = (spans: readonly Span[]) => {
    const roles = [0, 1].map((rest) => spans.filter(({ from }) => from % 2 === rest))
    const rights = new Rights(roles.map((own) => roleOf([...permissionsOf(access, own), ...everything])))
    return (range: KeyRange) => (access === 'read' ? rights.mayRead(range) : rights.mayWrite(range))
  }
  for (const gap of [undefined, 0, 1, 31, 32, 33, 34, 98, 99])
    for (const length of [10, 31, 32, 33, 34, 35, 100]) {
      const may = rightsOf(all.filter(({ from }) => from !== gap))
      expect(may(rangeOf(0, length))).toBe(gap === undefined || gap >= length)
    }
  expect(rightsOf(all)(rangeOf(0, 101))).toBe(false)
  expect(rightsOf([...all, { from: 100, to: KEYS }])(rangeOf(0, KEYS))).toBe(true)
})
