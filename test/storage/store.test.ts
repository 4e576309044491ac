// The store between its batches, on a disk in memory: the size of one batch, the reads that reach the disk, and the
// calls that fail after an error and after closing.

import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { metadataKey } from '../../src/kv/keys.ts'
import type { RowChange } from '../../src/kv/types.ts'
import { asIndex, asTerm } from '../../src/raft/types.ts'
import { keyIndexLimits, type StoreLimits } from '../../src/server/node/key-index/key-index.ts'
import type { Engine, EngineBatch } from '../../src/storage/engine.ts'
import type { SnapshotSource, Storage } from '../../src/storage/index.ts'
import { storeLimits } from '../../src/storage/store.ts'
import type { StoredRowHash, WriteCallback } from '../../src/storage/types.ts'
import { metaOf } from './conformance.ts'
import { type Faults, FaultyEngine } from './faulty.ts'
import { memoryDisk, openDisk } from './replicas.ts'
import {
  allRows,
  applied,
  applyRows,
  batch,
  bytes,
  changes,
  closed,
  entries,
  hardState,
  identity,
  must,
  page,
  rowKey,
  scanOf,
  scrub,
  sinkFor,
  store,
  stream,
  text,
  write,
} from './samples.ts'

test('the limits are those that are documented', () => {
  expect({ ...storeLimits, ...keyIndexLimits }).toEqual({
    batchBytesMax: 1_048_576,
    batchItemsMax: 4096,
    rowHeads: 16_000_000,
    rowFilterBytes: 2_097_152,
    emptyRanges: 2048,
    emptyRangeRows: 64,
  })
})

/** A storage with a log up to `last`, all of it committed. */
async function withLog(
  last: number,
  limits: Partial<StoreLimits> = {},
  faults: Faults = {},
): Promise<Storage> {
  const storage = await openDisk(memoryDisk(), undefined, faults, limits)
  for (let from = 2; from <= last; from += 10) {
    const to = Math.min(last, from + 9)
    await store(storage, batch(hardState(1, to), [write({ entries: entries(from, to, 1) })]))
  }
  return storage
}

/** A snapshot of a replica with these rows, at this index. */
async function sourceOf(rows: Readonly<Record<string, string>>, index: number): Promise<SnapshotSource> {
  const sender = await openDisk(
    memoryDisk({ hardState: hardState(1, index - 1), applied: applied(index - 1, 1) }),
  )
  applyRows(sender, changes(rows), applied(index, 1))
  return sender.snapshotSource()
}

const installing = (source: SnapshotSource): ReturnType<typeof write> =>
  write({ snapshot: { meta: metaOf(source), snapshotId: source.id, keepLog: false } })

describe('a batch takes the rows that it has room for', () => {
  const KEY_BYTES = 900
  const named = (at: number, length = 10): Uint8Array => rowKey(`${at}`.padEnd(length, '.'))

  test.each<[string, (at: number) => RowChange, number]>([
    ['in keys', (at) => ({ key: named(at, KEY_BYTES), value: new Uint8Array() }), KEY_BYTES],
    ['in keys that are deleted', (at) => ({ key: named(at, KEY_BYTES), value: undefined }), KEY_BYTES],
    ['in values', (at) => ({ key: named(at), value: new Uint8Array(900) }), 910],
    [
      'in what follows the values',
      (at) => ({ key: named(at), value: bytes(''), rest: new Uint8Array(900) }),
      910,
    ],
  ])('by their bytes: %s', async (_what, change, payload) => {
    const batchBytesMax = 16 * 1000
    const storage = await withLog(101, { batchBytesMax })
    for (let index = 2; index <= 101; index++) applyRows(storage, [change(index)], applied(index, 1))
    await store(storage, batch(hardState(1, 101)))
    // Table, generation and table of users; two checksums, if the row exists.
    const stored = 3 + 4 + 1 + payload + (change(2).value === undefined ? 0 : 8)
    expect(storage.appliedSubmitted).toBe(1 + Math.floor(batchBytesMax / stored))
    expect([storage.dirty, storage.rowsLeft]).toEqual([true, true])
  })

  test('by their number', async () => {
    const storage = await withLog(101, { batchItemsMax: 16 })
    for (let index = 2; index <= 101; index++)
      applyRows(storage, changes({ [`${index}`]: 'x' }), applied(index, 1))
    await store(storage, batch(hardState(1, 101)))
    expect(storage.appliedSubmitted).toBe(17)
    for (let batches = 0; storage.rowsLeft; batches++) {
      expect(batches).toBeLessThan(6)
      await store(storage, batch(hardState(1, 101)))
    }
    expect([storage.dirty, storage.appliedSubmitted]).toEqual([false, 101])
  })

  test('and always those of one entry', async () => {
    const storage = await withLog(3, { batchBytesMax: 100, batchItemsMax: 2 })
    applyRows(storage, changes({ a: 'x'.repeat(1000), b: '', c: '' }), applied(2, 1))
    applyRows(storage, changes({ d: 'y' }), applied(3, 1))
    await store(storage, batch(hardState(1, 3)))
    expect([storage.appliedSubmitted, storage.rowsLeft]).toEqual([2, true])
    await store(storage, batch(hardState(1, 3)))
    expect([storage.appliedSubmitted, storage.rowsLeft]).toEqual([3, false])
  })

  test('and of garbage, both together', async () => {
    const batchBytesMax = 16 * 1000
    const written: number[] = []
    const disk = memoryDisk()
    const storage = await openDisk(
      disk,
      undefined,
      {},
      { batchBytesMax },
      (engine) => new Measured(engine, written),
    )
    for (let from = 2; from <= 200; from += 10)
      await store(storage, batch(hardState(1, from + 9), [write({ entries: entries(from, from + 9, 1) })]))
    const long = (at: number): string => `${at}`.padEnd(300, '-')
    const source = await sourceOf(
      Object.fromEntries(Array.from({ length: 50 }, (_, at) => [long(at), 'x'])),
      9,
    )
    const sink = must(await sinkFor(storage, source))
    await stream(source, sink)
    sink.abort()
    await store(storage, batch(hardState(1, 201)))
    await turn()
    for (let index = 2; index <= 201; index++)
      applyRows(storage, changes({ [`${index}`.padEnd(400, '.')]: '' }), applied(index, 1))
    written.length = 0
    while (storage.rowsLeft || storage.dirty) {
      await store(storage, batch(hardState(1, 201)))
      await turn()
    }
    expect(storage.hasGarbage).toBe(false)
    expect(written.length).toBeLessThan(10)
    // The limit, plus the meta record and the applied record.
    expect(Math.max(...written)).toBeLessThanOrEqual(batchBytesMax + 300)
  })
})

