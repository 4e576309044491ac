// Progress of one follower against a simple model: sends and responses in any order, with many sizes and limits.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Progress } from '../../src/raft/progress.ts'
import { asIndex, asReplicaId, asTerm, type Entry, type RaftLimits } from '../../src/raft/types.ts'
import { runs } from '../runs.ts'
import { LIMITS } from './harness/node.ts'

const id = asReplicaId('7')

const follower = (lastIndex: number, limits: Partial<RaftLimits> = {}, now = 0): Progress =>
  new Progress(id, asIndex(lastIndex), now, { ...LIMITS, ...limits })

const entry = (index: number, bytes = 10): Entry => ({
  index: asIndex(index),
  term: asTerm(1),
  frame: new Uint8Array(bytes),
})

/** A follower whose log is known up to `match`. */
function replicating(match: number, limits: Partial<RaftLimits> = {}): Progress {
  const progress = follower(match, limits)
  progress.accepted(asIndex(match))
  progress.becomeReplicate()
  return progress
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('send' as const), sizes: fc.array(fc.nat(300), { maxLength: 4 }) }),
  // A response to a sent append, or an older or newer one.
  fc.record({ kind: fc.constant('accept' as const), by: fc.integer({ min: -3, max: 12 }) }),
)

describe('a follower that is replicated to', () => {
  test('has in flight exactly what was sent and not answered, and is full at either limit', () => {
    const limits = fc.record({
      inflightMessagesMax: fc.integer({ min: 1, max: 80 }),
      inflightBytesMax: fc.integer({ min: 1, max: 3000 }),
    })
    const steps = fc.array(step, { maxLength: 300, size: 'max' })
    const property = fc.property(limits, fc.nat(20), steps, (some, match, taken) => {
      const progress = replicating(match, some)
      let inflight: { last: number; bytes: number }[] = []
      let [matched, next] = [match, match + 1]
      for (const each of taken) {
        if (each.kind === 'send') {
          progress.sent(each.sizes.map((bytes, at) => entry(next + at, bytes)))
          next += each.sizes.length
          const bytes = each.sizes.reduce((sum, size) => sum + size, 0)
          if (each.sizes.length > 0) inflight.push({ last: next - 1, bytes })
        } else {
          const index = Math.max(0, matched + each.by)
          expect(progress.accepted(asIndex(index))).toBe(index > matched)
          inflight = inflight.filter(({ last }) => last > index)
          matched = Math.max(matched, index)
          next = Math.max(next, matched + 1)
        }
        const bytes = inflight.reduce((sum, { bytes: size }) => sum + size, 0)
        const full = inflight.length >= some.inflightMessagesMax || bytes >= some.inflightBytesMax
        expect(progress.status(0)).toMatchObject({
          state: 'replicate',
          match: matched,
          next,
          inflightMessages: inflight.length,
          inflightBytes: bytes,
          paused: full,
        })
        expect(progress.holds).toBe(matched)
        progress.check()
      }
    })
    fc.assert(property, { numRuns: runs(300) })
  })

  test('is full when the bytes under way are exactly as many as may be', () => {
    const progress = replicating(5, { inflightBytesMax: 20 })
    progress.sent([entry(6, 19)])
    expect(progress.paused).toBe(false)
    progress.sent([entry(7, 1)])
    expect(progress.paused).toBe(true)
  })

  test('is probed from behind its match when an append is rejected, and has nothing in flight then', () => {
    const progress = replicating(5)
    progress.sent([entry(6), entry(7)])
    expect(progress.rejected(asIndex(5), asIndex(2))).toBe(false)
    expect(progress.status(0)).toMatchObject({ state: 'replicate', inflightMessages: 1 })
    expect(progress.rejected(asIndex(7), asIndex(6))).toBe(true)
    expect(progress.status(0)).toMatchObject({
      state: 'probe',
      next: 6,
      inflightMessages: 0,
      inflightBytes: 0,
    })
    expect(progress.paused).toBe(false)
  })
})

