import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Engine, Scan, ScanRange } from '../../src/storage/engine.ts'
import type { Storage } from '../../src/storage/index.ts'
import { TABLE_ROWS } from '../../src/storage/keys.ts'
import { conformance, metaOf } from './conformance.ts'
import { FaultyEngine } from './faulty.ts'
import { levelReplica, memoryDisk, openDisk } from './replicas.ts'
import {
  applied,
  applyRows,
  batch,
  changes,
  closed,
  entries,
  firstPage,
  hardState,
  must,
  page,
  scanOf,
  sinkFor,
  store,
  stream,
  write,
} from './samples.ts'

conformance('LevelDB', levelReplica)

const bytesOfTablesIn = (dir: string): number =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.ldb'))
    // LevelDB may delete a file at any time.
    .reduce((sum, name) => sum + (statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0), 0)

const compacted = (storage: Storage): Promise<void> =>
  new Promise((resolve, reject) =>
    storage.compactDatabase((error) => (error === undefined ? resolve() : reject(error))),
  )

test('LevelDB: compacting everything frees the space of overwritten and deleted rows', async () => {
  const replica = await levelReplica({ limits: { writeBufferSize: 64 * 1024 } })
  const storage = await replica.open()
  onTestFinished(async () => {
    await closed(storage)
    await replica.dispose()
  })
  const bytesOfTables = (): number => bytesOfTablesIn(replica.dir)
  await store(storage, batch(hardState(1, 21), [write({ entries: entries(2, 21, 1) })]))
  for (let index = 2; index <= 20; index++) {
    applyRows(storage, changes({ [`k${index}`]: 'v'.repeat(100_000) }), applied(index, 1))
    await store(storage, batch(hardState(1, 21)))
  }
  // The space that a scan keeps is freed with it, also if the scan is ended.
  expect((await firstPage(storage, { bytesMax: 1e9 })).rows).toHaveLength(19)
  const scan = scanOf(storage)
  expect((await page(scan, { rowsMax: 1 })).rows).toHaveLength(1)
  const gone = Object.fromEntries(Array.from({ length: 19 }, (_, at) => [`k${at + 2}`, undefined]))
  applyRows(storage, changes(gone), applied(21, 1))
  await store(storage, batch(hardState(1, 21)))
  await compacted(storage)
  expect(bytesOfTables()).toBeGreaterThan(1_000_000)
  for (let time = 0; time < 2; time++) storage.endOldScans()
  await compacted(storage)
  expect(bytesOfTables()).toBeLessThan(100_000)
})

/** Each step of reading all rows waits until the test lets it continue. */
class Slow extends FaultyEngine {
  readonly asked: (() => void)[] = []

  constructor(engine: Engine) {
    super(engine, {})
  }

  override scan(range: ScanRange): Scan {
    if (range.gte[2] !== TABLE_ROWS) return super.scan(range)
    let scan: Scan | undefined
    const begun = (): Scan => {
      scan ??= super.scan(range)
      return scan
    }
    return {
      next: (pairsMax, done) => void this.asked.push(() => begun().next(pairsMax, done)),
      finish: (done) => begun().finish(done),
      seek: (key) => begun().seek(key),
      close: () => scan?.close(),
    }
  }
}

test('LevelDB: a compaction frees space also while all rows are being read', async () => {
  const limits = { writeBufferSize: 64 * 1024 }
  let slow: Slow | undefined
  const under = (engine: Engine): Engine => {
    slow = new Slow(engine)
    return slow
  }
  const replica = await levelReplica({ limits, under, readsFirst: false })
  onTestFinished(replica.dispose)
  const first = await replica.open()
  await store(first, batch(hardState(1, 3), [write({ entries: entries(2, 3, 1) })]))
  const names = Array.from({ length: 19 }, (_, at) => `k${at}`)
  applyRows(
    first,
    changes(Object.fromEntries(names.map((name) => [name, 'v'.repeat(100_000)]))),
    applied(2, 1),
  )
  await store(first, batch(hardState(1, 3)))
  await closed(first)

  const storage = await replica.open()
  const { asked } = must(slow)
  must(asked.shift())()
  // One step has been done, and the next is to begin.
  await expect.poll(() => asked.length).toBe(1)
  applyRows(storage, changes(Object.fromEntries(names.map((name) => [name, undefined]))), applied(3, 1))
  await store(storage, batch(hardState(1, 3)))
  expect(bytesOfTablesIn(replica.dir)).toBeGreaterThan(1_000_000)
  await compacted(storage)
  expect(bytesOfTablesIn(replica.dir)).toBeLessThan(100_000)
  await closed(storage)
})

test('LevelDB: closing while replaced rows are being read is not a failure', async () => {
  const replica = await levelReplica()
  onTestFinished(() => replica.dispose())
  const storage = await replica.open()
  const failures: Error[] = []
  storage.whenFailed((error) => failures.push(error))
  const sender = await openDisk(memoryDisk({ hardState: hardState(1, 9), applied: applied(9, 1) }))
  const source = sender.snapshotSource()
  await stream(source, must(await sinkFor(storage, source)))
  const snapshot = { meta: metaOf(source), snapshotId: source.id, keepLog: false }
  await store(storage, batch(hardState(1, 9), [write({ snapshot })]))
  await closed(storage)
  expect(failures).toEqual([])
})
