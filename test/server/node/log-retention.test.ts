import { expect, test } from 'vitest'
import { emptyConfiguration } from '../../../src/raft/index.ts'
import { asIndex, asTerm, type Write } from '../../../src/raft/types.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { LogRetention } from '../../../src/server/node/log-retention.ts'

const limits = {
  ...driverLimits,
  ...{ logTailEntries: 100, logTailBytes: 1 << 20, compactEntriesMin: 10 },
  ...{ logBehindEntries: 1000, logBehindBytes: 2 << 20 },
}
/** All followers have all entries. */
const NOTHING = asIndex(1_000_000)

function write(first: number, count: number, frameBytes: number, truncateFrom?: number): Write {
  return {
    number: 1,
    hardState: { term: asTerm(1), vote: undefined, commit: asIndex(0) },
    truncateFrom: truncateFrom === undefined ? undefined : asIndex(truncateFrom),
    entries: Array.from({ length: count }, (_, i) => ({
      index: asIndex(first + i),
      term: asTerm(1),
      frame: new Uint8Array(frameBytes),
    })),
    snapshot: undefined,
  }
}

test('keeps the last entries and moves in steps', () => {
  const tail = new LogRetention(limits)
  tail.written(write(1, 500, 10))
  expect(tail.compactTo(asIndex(1), asIndex(109), NOTHING)).toBeUndefined()
  expect(tail.compactTo(asIndex(1), asIndex(110), NOTHING)).toBe(10)
  expect(tail.compactTo(asIndex(11), asIndex(115), NOTHING)).toBeUndefined()
})

test('never goes beyond what is durable as applied', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 40; i++) tail.written(write(1 + i, 1, 300_000))
  expect(tail.compactTo(asIndex(1), asIndex(3), NOTHING)).toBe(3)
})

test('a few large entries are compacted by their bytes', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 20; i++) tail.written(write(1 + i, 1, 300_000))
  const target = tail.compactTo(asIndex(1), asIndex(20), NOTHING)
  expect(target).toBe(16) // 4 × 300 kB are left: the smallest tail of at least 1 MiB
  expect(tail.compactTo(asIndex(17), asIndex(20), NOTHING)).toBeUndefined()
})

test('what is truncated does not count as a place to compact to', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 20; i++) tail.written(write(1 + i, 1, 300_000))
  tail.written(write(5, 1, 300_000, 5))
  expect(tail.compactTo(asIndex(1), asIndex(5), NOTHING)).toBeLessThan(5)
})

test('keeps what a follower still needs, up to a bound in entries', () => {
  const tail = new LogRetention(limits)
  tail.written(write(1, 2000, 10))
  expect(tail.compactTo(asIndex(1), asIndex(900), asIndex(5))).toBeUndefined()
  expect(tail.compactTo(asIndex(1), asIndex(900), asIndex(50))).toBe(50)
  expect(tail.compactTo(asIndex(51), asIndex(1200), asIndex(50))).toBe(200)
  expect(tail.compactTo(asIndex(201), asIndex(1200), NOTHING)).toBe(1100)
})

test('keeps what a follower still needs, up to a bound in bytes', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 20; i++) tail.written(write(1 + i, 1, 300_000))
  expect(tail.compactTo(asIndex(1), asIndex(20), asIndex(0))).toBe(13) // 7 × 300 kB are left: at least 2 MiB
  expect(tail.compactTo(asIndex(14), asIndex(20), asIndex(14))).toBe(14)
  expect(tail.compactTo(asIndex(15), asIndex(20), asIndex(14))).toBeUndefined()
  expect(tail.compactTo(asIndex(15), asIndex(20), NOTHING)).toBe(16)
})

test('keeps nothing but what is needed while the disk is short of room', () => {
  const tail = new LogRetention(limits)
  tail.written(write(1, 500, 10_000))
  expect(tail.compactTo(asIndex(1), asIndex(500), asIndex(450), true)).toBe(450)
  expect(tail.compactTo(asIndex(451), asIndex(500), NOTHING, true)).toBe(500)
})

test('the bytes of a log that a snapshot has replaced do not count', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 8; i++) tail.written(write(1 + i, 1, 300_000))
  const state = { configuration: emptyConfiguration, leases: { on: false, durationMs: 500 } }
  const meta = { index: asIndex(2), term: asTerm(2), state }
  const snapshot = { meta, snapshotId: 's', keepLog: false }
  tail.written({ ...write(3, 8, 10), snapshot })
  expect(tail.compactTo(asIndex(3), asIndex(10), NOTHING)).toBeUndefined()
})

const KB = 1024

test('bytes are counted in steps: as many are kept as were asked for, and less than one step more', () => {
  for (const [frameKb, kept] of [
    // The limit is a whole number of steps.
    [64, 16],
    [128, 8],
    [256, 4],
    [512, 2],
    // The third entry exceeds the step.
    [100, 12],
  ] as const) {
    const tail = new LogRetention({ ...limits, logTailBytes: 1024 * KB, logTailEntries: 1000 })
    for (let index = 1; index <= 60; index++) tail.written(write(index, 1, frameKb * KB))
    expect([frameKb, tail.compactTo(asIndex(1), asIndex(60), NOTHING)]).toEqual([frameKb, 60 - kept])
  }
})

test('a place where it was compacted to is one no more, and a write without entries is none', () => {
  const tail = new LogRetention({ ...limits, logTailEntries: 1000 })
  for (let index = 1; index <= 20; index++) tail.written(write(index, 1, 300 * KB))
  tail.written(write(21, 0, 0))
  const first = tail.compactTo(asIndex(1), asIndex(20), NOTHING)
  expect(first).toBe(16)
  // Compaction would free little, and no step ends there.
  tail.written(write(21, 1, 10))
  expect(tail.compactTo(asIndex(14), asIndex(16), NOTHING)).toBeUndefined()
  expect(tail.compactTo(asIndex(17), asIndex(16), NOTHING)).toBeUndefined()
})

test('little is not worth a compaction, unless a step of bytes ends in it', () => {
  for (const large of [1, 7]) {
    const tail = new LogRetention({ ...limits, logTailEntries: 5 })
    for (let index = 1; index <= 40; index++)
      tail.written(write(index, 1, index === large || index === 30 ? 300 * KB : 10))
    expect(tail.compactTo(asIndex(1), asIndex(12), NOTHING)).toBe(7)
    expect(tail.compactTo(asIndex(8), asIndex(15), NOTHING)).toBeUndefined()
    expect(tail.compactTo(asIndex(8), asIndex(22), NOTHING)).toBe(17)
  }
})
