import { expect, test } from 'vitest'
import { emptyConfiguration } from '../../../src/raft/index.ts'
import { asIndex, asTerm, type NeededLog, type Write } from '../../../src/raft/types.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { LogRetention } from '../../../src/server/node/write/log-retention.ts'

const limits = {
  ...driverLimits,
  ...{ logTailEntries: 100, logTailBytes: 1 << 20, compactEntriesMin: 10 },
  ...{ logBehindEntries: 1000, logBehindBytes: 2 << 20 },
}
/** All followers have all entries. */
const NOTHING = needed(1_000_000)
const LOW = { state: 'low', freeBytes: 1 } as const
const ENOUGH = { state: 'enough', freeBytes: Number.POSITIVE_INFINITY } as const

function needed(after: number, lateSnapshots = 0): NeededLog {
  return { after: asIndex(after), lateSnapshots }
}

function write(first: number, count: number, frameBytes: number, truncateFrom?: number): Write {
  const frame = new Uint8Array(frameBytes)
  return {
    number: 1,
    hardState: { term: asTerm(1), vote: undefined, commit: asIndex(0) },
    truncateFrom: truncateFrom === undefined ? undefined : asIndex(truncateFrom),
    entries: Array.from({ length: count }, (_, i) => ({
      index: asIndex(first + i),
      term: asTerm(1),
      frame,
    })),
    snapshot: undefined,
  }
}

test('keeps the last entries and moves in steps', () => {
  const tail = new LogRetention(limits)
  tail.written(write(1, 500, 10))
  expect(tail.compactTo(asIndex(1), asIndex(109), NOTHING, ENOUGH)).toBeUndefined()
  expect(tail.compactTo(asIndex(1), asIndex(110), NOTHING, ENOUGH)).toBe(10)
  expect(tail.compactTo(asIndex(11), asIndex(115), NOTHING, ENOUGH)).toBeUndefined()
})

test('never goes beyond what is durable as applied', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 40; i++) tail.written(write(1 + i, 1, 300_000))
  expect(tail.compactTo(asIndex(1), asIndex(3), NOTHING, ENOUGH)).toBe(3)
})

test('a few large entries are compacted by their bytes', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 20; i++) tail.written(write(1 + i, 1, 300_000))
  const target = tail.compactTo(asIndex(1), asIndex(20), NOTHING, ENOUGH)
  expect(target).toBe(16) // 4 × 300 kB are left: the smallest tail of at least 1 MiB
  expect(tail.compactTo(asIndex(17), asIndex(20), NOTHING, ENOUGH)).toBeUndefined()
})

test('what is truncated does not count as a place to compact to', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 20; i++) tail.written(write(1 + i, 1, 300_000))
  tail.written(write(5, 1, 300_000, 5))
  expect(tail.compactTo(asIndex(1), asIndex(5), NOTHING, ENOUGH)).toBeLessThan(5)
})

test('keeps what a follower still needs, up to a bound in entries', () => {
  const tail = new LogRetention(limits)
  tail.written(write(1, 2000, 10))
  expect(tail.compactTo(asIndex(1), asIndex(900), needed(5), ENOUGH)).toBeUndefined()
  expect(tail.compactTo(asIndex(1), asIndex(900), needed(50), ENOUGH)).toBe(50)
  expect(tail.compactTo(asIndex(51), asIndex(1200), needed(50), ENOUGH)).toBe(200)
  expect(tail.compactTo(asIndex(201), asIndex(1200), NOTHING, ENOUGH)).toBe(1100)
})

test('keeps what a follower still needs, up to a bound in bytes', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 20; i++) tail.written(write(1 + i, 1, 300_000))
  expect(tail.compactTo(asIndex(1), asIndex(20), needed(0), ENOUGH)).toBe(13) // 7 × 300 kB are left: at least 2 MiB
  expect(tail.compactTo(asIndex(14), asIndex(20), needed(14), ENOUGH)).toBe(14)
  expect(tail.compactTo(asIndex(15), asIndex(20), needed(14), ENOUGH)).toBeUndefined()
  expect(tail.compactTo(asIndex(15), asIndex(20), NOTHING, ENOUGH)).toBe(16)
})

