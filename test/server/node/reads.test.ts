// Reads wait for a confirmation, then for the index, then for the revision. Every wait is limited and has a name.

import { beforeEach, expect, test } from 'vitest'
import type { ReadGrant } from '../../../src/operations/forms/index.ts'
import { asRevision } from '../../../src/operations/forms/index.ts'
import { asIndex, asReplicaId } from '../../../src/raft/types.ts'
import type { Clock } from '../../../src/server/node/clock.ts'
import { type DriverLimits, driverLimits } from '../../../src/server/node/limits.ts'
import type { ReadRequirements } from '../../../src/server/node/read/reads.ts'
import { Reads } from '../../../src/server/node/read/reads.ts'
import type { Result } from '../../../src/server/node/result.ts'
import { VirtualClock } from '../virtual-clock.ts'

let clock: VirtualClock
let state: {
  revision: ReturnType<typeof asRevision>
  appliedIndex: ReturnType<typeof asIndex>
  hasLeader: boolean
  endsAt: ReturnType<typeof asIndex> | undefined
  staleness: number | undefined
}
let reads: Reads
let results: Result<ReadGrant>[]

beforeEach(() => {
  clock = new VirtualClock()
  state = {
    ...{ revision: asRevision(5), appliedIndex: asIndex(10), hasLeader: true },
    ...{ endsAt: undefined, staleness: 40 },
  }
  results = []
  reads = readsWith(driverLimits)
})

const readsWith = (limits: DriverLimits, on: Clock = clock): Reads =>
  new Reads({
    clock: on,
    limits,
    raft: {
      get leader() {
        return state.hasLeader ? asReplicaId('1') : undefined
      },
      stalenessMs: () => state.staleness,
    },
    applied: {
      get index() {
        return state.appliedIndex
      },
      get state() {
        return state
      },
    },
    spacePolicy: {
      get logEnd() {
        return state.endsAt
      },
    },
    lifecycle: { end: undefined },
    events: { wake() {} },
  })

const add = (options: Partial<ReadRequirements> = {}): (() => void) =>
  reads.read(
    {
      consistency: 'linearizable',
      maxStalenessMs: undefined,
      minRevision: undefined,
      timeoutMs: 1000,
      ...options,
    },
    (result) => results.push(result),
  )
const codes = (): string[] => results.map((result) => (result.ok ? result.value.served : result.problem.code))

test('all linearizable reads of a turn share one confirmation, lease reads another', () => {
  add()
  add()
  add({ consistency: 'lease' })
  const asked = reads.nextBatch()
  expect(asked.map(({ leaderLease }) => leaderLease)).toEqual([false, true])
  for (const { id, leaderLease } of asked)
    reads.resolve({ id, outcome: 'confirmed', index: asIndex(10), leaderLease })
  expect(codes()).toEqual(['linearizable', 'linearizable', 'lease'])
})

test('a lease read that was confirmed by a quorum says linearizable', () => {
  add({ consistency: 'lease' })
  const [asked] = reads.nextBatch()
  reads.resolve({ id: asked?.id ?? -1, outcome: 'confirmed', index: asIndex(10), leaderLease: false })
  expect(codes()).toEqual(['linearizable'])
})

test('a confirmed read is not served before its index is applied', () => {
  add()
  const [asked] = reads.nextBatch()
  reads.resolve({ id: asked?.id ?? -1, outcome: 'confirmed', index: asIndex(12), leaderLease: false })
  state.appliedIndex = asIndex(11)
  reads.applied()
  expect(codes()).toEqual([])
  state.appliedIndex = asIndex(12)
  reads.applied()
  expect(codes()).toEqual(['linearizable'])
})

test('confirmations that come late and with a lower index are served first', () => {
  add()
  const [first] = reads.nextBatch()
  add({ minRevision: undefined })
  const [second] = reads.nextBatch()
  reads.resolve({ id: second?.id ?? -1, outcome: 'confirmed', index: asIndex(20), leaderLease: false })
  reads.resolve({ id: first?.id ?? -1, outcome: 'confirmed', index: asIndex(12), leaderLease: false })
  state.appliedIndex = asIndex(12)
  reads.applied()
  expect(codes()).toHaveLength(1)
  state.appliedIndex = asIndex(20)
  reads.applied()
  expect(codes()).toHaveLength(2)
})