/** Reports how many bytes each batch holds. */
class Measured extends FaultyEngine {
  readonly #written: number[]

  constructor(engine: Engine, written: number[]) {
    super(engine, {})
    this.#written = written
  }

  override batch(begun?: EngineBatch): EngineBatch {
    const inner = super.batch(begun)
    const put = inner.put.bind(inner)
    const remove = inner.delete.bind(inner)
    const at = this.#written.push(0) - 1
    const count = (size: number): void => {
      this.#written[at] = (this.#written[at] ?? 0) + size
    }
    inner.put = (key, value) => {
      count(key.length + value.length)
      put(key, value)
    }
    inner.delete = (key) => {
      count(key.length)
      remove(key)
    }
    return inner
  }
}

describe('a snapshot that is installed', () => {
  test('leaves nothing of the rows that were not durable yet, however many', async () => {
    const storage = await withLog(60, { batchItemsMax: 4 })
    for (let index = 2; index <= 50; index++)
      applyRows(storage, changes({ [`old ${index}`]: 'x' }), applied(index, 1))
    await store(storage, batch(hardState(1, 60)))
    expect(storage.rowsLeft).toBe(true)
    const source = await sourceOf({ new: 'row' }, 55)
    await stream(source, must(await sinkFor(storage, source)))
    await store(
      storage,
      batch(hardState(1, 60), [installing(source), write({ entries: entries(56, 60, 1) })]),
    )
    expect([storage.dirty, storage.rowsLeft, storage.appliedSubmitted]).toEqual([false, false, 55])
    expect(await allRows(storage)).toEqual(['new=row'])
    expect([storage.log.firstIndex(), storage.log.lastIndex()]).toEqual([56, 60])
    await scrub(storage)
  })

  test.each([
    ['another index', { index: asIndex(8) }],
    ['another term', { term: asTerm(2) }],
  ])('is the named one: not with %s', async (_what, other) => {
    const storage = await withLog(3)
    const source = await sourceOf({ new: 'row' }, 7)
    await stream(source, must(await sinkFor(storage, source)))
    const snapshot = { meta: { ...metaOf(source), ...other }, snapshotId: source.id, keepLog: false }
    await expect(store(storage, batch(hardState(2, 8), [write({ snapshot })]))).rejects.toThrow(
      'was to be installed as',
    )
  })

  test('is given up when the log has overtaken it', async () => {
    const storage = await withLog(9)
    const source = await sourceOf({ new: 'row' }, 7)
    await stream(source, must(await sinkFor(storage, source)))
    applyRows(storage, [], applied(7, 1))
    await store(storage, batch(hardState(1, 9)))
    expect(storage.hasGarbage).toBe(true)
    expect(must(await sinkFor(storage, source)).nextChunk).toBe(0)
  })
})

