// The first storage error is final: nothing is submitted or answered after it, and everything acknowledged before is
// there after a restart.

import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/storage/directory.ts'
import type { Engine } from '../../src/storage/engine.ts'
import type { Storage } from '../../src/storage/index.ts'
import { type Faults, FaultyEngine } from './faulty.ts'
import { levelReplica, memoryDisk, openDisk } from './replicas.ts'
import {
  applied,
  applyRows,
  batch,
  changes,
  closed,
  firstPage,
  hardState,
  identity,
  must,
  rowKey,
  scanOf,
  scrub,
  sinkFor,
  store,
  stream,
} from './samples.ts'
import { contentAfter, contentOf, submit } from './workload.ts'

const enospc = (): never => {
  throw Object.assign(new Error('No space left on device'), { code: 'ENOSPC' })
}

/** Opening writes once: the boot counter. */
const BOOT_WRITES = 1

async function memory(faults: Faults): Promise<{ storage: Storage; reopen: () => Promise<Storage> }> {
  const disk = memoryDisk()
  const storage = await openDisk(disk, undefined, faults)
  const reopen = (): Promise<Storage> => {
    disk.crash('lost')
    return openDisk(disk)
  }
  return { storage, reopen }
}

function expectNothingMore(storage: Storage, first: unknown): void {
  expect(() => storage.get(rowKey('a'))).toThrow(first as Error)
  expect(() => scanOf(storage)).toThrow(first as Error)
  expect(() => applyRows(storage, changes({ a: '1' }), applied(99, 9))).toThrow(first as Error)
  expect(() => storage.write(batch(hardState(9, 9)), () => {})).toThrow(first as Error)
  expect(() => storage.snapshotSource()).toThrow(first as Error)
}

describe('a failed write', () => {
  test.each([1, 2, 7])('number %i is the last one', async (number) => {
    const { storage, reopen } = await memory({
      beforeWrite: (count) => count === BOOT_WRITES + number && enospc(),
    })
    for (let done = 1; done < number; done++) await submit(storage, done)
    const first = await submit(storage, number).catch((error: unknown) => error)
    expect(first).toMatchObject({
      name: 'StorageFailedError',
      message: expect.stringContaining('No space left on device'),
    })
    expectNothingMore(storage, first)
    await expect(closed(storage)).rejects.toBe(first)
    expect(await contentOf(await reopen())).toBe(await contentAfter(number - 1))
  })

  test('on a real LevelDB leaves what was acknowledged', async () => {
    let armed = false
    const faults = { beforeWrite: () => armed && enospc() }
    const replica = await levelReplica({ under: (engine) => new FaultyEngine(engine, faults) })
    const storage = await replica.open()
    for (let number = 1; number <= 5; number++) await submit(storage, number)
    armed = true
    const first = await submit(storage, 6).catch((error: unknown) => error)
    expect(first).toMatchObject({ name: 'StorageFailedError' })
    expectNothingMore(storage, first)
    await expect(closed(storage)).rejects.toBe(first)
    // The handle must be abandoned together with its lock.
    await expect(openStorage(replica.dir)).rejects.toMatchObject({ name: 'StorageInUseError' })
    await replica.dispose()
  })

  test.each<[string, Faults]>([
    ['write', { beforeWrite: enospc }],
    ['read', { beforeRead: enospc }],
    ['scan', { passesOver: () => true }],
  ])('or %s while a directory is opened gives that back', async (_what, faults) => {
    let under = (engine: Engine): Engine => engine
    const replica = await levelReplica({ under: (engine) => under(engine) })
    const storage = await replica.open()
    await submit(storage, 1)
    await closed(storage)
    under = (engine) => new FaultyEngine(engine, faults)
    await expect(replica.open()).rejects.toMatchObject({ name: 'StorageFailedError' })
    under = (engine) => engine
    const again = await replica.open()
    expect(await contentOf(again)).toBe(await contentAfter(1))
    await closed(again)
    await replica.dispose()
  })

  test('of a chunk being received ends the replica as well', async () => {
    const sender = (await memory({})).storage
    applyRows(sender, changes({ a: '1' }), applied(2, 1))
    const source = sender.snapshotSource()
    const { storage } = await memory({ beforeWrite: (count) => count === BOOT_WRITES + 1 && enospc() })
    const first = await new Promise((resolve) => {
      storage.snapshotSink('s', identity.replicaId, source.meta, (error) => resolve(error))
    })
    expect(first).toMatchObject({ name: 'StorageFailedError' })
    expectNothingMore(storage, first)
  })
})