test('a refused confirmation is asked for again under a new id', () => {
  add()
  const [first] = reads.nextBatch()
  reads.resolve({ id: first?.id ?? -1, outcome: 'refused', refusal: 'no-leader' })
  reads.unpark()
  const [second] = reads.nextBatch()
  expect(second?.id).not.toBe(first?.id)
  reads.resolve({ id: second?.id ?? -1, outcome: 'confirmed', index: asIndex(1), leaderLease: false })
  expect(codes()).toEqual(['linearizable'])
})

test('a question without an answer is asked again after its pause, not before', () => {
  add()
  reads.nextBatch()
  clock.advance(driverLimits.readRetryMs - 1)
  reads.unpark()
  expect(reads.nextBatch()).toEqual([])
  clock.advance(1)
  reads.unpark()
  expect(reads.nextBatch()).toHaveLength(1)
})

test('a question that was repeated is refused when each request for it was', () => {
  add()
  const [first] = reads.nextBatch()
  clock.advance(driverLimits.readRetryMs)
  reads.unpark()
  const [second] = reads.nextBatch()
  const refuse = (asked: typeof first): void =>
    reads.resolve({ id: asked?.id ?? -1, outcome: 'refused', refusal: 'no-leader' })
  refuse(first)
  reads.unpark()
  expect(reads.nextBatch()).toEqual([])
  refuse(second)
  reads.unpark()
  const [third] = reads.nextBatch()
  reads.resolve({ id: third?.id ?? -1, outcome: 'confirmed', index: asIndex(1), leaderLease: false })
  expect(codes()).toEqual(['linearizable'])
})

test('an answer that takes longer than that pause is an answer all the same', () => {
  add()
  const [first] = reads.nextBatch()
  clock.advance(driverLimits.readRetryMs)
  reads.unpark()
  const [second] = reads.nextBatch()
  reads.resolve({ id: first?.id ?? -1, outcome: 'confirmed', index: asIndex(1), leaderLease: false })
  expect(codes()).toEqual(['linearizable'])
  reads.resolve({ id: second?.id ?? -1, outcome: 'confirmed', index: asIndex(2), leaderLease: false })
  expect(codes()).toEqual(['linearizable'])
  expect(Object.values(reads.inspect()).every((count) => count === 0)).toBe(true)
})

test('each way of running out of time has its code, and none claims a write', () => {
  add()
  reads.nextBatch()
  clock.advance(1000)
  state.hasLeader = false
  add()
  clock.advance(1000)
  add({ minRevision: asRevision(9), consistency: 'stale' })
  clock.advance(1000)
  add()
  const [asked] = reads.nextBatch()
  reads.resolve({ id: asked?.id ?? -1, outcome: 'confirmed', index: asIndex(99), leaderLease: false })
  clock.advance(1000)
  expect(codes()).toEqual(['no_quorum', 'no_leader', 'revision_behind', 'not_ready'])
  expect(results.every((result) => !result.ok && result.problem.written === 'no')).toBe(true)
  expect(reads.size).toBe(0)
})

test('min_revision waits for the revision', () => {
  add({ consistency: 'stale', minRevision: asRevision(7) })
  clock.advance(0)
  expect(codes()).toEqual([])
  state.revision = asRevision(7)
  reads.applied()
  expect(codes()).toEqual(['stale'])
})

test('a stale read tells its proven bound, and max_staleness refuses beyond it or when it is unknown', () => {
  add({ consistency: 'stale' })
  add({ consistency: 'stale', maxStalenessMs: 40 })
  add({ consistency: 'stale', maxStalenessMs: 39 })
  clock.advance(0)
  state.staleness = undefined
  add({ consistency: 'stale' })
  add({ consistency: 'stale', maxStalenessMs: 60_000 })
  clock.advance(0)
  expect(codes()).toEqual(['stale', 'stale', 'too_stale', 'stale', 'too_stale'])
  expect(results.map((result) => (result.ok ? result.value.stalenessMs : null))).toEqual([
    40,
    40,
    null,
    undefined,
    null,
  ])
})

