// Content that contradicts itself although every file of LevelDB is intact: what damaged tables can bring back, and
// what a bug could write.

import { rmSync } from 'node:fs'
import { Level } from 'level'
import { describe, expect, onTestFinished, test } from 'vitest'
import { asIndex, asTerm } from '../../src/raft/types.ts'
import { openStorage } from '../../src/storage/directory.ts'
import type { Engine } from '../../src/storage/engine.ts'
import { FORMAT_VERSION, type SnapshotSource, type Storage } from '../../src/storage/index.ts'
import {
  APPLIED_KEY,
  logKey,
  META_KEY,
  prefixed,
  rowPrefix,
  STAGING_KEY,
  TABLE_ROWS,
} from '../../src/storage/keys.ts'
import { decodeMeta, encodeMeta, type Meta, seal } from '../../src/storage/records.ts'
import { metaOf } from './conformance.ts'
import { FaultyEngine } from './faulty.ts'
import { type Files, filesOf, putFiles, temporaryDirectory } from './files.ts'
import { levelReplica } from './replicas.ts'
import {
  allRows,
  applied,
  applyRows,
  batch,
  changes,
  closed,
  entries,
  hardState,
  must,
  rowKey,
  scrub,
  sinkFor,
  store,
  stream,
  write,
} from './samples.ts'
import { submit } from './workload.ts'

type Raw = Level<Uint8Array, Uint8Array>

/** The files of a closed replica, by the number of its batches. */
const replicas = new Map<number, Promise<Files>>()

/** A closed replica after some batches. */
async function replica(batches = 7): Promise<string> {
  const files = replicas.get(batches) ?? makeReplica(batches)
  replicas.set(batches, files)
  const dir = await temporaryDirectory()
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  putFiles(dir, await files)
  return dir
}

async function makeReplica(batches: number): Promise<Files> {
  const { dir, open, dispose } = await levelReplica()
  const storage = await open()
  for (let number = 1; number <= batches; number++) await submit(storage, number)
  await closed(storage)
  const files = filesOf(dir)
  await dispose()
  return files
}

async function raw<T>(dir: string, use: (db: Raw) => Promise<T>): Promise<T> {
  const db: Raw = new Level(dir, { keyEncoding: 'view', valueEncoding: 'view' })
  await db.open()
  try {
    return await use(db)
  } finally {
    await db.close()
  }
}

type Change = (put: (key: Uint8Array, value: Uint8Array | undefined) => void, meta: Meta) => Meta | undefined

/** Changes the content of LevelDB, and writes a meta record that matches. */
async function tamper(dir: string, change: Change): Promise<void> {
  await raw(dir, async (db) => {
    const { meta, sequence } = decodeMeta(must(await db.get(META_KEY)))
    const tampered = db.batch()
    const after = change((key, value) => {
      if (value === undefined) tampered.del(key)
      else tampered.put(key, value)
    }, meta)
    tampered.put(META_KEY, encodeMeta(after ?? meta, sequence + tampered.length + 1))
    await tampered.write({ sync: true })
  })
}

const frameBytes = (from: number, to: number, term: number): Uint8Array =>
  seal(logKey(from), ...entries(from, to, term).map(({ frame }) => frame))

const flip = (stored: Buffer): Buffer => {
  stored.writeUInt8(stored.readUInt8(2) ^ 4, 2)
  return stored
}

