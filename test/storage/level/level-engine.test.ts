// LevelDB as an engine: how it is opened and kept to one owner, and that every failure is reported to its caller.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import type { Scan } from '../../../src/storage/engine.ts'
import {
  createDatabase,
  type Database,
  LevelEngine,
  LOCK_HELD,
  levelLimits,
  openDatabase,
} from '../../../src/storage/level/level-engine.ts'
import { createWatermark, Watermark } from '../../../src/storage/watermark.ts'
import { temporaryDirectory } from '../files.ts'
import { bytes, text } from '../samples.ts'

let dir: string

beforeEach(async () => {
  dir = await temporaryDirectory()
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
})

async function created(): Promise<{ db: Database; engine: LevelEngine }> {
  const db = await createDatabase(dir, levelLimits)
  onTestFinished(() => db.close())
  return { db, engine: new LevelEngine(db, dir, new Watermark(dir), { sequence: 0, heldTo: 0 }) }
}

const written = (engine: LevelEngine, key = 'key'): Promise<Error | undefined> => {
  const batch = engine.batch()
  batch.put(bytes(key), bytes('value'))
  return new Promise((resolve) => engine.write(batch, resolve))
}

test('the limits are those that are documented', () => {
  expect(levelLimits).toEqual({
    writeBufferSize: 16_777_216,
    maxFileSize: 4_194_304,
    maxOpenFiles: 1000,
    cacheSize: 4_194_304,
  })
})

test('a database is not made where one is to be opened, nor opened where one is to be made', async () => {
  await expect(openDatabase(dir, levelLimits)).rejects.toMatchObject({
    cause: { message: expect.stringContaining('does not exist') },
  })
  expect(existsSync(join(dir, 'CURRENT'))).toBe(false)
  const db = await createDatabase(dir, levelLimits)
  await db.close()
  await expect(createDatabase(dir, levelLimits)).rejects.toMatchObject({
    cause: { message: expect.stringContaining('exists') },
  })
  await (await openDatabase(dir, levelLimits)).close()
})

test('one owner at a time, with the code that LevelDB gives to another process', async () => {
  const db = await createDatabase(dir, levelLimits)
  await expect(openDatabase(dir, levelLimits)).rejects.toMatchObject({ code: LOCK_HELD })
  expect(LOCK_HELD).toBe('LEVEL_LOCKED')
  await db.close()
  await (await openDatabase(dir, levelLimits)).close()
})

test('a batch counts when the side file has its mark', async () => {
  createWatermark(dir, 0)
  const { engine } = await created()
  expect(await written(engine)).toBeUndefined()
  expect([engine.sequence, engine.heldTo]).toEqual([1, 1])
})

test('a batch whose mark cannot be written is answered with an error', async () => {
  symlinkSync('/dev/full', join(dir, 'WATERMARK'))
  const { engine } = await created()
  expect(await written(engine)).toMatchObject({ code: 'ENOSPC' })
  expect(engine.sequence).toBe(0)
})

test('a call to a closed database is answered with an error', async () => {
  createWatermark(dir, 0)
  const { engine } = await created()
  const scan = engine.scan({ gte: bytes('a'), lt: bytes('z'), reverse: false, keysOnly: false })
  expect(await new Promise((resolve) => engine.close(resolve))).toBeUndefined()
  expect(await new Promise((resolve) => scan.next(1, resolve))).toBeInstanceOf(Error)
  expect(await new Promise((resolve) => engine.compactDatabase(resolve))).toBeInstanceOf(Error)
})

test('a close that fails is answered with an error', async () => {
  createWatermark(dir, 0)
  const { db, engine } = await created()
  const close = db.close.bind(db)
  db.close = () => Promise.reject(new Error('EIO'))
  expect(await new Promise((resolve) => engine.close(resolve))).toEqual(new Error('EIO'))
  db.close = close
})

test('when a scan skips a table that cannot be opened, its finish reports it', async () => {
  createWatermark(dir, 0)
  const db = await createDatabase(dir, levelLimits)
  const engine = new LevelEngine(db, dir, new Watermark(dir), { sequence: 0, heldTo: 0 })
  for (const name of ['a', 'b', 'c']) {
    expect(await written(engine, name)).toBeUndefined()
    // Each batch becomes a table: tables that do not overlap stay separate.
    expect(await new Promise((resolve) => engine.compactDatabase(resolve))).toBeUndefined()
  }
  await db.close()
  const again = await openDatabase(dir, levelLimits)
  onTestFinished(() => again.close())
  const scanned = new LevelEngine(again, dir, new Watermark(dir), { sequence: 3, heldTo: 3 })
  const opened = (): Scan =>
    scanned.scan({ gte: bytes('a'), lt: bytes('z'), reverse: false, keysOnly: false })
  const step = (scan: Scan, pairsMax: number): Promise<unknown> =>
    new Promise((resolve) =>
      scan.next(pairsMax, (error, pairs) => resolve(error ?? pairs.map(([key]) => text(key)))),
    )
  const finished = (scan: Scan): Promise<unknown> => new Promise((resolve) => scan.finish(resolve))
  const read = async (): Promise<unknown> => {
    const scan = opened()
    return [await step(scan, 1), await finished(scan)]
  }
  const [first] = readdirSync(dir).filter((name) => name.endsWith('.ldb'))
  const table = join(dir, first ?? '')
  renameSync(table, `${table}.away`)
  const told = expect.objectContaining({ message: expect.stringContaining('No such file') })
  expect(await read()).toEqual([['b'], told])
  // Also if the scan has moved elsewhere, and could read there.
  const [toEnd, given] = [opened(), opened()]
  for (const scan of [toEnd, given]) expect(await step(scan, 1)).toEqual(['b'])
  renameSync(`${table}.away`, table)
  for (const scan of [toEnd, given]) {
    scan.seek(bytes('a'))
    expect(await step(scan, 2)).toEqual(['a', 'b'])
    scan.seek(bytes('c'))
  }
  expect(await step(toEnd, 2)).toEqual(told)
  expect(await finished(given)).toEqual(told)
  toEnd.close()
  expect(await read()).toEqual([['a'], undefined])
})

