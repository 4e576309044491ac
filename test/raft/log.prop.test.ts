// The log against a simple model: an array of all entries and a disk that lags behind. Appends, truncations, commits,
// applying, snapshots and writes that become durable late, in any order, with many sizes and limits.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stampFrame } from '../../src/raft/entry.ts'
import { InvariantError } from '../../src/raft/invariant.ts'
import { RaftLog } from '../../src/raft/log.ts'
import {
  asIndex,
  asTerm,
  type Entry,
  type HardState,
  type LogIndex,
  type RaftLimits,
  type SnapshotMeta,
  type Write,
} from '../../src/raft/types.ts'
import { runs } from '../runs.ts'
import { TestLog } from './harness/disk.ts'
import { LIMITS } from './harness/node.ts'

const NO_STATE = {} as SnapshotMeta['state']
const hardState: HardState = { term: asTerm(1), vote: undefined, commit: asIndex(0) }

const entry = (index: number, term: number, bytes: number): Entry => ({
  index: asIndex(index),
  term: asTerm(term),
  frame: new Uint8Array(bytes),
})

/** Counts the entries that are read from it. */
class CountedLog extends TestLog {
  reads = 0

  override entries(from: LogIndex, to: LogIndex, bytesMax: number): Entry[] {
    this.reads++
    return super.entries(from, to, bytesMax)
  }
}

/** The true state of the log, in the simplest form. */
class Model {
  readonly disk: CountedLog
  readonly log: RaftLog
  /** The whole log since `base`. */
  list: Entry[]
  base: number
  baseTerm: number
  commit: number
  handed: number
  applied: number
  /** Writes that are not durable yet. */
  readonly writes: Write[] = []
  written: number
  /** First index that the disk must delete. */
  truncateFrom: number | undefined
  restored = false
  stored = 0
  /** State that reads use until a snapshot is durable, and the write that makes it durable. */
  installing: { visible: number; write: number; stable: number; replaced: boolean } | undefined
  readonly limits: RaftLimits
  /** First index of the tail in memory. */
  tailFirst: number
  /** Up to here, entries that wait to be applied do not count: they were committed at the start. */
  uncounted: number

  constructor(start: TestLog, commit: number, applied: number, limits: RaftLimits) {
    this.disk = new CountedLog(start.base, start.baseTerm, start.list)
    this.list = [...start.list]
    this.base = start.base
    this.baseTerm = start.baseTerm
    this.commit = commit
    this.handed = applied
    this.applied = applied
    this.written = this.last
    this.limits = limits
    this.tailFirst = commit + 1
    this.uncounted = commit
    this.log = new RaftLog(this.disk, asIndex(commit), asIndex(applied))
  }

  get last(): number {
    return this.base + this.list.length
  }

  at(index: number): Entry | undefined {
    return index > this.base ? this.list[index - this.base - 1] : undefined
  }

  termAt(index: number): number | undefined {
    return index === this.base ? this.baseTerm : this.at(index)?.term
  }

  /** The last index up to which the disk holds this log. */
  get stable(): number {
    if (this.installing?.replaced) return this.installing.stable
    let index = Math.max(this.disk.base, this.base)
    while (index < this.last && this.disk.at(asIndex(index + 1)) === this.at(index + 1)) index++
    return index
  }

  bytes(after: number, upTo: number): number {
    let sum = 0
    for (let index = after + 1; index <= upTo; index++) sum += this.at(index)?.frame.length ?? 0
    return sum
  }

  takeWrite(hardStateChanged: boolean, now: number): void {
    const before = this.log.inspect().pendingWrites ?? 0
    const write = this.log.takeWrite(hardState, hardStateChanged, now)
    const mustWrite =
      hardStateChanged || this.written < this.last || this.truncateFrom !== undefined || this.restored
    expect(write !== undefined).toBe(mustWrite)
    if (write === undefined) return
    this.restored = false
    expect(write.number).toBe(this.stored + this.writes.length + 1)
    expect(write.entries).toEqual(this.list.slice(this.written - this.base))
    expect(write.truncateFrom).toBe(this.truncateFrom)
    expect(write.hardState).toBe(hardState)
    this.truncateFrom = undefined
    this.written = this.last
    this.writes.push(write)
    expect(this.log.inspect().pendingWrites).toBe(before + 1)
  }

