// For each promise about leases a record that breaks it, and beside it the nearest one that does not.

import { describe, expect, test } from 'vitest'
import {
  checkLeases,
  type LeaseChange,
  type LeaseEntry,
  type LeaseGuarantee,
  type LeasePromise,
} from '../../../jepsen-lite/checker/leases/index.ts'

const TTL = 10_000
const CHECKPOINT = 5000

/** An entry whose cluster time is true time. */
const entry = (atMs: number, ...changes: LeaseChange[]): LeaseEntry => ({
  ...{ atMs, clusterMs: atMs, term: 1, checkpointMs: CHECKPOINT, changes },
})
const set = (what: 'granted' | 'renewed', atMs: number, id = 'L'): LeaseChange => ({
  ...{ what, id, ttlMs: TTL, deadlineMs: atMs + TTL + CHECKPOINT },
})
const granted = (atMs: number, id = 'L'): LeaseEntry => entry(atMs, set('granted', atMs, id))
const put = (key: string, lease?: string): LeaseChange => ({ what: 'put', key, lease })
const gone = (key: string): LeaseChange => ({ what: 'deleted', key })
const expired = (id = 'L'): LeaseChange => ({ what: 'expired', id })
const promise = (askedMs: number, id = 'L'): LeasePromise => ({ id, ttlMs: TTL, askedMs, node: 'n1' })

function judged(
  entries: readonly LeaseEntry[],
  promises: readonly LeasePromise[] = [],
  driftMax: number | 'unknown' = 0,
  lateMs = Number.POSITIVE_INFINITY,
): LeaseGuarantee[] {
  const found = checkLeases(
    { entries, promises },
    {
      ...{ driftMax: driftMax === 'unknown' ? undefined : driftMax, lateMs: () => lateMs },
    },
  )
  return [...new Set(found.map(({ guarantee }) => guarantee))]
}

describe('a lease does not end early', () => {
  test('after it was granted', () => {
    expect(judged([granted(100), entry(100 + TTL, expired())], [promise(100)])).toEqual([])
    expect(judged([granted(100), entry(90 + TTL, expired())], [promise(100)])).toEqual(['early'])
    // A client that asked for the lease may end it.
    expect(judged([granted(100), entry(500, { what: 'revoked', id: 'L' })], [promise(100)])).toEqual([])
  })

  test('after a keep-alive that was answered, from when it was asked for', () => {
    const kept = [promise(100), promise(4000)]
    expect(judged([granted(100), entry(4000 + TTL, expired())], kept)).toEqual([])
    expect(judged([granted(100), entry(3900 + TTL, expired())], kept)).toEqual(['early'])
  })

  test('by more than clocks may drift, for its time to live and a checkpoint time', () => {
    const ends = (atMs: number) => judged([granted(100), entry(atMs, expired())], [promise(100)], 0.05)
    expect(ends(100 + (TTL - 0.05 * CHECKPOINT) / 1.05)).toEqual([])
    expect(ends(100 + (TTL - 0.05 * CHECKPOINT) / 1.05 - 10)).toEqual(['early'])
    expect(judged([granted(100), entry(200, expired())], [promise(100)], 'unknown')).toEqual([])
  })

  test('for a promise that was made to the lease before it with the same id', () => {
    const again = [
      granted(100),
      entry(300, { what: 'revoked', id: 'L' }),
      granted(400),
      entry(400 + TTL, expired()),
    ]
    expect(judged(again, [promise(290), promise(400)])).toEqual([])
    expect(judged(again, [promise(290), promise(400), promise(500)])).toEqual(['early'])
  })
})