describe('a replica is refused', () => {
  test('when an older meta record reappears: it would forget a vote', async () => {
    const dir = await replica()
    const older = await raw(dir, async (db) => must(await db.get(META_KEY)))
    const storage = await openStorage(dir)
    await store(storage, batch(hardState(9, 12, '5')))
    await closed(storage)
    await raw(dir, (db) => db.put(META_KEY, older, { sync: true }))
    await expect(openStorage(dir)).rejects.toThrow(/meta record is of sequence number .*To rejoin/)
  })

  test('when an older applied record reappears', async () => {
    const dir = await replica()
    const older = await raw(dir, async (db) => must(await db.get(APPLIED_KEY)))
    const storage = await openStorage(dir)
    await submit(storage, 8)
    await closed(storage)
    await tamper(dir, (put) => void put(APPLIED_KEY, older))
    await expect(openStorage(dir)).rejects.toThrow(/applied record is of sequence number .*To rejoin/)
  })

  test.each<[string, Change, string]>([
    ['a record of the log is missing', (put) => void put(logKey(6), undefined), 'a gap or an overlap'],
    ['the last record is missing', (put) => void put(logKey(14), undefined), 'the log ends at index 13'],
    ['records overlap', (put) => void put(logKey(7), frameBytes(7, 9, 2)), 'a gap or an overlap'],
    [
      'the term of the log falls',
      (put) => void put(logKey(14), frameBytes(14, 15, 1)),
      'term of the log falls from 2 to 1',
    ],
    [
      'there is a record beyond the end',
      (put) => void put(logKey(16), frameBytes(16, 16, 2)),
      'the log ends at index 16',
    ],
    [
      'a record lies under another key',
      (put) => void put(logKey(14), frameBytes(15, 16, 2)),
      'the checksum of the log record',
    ],
    ['a record is empty', (put) => void put(logKey(16), seal(logKey(16))), 'is empty'],
    ['the meta record is missing', () => undefined, ''],
    [
      'the applied record is missing',
      (put) => void put(APPLIED_KEY, undefined),
      'the applied record is missing',
    ],
    [
      'commit is beyond the log',
      (_put, meta) => ({ ...meta, hardState: hardState(2, 99) }),
      'do not fit together',
    ],
    [
      'what is applied is before the log',
      (_put, meta) => ({ ...meta, logStart: { index: asIndex(13), term: asTerm(2) } }),
      'applied index 12, .* do not fit together',
    ],
    [
      'what is applied is beyond the log',
      (_put, meta) => ({
        ...meta,
        hardState: hardState(2, 11),
        logEnd: { index: asIndex(11), term: asTerm(2) },
      }),
      'applied index 12, .* do not fit together',
    ],
  ])('when %s', async (what, change, message) => {
    const dir = await replica()
    await tamper(dir, change)
    if (what === 'the meta record is missing') await raw(dir, (db) => db.del(META_KEY, { sync: true }))
    await expect(openStorage(dir)).rejects.toMatchObject({
      name: 'StorageRefusedError',
      message: expect.stringMatching(new RegExp(`${message}.*--join URL --replace`)),
    })
  })

  /** A closed replica with a complete snapshot that was not installed, and its staging record. */
  async function staged(): Promise<{ dir: string; source: SnapshotSource; record: Uint8Array }> {
    const dir = await replica()
    const from = await openStorage(await replica(9))
    const source = from.snapshotSource()
    const storage = await openStorage(dir)
    await stream(source, must(await sinkFor(storage, source)))
    await closed(storage)
    source.close()
    await closed(from)
    return { dir, source, record: await raw(dir, async (db) => must(await db.get(STAGING_KEY))) }
  }

  test('when the record of a snapshot that was being received is damaged', async () => {
    const { dir, record } = await staged()
    await tamper(dir, (put) => void put(STAGING_KEY, flip(Buffer.from(record))))
    await expect(openStorage(dir)).rejects.toMatchObject({
      name: 'StorageRefusedError',
      message: expect.stringMatching(/checksum of the staging record .*--join URL --replace/),
    })
  })

  test('when a snapshot that is being received has a generation that was never assigned', async () => {
    const { dir } = await staged()
    await tamper(dir, (_put, meta) => ({ ...meta, nextGeneration: 2 }))
    await expect(openStorage(dir)).rejects.toThrow(/generation 2, which is not between 1 and 2.*To rejoin/)
  })

  test('when the record of an installed snapshot reappears: its rows would be deleted as abandoned', async () => {
    const { dir, source, record } = await staged()
    const storage = await openStorage(dir)
    const snapshot = { meta: metaOf(source), snapshotId: source.id, keepLog: false }
    await store(storage, batch(hardState(2, 16, '4'), [write({ snapshot })]))
    await closed(storage)
    await tamper(dir, (put) => void put(STAGING_KEY, record))
    await expect(openStorage(dir)).rejects.toThrow(/staging record is of generation 2.*--join URL --replace/)
  })

  test('not when a snapshot that was being received is given up: it begins anew', async () => {
    const { dir, source } = await staged()
    await tamper(dir, (_put, meta) => ({ ...meta, dead: [2] }))
    const storage = await openStorage(dir)
    expect(must(await sinkFor(storage, source)).nextChunk).toBe(0)
    await closed(storage)
  })

  test('when a newer quorate wrote it, and it is not called damaged', async () => {
    const dir = await replica()
    await raw(dir, async (db) => {
      const newer = Buffer.from(must(await db.get(META_KEY)).subarray(0, -4))
      newer.writeUInt16BE(FORMAT_VERSION + 1)
      await db.put(META_KEY, seal(META_KEY, newer), { sync: true })
    })
    const error = await openStorage(dir).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      name: 'StorageRefusedError',
      message: expect.stringContaining('of a newer version of quorate'),
    })
    expect(error).not.toMatchObject({ message: expect.stringContaining('rejoin') })
  })
})

