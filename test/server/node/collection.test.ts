// Requests that have ended are collected with the young generation. A structure that chains its old parts, as a Map
// does when it is rehashed, would move nearly all of them to the old one (src/server/node/number-map.ts).

import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { asRevision } from '../../../src/kv/types.ts'
import { asIndex } from '../../../src/raft/types.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { Reads } from '../../../src/server/node/reads.ts'
import type { Clock, ReadRequirements } from '../../../src/server/node/types.ts'

const IN_FLIGHT = 64
const READS = 100_000
const BYTES = 1000
const STOPPED: Clock = { now: () => 0, after: () => ({ cancel() {} }), soon: (run) => run() }

test('a read leaves nothing behind that only a full collection finds', () => {
  setFlagsFromString('--expose-gc')
  const collect: (options?: { readonly type: 'minor' }) => void = runInNewContext('gc')
  const state = {
    ...{ revision: asRevision(5), appliedIndex: asIndex(10), hasLeader: true, endsAt: undefined },
    stalenessMs: () => undefined,
  }
  const reads = new Reads(STOPPED, driverLimits, state)
  const requirements: ReadRequirements = {
    consistency: 'linearizable',
    maxStalenessMs: undefined,
    minRevision: undefined,
    timeoutMs: 1000,
  }
  const run = (count: number): void => {
    const batches: (readonly { readonly id: number }[])[] = []
    for (let at = 0; at < count; at += 8) {
      for (let i = 0; i < 8; i++) {
        const request = new Array<number>(BYTES / 8).fill(at + 0.5)
        reads.add(requirements, () => request.length)
      }
      batches.push(reads.nextBatch())
      if (batches.length < IN_FLIGHT / 8) continue
      for (const { id } of batches.shift() ?? [])
        reads.resolve({ id, outcome: 'confirmed', index: asIndex(10), lease: false })
      if (at % 2_000 === 0) collect({ type: 'minor' })
    }
  }
  run(10_000)
  collect()
  const before = oldBytes()
  run(READS)
  expect(oldBytes() - before).toBeLessThan((READS * BYTES) / 20)
})

const oldBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0