  /** The oldest `count` writes become durable and are reported as one, as for a batch. */
  makeDurable(count: number): void {
    const durable = this.writes.splice(0, count)
    const number = durable.at(-1)?.number
    if (number === undefined) return
    for (const write of durable) this.disk.write(write)
    this.stored = number
    if (this.installing !== undefined && this.installing.write <= number) this.installing = undefined
    this.log.stored(number, this.limits, 0)
    this.#evict()
    // The same report again, and older reports, change nothing.
    this.log.stored(number, { ...this.limits, tailBytesMax: 0, applyBytesMax: 0 }, 0)
    this.log.stored(number - 1, { ...this.limits, tailBytesMax: 0, applyBytesMax: 0 }, 0)
  }

  #evict(): void {
    const { tailBytesMax, applyBytesMax } = this.limits
    while (this.tailFirst <= Math.min(this.stable, this.commit)) {
      const max = this.tailFirst <= this.handed ? tailBytesMax : Math.max(tailBytesMax, applyBytesMax)
      if (this.bytes(this.tailFirst - 1, this.last) <= max) break
      this.tailFirst++
    }
  }

  takeCommitted(bytesMax: number): void {
    let { applyingBytes = 0 } = this.log.inspect()
    const from = this.handed
    if (this.installing === undefined) {
      while (this.handed < this.commit && applyingBytes < bytesMax) {
        this.handed++
        applyingBytes += this.bytes(this.handed - 1, this.handed)
      }
    }
    const taken = this.log.takeCommitted(bytesMax, this.log.commit)
    expect(taken).toEqual(this.list.slice(from - this.base, this.handed - this.base))
    expect(this.log.inspect().applyingBytes).toBe(applyingBytes)
  }

  restore(index: number, term: number): void {
    const keepLog = this.termAt(index) === term
    const visible = this.applied
    const stable = Math.min(this.stable, this.commit)
    const write = (this.writes.at(-1)?.number ?? this.stored) + 1
    expect(this.log.restore({ index: asIndex(index), term: asTerm(term), state: NO_STATE }, 'id')).toBe(
      keepLog,
    )
    if (!keepLog) {
      this.list = []
      this.base = index
      this.baseTerm = term
      this.written = index
      this.truncateFrom = undefined
      this.tailFirst = index + 1
    }
    this.installing = { visible, write, stable, replaced: !keepLog }
    this.commit = index
    this.uncounted = index
    this.handed = index
    this.applied = index
    this.restored = true
    // The core takes a write at the end of each step. Two snapshots in one step do not occur.
    this.takeWrite(false, 0)
    expect(this.writes.at(-1)?.snapshot).toMatchObject({ snapshotId: 'id', keepLog })
  }

  read(from: number, to: number, bytesMax: number): void {
    this.disk.reads = 0
    const page = this.log.entries(asIndex(from), asIndex(to), bytesMax)
    const expected: Entry[] = []
    let bytes = 0
    // A read that begins on the disk ends where the entries in memory begin.
    for (const each of this.list.slice(from - this.base - 1, to - this.base - 1)) {
      bytes += each.frame.length
      if (
        expected.length > 0 &&
        (bytes > bytesMax || (from < this.tailFirst && each.index >= this.tailFirst))
      )
        break
      expected.push(each)
    }
    expect(page).toEqual(expected)
    expect(this.disk.reads).toBe(from < this.tailFirst ? 1 : 0)
  }

  #unfinishedBytes(): number {
    const { applyingBytes = 0 } = this.log.inspect()
    const unapplied = applyingBytes + this.bytes(Math.max(this.handed, this.uncounted), this.commit)
    const unstored = this.bytes(Math.max(Math.min(this.stable, this.commit), this.tailFirst - 1), this.commit)
    return this.bytes(this.commit, this.last) + Math.max(unstored, unapplied)
  }

  check(): void {
    const { log } = this
    expect({
      last: log.last,
      lastTerm: log.lastTerm,
      commit: log.commit,
      applied: log.applied,
      visible: log.visible,
      stable: log.stable,
      installing: log.installing,
      storedWrite: log.storedWrite,
      first: log.first,
      evictable: log.evictable,
      unfinishedBytes: log.unfinishedBytes,
    }).toEqual({
      last: this.last,
      lastTerm: this.termAt(this.last),
      commit: this.commit,
      applied: this.applied,
      visible: this.installing?.visible ?? this.applied,
      stable: this.stable,
      installing: this.installing !== undefined,
      storedWrite: this.stored,
      first: this.installing?.replaced ? this.base + 1 : this.disk.base + 1,
      evictable: Math.min(this.stable, this.commit),
      unfinishedBytes: this.#unfinishedBytes(),
    })
    const { applyingBytes, applyBatches, ...underWay } = log.inspect()
    expect(underWay).toEqual({
      pendingWrites: this.writes.length,
      installing: Number(this.installing !== undefined),
      uncommittedEntries: this.last - this.commit,
      uncommittedBytes: this.bytes(this.commit, this.last),
      undurableEntries: this.last - Math.max(this.stable, this.tailFirst - 1),
      undurableBytes: this.bytes(Math.max(this.stable, this.tailFirst - 1), this.last),
      unappliedEntries: this.commit - this.applied,
    })
    // Bytes are freed by whole batches, so the unapplied entries account for at most this many.
    expect(applyingBytes).toBeGreaterThanOrEqual(this.bytes(this.applied, this.handed))
    expect(applyingBytes === 0 && applyBatches === 0).toBe(this.applied === this.handed)
    const first = log.first
    for (let index = first - 1; index <= this.last + 2; index++) {
      expect(log.termAt(asIndex(index))).toBe(this.termAt(index))
    }
    if (this.installing?.replaced) expect(log.termAt(asIndex(this.base - 1))).toBe(undefined)
    for (let index = Math.max(0, first - 1); index <= this.last; index++) {
      const covering = this.writes.find(({ entries }) => entries.includes(this.at(index) as Entry))
      if (index <= this.stable) expect(log.writeCovering(asIndex(index))).toBe(0)
      else if (covering !== undefined) expect(log.writeCovering(asIndex(index))).toBe(covering.number)
    }
  }
}