test('the rows of an abandoned generation go with the first two batches after a start', async () => {
  const disk = memoryDisk()
  const storage = await openDisk(disk)
  const source = await sourceOf({ a: '1', b: '2' }, 7)
  const sink = must(await sinkFor(storage, source))
  await stream(source, sink)
  sink.abort()
  await store(storage, batch(hardState(1, 1)))
  await closed(storage)
  const again = await openDisk(disk)
  // The first batch deletes the rows, the second finds that there are no more.
  for (let batches = 0; batches < 2; batches++) {
    expect(again.hasGarbage).toBe(true)
    await turn()
    await store(again, batch(hardState(1, 1)))
  }
  expect(again.hasGarbage).toBe(false)
})

test('a watcher is told of each change until it is stopped', async () => {
  const storage = await withLog(9)
  const heard: unknown[][] = []
  const hashOf = (row: StoredRowHash | undefined): unknown => row && [row.mix, row.crc]
  const stop = storage.observe({
    changed: (key, before, after) => heard.push([text(key.subarray(1)), hashOf(before), hashOf(after)]),
    replaced() {},
  })
  applyRows(storage, changes({ a: '1' }), applied(2, 1))
  applyRows(storage, changes({ a: '2', b: undefined }), applied(3, 1))
  applyRows(storage, changes({ a: undefined }), applied(4, 1))
  const [first, second] = [heard[0]?.[2], heard[1]?.[2]]
  expect(first).not.toEqual(second)
  expect(heard).toEqual([
    ['a', undefined, first],
    ['a', first, second],
    ['b', undefined, undefined],
    ['a', second, undefined],
  ])
  stop()
  applyRows(storage, changes({ a: '3' }), applied(5, 1))
  expect(heard).toHaveLength(4)
})

/** All calls of a storage. */
const CALLS: readonly [string, (storage: Storage) => unknown][] = [
  ['get', (storage) => storage.get(rowKey('a'))],
  ['rowBefore', (storage) => storage.rowBefore(rowKey('a'), true)],
  ['apply', (storage) => applyRows(storage, [], applied(9, 1))],
  ['scan', (storage) => scanOf(storage)],
  ['write', (storage) => storage.write(batch(hardState(1, 9)), () => {})],
  ['snapshotSource', (storage) => storage.snapshotSource()],
  ['snapshotSink', (storage) => storage.snapshotSink('s', identity.replicaId, META, () => {})],
  ['compact', (storage) => storage.compactDatabase(() => {})],
]
const META: SnapshotSource['meta'] = { ...applied(99, 1), applied: applied(99, 1), stateHash: 0n }

describe('the end', () => {
  test.each(CALLS)('%s does nothing after it', async (_what, call) => {
    const storage = await withLog(9)
    applyRows(storage, changes({ a: '1' }), applied(2, 1))
    await store(storage, batch(hardState(1, 9)))
    await closed(storage)
    expect(() => call(storage)).toThrow('the storage is closed')
  })

  test.each(CALLS)('%s does nothing after an error, and returns that error again', async (_what, call) => {
    let armed = false
    const beforeWrite = (): void => {
      if (armed) throw new Error('EIO: the disk is gone')
    }
    const storage = await withLog(9, {}, { beforeWrite })
    applyRows(storage, changes({ a: '1' }), applied(2, 1))
    armed = true
    const first = await store(storage, batch(hardState(1, 9))).catch((error: unknown) => error)
    expect(() => call(storage)).toThrow(first as Error)
  })

  test('closes the scans that are open', async () => {
    const storage = await withLog(9)
    applyRows(storage, changes({ a: '1' }), applied(2, 1))
    const scan = scanOf(storage)
    expect((await page(scan)).rows).toEqual(['a=1'])
    const reading = page(scanOf(storage))
    const ended = expect(reading).rejects.toMatchObject({ name: 'StorageClosedError' })
    await closed(storage)
    await ended
    await expect(page(scan)).rejects.toMatchObject({ name: 'StorageClosedError' })
  })

  test('ends open scans at once, also while it waits for the batch under way', async () => {
    const held: (() => void)[] = []
    let isHeld = false
    const storage = await openDisk(memoryDisk(), (what, complete) =>
      isHeld && what === 'write' ? void held.push(complete) : void setImmediate(complete),
    )
    const scan = scanOf(storage)
    isHeld = true
    const stored = store(storage, batch(hardState(1, 1)))
    const ended = closed(storage)
    // The scan must fail: a reader without an error would continue to use the storage.
    await expect(page(scan)).rejects.toMatchObject({ name: 'StorageClosedError' })
    for (const complete of held) complete()
    await stored
    await ended
  })

  test('is told of an error that came while it waited for the batch under way', async () => {
    const disk = memoryDisk()
    const held: (() => void)[] = []
    let isHeld = false
    let isBroken = false
    const storage = await openDisk(
      disk,
      (what, complete) =>
        isHeld && what === 'write' ? void held.push(complete) : void setImmediate(complete),
      {
        beforeRead: () => {
          if (isBroken) throw new Error('EIO: the disk is gone')
        },
      },
      {},
      undefined,
      false,
    )
    isHeld = true
    const stored = store(storage, batch(hardState(1, 1)))
    const ended = closed(storage)
    // At this moment the filter of absent rows reads the keys of all rows.
    isBroken = true
    await turn()
    await turn()
    for (const complete of held) complete()
    await expect(stored).rejects.toThrow('EIO')
    await expect(ended).rejects.toThrow('EIO')
  })

  test('happens even if an engine has thrown in the middle of a batch', async () => {
    const storage = await openDisk(memoryDisk(), undefined, {}, {}, (engine) => new Throwing(engine))
    expect(() => storage.write(batch(hardState(1, 1)), () => {})).toThrow('the engine is gone')
    await expect(closed(storage)).rejects.toThrow('the engine is gone')
  })
})