test('an open scan keeps no older versions of keys, one of which LevelDB would bring back', async () => {
  createWatermark(dir, 0)
  const db = await createDatabase(dir, { ...levelLimits, maxFileSize: 1024 * 1024 })
  onTestFinished(() => db.close())
  const engine = new LevelEngine(db, dir, new Watermark(dir), { sequence: 0, heldTo: 0 })
  const put = async (key: string, fill: string): Promise<void> => {
    await db.put(bytes(key), Buffer.alloc(1_200_000, fill))
    // Writes it to a table.
    await db.compactRange(bytes('x'), bytes('y'))
  }
  await put('a', '1')
  const scan = engine.scan({ gte: bytes('a'), lt: bytes('z'), reverse: false, keysOnly: false })
  await put('a', '2')
  // With both versions in it, each would fill a table.
  await db.compactRange(bytes('a'), bytes('b'))
  const found = await new Promise((resolve) =>
    scan.next(9, (error, pairs) => resolve(error ?? pairs.map(([, value]) => [value.length, value[0]]))),
  )
  expect(found).toEqual([[1_200_000, bytes('1')[0]]])
  expect(await new Promise((resolve) => scan.finish(resolve))).toBeUndefined()
  // Deletes what is no longer read.
  await put('w', '3')
  expect(readdirSync(dir).filter((name) => name.endsWith('.ldb'))).toHaveLength(2)
  expect(engine.get(bytes('a'))?.[0]).toBe(bytes('2')[0])
})

test('everything is compacted in pieces: what was written lately is compacted only with what lies beneath one piece', async () => {
  const MiB = 1024 * 1024
  createWatermark(dir, 0)
  const db = await createDatabase(dir, { ...levelLimits, maxFileSize: MiB, writeBufferSize: MiB / 16 })
  onTestFinished(() => db.close())
  const engine = new LevelEngine(db, dir, new Watermark(dir), { sequence: 0, heldTo: 0 }, MiB)
  const compact = (isRoom?: () => boolean): Promise<unknown> =>
    new Promise((resolve) => engine.compactDatabase(resolve, isRoom))
  const levels = (): number =>
    db.getProperty('leveldb.sstables').match(/--- level [0-9] ---\n(?= )/g)?.length ?? 0
  const keys = Array.from({ length: 400 }, (_, at) => Uint8Array.of(1, at >> 8, at))
  const put = async (some: readonly Uint8Array[], size: number): Promise<void> => {
    const batch = engine.batch()
    for (const key of some) batch.put(key, Buffer.alloc(size, 'x'))
    expect(await new Promise((resolve) => engine.write(batch, resolve))).toBeUndefined()
  }
  for (let at = 0; at < keys.length; at += 10) await put(keys.slice(at, at + 10), MiB / 10)
  expect(await compact()).toBeUndefined()
  const before = readFileSync(join(dir, 'LOG'), 'latin1').length
  await put(
    keys.filter((_, at) => at % 10 === 0),
    1,
  )
  expect(await compact()).toBeUndefined()
  const lines = readFileSync(join(dir, 'LOG'), 'latin1').slice(before)
  const sizes = [...lines.matchAll(/Compacted .* => ([0-9]+) bytes/g)].map(([, size]) => Number(size))
  // Everything is compacted, but of 40 MiB at most a third at once.
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(35 * MiB)
  expect(Math.max(...sizes)).toBeLessThan(14 * MiB)
  expect(levels()).toBe(1)
  // Pieces without room are left for another time.
  await put(keys, 1)
  let pieces = 2
  expect(await compact(() => pieces-- > 0)).toBeUndefined()
  expect([pieces, levels()]).toEqual([-1, 2])
  // Closing does not wait for all pieces.
  const ended = compact()
  expect(await new Promise((resolve) => engine.close(resolve))).toBeUndefined()
  await ended
})

test('a directory in the place of a file is an error, and no longer one when it is gone', async () => {
  mkdirSync(join(dir, 'LOCK'))
  await expect(createDatabase(dir, levelLimits)).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' })
  rmSync(join(dir, 'LOCK'), { recursive: true })
  await (await createDatabase(dir, levelLimits)).close()
  expect(readdirSync(dir)).toContain('CURRENT')
})
