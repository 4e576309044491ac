// Incoming snapshots, rows of old ones, and scans, on a disk in memory: the resources in use, their release, and the
// callers that are notified.

import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { asReplicaId } from '../../src/raft/types.ts'
import type { Engine } from '../../src/storage/engine.ts'
import type { RowScan, SnapshotSource, Storage } from '../../src/storage/index.ts'
import { prefixed, rowPrefix } from '../../src/storage/keys.ts'
import { metaOf } from './conformance.ts'
import { Counted, FaultyEngine } from './faulty.ts'
import { type Later, memoryDisk, openDisk } from './replicas.ts'
import {
  applied,
  applyRows,
  batch,
  changes,
  chunkOf,
  closed,
  entries,
  finishedScan,
  hardState,
  must,
  page,
  receive,
  rowKey,
  scanOf,
  sinkFor,
  store,
  stream,
  write,
} from './samples.ts'

const EMPTY = batch(hardState(1, 1))

async function sourceOf(rows: Readonly<Record<string, string>>): Promise<SnapshotSource> {
  const sender = await openDisk(memoryDisk())
  applyRows(sender, changes(rows), applied(2, 1))
  return sender.snapshotSource()
}

/** This many rows, with keys of this length in the engine. */
const rowsOf = (count: number, keyBytes: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`${100 + at}`.padEnd(keyBytes - 8, '.'), 'x']))

/** Abandons a snapshot, whose rows are in generation 2. */
async function giveUp(storage: Storage, source: SnapshotSource): Promise<void> {
  const sink = must(await sinkFor(storage, source))
  await stream(source, sink)
  sink.abort()
  await store(storage, EMPTY)
}

async function sweep(storage: Storage): Promise<number> {
  for (let batches = 0; ; batches++) {
    if (!storage.hasGarbage) return batches
    expect(batches, 'the garbage does not go').toBeLessThan(1000)
    await turn()
    await store(storage, EMPTY)
  }
}

test('a transfer that begins again is complete only when its completion is durable', async () => {
  const source = await sourceOf({ a: '1' })
  const waiting: (() => void)[] = []
  let isHeld = false
  const storage = await openDisk(memoryDisk(), (what, complete) => {
    if (isHeld && what === 'write') waiting.push(complete)
    else setImmediate(complete)
  })
  const sink = must(await sinkFor(storage, source))
  await receive(sink, 0, must(await chunkOf(source, 0)))
  isHeld = true
  const told: string[] = []
  sink.finish((error) => told.push(`first: ${error}`))
  const again = must(await sinkFor(storage, source))
  again.finish((error) => told.push(`again: ${error}`))
  await turn()
  expect(told).toEqual([])
  while (waiting.length > 0) must(waiting.shift())()
  expect(told).toEqual(['first: undefined', 'again: undefined'])
})