const size = fc.integer({ min: 1, max: 40 })
/** A fraction of the possible range. */
const share = fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100)

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('append' as const), sizes: fc.array(size, { maxLength: 6 }) }),
  },
  fc.record({ do: fc.constant('truncate' as const), share, alone: fc.boolean() }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('commit' as const), share }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('take' as const), bytesMax: fc.integer({ min: 1, max: 120 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('apply' as const), share }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('write' as const), changed: fc.boolean(), now: fc.nat(99) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('durable' as const), share }) },
  fc.record({ do: fc.constant('snapshot' as const), share, ahead: fc.nat(4), other: fc.boolean() }),
  fc.record({ do: fc.constant('compact' as const), share }),
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('read' as const), share, count: fc.nat(9), bytesMax: fc.nat(90) }),
  },
)

const between = (from: number, to: number, part: number): number => from + Math.round((to - from) * part)

/** Returns the term of the next appended entry. */
function take(
  model: Model,
  each: typeof step extends fc.Arbitrary<infer T> ? T : never,
  term: number,
): number {
  switch (each.do) {
    case 'append':
      for (const bytes of each.sizes) {
        const added = entry(model.last + 1, term, bytes)
        model.log.append(added)
        model.list.push(added)
      }
      return term
    case 'truncate': {
      if (model.last === model.commit) return term
      const from = between(model.commit + 1, model.last, each.share)
      model.log.truncate(asIndex(from))
      model.list.length = from - 1 - model.base
      const expected = from <= model.written ? from : undefined
      model.written = Math.min(model.written, from - 1)
      // The next write deletes what was written, whether or not entries follow.
      if (expected !== undefined) model.truncateFrom = expected
      if (expected !== undefined && each.alone) {
        const write = model.log.takeWrite(hardState, false, 0)
        expect([write?.truncateFrom, write?.entries]).toEqual([expected, []])
        if (write !== undefined) model.writes.push(write)
        model.truncateFrom = undefined
      }
      return term + 1
    }
    case 'commit':
      model.commit = between(model.commit, model.last, each.share)
      model.log.commitTo(asIndex(model.commit))
      return term
    case 'take':
      model.takeCommitted(each.bytesMax)
      return term
    case 'apply':
      model.applied = between(model.applied, model.handed, each.share)
      model.log.appliedTo(asIndex(model.applied))
      return term
    case 'write':
      model.takeWrite(each.changed, each.now)
      return term
    case 'durable':
      model.makeDurable(between(0, model.writes.length, each.share))
      return term
    case 'snapshot': {
      // There is room for one snapshot: the core refuses another one.
      if (model.installing !== undefined) return term
      const index = between(model.commit + 1, model.last + 1, each.share) + each.ahead
      // A write of entries that the snapshot replaces belongs to an earlier step.
      model.takeWrite(false, 0)
      model.restore(index, each.other ? term + 1 : (model.termAt(index) ?? term))
      return term + 1
    }
    case 'compact':
      if (model.installing === undefined) {
        model.disk.compact(
          asIndex(between(model.disk.base, Math.min(model.applied, model.stable), each.share)),
        )
      }
      return term
    case 'read': {
      const first = model.log.first
      // While a snapshot that replaces the log is being written, all readable entries are in memory.
      if (first > model.last) return term
      const from = between(first, model.last, each.share)
      model.read(from, Math.min(from + 1 + each.count, model.last + 1), each.bytesMax)
      return term
    }
  }
}

