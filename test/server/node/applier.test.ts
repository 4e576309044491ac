// Entries wait in the applier's queue while a snapshot is installed; those that it covers must not be applied to its
// rows.

import { expect, test } from 'vitest'
import { type Command, encodeState, initialState } from '../../../src/kv/index.ts'
import { asIndex, asTerm, type Entry } from '../../../src/raft/types.ts'
import type { StoreLimits } from '../../../src/server/node/key-index/key-index.ts'
import type { Storage } from '../../../src/storage/index.ts'
import { ask, batchOf, putOf } from '../../kv/store.ts'
import { pastEntries } from '../../raft/harness/frames.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { applyRows, bytes, closed, hardState } from '../../storage/samples.ts'
import { applierOn, entryOf } from './applying.ts'

const KEYS_AT_ONCE = 64

const record = (index: number) => ({
  index: asIndex(index),
  term: asTerm(1),
  raft: new Uint8Array(),
  kv: encodeState(initialState()),
})

const entryAt = (index: number, command: Command): Entry => entryOf(index, ask(command))

const putAt = (index: number, key: string, size: number, prev = false): Entry =>
  entryAt(index, { kind: 'put', key: bytes(key), value: new Uint8Array(size), condition: undefined, prev })

/** With all rows read. */
async function formatted(limits: Partial<StoreLimits> = {}): Promise<Storage> {
  const disk = memoryDisk({ hardState: hardState(1, 1), applied: record(1) })
  const storage = await openDisk(disk, undefined, {}, limits)
  while (!storage.knowsAllKeyMetadata) await new Promise(setImmediate)
  return storage
}

test('what a snapshot covers leaves the queue, and it goes on behind it', async () => {
  const storage = await formatted()
  const applied: number[] = []
  const applier = applierOn(storage, KEYS_AT_ONCE, { entryApplied: ({ index }) => void applied.push(index) })
  applier.push(pastEntries(2, [1, 1, 1]))
  applier.clear()
  expect(applier.pending).toBe(false)
  // The state is now that of index 4, by other means than the queue.
  applyRows(storage, [], record(4))
  applier.reload()
  applier.push(pastEntries(5, [1]))
  applier.run(() => false)
  expect(applied).toEqual([5])
  expect(applier.index).toBe(5)
  await closed(storage)
})

test('whether it is enough is asked after a few entries, or sooner when they are large', async () => {
  const storage = await formatted()
  const applier = applierOn(storage, KEYS_AT_ONCE)
  const put = (index: number, size: number, prev = false): Entry => putAt(index, 'k', size, prev)
  const sizes = [200_000, 200_000, ...Array.from({ length: 40 }, () => 1)]
  applier.push(sizes.map((size, at) => put(2 + at, size)))
  const reached: number[] = []
  while (applier.pending) {
    applier.run(() => true)
    reached.push(applier.index)
    expect(applier.queued).toBe(43 - applier.index)
  }
  expect(reached).toEqual([2, 3, 19, 35, 43])
  applier.push(sizes.map((size, at) => put(44 + at, size)))
  applier.run(() => false)
  expect([applier.index, applier.pending]).toEqual([85, false])
  // The second entry reads the value of the first one.
  applier.push([put(86, 200_000), put(87, 1, true), put(88, 1)])
  for (const index of [86, 87, 88]) {
    applier.run(() => true)
    expect(applier.index).toBe(index)
  }
  await closed(storage)
})

test('whether it is enough is asked after some changes of batches, also if they are refused and write nothing', async () => {
  const storage = await formatted({ rowHeads: 10_000 })
  const applier = applierOn(storage, KEYS_AT_ONCE)
  const batchAt = (index: number, changes: number): Entry =>
    entryAt(
      index,
      batchOf(...Array.from({ length: changes }, (_, at) => putOf(`k${at}`, '', { ifNoneMatch: 'any' }))),
    )
  applier.push([batchAt(2, 1000)])
  applier.run(() => false)
  const rows = storage.stateHash
  applier.push([1000, 1000, 100, 100, 100, 1000, 1].map((changes, at) => batchAt(3 + at, changes)))
  const reached: number[] = []
  while (applier.pending) {
    applier.run(() => true)
    reached.push(applier.index)
  }
  expect(reached).toEqual([3, 4, 7, 8, 9])
  expect(storage.stateHash).toBe(rows)
  await closed(storage)
})

test('an entry that is applied in parts is interrupted after every few keys, or sooner when their values are large', async () => {
  const storage = await formatted()
  const applier = applierOn(storage, KEYS_AT_ONCE)
  const keys = KEYS_AT_ONCE + 1
  /** Returns the number of calls. */
  const runTo = async (index: number, enough: boolean): Promise<number> => {
    for (let calls = 0; ; )
      if (applier.pending) {
        applier.run(() => enough)
        calls++
      } else if (applier.index === index) return calls
      else await new Promise(setImmediate)
  }
  const partsOf = async (index: number, size: number): Promise<number> => {
    applier.push(Array.from({ length: keys }, (_, at) => putAt(index + at, `k${at}`, size)))
    await runTo(index + keys - 1, false)
    const where = { start: bytes('k'), end: bytes('l') }
    const get = {
      kind: 'get',
      where,
      limit: undefined,
      keysOnly: false,
      count: false,
      countOnly: false,
    } as const
    applier.push([entryAt(index + keys, { kind: 'txn', txn: { compare: [], success: [get], failure: [] } })])
    return await runTo(index + keys, true)
  }
  const small = await partsOf(2, 1)
  const large = await partsOf(3 + keys, 32 * 1024)
  // Two of the large values are enough.
  expect(large - small).toBeGreaterThan(keys / 2 - 4)
  await closed(storage)
})

test('a batch that takes long is applied in parts, and nothing of it is seen before its end', async () => {
  const storage = await formatted({ rowHeads: 10_000 })
  const applier = applierOn(storage, KEYS_AT_ONCE)
  const many = (count: number, put: Partial<ReturnType<typeof putOf>>, length = 1) =>
    batchOf(
      ...Array.from({ length: count }, (_, at) => ({ ...putOf(`k${at}`.padEnd(length, 'k'), ''), ...put })),
    )
  /** Returns the number of parts, each of two steps. */
  const partsOf = (index: number, command: ReturnType<typeof many>): number => {
    applier.push([entryAt(index, command)])
    const { stateHash, applied } = storage
    for (let parts = 1; ; parts++) {
      applier.run(() => true, 2)
      if (applier.index === index) return parts
      expect([storage.stateHash, storage.applied]).toEqual([stateHash, applied])
    }
  }
  expect(partsOf(2, many(1000, {}))).toBe(1)
  expect(partsOf(3, many(64, { lease: { ttlMs: 5000 } }, 200))).toBe(1)
  expect(partsOf(4, many(65, { lease: { ttlMs: 5000 } }))).toBeGreaterThan(65 / 2)
  expect(partsOf(5, many(300, {}, 1000))).toBeGreaterThan(300 / 2)
  expect(applier.state.revision).toBe(1 + 1000 + 64 + 65 + 300)
  await closed(storage)
})

test('an entry that is not the next one is not applied', async () => {
  const storage = await formatted()
  const applied: number[] = []
  const applier = applierOn(storage, KEYS_AT_ONCE, { entryApplied: ({ index }) => void applied.push(index) })
  for (const index of [3, 1]) {
    applier.push(pastEntries(index, [1]))
    expect(() => applier.run(() => false)).toThrow(`entry ${index} was to be applied after 1`)
    applier.clear()
  }
  expect([applied, applier.index]).toEqual([[], 1])
  await closed(storage)
})
