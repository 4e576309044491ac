// Messages that wait for a write, and the report of a durable batch. The batches themselves are in
// group-commit.prop.test.ts.

import { expect, test } from 'vitest'
import { asIndex, asReplicaId, asTerm, type HardState, type Message } from '../../../src/raft/types.ts'
import { type DriverLimits, driverLimits } from '../../../src/server/node/limits.ts'
import type { StoredBatch } from '../../../src/server/node/node-events.ts'
import { GroupCommit } from '../../../src/server/node/write/group-commit.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { applied, applyRows, changes, entries, hardState } from '../../storage/samples.ts'
import { VirtualClock } from '../virtual-clock.ts'

const DISK_MS = 10
const [ME, A, B] = ['9', '1', '2'].map(asReplicaId) as [
  ReturnType<typeof asReplicaId>,
  ReturnType<typeof asReplicaId>,
  ReturnType<typeof asReplicaId>,
]

async function setUp(
  limits: { batchBytesMax?: number; batchItemsMax?: number } = {},
  ofDriver: Partial<DriverLimits> = {},
) {
  const clock = new VirtualClock()
  let isOpen = false
  const later = (_: unknown, complete: () => void): void =>
    void (isOpen ? clock.after(DISK_MS, complete) : setImmediate(complete))
  let newest: HardState | undefined
  const disk = memoryDisk()
  const storage = await openDisk(disk, later, {}, limits)
  isOpen = true
  const sent: Message[] = []
  const stored: StoredBatch[] = []
  const failures: string[] = []
  const commits = new GroupCommit({
    clock,
    storage,
    limits: { ...driverLimits, ...ofDriver },
    raft: {
      hardState: () => newest ?? hardState(1, storage.log.lastIndex()),
      needed: { after: asIndex(0), lateSnapshots: 0 },
    },
    space: { state: 'enough', freeBytes: Number.POSITIVE_INFINITY, writes: () => {} },
    diskSpeed: { began: () => {}, ended: () => {} },
    peers: { send: (message) => sent.push(message) },
    events: { batchStored: (batch) => stored.push(batch) },
    lifecycle: { fail: (error) => failures.push(error instanceof Error ? error.message : String(error)) },
  })
  let number = 0
  const write = (first: number, count: number, term = 1): number => {
    number++
    commits.enqueue({
      ...{ number, hardState: hardState(term, 1), truncateFrom: undefined, snapshot: undefined },
      entries: entries(first, first + count - 1, 1),
    })
    return number
  }
  const becomes = (state: HardState): void => {
    newest = state
  }
  return { clock, disk, storage, commits, becomes, sent, stored, failures, write }
}

const accepted = (to: typeof A, index: number): Message => ({
  ...{ type: 'append-accepted', from: ME, to, term: asTerm(1), index: asIndex(index) },
  ...{ round: 1, sentAt: 0, applied: asIndex(1) },
})
const other = (to: typeof A): Message => ({ type: 'timeout-now', from: ME, to, term: asTerm(1) })

test('a message leaves at once when its write is durable, and otherwise when it is, in order', async () => {
  const { clock, commits, sent, write, stored } = await setUp()
  commits.send({ message: other(A), after: 0, afterTerm: 0 })
  expect(sent).toHaveLength(1)
  const number = write(2, 3)
  commits.flush()
  commits.send({ message: accepted(A, 4), after: number, afterTerm: 1 })
  commits.send({ message: other(B), after: number, afterTerm: 1 })
  const next = write(5, 1)
  commits.send({ message: accepted(B, 5), after: next, afterTerm: 1 })
  expect(commits.inspect()).toEqual({ writes: 1, heldMessages: 3, inFlight: 1 })
  clock.advance(DISK_MS)
  expect(sent.slice(1)).toEqual([accepted(A, 4), other(B)])
  expect(stored).toEqual([{ entries: 3, installed: false, write: number, termWrite: number, ms: DISK_MS }])
  expect([commits.inspect().heldMessages, commits.durable]).toEqual([1, { term: 1, lastIndex: 4 }])
  clock.advance(DISK_MS)
  expect(sent.slice(3)).toEqual([accepted(B, 5)])
  expect(commits.inspect()).toEqual({ writes: 0, heldMessages: 0, inFlight: 0 })
  expect(commits.durable.lastIndex).toBe(5)
})

test('rows wait for more of them, and not when apply waits for the disk', async () => {
  for (const [overlayBytesMax, inFlight] of [
    [driverLimits.overlayBytesMax, 0],
    [1, 1],
  ] as const) {
    const { commits, storage } = await setUp({}, { overlayBytesMax })
    applyRows(storage, changes({ k: 'v' }), applied(2, 1))
    commits.flush()
    expect(commits.inspect().inFlight).toBe(inFlight)
  }
})

test('of answers that wait only those are kept that a newer one does not say', async () => {
  const { clock, commits, sent, write } = await setUp()
  const number = write(2, 9)
  commits.flush()
  const wait = (message: Message, after = number): void => commits.send({ message, after, afterTerm: 0 })
  wait(accepted(A, 3))
  wait(accepted(B, 3))
  wait(accepted(A, 5))
  // An older message has less information. Neither message makes one of another kind, or of another write, redundant.
  wait(accepted(A, 4))
  wait(other(A))
  wait(other(A))
  const next = write(11, 1)
  wait(accepted(B, 9), next)
  expect(commits.inspect().heldMessages).toBe(6)
  clock.advance(DISK_MS)
  expect(sent).toEqual([...[accepted(B, 3), accepted(A, 5), accepted(A, 4), other(A), other(A)]])
  clock.advance(DISK_MS)
  expect(sent.at(-1)).toEqual(accepted(B, 9))
})

