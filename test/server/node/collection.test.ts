// Requests that have ended are collected with the young generation. A structure that chains its old parts, as a Map
// does when it is rehashed, would move nearly all of them to the old one (src/server/node/write/number-map.ts).

import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { asRevision } from '../../../src/operations/forms/index.ts'
import { asIndex, asReplicaId } from '../../../src/raft/types.ts'
import type { Clock } from '../../../src/server/node/clock.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import type { ReadRequirements } from '../../../src/server/node/read/reads.ts'
import { Reads } from '../../../src/server/node/read/reads.ts'
import { ProposalTracker } from '../../../src/server/node/write/proposal-tracker.ts'

/** Eight requests arrive in each turn, and end eight turns later. */
const AT_ONCE = 8
const REQUESTS = 100_000
const BYTES = 1000
const STOPPED: Clock = { now: () => 0, after: () => ({ cancel() {} }), soon: (run) => run() }

setFlagsFromString('--expose-gc')
const collect: (options?: { readonly type: 'minor' }) => void = runInNewContext('gc')

test('a read leaves nothing behind that only a full collection finds', () => {
  const reads = new Reads({
    clock: STOPPED,
    limits: driverLimits,
    raft: { leader: asReplicaId('1'), stalenessMs: () => undefined },
    applied: { index: asIndex(10), state: { revision: asRevision(5) } },
    spacePolicy: { logEnd: undefined },
    lifecycle: { end: undefined },
    events: { wake() {} },
  })
  const requirements: ReadRequirements = {
    consistency: 'linearizable',
    maxStalenessMs: undefined,
    minRevision: undefined,
    timeoutMs: 1000,
  }
  const left = bytesLeftBehind((requests) => {
    for (const request of requests) reads.read(requirements, () => request.length)
    const confirmations = reads.nextBatch()
    return () => {
      for (const { id, leaderLease } of confirmations)
        reads.resolve({ id, outcome: 'confirmed', index: asIndex(10), leaderLease })
    }
  })
  expect(left).toBeLessThan((REQUESTS * BYTES) / 20)
})

test('neither does a proposal', () => {
  const proposals = new ProposalTracker(STOPPED, driverLimits, {
    renew: (renewed) => ({ seq: 0, frame: renewed }),
    ended() {},
  })
  const frame = new Uint8Array(1)
  let [seq, index] = [0, 0]
  const left = bytesLeftBehind((requests) => {
    for (const request of requests) {
      seq += 1
      proposals.add(seq, frame, 1000, () => request.length)
    }
    const batch = proposals.nextBatch()
    return () => {
      for (const { seq } of batch) {
        index += 1
        proposals.resolve({ seq, outcome: 'committed', index: asIndex(index) })
        proposals.applied(asIndex(index), undefined)
      }
    }
  })
  expect(proposals.size).toBe(AT_ONCE * (AT_ONCE - 1))
  expect(left).toBeLessThan((REQUESTS * BYTES) / 20)
})

/** Bytes in the old generation after many requests. `begin` begins some, and returns what ends them. */
function bytesLeftBehind(begin: (requests: readonly object[][]) => () => void): number {
  const ends: (() => void)[] = []
  const run = (count: number): void => {
    for (let at = 0; at < count; at += AT_ONCE) {
      const requests = Array.from({ length: AT_ONCE }, () => new Array<object>(BYTES / 8).fill(STOPPED))
      ends.push(begin(requests))
      if (ends.length === AT_ONCE) ends.shift()?.()
      if (at % 2_000 === 0) collect({ type: 'minor' })
    }
  }
  run(REQUESTS / 10)
  collect()
  const before = oldBytes()
  run(REQUESTS)
  return oldBytes() - before
}

const oldBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0