describe('rows of a generation that was given up', () => {
  const rows = rowsOf(100, 250)
  const place = (name: string): Uint8Array => prefixed(rowPrefix(2), rowKey(name))

  /** Reads are answered before writes, or after them. */
  const orders: readonly [string, Later][] = [
    ['before', (what, complete) => void (what === 'read' ? process.nextTick : setImmediate)(complete)],
    [
      'after',
      (what, complete) =>
        void setImmediate(
          what === 'read' ? () => void setImmediate(() => void setImmediate(complete)) : complete,
        ),
    ],
  ]

  test.each(orders)(
    'are all gone in the end if they are read %s a batch is written',
    async (_what, later) => {
      const disk = memoryDisk()
      const first = await openDisk(disk)
      await giveUp(first, await sourceOf(rows))
      await closed(first)
      const names = Object.keys(rows)
      expect(names.every((name) => disk.holds(place(name)))).toBe(true)
      // The first batch is begun while the first rows are being read.
      const storage = await openDisk(disk, later, {}, { batchBytesMax: 16_000 })
      for (let batches = 0; storage.hasGarbage; batches++) {
        expect(batches, 'the garbage does not go').toBeLessThan(1000)
        await store(storage, EMPTY)
      }
      expect(names.filter((name) => disk.holds(place(name)))).toEqual([])
    },
  )

  test.each([
    // Sixteen rows per slice, and one batch that finds no more.
    [16_000, 100, 7 + 1],
    [15_999, 100, 7 + 1],
    [16_000, 96, 6 + 1],
    [15_999, 96, 7 + 1],
    [16_000, 97, 7 + 1],
    // At least one per batch.
    [10, 5, 5 + 1],
  ])('with room for %i bytes: %i rows go in %i batches', async (batchBytesMax, count, batches) => {
    const storage = await openDisk(memoryDisk(), undefined, {}, { batchBytesMax })
    await giveUp(storage, await sourceOf(rowsOf(count, 250)))
    expect(await sweep(storage)).toBe(batches)
  })

  test('are read by one scan at a time', async () => {
    let open = 0
    const held: (() => void)[] = []
    let isHeld = false
    const storage = await openDisk(
      memoryDisk(),
      (what, complete) =>
        isHeld && what === 'read' ? void held.push(complete) : void setImmediate(complete),
      {},
      {},
      (engine) =>
        new Counted(engine, (by) => {
          open += by
        }),
    )
    const sink = must(await sinkFor(storage, await sourceOf(rows)))
    sink.abort()
    await turn()
    isHeld = true
    for (let batches = 0; batches < 3; batches++) await store(storage, EMPTY)
    expect(open).toBe(1)
    isHeld = false
    for (const complete of held) complete()
    await sweep(storage)
    expect(open).toBe(0)
  })

  test('that cannot be read are an error of the storage', async () => {
    let isBroken = false
    const beforeRead = (): void => {
      if (isBroken) throw new Error('EIO: the disk is gone')
    }
    const storage = await openDisk(memoryDisk(), undefined, { beforeRead })
    await turn()
    const told: Error[] = []
    storage.whenFailed((error) => told.push(error))
    const sink = must(await sinkFor(storage, await sourceOf(rows)))
    sink.abort()
    await store(storage, EMPTY)
    isBroken = true
    await turn()
    expect(told).toMatchObject([{ name: 'StorageFailedError' }])
  })
})

describe('a transfer', () => {
  test('survives batches and a start', async () => {
    const source = await sourceOf({ a: 'x'.repeat(200_000), b: 'x'.repeat(200_000) })
    const disk = memoryDisk()
    const storage = await openDisk(disk)
    const sink = must(await sinkFor(storage, source))
    await receive(sink, 0, must(await chunkOf(source, 0)))
    for (let batches = 0; batches < 3; batches++) await store(storage, EMPTY)
    await closed(storage)
    expect(must(await sinkFor(await openDisk(disk), source)).nextChunk).toBe(1)
  })

  test('that was interrupted is given up when space is needed, and a complete one is not', async () => {
    const source = await sourceOf(rowsOf(100, 250))
    const disk = memoryDisk()
    const compacted = (storage: Storage): Promise<void> =>
      new Promise((resolve, reject) =>
        storage.compactDatabase((error) => (error === undefined ? resolve() : reject(error))),
      )
    const sink = must(await sinkFor(await openDisk(disk), source))
    await receive(sink, 0, must(await chunkOf(source, 0)))
    const storage = await openDisk(disk)
    expect(storage.hasGarbage).toBe(false)
    await compacted(storage)
    expect(await sweep(storage)).toBeGreaterThan(0)
    const again = must(await sinkFor(storage, source))
    expect(again.nextChunk).toBe(0)
    await stream(source, again)
    await compacted(storage)
    expect(storage.hasGarbage).toBe(false)
    const snapshot = { meta: metaOf(source), snapshotId: source.id, keepLog: false }
    await store(storage, batch(hardState(1, 2), [write({ snapshot })]))
    expect(storage.applied.index).toBe(2)
  })

  test('of the same snapshot from another sender begins anew', async () => {
    const source = await sourceOf({ a: 'x' })
    const storage = await openDisk(memoryDisk())
    await receive(must(await sinkFor(storage, source)), 0, must(await chunkOf(source, 0)))
    const other = await new Promise<number | undefined>((resolve) =>
      storage.snapshotSink(source.id, asReplicaId('8'), source.meta, (_error, sink) =>
        resolve(sink?.nextChunk),
      ),
    )
    expect(other).toBe(0)
  })

  test('is not ended by the end of the one that it replaced', async () => {
    const [old, now] = [await sourceOf({ a: 'x' }), await sourceOf({ b: 'y' })]
    const storage = await openDisk(memoryDisk())
    const first = must(await sinkFor(storage, old, 'old'))
    const second = must(await sinkFor(storage, now))
    first.abort()
    await stream(now, second)
    expect(must(await sinkFor(storage, now)).nextChunk).toBe(1)
  })

  test('that cannot begin, and chunks that wait behind a batch that fails, are told why', async () => {
    let isBroken = false
    const beforeWrite = (): void => {
      if (isBroken) throw new Error('EIO: the disk is gone')
    }
    const source = await sourceOf({ a: 'x' })
    const storage = await openDisk(memoryDisk(), undefined, { beforeWrite })
    const sink = must(await sinkFor(storage, source))
    const chunk = must(await chunkOf(source, 0))
    isBroken = true
    const stored = store(storage, EMPTY)
    const waiting = receive(sink, 0, chunk)
    const begun = new Promise((resolve) =>
      storage.snapshotSink('another', asReplicaId('9'), source.meta, (error, other) =>
        resolve([error, other]),
      ),
    )
    const ended = closed(storage)
    const error = await stored.catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ name: 'StorageFailedError' })
    await expect(waiting).rejects.toBe(error)
    expect(await begun).toEqual([error, undefined])
    await expect(ended).rejects.toBe(error)
  })
})