describe('a failed sync', () => {
  test('is answered with an error although the batch may be there', async () => {
    const { storage, reopen } = await memory({
      beforeSync: (count) => {
        if (count === BOOT_WRITES + 3) throw new Error('Input/output error')
      },
    })
    await submit(storage, 1)
    await submit(storage, 2)
    const first = await submit(storage, 3).catch((error: unknown) => error)
    expect(first).toMatchObject({
      name: 'StorageFailedError',
      message: expect.stringContaining('Input/output error'),
    })
    expectNothingMore(storage, first)
    expect(await contentOf(await reopen())).toBeOneOf([await contentAfter(2), await contentAfter(3)])
  })
})

describe('a failed read', () => {
  async function failing(): Promise<{ storage: Storage; arm: () => void }> {
    let armed = false
    const { storage } = await memory({
      beforeRead: () => {
        if (armed) throw new Error('Input/output error')
      },
    })
    for (let number = 1; number <= 5; number++) await submit(storage, number)
    // More rows than heads are kept in memory.
    const { index, term } = storage.applied
    const rows = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`row ${n}`, '1']))
    applyRows(storage, changes(rows), applied(index + 1, term))
    await submit(storage, 6)
    return {
      storage,
      arm: () => {
        armed = true
      },
    }
  }

  test.each<[string, (storage: Storage) => unknown]>([
    ['of a row', (storage) => storage.get(rowKey('nothing'))],
    [
      'of the row that a change replaces',
      (storage) => applyRows(storage, changes({ 'row 0': '2' }), applied(11, 2)),
    ],
    ['of a page', (storage) => firstPage(storage)],
    ['of the scrub', (storage) => scrub(storage)],
    ['of the log', ({ log }) => log.entries(log.firstIndex(), log.lastIndex(), 1e6)],
  ])('%s is final', async (_what, read) => {
    const { storage, arm } = await failing()
    arm()
    const first = await (async () => read(storage))().catch((error: unknown) => error)
    expect(first).toMatchObject({
      name: 'StorageFailedError',
      message: expect.stringContaining('Input/output error'),
    })
    expectNothingMore(storage, first)
  })

  test('while a batch is being written makes that one fail too', async () => {
    const { storage, arm } = await failing()
    const stored = submit(storage, 7)
    arm()
    expect(() => storage.get(rowKey('nothing'))).toThrow('Input/output error')
    await expect(stored).rejects.toThrow('Input/output error')
  })
})

describe('what a scan passes over', () => {
  const told = {
    name: 'StorageFailedError',
    message: expect.stringContaining('The storage failed: Too many open files'),
  }

  test.each<[string, (storage: Storage) => unknown]>([
    ['a page', (storage) => firstPage(storage, { rowsMax: 1 })],
    ['a slice of the scrub', (storage) => scrub(storage, { rowsMax: 1, bytesMax: 1e6 })],
  ])('%s is not answered without', async (_what, read) => {
    let passes = 0
    const { storage } = await memory({ passesOver: () => passes-- > 0 })
    for (let number = 1; number <= 5; number++) await submit(storage, number)
    passes = 1
    const first = await (async () => read(storage))().catch((error: unknown) => error)
    expect(first).toMatchObject(told)
    expectNothingMore(storage, first)
  })

  test('is not mistaken for a compacted part of the log', async () => {
    const disk = memoryDisk()
    const storage = await openDisk(disk)
    for (let number = 1; number <= 5; number++) await submit(storage, number)
    disk.crash('lost')
    await expect(openDisk(disk, undefined, { passesOver: () => true })).rejects.toMatchObject(told)
  })

  test('is not left behind when rows are swept', async () => {
    let armed = false
    const { storage } = await memory({ passesOver: () => armed })
    const sender = (await memory({})).storage
    applyRows(sender, changes({ a: '1', b: '2' }), applied(2, 1))
    const source = sender.snapshotSource()
    const sink = must(await sinkFor(storage, source))
    await stream(source, sink)
    sink.abort()
    armed = true
    await store(storage, batch(hardState(1, 1)))
    const first = await new Promise<Error>((resolve) => storage.whenFailed(resolve))
    expect(first).toMatchObject(told)
    expectNothingMore(storage, first)
  })
})

describe('a crash in memory', () => {
  test.each([
    ['lost', 4],
    ['kept', 5],
    ['torn', 4],
  ] as const)('with the batch in flight %s', async (inFlight, batches) => {
    const disk = memoryDisk()
    const held: (() => void)[] = []
    let holding = false
    const storage = await openDisk(disk, (what, complete) => {
      if (holding && what === 'write') held.push(complete)
      else setImmediate(complete)
    })
    for (let number = 1; number <= 4; number++) await submit(storage, number)
    holding = true
    let answered = false
    submit(storage, 5).then(
      () => {
        answered = true
      },
      () => {},
    )
    disk.crash(inFlight)
    for (const complete of held) complete()
    expect(held).toHaveLength(1)
    expect(await contentOf(await openDisk(disk))).toBe(await contentAfter(batches))
    expect(answered).toBe(false)
  })
})