describe('a damaged row', () => {
  const key = rowKey('k5')
  const place = prefixed(rowPrefix(1), key)

  async function opened(change: (stored: Buffer) => Uint8Array | undefined): Promise<Storage> {
    const dir = await replica()
    const stored = await raw(dir, async (db) => Buffer.from(must(await db.get(place))))
    await tamper(dir, (put) => void put(place, change(stored)))
    // A large replica, which serves before it has read all rows.
    return openStorage(dir, { readsFirst: false })
  }

  test.each<[string, (storage: Storage) => unknown]>([
    ['a read', (storage) => storage.get(key)],
    ['a range', (storage) => allRows(storage)],
    ['a change of it', (storage) => applyRows(storage, [{ key, value: undefined }], applied(14, 2))],
    ['the scrub', (storage) => scrub(storage)],
  ])('is found by %s, and is final', async (_what, read) => {
    const storage = await opened(flip)
    const error = await (async () => read(storage))().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      name: 'CorruptionError',
      message: expect.stringMatching(/0x016b35 .*--join URL --replace/),
    })
    expect(() => storage.get(rowKey('k1'))).toThrow('Damaged data')
  })

  test.each<[string, (stored: Buffer) => Uint8Array | undefined]>([
    ['is gone', () => undefined],
    ['is cut short', (stored) => stored.subarray(0, 5)],
  ])('that %s is found by the scrub', async (_what, change) => {
    const storage = await opened(change)
    await expect(scrub(storage)).rejects.toThrow(/--join URL --replace/)
  })

  test('of an older version is found by the scrub', async () => {
    const dir = await replica()
    const older = await raw(dir, async (db) => must(await db.get(place)))
    const storage = await openStorage(dir)
    applyRows(storage, [{ key, value: new Uint8Array(3) }], applied(14, 2))
    await store(storage, batch(hardState(2, 15, '4')))
    await closed(storage)
    await tamper(dir, (put) => void put(place, older))
    const again = await openStorage(dir, { readsFirst: false })
    expect(again.get(key)).toBeDefined()
    await expect(scrub(again)).rejects.toThrow('some are gone or out of date')
  })

  test.each<[string, (stored: Buffer) => Uint8Array | undefined]>([
    ['is gone', () => undefined],
    ['has a flipped bit', flip],
    ['is cut short', (stored) => stored.subarray(0, 5)],
  ])('that %s refuses the start of a replica that reads all rows first', async (_what, change) => {
    const dir = await replica()
    const stored = await raw(dir, async (db) => Buffer.from(must(await db.get(place))))
    await tamper(dir, (put) => void put(place, change(stored)))
    await expect(openStorage(dir)).rejects.toMatchObject({
      name: 'StorageRefusedError',
      message: expect.stringMatching(new RegExp(`^Damaged data in ${dir}: .*--join URL --replace`)),
    })
  })

  test('of an older version, and one under another key, refuse that start too', async () => {
    const dir = await replica()
    const older = await raw(dir, async (db) => must(await db.get(place)))
    const storage = await openStorage(dir)
    applyRows(storage, [{ key, value: new Uint8Array(3) }], applied(14, 2))
    await store(storage, batch(hardState(2, 15, '4')))
    await closed(storage)
    const files = filesOf(dir)
    await tamper(dir, (put) => void put(place, older))
    await expect(openStorage(dir)).rejects.toThrow('some are gone or out of date')
    putFiles(dir, files)
    const other = prefixed(rowPrefix(1), rowKey('k5 moved'))
    await tamper(dir, (put) => {
      put(place, undefined)
      put(other, older)
    })
    await expect(openStorage(dir)).rejects.toThrow('the checksum of the row with key')
  })

  test.each<[string, (stored: Buffer) => Uint8Array | undefined]>([
    ['is gone', () => undefined],
    ['has a flipped bit', flip],
  ])('that %s is found by a reader of all rows, and is final', async (_what, change) => {
    const storage = await opened(change)
    const read = new Promise<void>((resolve, reject) => {
      const scan = storage.scanAll()
      const next = (): void =>
        scan.next({ rowsMax: 2, bytesMax: 1000 }, (error, _rows, more) => {
          if (error !== undefined) return reject(error)
          if (more) next()
          else resolve()
        })
      next()
    })
    await expect(read).rejects.toMatchObject({ name: 'CorruptionError' })
    expect(() => storage.get(rowKey('k1'))).toThrow('Damaged data')
  })

  /** Writes before the next slice, in it and after it. None of these batches writes the damaged row. */
  async function scrubWhileWriting(storage: Storage): Promise<void> {
    let number = 8
    await scrub(storage, { rowsMax: 1, bytesMax: 1000 }, async () => {
      expect(number).toBeLessThan(35)
      await submit(storage, number++)
    })
    expect(number).toBeGreaterThan(12)
  }

  test.each<[string, (stored: Buffer) => Uint8Array | undefined]>([
    ['is gone', () => undefined],
    ['has a flipped bit', flip],
  ])('that %s is found while writes go on', async (_what, change) => {
    await expect(scrubWhileWriting(await opened(change))).rejects.toThrow(/--join URL --replace/)
  })

  test('is not found where there is none, while writes go on', async () => {
    await scrubWhileWriting(await opened((stored) => stored))
  })
})