describe('a scan of rows', () => {
  /** A storage with a row on the disk, and a counter of open scans of the engine. */
  async function counted(): Promise<{ scan: RowScan; open: () => number }> {
    let open = 0
    const under = (engine: Engine): Engine =>
      new Counted(engine, (by) => {
        open += by
      })
    const storage = await openDisk(memoryDisk(), undefined, {}, {}, under)
    await turn()
    await turn()
    expect(open).toBe(0)
    return { scan: scanOf(storage), open: () => open }
  }

  test.each(['closed', 'finished', 'closed while it is finished'])(
    'that is %s closes the scan of the engine once',
    async (how) => {
      const { scan, open } = await counted()
      expect(open()).toBe(1)
      await page(scan)
      expect(open()).toBe(1)
      const ended = how === 'closed' ? undefined : finishedScan(scan)
      if (how === 'finished') await ended
      scan.close()
      scan.close()
      expect(open()).toBe(0)
      await ended?.catch((error: unknown) => expect(error).toMatchObject({ message: 'the scan is closed' }))
      expect(open()).toBe(0)
    },
  )

  test('that is closed while a page is read ends that', async () => {
    const { scan, open } = await counted()
    const reading = page(scan)
    scan.close()
    expect(open()).toBe(0)
    await expect(reading).rejects.toThrow('the scan is closed')
  })

  test('that is closed refuses a page at once', async () => {
    const { scan } = await counted()
    scan.close()
    const limits = { rowsMax: 1, bytesMax: 1 }
    expect(() => scan.next(limits, () => expect.unreachable('it has thrown'))).toThrow('the scan is closed')
  })

  test('gives no rows of a page that fails in the middle', async () => {
    let reads: number | undefined
    const beforeRead = (): void => {
      if (reads !== undefined && ++reads > 1) throw new Error('EIO: the disk is gone')
    }
    const storage = await openDisk(
      memoryDisk(),
      undefined,
      {},
      {},
      (engine) => new FaultyEngine(engine, { beforeRead }),
    )
    await turn()
    applyRows(storage, changes(rowsOf(600, 20)), applied(2, 1))
    const state = hardState(1, 2)
    await store(storage, batch(state, [write({ entries: entries(2, 2, 1) })]))
    const scan = scanOf(storage)
    reads = 0
    const [error, rows] = await new Promise<unknown[]>((resolve) =>
      scan.next({ rowsMax: 1000, bytesMax: 1e6 }, (...answer) => resolve(answer)),
    )
    expect([error, rows]).toEqual([expect.objectContaining({ name: 'StorageFailedError' }), []])
  })
})