describe('a follower that is probed', () => {
  test('is sent one append until the answer to that one comes', () => {
    const progress = follower(10)
    expect(progress.paused).toBe(false)
    progress.sent([entry(11)])
    expect(progress.paused).toBe(true)
    expect(progress.rejected(asIndex(9), asIndex(3))).toBe(false)
    expect([progress.paused, progress.next]).toEqual([true, 11])
    expect(progress.rejected(asIndex(10), asIndex(3))).toBe(true)
    expect([progress.paused, progress.next, progress.holds]).toEqual([false, 4, 3])
    expect(progress.status(0)).toMatchObject({ inflightMessages: 0, inflightBytes: 0 })
  })

  test('is never probed below what it has acknowledged, nor above what it refused', () => {
    const progress = follower(10)
    progress.accepted(asIndex(4))
    expect(progress.rejected(asIndex(10), asIndex(1))).toBe(true)
    expect(progress.next).toBe(5)
    const other = follower(10)
    expect(other.rejected(asIndex(10), asIndex(30))).toBe(true)
    expect(other.next).toBe(10)
  })

  test('an answer about entries that it has acknowledged already changes nothing', () => {
    const progress = follower(4)
    progress.accepted(asIndex(4))
    expect(progress.rejected(asIndex(4), asIndex(2))).toBe(false)
    expect(progress.next).toBe(5)
  })
})

describe('a follower that gets a snapshot', () => {
  test('is sent nothing, whatever it rejects, and counts as holding what the snapshot holds', () => {
    const progress = replicating(5)
    progress.sent([entry(6)])
    progress.becomeSnapshot(asIndex(20), 1000)
    expect(progress.status(0)).toMatchObject({ state: 'snapshot', inflightMessages: 0, paused: true })
    expect([progress.holds, progress.snapshotSince]).toEqual([20, 1000])
    expect(progress.rejected(asIndex(5), asIndex(3))).toBe(false)
    expect(progress.rejected(asIndex(30), asIndex(3))).toBe(false)
    expect(progress.rejected(asIndex(6), asIndex(3))).toBe(false)
    expect([progress.state, progress.next]).toEqual(['snapshot', 7])
  })

  test('that has arrived is probed behind it; that failed, behind what it has acknowledged', () => {
    const arrived = replicating(5)
    arrived.becomeSnapshot(asIndex(20), 0)
    arrived.becomeProbe()
    expect([arrived.state, arrived.next, arrived.pendingSnapshot, arrived.paused]).toEqual([
      'probe',
      21,
      0,
      false,
    ])
    const failed = replicating(5)
    failed.becomeSnapshot(asIndex(20), 0)
    failed.abandonSnapshot()
    expect([failed.state, failed.next, failed.pendingSnapshot, failed.paused]).toEqual(['probe', 6, 0, false])
  })

  test('and then entries again has no pending snapshot', () => {
    const progress = follower(30)
    progress.sent([entry(31)])
    progress.becomeSnapshot(asIndex(20), 0)
    progress.accepted(asIndex(20))
    progress.becomeReplicate()
    expect([progress.next, progress.holds, progress.pendingSnapshot]).toEqual([21, 20, 0])
    progress.becomeProbe()
    expect(progress.paused).toBe(false)
  })
})

describe('a learner', () => {
  test('has caught up when a whole round and the one under way were short', () => {
    const progress = replicating(0)
    progress.catchUpTo = asIndex(10)
    progress.catchUpSince = 100
    progress.accepted(asIndex(9))
    progress.catchUp(asIndex(15), 130)
    expect([progress.catchUpTo, progress.isCaughtUp(130, 50)]).toEqual([10, false])
    progress.accepted(asIndex(10))
    progress.catchUp(asIndex(15), 140)
    expect([progress.catchUpTo, progress.lastCatchUpMs, progress.catchUpSince]).toEqual([15, 40, 140])
    // Neither round may have lasted as long as the limit.
    expect(progress.isCaughtUp(150, 41)).toBe(true)
    expect(progress.isCaughtUp(150, 40)).toBe(false)
    expect(progress.isCaughtUp(180, 41)).toBe(true)
    expect(progress.isCaughtUp(181, 41)).toBe(false)
    progress.becomeProbe()
    expect(progress.isCaughtUp(150, 41)).toBe(false)
  })
})

test('the time of its last answer decides whether it is active', () => {
  const progress = follower(0)
  expect(progress.status(Number.NEGATIVE_INFINITY).recentlyActive).toBe(false)
  progress.lastContactAt = 10
  expect([9, 10, 11].map((since) => progress.status(since).recentlyActive)).toEqual([true, false, false])
})

test('a forgotten contact no longer proves anything', () => {
  const progress = follower(0)
  progress.openContact = { at: 1, readIndex: asIndex(1), round: 1 }
  progress.confirmedContact = { at: 1, readIndex: asIndex(1) }
  progress.forgetContact()
  expect([progress.openContact, progress.confirmedContact]).toEqual([undefined, undefined])
})

test('a match beyond what was to be sent next is an error of ours', () => {
  const progress = follower(3)
  progress.match = asIndex(4)
  expect(() => progress.check()).toThrow('replica 7 has match 4 but next 4')
})