/** All writes fail except the first, which belongs to the start. */
class Throwing extends FaultyEngine {
  #writes = 0

  constructor(engine: Engine) {
    super(engine, {})
  }
  override write(content: EngineBatch, done: WriteCallback): void {
    if (++this.#writes > 1) throw new Error('the engine is gone')
    super.write(content, done)
  }
}

test('a compaction that fails is an error like any other', async () => {
  const storage = await openDisk(memoryDisk(), undefined, {}, {}, (engine) => new Uncompacted(engine))
  const failed = new Promise<void>((resolve, reject) =>
    storage.compactDatabase((error) => (error === undefined ? resolve() : reject(error))),
  )
  await expect(failed).rejects.toMatchObject({ name: 'StorageFailedError' })
  expect(() => scanOf(storage)).toThrow('EIO: no compaction')
})

class Uncompacted extends FaultyEngine {
  constructor(engine: Engine) {
    super(engine, {})
  }
  override compactDatabase(done: WriteCallback): void {
    done(new Error('EIO: no compaction'))
  }
}

test('while an entry is applied in parts, readers see the metadata of each of its keys from before', async () => {
  const storage = await withLog(3)
  const keys = ['a', 'b', 'c', 'new'].map((name) => metadataKey(bytes(name)))
  const known = (): unknown[] =>
    keys.map((key) => {
      const metadata = storage.keyMetadata(key)
      return metadata instanceof Uint8Array ? text(metadata) : metadata
    })
  const put = (key: Uint8Array | undefined, value: string): void =>
    void storage.change({ key: must(key), value: bytes(value) })
  storage.begin(asIndex(2), { bytes: 0, items: 0 })
  for (const [at, key] of keys.slice(0, 3).entries()) put(key, `old ${at}`)
  storage.end(applied(2, 1))
  const before = known()
  expect(before.slice(0, 3)).toEqual(['old 0', 'old 1', 'old 2'])
  storage.begin(asIndex(3), { bytes: 0, items: 0 }, true)
  for (const [at, key] of keys.entries()) put(key, `now ${at}`)
  expect(known()).toEqual(before)
  while (storage.prepare(1)) expect(known()).toEqual(before)
  storage.end(applied(3, 1))
  expect(known()).toEqual(['now 0', 'now 1', 'now 2', 'now 3'])
  await closed(storage)
})

test('half an entry is neither written nor read: apply has thrown', async () => {
  const storage = await withLog(2)
  storage.begin(asIndex(2), { bytes: 1, items: 2 })
  for (const change of changes({ a: 'x' })) storage.change(change)
  expect(() => storage.write(batch(hardState(1, 2)), () => {})).toThrow('while an entry after 1 is applied')
  expect(() => scanOf(storage)).toThrow('while an entry after 1 is applied')
})

describe('a start fails', () => {
  /** The three records and the log are read, in this order. */
  test.each([1, 2, 3, 4])('with read %i that fails', async (number) => {
    const beforeRead = (count: number): void => {
      if (count === number) throw new Error('EIO: the disk is gone')
    }
    await expect(openDisk(memoryDisk(), undefined, { beforeRead })).rejects.toMatchObject({
      name: 'StorageFailedError',
      message: expect.stringContaining('EIO: the disk is gone'),
    })
  })

  test('with the write of the boot counter that fails', async () => {
    const beforeWrite = (): void => {
      throw new Error('EIO: the disk is gone')
    }
    await expect(openDisk(memoryDisk(), undefined, { beforeWrite })).rejects.toMatchObject({
      name: 'StorageFailedError',
    })
  })
})