test('messages that wait are bounded: more are lost, as on the network', async () => {
  const { clock, commits, sent, write } = await setUp({}, { heldMessagesMax: 3 })
  const number = write(2, 1)
  commits.flush()
  for (const message of [other(A), other(A), other(B), other(B), accepted(A, 2)])
    commits.send({ message, after: number, afterTerm: 0 })
  expect(commits.inspect().heldMessages).toBe(3)
  clock.advance(DISK_MS)
  expect(sent).toEqual([other(A), other(A), other(B)])
})

test('the newest term and vote are in the next batch, ahead of writes that wait, and the commit index is not', async () => {
  const { becomes, clock, disk, commits, sent, stored } = await setUp({ batchItemsMax: 2 })
  const enqueue = (number: number, first: number, state: HardState): void =>
    commits.enqueue({
      ...{ number, hardState: state, truncateFrom: undefined, snapshot: undefined },
      entries: first === 0 ? [] : entries(first, first + 1, 1),
    })
  const before = hardState(1, 1)
  enqueue(1, 2, before)
  commits.flush()
  enqueue(2, 4, { ...before, commit: asIndex(3) })
  enqueue(3, 6, { ...before, commit: asIndex(5) })
  const newest = { term: asTerm(2), vote: B, commit: asIndex(7) }
  enqueue(4, 0, newest)
  becomes(newest)
  commits.send({ message: other(A), after: 0, afterTerm: 4 })
  commits.send({ message: accepted(B, 7), after: 4, afterTerm: 4 })
  clock.advance(DISK_MS)
  // The batch in flight did not have them yet.
  expect([sent, stored.map(({ termWrite }) => termWrite)]).toEqual([[], [1]])
  clock.advance(DISK_MS)
  expect(sent).toEqual([other(A)])
  expect(stored.at(-1)).toMatchObject({ write: 2, termWrite: 4 })
  expect(commits.durable).toEqual({ term: 2, lastIndex: 5 })
  // A start after a crash would find this.
  expect((await openDisk(disk.copy())).hardState).toEqual({ term: 2, vote: B, commit: 3 })
  clock.advance(2 * DISK_MS)
  expect(sent).toEqual([other(A), accepted(B, 7)])
})

test('rows alone wait a little for company, and then go', async () => {
  const { clock, storage, commits, stored, write } = await setUp()
  write(2, 2)
  commits.flush()
  clock.advance(DISK_MS)
  stored.length = 0
  applyRows(storage, changes({ a: '1' }), applied(2, 1))
  commits.flush()
  clock.advance(driverLimits.idleFlushMs - 1)
  expect([stored.length, commits.inspect().inFlight]).toEqual([0, 0])
  commits.flush()
  clock.advance(1)
  expect(commits.inspect().inFlight).toBe(1)
  clock.advance(DISK_MS)
  expect(stored).toMatchObject([{ entries: 0, write: 1 }])
  expect(storage.dirty).toBe(false)
})

test('closing writes what is left, once, and calls back; abandoning writes nothing', async () => {
  for (const closes of [true, false]) {
    const { clock, storage, commits, stored, write } = await setUp()
    write(2, 2)
    commits.flush()
    clock.advance(1)
    write(4, 1)
    let ended = 0
    if (closes)
      commits.close((error) => {
        expect(error).toBeUndefined()
        ended++
      })
    else commits.abandon()
    expect(ended).toBe(0)
    clock.advance(100 * DISK_MS)
    commits.flush()
    clock.advance(100 * DISK_MS)
    expect([ended, commits.inspect().writes, storage.log.lastIndex()]).toEqual(closes ? [1, 0, 4] : [0, 1, 3])
    if (closes) expect(stored).toEqual([])
  }
})

test('who closes waits for a slow disk no longer than a limit, and nothing of the rest is written', async () => {
  const { clock, commits, storage, write } = await setUp(
    { batchItemsMax: 1 },
    { closeMsMax: 2 * DISK_MS + 1 },
  )
  write(2, 9)
  commits.flush()
  let ended = 0
  commits.close(() => ended++)
  clock.advance(3 * DISK_MS)
  // The batch that was begun within the limit is the last one.
  expect([ended, storage.log.lastIndex()]).toEqual([1, 4])
  clock.advance(10 * DISK_MS)
  expect([ended, storage.log.lastIndex()]).toEqual([1, 4])
})

test('a batch that fails is told to the node and to who closes, and nothing goes behind it', async () => {
  const { clock, storage, commits, failures, write } = await setUp()
  storage.write = (_, done) => void clock.after(DISK_MS, () => done(new Error('EIO')))
  write(2, 1)
  commits.flush()
  const ends: unknown[] = []
  commits.close((error) => ends.push(error?.message))
  clock.advance(10 * DISK_MS)
  expect([failures, ends]).toEqual([['EIO'], ['EIO']])
  commits.flush()
  clock.advance(10 * DISK_MS)
  expect(failures).toHaveLength(1)
})

test('rows that are applied during a batch become durable, also if others were due in it', async () => {
  const { clock, commits, storage, write } = await setUp()
  const { idleFlushMs } = driverLimits
  write(2, 3)
  commits.flush()
  clock.advance(DISK_MS)
  for (let round = 0; round < 2; round++) {
    applyRows(storage, changes({ a: `${round}` }), applied(2 + 2 * round, 1))
    commits.flush()
    // The rows are due in the middle of this batch.
    clock.advance(idleFlushMs - DISK_MS / 2)
    write(5 + round, 1)
    commits.flush()
    applyRows(storage, changes({ b: `${round}` }), applied(3 + 2 * round, 1))
    clock.advance(DISK_MS)
    expect(storage.dirty).toBe(true)
    clock.advance(idleFlushMs + DISK_MS)
    expect(storage.dirty).toBe(false)
  }
})