test('no callback runs before the call returns', () => {
  add({ consistency: 'stale' })
  expect(results).toEqual([])
  clock.advance(0)
  expect(results).toHaveLength(1)
})

test('on a node without room to write, a read does not wait long for an index, which may not come', () => {
  const { readRetryMs } = driverLimits
  const confirm = (index: number): void => {
    add()
    const [asked] = reads.nextBatch()
    reads.resolve({ id: asked?.id ?? -1, outcome: 'confirmed', index: asIndex(index), leaderLease: false })
  }
  state.endsAt = asIndex(10)
  confirm(11)
  confirm(12)
  clock.advance(readRetryMs - 1)
  // The first entry of the leader's term is written.
  state.endsAt = asIndex(11)
  clock.advance(1)
  expect(codes()).toEqual(['not_ready'])
  // The entry is written and not applied yet.
  state.appliedIndex = asIndex(11)
  reads.applied()
  expect(codes()).toEqual(['not_ready', 'linearizable'])
  expect(Object.values(reads.inspect())).toEqual(Object.values(reads.inspect()).map(() => 0))
  // The disk has room again.
  confirm(12)
  state.endsAt = undefined
  clock.advance(readRetryMs)
  expect(codes()).toHaveLength(2)
  state.appliedIndex = asIndex(12)
  reads.applied()
  expect(codes()).toEqual(['not_ready', 'linearizable', 'linearizable'])
})

test('nor for a revision, once all that it holds is applied', () => {
  const { readRetryMs } = driverLimits
  state.endsAt = asIndex(11)
  add({ consistency: 'stale', minRevision: asRevision(6) })
  clock.advance(readRetryMs)
  expect(codes()).toEqual([])
  state.endsAt = asIndex(10)
  add({ consistency: 'stale', minRevision: asRevision(7) })
  clock.advance(readRetryMs)
  expect(codes()).toEqual(['revision_behind'])
  state.revision = asRevision(6)
  reads.applied()
  expect(codes()).toEqual(['revision_behind', 'stale'])
})

test('waiting reads are bounded', () => {
  const few = readsWith({ ...driverLimits, readsMax: 1 })
  const options: ReadRequirements = {
    consistency: 'linearizable',
    maxStalenessMs: undefined,
    minRevision: undefined,
    timeoutMs: 1000,
  }
  few.read(options, (result) => results.push(result))
  few.read(options, (result) => results.push(result))
  clock.advance(0)
  expect(codes()).toEqual(['overloaded'])
})

const nothing = {
  open: 0,
  fresh: 0,
  parked: 0,
  requested: 0,
  awaitingIndex: 0,
  awaitingRevision: 0,
  awaitingTurn: 0,
}

test('a read that is withdrawn ends at once and once, and leaves room for others', () => {
  reads = readsWith({ ...driverLimits, readsMax: 2 })
  const withdrawals = [add({ minRevision: asRevision(6), consistency: 'stale' }), add()]
  clock.advance(0)
  for (const withdraw of [...withdrawals, ...withdrawals]) withdraw()
  expect(codes()).toEqual(['cancelled', 'cancelled'])
  expect(reads.inspect()).toEqual(nothing)
  add({ consistency: 'stale' })
  clock.advance(1000)
  expect(codes()).toEqual(['cancelled', 'cancelled', 'stale'])
})

test('when the node ends, nothing is kept of those that it answered, whatever they waited for', () => {
  add()
  const [refused] = reads.nextBatch()
  reads.resolve({ id: refused?.id ?? -1, outcome: 'refused', refusal: 'no-leader' })
  add()
  const [confirmed] = reads.nextBatch()
  reads.resolve({ id: confirmed?.id ?? -1, outcome: 'confirmed', index: asIndex(12), leaderLease: false })
  add()
  reads.nextBatch()
  add()
  add({ consistency: 'stale', minRevision: asRevision(6) })
  clock.advance(0)
  const { awaitingTurn, ...others } = reads.inspect()
  expect(Object.values(others)).not.toContain(0)
  reads.endAll('the node was stopped')
  expect(codes()).toEqual(Array.from({ length: 5 }, () => 'not_ready'))
  expect(new Set(Object.values(reads.inspect()))).toEqual(new Set([0]))
})