describe('the log, against a simple model', () => {
  test('after any steps it reports, hands out and keeps in memory what it should', () => {
    const start = fc.record({
      base: fc.nat(5),
      sizes: fc.array(size, { maxLength: 12 }),
      commit: share,
      applied: share,
      tailBytesMax: fc.nat(120),
      applyBytesMax: fc.nat(200),
    })
    const property = fc.property(start, fc.array(step, { maxLength: 60, size: 'max' }), (some, steps) => {
      const list = some.sizes.map((bytes, at) => entry(some.base + 1 + at, 1, bytes))
      const disk = new TestLog(asIndex(some.base), asTerm(some.base === 0 ? 0 : 1), list)
      const commit = between(some.base, disk.lastIndex(), some.commit)
      const applied = between(some.base, commit, some.applied)
      const model = new Model(disk, commit, applied, { ...LIMITS, ...some })
      let term = 2
      model.check()
      for (const each of steps) {
        term = take(model, each, term)
        model.check()
      }
      // At rest, everything durable and applied, nothing is in flight.
      model.takeWrite(false, 0)
      model.makeDurable(model.writes.length)
      model.commit = model.last
      model.log.commitTo(asIndex(model.last))
      while (model.applied < model.commit) {
        model.takeCommitted(50)
        model.applied = model.handed
        model.log.appliedTo(asIndex(model.applied))
      }
      expect(Object.values(model.log.inspect())).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0])
      expect(model.log.stable).toBe(model.last)
    })
    fc.assert(property, { numRuns: runs(400) })
  })
})

/** A log of entries 1 to 3 in terms 1, 1, 2. */
const short = (): TestLog =>
  new TestLog(asIndex(0), asTerm(0), [entry(1, 1, 10), entry(2, 1, 10), entry(3, 2, 10)])