test('the scrub finds a row that a range scan finds and a read of its key does not', async () => {
  const { open, dispose } = await levelReplica({ under: (engine) => new Forgetful(engine) })
  onTestFinished(dispose)
  const storage = await open()
  for (let number = 1; number <= 3; number++) await submit(storage, number)
  expect(await allRows(storage)).not.toEqual([])
  await expect(scrub(storage)).rejects.toThrow('is gone')
  await expect(closed(storage)).rejects.toThrow('is gone')
})

/** As with a damaged Bloom filter. */
class Forgetful extends FaultyEngine {
  constructor(engine: Engine) {
    super(engine, {})
  }
  override get(key: Uint8Array): Uint8Array | undefined {
    return key[2] === TABLE_ROWS ? undefined : super.get(key)
  }
}

test('nothing is left of rows that a snapshot has replaced', async () => {
  const dir = await replica()
  const from = await openStorage(await replica(2))
  await store(from, batch(hardState(3, 5), [write({ entries: entries(6, 20, 3) })]))
  applyRows(from, changes({ new: 'row' }), applied(20, 3))
  const source = from.snapshotSource()
  const storage = await openStorage(dir)
  await stream(source, must(await sinkFor(storage, source)))
  await store(
    storage,
    batch(hardState(3, 20), [
      write({ snapshot: { meta: metaOf(source), snapshotId: source.id, keepLog: false } }),
    ]),
  )
  while (storage.hasGarbage) {
    await store(storage, batch(hardState(3, 20)))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const expected = await allRows(storage)
  await closed(storage)
  source.close()
  await closed(from)
  const keys = await raw(dir, (db) => db.keys().all())
  expect(keys).toHaveLength(['meta', 'applied'].length + expected.length)
})