test('many reads that are granted at once are answered in slices, in order, and each once', () => {
  let spent = 0
  const busy = {
    now: () => clock.now() + spent,
    after: (ms: number, run: () => void) => clock.after(ms, run),
    soon: (run: () => void) => clock.soon(run),
  }
  for (const [awaited, ends] of [
    ['confirmation', false],
    ['index', false],
    ['revision', false],
    ['confirmation', true],
  ] as const) {
    state.appliedIndex = asIndex(10)
    state.revision = asRevision(5)
    state.staleness = 0
    reads = readsWith(driverLimits, busy)
    const answered: string[] = []
    const ask = (name: string): void => {
      const minRevision = awaited === 'revision' ? asRevision(6) : undefined
      const options = {
        consistency: 'linearizable',
        maxStalenessMs: undefined,
        minRevision,
        timeoutMs: 1000,
      } as const
      reads.read(options, (result) => {
        spent += driverLimits.applySliceMs * 0.4
        answered.push(result.ok ? name : result.problem.code)
      })
    }
    for (const name of 'abcdefgh') ask(name)
    for (const { id } of reads.nextBatch())
      reads.resolve({
        id,
        outcome: 'confirmed',
        index: asIndex(awaited === 'index' ? 11 : 10),
        leaderLease: false,
      })
    state.appliedIndex = asIndex(11)
    state.revision = asRevision(6)
    reads.applied()
    expect(answered.join('')).toBe('abc')
    expect(reads.inspect()).toMatchObject({ open: 5, awaitingTurn: 5 })
    // Reads that arrive now wait behind them.
    ask('i')
    for (const { id } of reads.nextBatch())
      reads.resolve({ id, outcome: 'confirmed', index: asIndex(11), leaderLease: false })
    expect(answered.join('')).toBe('abc')
    if (ends) reads.endAll('the node was stopped')
    clock.advance(0)
    expect(answered).toEqual(ends ? [...'abc', ...Array.from('defghi', () => 'not_ready')] : [...'abcdefghi'])
    expect(Object.values(reads.inspect()).every((count) => count === 0)).toBe(true)
  }
})

test('a read whose time runs out while others are answered says so', () => {
  add({ timeoutMs: 5 })
  add({ timeoutMs: 5 })
  const [asked] = reads.nextBatch()
  const now = clock.now.bind(clock)
  let calls = 0
  clock.now = () => now() + (calls++ > 0 ? driverLimits.applySliceMs : 0)
  clock.soon = () => {}
  reads.resolve({ id: asked?.id ?? -1, outcome: 'confirmed', index: asIndex(10), leaderLease: false })
  expect(codes()).toEqual(['linearizable'])
  clock.now = now
  clock.advance(5)
  expect(codes()).toEqual(['linearizable', 'overloaded'])
  expect(results[1]).toEqual({
    ok: false,
    problem: {
      ...{ code: 'overloaded', written: 'no' },
      detail: 'more reads were to be answered than there was time for',
    },
  })
  expect(reads.inspect()).toMatchObject({ open: 0, awaitingTurn: 0 })
  expect(clock.timers).toBe(0)
})

test('stale reads of one turn are answered in slices too', () => {
  const { applySliceMs } = driverLimits
  let answered = 0
  const turns: number[] = []
  const busy = {
    now: () => clock.now() + answered * applySliceMs * 0.4,
    after: (ms: number, run: () => void) => clock.after(ms, run),
    soon: (run: () => void) =>
      clock.soon(() => {
        turns.push(answered)
        run()
      }),
  }
  state.staleness = 0
  reads = readsWith(driverLimits, busy)
  const options = {
    consistency: 'stale',
    maxStalenessMs: 10,
    minRevision: undefined,
    timeoutMs: 1000,
  } as const
  for (let time = 0; time < 2; time++) {
    for (let count = 0; count < 7; count++) reads.read(options, () => answered++)
    clock.advance(0)
  }
  expect(turns).toEqual([0, 3, 6, 7, 10, 13])
  expect(answered).toBe(14)
  expect(reads.inspect()).toEqual(nothing)
})

