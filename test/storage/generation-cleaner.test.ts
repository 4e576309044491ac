// Rows of unused generations are deleted, whatever else is written. No row is added to them in that time.

import { expect, test } from 'vitest'
import { SimEngine } from '../../jepsen-lite/sim/world/disk.ts'
import { GenerationCleaner } from '../../src/storage/generation-cleaner.ts'
import type { Storage } from '../../src/storage/index.ts'
import { rowPrefix } from '../../src/storage/keys.ts'
import { StickyError } from '../../src/storage/sticky-error.ts'
import type { SnapshotSource } from '../../src/storage/types.ts'
import { metaOf } from './conformance.ts'
import { type Later, memoryDisk, openDisk } from './replicas.ts'
import {
  allRows,
  applied,
  applyRows,
  batch,
  changes,
  chunkOf,
  entries,
  hardState,
  identity,
  must,
  receive,
  scrub,
  sinkFor,
  store,
  stream,
  write,
} from './samples.ts'

const KiB = 1024

async function sender(rows: Readonly<Record<string, string>>): Promise<SnapshotSource> {
  const storage = await openDisk(memoryDisk())
  await store(storage, batch(hardState(3, 9), [write({ entries: entries(2, 9, 3) })]))
  applyRows(storage, changes(rows), applied(9, 3))
  return storage.snapshotSource()
}

test.each([
  { batchBytesMax: 16 * KiB, rowBytes: 100, what: 'a few rows' },
  { batchBytesMax: 16 * KiB, rowBytes: 20 * KiB, what: 'more rows than it has room for' },
])('they are deleted although every batch carries $what', async ({ batchBytesMax, rowBytes }) => {
  const long = (at: number): string => `${at}`.padEnd(300, '-')
  const source = await sender(Object.fromEntries(Array.from({ length: 200 }, (_, at) => [long(at), 'x'])))
  const storage = await openDisk(memoryDisk(), undefined, {}, { batchBytesMax })
  const added = Array.from({ length: 200 }, (_, at) => entries(at + 2, at + 2, 1)).flat()
  await store(storage, batch(hardState(1, 201), [write({ entries: added })]))
  const sink = must(await sinkFor(storage, source))
  await stream(source, sink)
  sink.abort()
  for (let index = 2; storage.hasGarbage; index++) {
    expect(index, 'the garbage does not go').toBeLessThan(100)
    applyRows(storage, changes({ [`r${index}`]: 'y'.repeat(rowBytes) }), applied(index, 1))
    await store(storage, batch(hardState(1, 201)))
    await new Promise((resolve) => setImmediate(resolve))
  }
})

test('a slice that was read while a batch was being written goes with the next batch, and no second slice is read before', () => {
  const waiting: (() => void)[] = []
  const ends = (): void => {
    for (let complete = waiting.shift(); complete !== undefined; complete = waiting.shift()) complete()
  }
  const later: Later = (_what, complete) => void waiting.push(complete)
  const engine = new SimEngine(memoryDisk(), { later, writing() {}, durable() {}, failed() {} })
  const generation = 7
  const keys = Array.from({ length: 2500 }, (_, at) =>
    Buffer.concat([rowPrefix(generation), Buffer.from(`${1000 + at}`)]),
  )
  const filling = engine.batch()
  for (const key of keys) filling.put(key, key)
  engine.write(filling, () => {})
  ends()
  const garbage = new GenerationCleaner(engine, new StickyError(), 1 << 20)
  let swept: number | undefined
  for (let batches = 0; swept === undefined; batches++) {
    expect(batches, 'the garbage does not go').toBeLessThan(10)
    garbage.readAhead([generation])
    ends()
    garbage.readAhead([generation])
    ends()
    const batch = engine.batch()
    swept = garbage.sweep(batch)
    engine.write(batch, () => {})
    ends()
  }
  expect(swept).toBe(generation)
  expect(keys.filter((key) => engine.get(key) !== undefined)).toEqual([])
})

/** Rows of four chunks. */
const ROWS = Object.fromEntries(
  Array.from({ length: 40 }, (_, at) => [`s${10 + at}`, `${at}`.repeat(12_000)]),
)

/** Installs the sender's snapshot, and sweeps. The rows must then be the sender's. */
async function expectInstalled(storage: Storage, source: SnapshotSource): Promise<void> {
  const sink = must(await sinkFor(storage, source))
  expect(sink.nextChunk).toBe(0)
  await stream(source, sink)
  const snapshot = { meta: metaOf(source), snapshotId: source.id, keepLog: false }
  await store(storage, batch(hardState(3, 9), [write({ snapshot })]))
  await sweep(storage)
  await scrub(storage)
  expect((await allRows(storage)).length).toBe(Object.keys(ROWS).length)
}

test('nothing is added to a transfer given up while a chunk of it waited behind a batch', async () => {
  const source = await sender(ROWS)
  const disk = memoryDisk()
  const storage = await openDisk(disk)
  const first = must(await sinkFor(storage, source))
  const chunks = [must(await chunkOf(source, 0)), must(await chunkOf(source, 1))] as const
  const written = receive(first, 0, chunks[0])
  const stored = store(storage, batch(hardState(2, 1)))
  const second = must(await sinkFor(storage, source))
  const waiting = receive(second, 1, chunks[1])
  second.abort()
  await Promise.allSettled([written, stored, waiting])
  await expect(waiting).rejects.toThrow('given up')
  await sweep(storage)
  disk.crash('lost')
  await expectInstalled(await openDisk(disk), source)
})

/**
 * The disk after a power cut. A chunk and a batch after it were written, and the transfers of these ids that began
 * meanwhile were not.
 */
async function cutDuring(
  source: SnapshotSource,
  ids: readonly string[],
): Promise<ReturnType<typeof memoryDisk>> {
  const disk = memoryDisk()
  const waiting: (() => void)[] = []
  let isHeld = false
  const later: Later = (what, complete) => {
    if (isHeld && what === 'write') waiting.push(complete)
    else setImmediate(complete)
  }
  const storage = await openDisk(disk, later)
  const sink = must(await sinkFor(storage, source))
  const chunk = must(await chunkOf(source, 0))
  isHeld = true
  sink.write(0, chunk, () => {})
  storage.write(batch(hardState(2, 1)), () => {})
  for (const id of ids) storage.snapshotSink(id, identity.replicaId, source.meta, () => {})
  for (let writes = 0; writes < 2; writes++) must(waiting.shift())()
  disk.crash('lost')
  return disk
}

test('a generation given up before it was written down is not used again', async () => {
  const source = await sender(ROWS)
  const disk = await cutDuring(source, ['second', 'third'])
  await expectInstalled(await openDisk(disk), source)
})

test('a transfer given up does not come back at the second start after its rows have gone', async () => {
  const source = await sender(ROWS)
  const disk = await cutDuring(source, ['second'])
  await sweep(await openDisk(disk))
  disk.crash('lost')
  await expectInstalled(await openDisk(disk), source)
})

/** Empty batches, as an idle driver writes them. */
async function sweep(storage: Storage): Promise<void> {
  for (let rounds = 0; storage.hasGarbage; rounds++) {
    expect(rounds, 'the garbage does not go').toBeLessThan(100)
    await store(storage, batch(hardState(3, storage.log.lastIndex())))
    await new Promise((resolve) => setImmediate(resolve))
  }
}
