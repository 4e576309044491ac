// Among settings that are in the log and not applied, the stricter ones count: the longer promise, the shorter trust.

import { expect, test } from 'vitest'
import { Leases } from '../../src/raft/leader-lease.ts'
import { asIndex } from '../../src/raft/types.ts'

const on = (durationMs: number) => ({ on: true, durationMs })
const off = { on: false, durationMs: 500 }

function leasesWith(applied: typeof off, ...appended: (typeof off)[]): Leases {
  const leases = new Leases(applied, asIndex(1))
  for (const [at, setting] of appended.entries()) leases.appended(asIndex(2 + at), setting)
  return leases
}

test.each<[string, typeof off, (typeof off)[], number, number]>([
  ['a shorter one', on(1500), [on(250)], 1500, 250],
  ['a longer one', on(250), [on(1500)], 1500, 250],
  ['a shorter one behind a longer one', on(500), [on(1500), on(250)], 1500, 250],
  ['a longer one behind a shorter one', on(500), [on(250), on(1500)], 1500, 250],
  ['one that switches them off', on(500), [off], 500, 0],
  ['one that switches them on', off, [on(500)], 500, 0],
  ['off and on again', on(500), [off, on(500)], 500, 0],
])('%s in the log', (_, applied, appended, promiseMs, trustMs) => {
  expect(leasesWith(applied, ...appended)).toMatchObject({ promiseMs, trustMs })
})

test('only what is applied counts, and truncated settings do not', () => {
  const leases = leasesWith(on(500), on(1500), on(250))
  leases.truncatedFrom(asIndex(3))
  expect(leases).toMatchObject({ promiseMs: 1500, trustMs: 500 })
  expect(leases.appliedTo(asIndex(2))).toBe(true)
  expect(leases).toMatchObject({ promiseMs: 1500, trustMs: 1500, since: 2, unapplied: 0 })
})

test('a snapshot replaces what it covers', () => {
  const leases = leasesWith(on(500), on(1500), on(250))
  leases.restored(on(1500), asIndex(2))
  expect(leases).toMatchObject({ promiseMs: 1500, trustMs: 250, since: 2, unapplied: 1 })
})

test('applied one after the other, each from its own index on', () => {
  const leases = leasesWith(on(500), on(1500), off, on(250))
  expect(leases.appliedTo(asIndex(1))).toBe(false)
  expect(leases.appliedTo(asIndex(3))).toBe(true)
  expect(leases).toMatchObject({ promiseMs: 250, trustMs: 0, since: 3, unapplied: 1, applied: off })
  const switched = leasesWith(off, { on: false, durationMs: 900 })
  expect(switched).toMatchObject({ promiseMs: 0, trustMs: 0 })
})