describe('a lease does not live long after its deadline', () => {
  const alive = (atMs: number, term = 1): LeaseEntry[] => [
    { ...entry(atMs), term },
    { ...entry(atMs + 1), term },
  ]
  const late = (...entries: LeaseEntry[]): LeaseGuarantee[] => judged(entries, [], 0, 1000)
  const ticks = (from: number, to: number, term = 1): LeaseEntry[] =>
    Array.from({ length: Math.ceil((to - from) / CHECKPOINT) }, (_, at) => ({
      ...entry(from + at * CHECKPOINT),
      term,
    }))

  test('while one leader writes entries', () => {
    const deadline = TTL + CHECKPOINT
    expect(late(granted(0), ...ticks(0, deadline), ...alive(deadline + 900))).toEqual([])
    expect(late(granted(0), ...ticks(0, deadline + 2000), ...alive(deadline + 1100))).toEqual(['late'])
  })

  test('nor under a leader that begins its time to live anew', () => {
    const deadline = TTL + CHECKPOINT
    const first = [granted(0), ...ticks(0, deadline - 1000)]
    const next = (to: number): LeaseEntry[] => ticks(deadline - 1000, to, 2)
    expect(late(...first, ...next(deadline), ...alive(deadline + 500, 2))).toEqual([])
    expect(late(...first, ...next(deadline + TTL), ...alive(deadline + TTL, 2))).toEqual(['late'])
    // A leader that begins after the deadline has some time.
    expect(late(...first, ...alive(deadline + 5000, 2))).toEqual([])
  })

  test('since the time is told once in a checkpoint time', () => {
    expect(late(granted(0), entry(CHECKPOINT + 900))).toEqual([])
    expect(late(granted(0), entry(CHECKPOINT + 1100))).toEqual(['time'])
    expect(late(granted(0), { ...entry(CHECKPOINT + 1100), term: 2 })).toEqual([])
    expect(late(entry(0), entry(10 * CHECKPOINT))).toEqual([])
  })
})

describe('a lease ends by the log', () => {
  test('once, after it began, and is renewed only meanwhile', () => {
    expect(judged([granted(0), entry(1, set('renewed', 1)), entry(2, expired())])).toEqual([])
    expect(judged([entry(2, expired())])).toEqual(['log'])
    expect(judged([granted(0), entry(1, expired()), entry(2, expired())])).toEqual(['log'])
    expect(judged([entry(1, set('renewed', 1))])).toEqual(['log'])
    expect(judged([granted(0), granted(1)])).toEqual(['log'])
  })
})

describe('with a lease', () => {
  test('its keys are deleted, all of them and no others', () => {
    const attached = [granted(0), entry(1, put('a', 'L')), entry(2, put('b', 'L')), entry(3, put('c'))]
    expect(judged([...attached, entry(4, gone('a'), gone('b'), expired())])).toEqual([])
    expect(judged([...attached, entry(4, gone('a'), expired())])).toEqual(['keys'])
    expect(judged([...attached, entry(4, gone('a'), gone('b'), gone('c'), expired())])).toEqual(['keys'])
  })

  test('a key that was put without it stays', () => {
    const detached = [granted(0), entry(1, put('a', 'L')), entry(2, put('a'))]
    expect(judged([...detached, entry(3, expired())])).toEqual([])
    expect(judged([...detached, entry(3, gone('a'), expired())])).toEqual(['keys'])
  })

  test('a key that was put with another lease goes with that one', () => {
    const moved = [granted(0), granted(1, 'M'), entry(2, put('a', 'L')), entry(3, put('a', 'M'))]
    expect(judged([...moved, entry(4, expired()), entry(5, gone('a'), expired('M'))])).toEqual([])
    expect(judged([...moved, entry(4, gone('a'), expired())])).toEqual(['keys'])
    expect(judged([...moved, entry(4, expired('M'))])).toEqual(['keys'])
    // Two leases that one entry ends.
    expect(judged([...moved, entry(4, expired(), gone('a'), expired('M'))])).toEqual([])
  })

  test('that has ended, no key is put', () => {
    expect(judged([granted(0), entry(1, expired()), entry(2, put('a', 'L'))])).toEqual(['alive'])
    expect(judged([entry(2, put('a', 'L'))])).toEqual(['alive'])
  })

  test('that was made for one key, the lease ends with its value', () => {
    const own = [entry(0, set('granted', 0), put('a', 'L'))]
    expect(judged([...own, entry(1, put('a'), { what: 'replaced', id: 'L' })])).toEqual([])
    expect(judged([...own, entry(1, gone('a'), { what: 'replaced', id: 'L' })])).toEqual([])
    expect(judged([...own, entry(1, { what: 'replaced', id: 'L' })])).toEqual(['keys'])
  })
})

test('each anomaly names its promise', () => {
  const found = checkLeases(
    { promises: [promise(0)], entries: [granted(0), entry(1, put('a', 'L')), entry(2, expired())] },
    { driftMax: 0, lateMs: () => Number.POSITIVE_INFINITY },
  )
  expect(found.map(({ guarantee, promise: name }) => [guarantee, name])).toEqual([
    ['early', 'KV-24'],
    ['keys', 'KV-23'],
  ])
})