test('keeps more with each snapshot that came too late, as far as the disk has room', () => {
  const kept = (late: number, freeBytes: number, entryBytes: number): number => {
    const tail = new LogRetention(limits)
    for (let index = 1; index <= 100_000; index += 100) tail.written(write(index, 100, entryBytes))
    const to = tail.compactTo(asIndex(1), asIndex(100_000), needed(0, late), { state: 'enough', freeBytes })
    return 100_000 - (to ?? 0)
  }
  const huge = Number.POSITIVE_INFINITY
  expect([0, 1, 2, 3].map((late) => kept(late, huge, 10))).toEqual([1000, 8000, 64_000, 64_000])
  const megabytes = (late: number, freeBytes: number): number =>
    Math.round((kept(late, freeBytes, 4096) * 4096) / 2 ** 20)
  expect([0, 1, 2].map((late) => megabytes(late, huge))).toEqual([2, 16, 128])
  // At most half of the free space, but never less than without late snapshots.
  expect([0, 1, 2].map((late) => megabytes(late, 48 << 20))).toEqual([2, 16, 24])
  expect([0, 1, 2].map((late) => megabytes(late, 0))).toEqual([2, 2, 2])
})

test('keeps nothing but what is needed while the disk is short of room', () => {
  const tail = new LogRetention(limits)
  tail.written(write(1, 500, 10_000))
  expect(tail.compactTo(asIndex(1), asIndex(500), needed(450), LOW)).toBe(450)
  expect(tail.compactTo(asIndex(451), asIndex(500), NOTHING, LOW)).toBe(500)
})

test('the bytes of a log that a snapshot has replaced do not count', () => {
  const tail = new LogRetention(limits)
  for (let i = 0; i < 8; i++) tail.written(write(1 + i, 1, 300_000))
  const state = { configuration: emptyConfiguration, leaderLeases: { on: false, durationMs: 500 } }
  const meta = { index: asIndex(2), term: asTerm(2), state }
  const snapshot = { meta, snapshotId: 's', keepLog: false }
  tail.written({ ...write(3, 8, 10), snapshot })
  expect(tail.compactTo(asIndex(3), asIndex(10), NOTHING, ENOUGH)).toBeUndefined()
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
    expect([frameKb, tail.compactTo(asIndex(1), asIndex(60), NOTHING, ENOUGH)]).toEqual([frameKb, 60 - kept])
  }
})

test('a place where it was compacted to is one no more, and a write without entries is none', () => {
  const tail = new LogRetention({ ...limits, logTailEntries: 1000 })
  for (let index = 1; index <= 20; index++) tail.written(write(index, 1, 300 * KB))
  tail.written(write(21, 0, 0))
  const first = tail.compactTo(asIndex(1), asIndex(20), NOTHING, ENOUGH)
  expect(first).toBe(16)
  // Compaction would free little, and no step ends there.
  tail.written(write(21, 1, 10))
  expect(tail.compactTo(asIndex(14), asIndex(16), NOTHING, ENOUGH)).toBeUndefined()
  expect(tail.compactTo(asIndex(17), asIndex(16), NOTHING, ENOUGH)).toBeUndefined()
})

test('little is not worth a compaction, unless a step of bytes ends in it', () => {
  for (const large of [1, 7]) {
    const tail = new LogRetention({ ...limits, logTailEntries: 5 })
    for (let index = 1; index <= 40; index++)
      tail.written(write(index, 1, index === large || index === 30 ? 300 * KB : 10))
    expect(tail.compactTo(asIndex(1), asIndex(12), NOTHING, ENOUGH)).toBe(7)
    expect(tail.compactTo(asIndex(8), asIndex(15), NOTHING, ENOUGH)).toBeUndefined()
    expect(tail.compactTo(asIndex(8), asIndex(22), NOTHING, ENOUGH)).toBe(17)
  }
})