describe('a broken guarantee ends the replica', () => {
  const open = (commit = 0, applied = 0): RaftLog => new RaftLog(short(), asIndex(commit), asIndex(applied))

  test.each([
    [
      'a stored commit index beyond the log',
      () => open(4),
      'the stored commit index 4 is beyond the end of the log, 3',
    ],
    [
      'an applied index beyond the commit',
      () => open(1, 2),
      'the applied index 2 is beyond the commit index 1',
    ],
    [
      'a log that begins behind what is applied',
      () => new RaftLog(new TestLog(asIndex(2), asTerm(1), [entry(3, 2, 1)]), asIndex(3), asIndex(1)),
      'the log begins at 3, but only 1 is applied',
    ],
    [
      'a log that does not know its own end',
      () => {
        const disk = short()
        disk.termAt = () => undefined
        return new RaftLog(disk, asIndex(0), asIndex(0))
      },
      'the log has no term for its last index 3',
    ],
    ['a gap', () => open().append(entry(5, 2, 1)), 'entry 5 cannot follow entry 3'],
    ['the same index again', () => open().append(entry(3, 2, 1)), 'entry 3 cannot follow entry 3'],
    ['a term that falls', () => open().append(entry(4, 1, 1)), 'entry 4 of term 1 cannot follow term 2'],
    [
      'a committed entry deleted',
      () => open(2).truncate(asIndex(2)),
      'entry 2 is to be deleted, but 2 is committed',
    ],
    ['a log cut where it does not reach', () => open().truncate(asIndex(5)), 'the log is to end at 4'],
    [
      'a commit index that falls',
      () => open(2).commitTo(asIndex(1)),
      'the commit index is to fall from 2 to 1',
    ],
    ['a commit index beyond the log', () => open().commitTo(asIndex(4)), 'index 4 is to be committed, but'],
    [
      'applied before it was handed out',
      () => open(2).appliedTo(asIndex(1)),
      'entry 1 is applied, but only 0',
    ],
    [
      'a snapshot of what is committed',
      () => open(2).restore({ index: asIndex(2), term: asTerm(1), state: NO_STATE }, 'id'),
      'a snapshot at 2 is no news: 2 is committed',
    ],
    [
      'a write that nobody made',
      () => open().stored(1, LIMITS, 0),
      'write 1 is reported durable, but 0 was the last',
    ],
    [
      'an entry that is not written at all',
      () => {
        const log = open()
        log.append(entry(4, 2, 1))
        log.writeCovering(asIndex(4))
      },
      'entry 4 is in no write',
    ],
    [
      'a committed entry that storage does not give',
      () => {
        const disk = short()
        const log = new RaftLog(disk, asIndex(3), asIndex(0))
        disk.entries = () => []
        log.takeCommitted(100, log.commit)
      },
      'the log has no entry 1 although it is committed',
    ],
  ])('%s', (_, act, sentence) => {
    expect(act).toThrow(InvariantError)
    expect(act).toThrow(sentence)
  })
})

test('the place where two logs may be equal is searched from above, by term', () => {
  const log = new RaftLog(short(), asIndex(0), asIndex(0))
  const meeting = (index: number, term: number): number[] =>
    Object.values(log.findConflictByTerm(asIndex(index), asTerm(term)))
  expect([meeting(9, 2), meeting(3, 1), meeting(1, 1), meeting(3, 0)]).toEqual([
    [3, 2],
    [2, 1],
    [1, 1],
    [0, 0],
  ])
  // A compacted log knows terms down to the entry before its first.
  const compacted = short()
  compacted.compact(asIndex(2))
  const rest = new RaftLog(compacted, asIndex(2), asIndex(2))
  expect(Object.values(rest.findConflictByTerm(asIndex(3), asTerm(1)))).toEqual([2, 1])
  expect(rest.findConflictByTerm(asIndex(3), asTerm(0)).term).toBe(0)
})

test('the cluster time of the newest entry is that of its frame, in memory or on disk; an empty log has none', () => {
  const stamped = (index: number, clusterTimeMs: number): Entry => {
    const made = entry(index, 1, 60)
    stampFrame(made.frame, made.term, made.index, clusterTimeMs)
    return made
  }
  const disk = new TestLog(asIndex(0), asTerm(0), [stamped(1, 100)])
  const log = new RaftLog(disk, asIndex(1), asIndex(1))
  expect(log.lastClusterTimeMs()).toBe(100)
  log.append(stamped(2, 170))
  expect(log.lastClusterTimeMs()).toBe(170)
  disk.compact(asIndex(1))
  expect(new RaftLog(disk, asIndex(1), asIndex(1)).lastClusterTimeMs()).toBe(undefined)
  expect(
    new RaftLog(new TestLog(asIndex(0), asTerm(0), []), asIndex(0), asIndex(0)).lastClusterTimeMs(),
  ).toBe(undefined)
})

test('for how long nothing became durable counts from the oldest write, or from the end of the one before', () => {
  const log = new RaftLog(short(), asIndex(0), asIndex(0))
  expect(log.idleMs(5)).toBe(0)
  log.takeWrite(hardState, true, 10)
  log.takeWrite(hardState, true, 20)
  expect(log.idleMs(50)).toBe(40)
  log.stored(1, LIMITS, 60)
  expect(log.idleMs(100)).toBe(40)
  log.stored(1, LIMITS, 70)
  expect(log.idleMs(100)).toBe(30)
  log.stored(2, LIMITS, 110)
  expect(log.idleMs(200)).toBe(0)
  log.takeWrite(hardState, true, 300)
  expect(log.idleMs(310)).toBe(10)
})