test('a stale read that waits for the turn of others is answered within its time', () => {
  const { applySliceMs } = driverLimits
  const soon: (() => void)[] = []
  let now = 0
  const busy = {
    now: () => clock.now() + now,
    after: (ms: number, run: () => void) => clock.after(ms, run),
    soon: (run: () => void) => void soon.push(run),
  }
  state.staleness = 0
  reads = readsWith(driverLimits, busy)
  const options = {
    consistency: 'stale',
    maxStalenessMs: undefined,
    minRevision: undefined,
    timeoutMs: 100,
  } as const
  const done = (result: Result<ReadGrant>): void => {
    now += applySliceMs
    results.push(result)
  }
  for (let count = 0; count < 3; count++) reads.read(options, done)
  soon.shift()?.()
  expect(codes()).toEqual(['stale'])
  clock.advance(100)
  expect(codes()).toEqual(['stale', 'overloaded', 'overloaded'])
  for (const run of soon) run()
  expect(codes()).toHaveLength(3)
  expect(reads.inspect()).toEqual(nothing)
})

test('why a read is not answered is said, and that nothing was written', () => {
  const details = (): unknown[] =>
    results.splice(0).map((result) => (result.ok ? 'ok' : [result.problem.detail, result.problem.written]))
  state.hasLeader = false
  add({ timeoutMs: 10 })
  clock.advance(10)
  state.hasLeader = true
  add({ timeoutMs: 10 })
  clock.advance(10)
  add({ consistency: 'stale', minRevision: asRevision(9), timeoutMs: 10 })
  clock.advance(10)
  add({ timeoutMs: 10 })
  const [asked] = reads.nextBatch()
  reads.resolve({ id: asked?.id ?? -1, outcome: 'confirmed', index: asIndex(12), leaderLease: false })
  clock.advance(10)
  expect(details()).toEqual([
    ['no leader is known to this node: it may be cut off from the majority', 'no'],
    ['the 10 ms of the request ran out before a majority of the voters confirmed the leader', 'no'],
    ['this node is at revision 5, the request asks for at least 9', 'no'],
    ['this node has applied up to 10, the read needs 12', 'no'],
  ])
  for (const [staleness, age] of [
    [undefined, 'unknown'],
    [40.2, 'at most 41 ms'],
  ] as const) {
    state.staleness = staleness
    add({ consistency: 'stale', maxStalenessMs: 30 })
    clock.advance(0)
    expect(details()).toEqual([[`the state of this node is ${age} old; the request allows 30 ms`, 'no']])
  }
  reads.endAll('the node was stopped')
  for (let i = 0; i < driverLimits.readsMax; i++) add({ timeoutMs: 10_000 })
  add()
  clock.advance(0)
  expect(details()).toEqual([[`${driverLimits.readsMax} reads wait on this node already`, 'no']])
})

test('each revision is waited for by itself, within the time of the read', () => {
  for (const revision of [7, 9]) add({ minRevision: asRevision(revision), timeoutMs: 100 })
  const [asked] = reads.nextBatch()
  clock.advance(50)
  reads.resolve({ id: asked?.id ?? -1, outcome: 'confirmed', index: asIndex(10), leaderLease: false })
  expect([reads.inspect().awaitingRevision, clock.timers]).toEqual([2, 2])
  state.revision = asRevision(7)
  reads.applied()
  expect([codes(), reads.inspect().awaitingRevision]).toEqual([['linearizable'], 1])
  clock.advance(49)
  expect(results).toHaveLength(1)
  clock.advance(1)
  expect(codes()).toEqual(['linearizable', 'revision_behind'])
  expect([reads.inspect().awaitingRevision, clock.timers]).toEqual([0, 0])
})

test('confirmations in any order are served by their index, and each that is answered leaves no timer behind', () => {
  const indexes = [30, 10, 20, 10, 40]
  const ids = indexes.map(() => {
    add()
    return reads.nextBatch()[0]?.id ?? -1
  })
  for (const [at, id] of ids.entries())
    reads.resolve({ id, outcome: 'confirmed', index: asIndex(100 + (indexes[at] ?? 0)), leaderLease: false })
  const served: number[] = []
  for (const index of [109, 110, 119, 120, 130, 140]) {
    state.appliedIndex = asIndex(index)
    reads.applied()
    served.push(results.length)
  }
  expect(served).toEqual([0, 2, 2, 3, 4, 5])
  expect(clock.timers).toBe(0)
})
