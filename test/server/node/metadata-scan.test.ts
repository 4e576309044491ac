// Lists without values, and counts, read no values, whatever rows are in memory or on the disk. What has changed since
// their instant, and what is not in memory, is read with its value, and no more.

import { expect, onTestFinished, test } from 'vitest'
import { tombstoneKey, versionKey } from '../../../src/kv/codec/rows.ts'
import { type Command, encodeState, initialState } from '../../../src/kv/index.ts'
import type { KeyRow, Revision } from '../../../src/operations/forms/index.ts'
import { asIndex, asTerm } from '../../../src/raft/types.ts'
import { EmptyRangeCache } from '../../../src/server/node/key-index/empty-ranges.ts'
import type { StoreLimits } from '../../../src/server/node/key-index/key-index.ts'
import { MetadataScan, type RecordHead } from '../../../src/server/node/read/metadata-scan.ts'
import type { SlicedScan } from '../../../src/server/node/read/record-scan.ts'
import { KeyScan, RecordScan, type RecordScanOptions } from '../../../src/server/node/read/record-scan.ts'
import type { RowScan, Storage, StoredRow } from '../../../src/storage/types.ts'
import { ask, batchOf, deleteOf, putOf, utf8 } from '../../kv/store.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { batch, closed, entries, hardState, store, write } from '../../storage/samples.ts'
import { applierOn, entryOf } from './applying.ts'

const ALL: RecordScanOptions = { start: utf8(''), end: undefined, reverse: false, revision: undefined }

/** A node of one replica, without a log. It counts the rows that are read with their values. */
class Node {
  readonly storage: Storage
  readonly #applier
  #index = 1
  values = 0

  private constructor(storage: Storage) {
    this.storage = storage
    this.#applier = applierOn(storage, 64)
    const scan = storage.scan.bind(storage)
    storage.scan = (range) => {
      const opened = scan(range)
      const next = opened.next.bind(opened)
      opened.next = (limits, done) =>
        next(limits, (error, rows, more) => {
          for (const { value } of rows) if (value.length > 0) this.values++
          done(error, rows, more)
        })
      return opened
    }
  }

  static async start(limits: Partial<StoreLimits> = {}): Promise<Node> {
    const kv = encodeState(initialState())
    const applied = { index: asIndex(1), term: asTerm(1), raft: new Uint8Array(), kv }
    const disk = memoryDisk({ hardState: hardState(1, 1), applied })
    const storage = await openDisk(disk, undefined, {}, { rowHeads: 10_000, ...limits })
    onTestFinished(() => closed(storage))
    return new Node(storage)
  }

  async write(...commands: readonly Command[]): Promise<void> {
    this.#applier.push(commands.map((command) => entryOf(++this.#index, ask(command))))
    while (this.#applier.queued > 0) {
      this.#applier.run(() => false)
      await new Promise(setImmediate)
    }
  }

  /** Makes all rows durable. */
  async store(): Promise<void> {
    const log = entries(2, this.#index, 1)
    await store(this.storage, batch(hardState(1, this.#index), [write({ entries: log })]))
    while (this.storage.dirty) await store(this.storage, batch(hardState(1, this.#index)))
  }

  /** Returns all items of a scan, and the number of rows that were read with their values. */
  async read<T>(scan: SlicedScan<T>): Promise<{ items: T[]; values: number }> {
    const before = this.values
    const items: T[] = []
    while (await page(scan, items));
    await new Promise<void>((resolve, reject) =>
      scan.finish((error) => (error === undefined ? resolve() : reject(error))),
    )
    return { items, values: this.values - before }
  }
}

const page = <T>(scan: SlicedScan<T>, items: T[]): Promise<boolean> =>
  new Promise((resolve, reject) =>
    scan.next({ rowsMax: 100, bytesMax: 1e6 }, (error, read, more) => {
      if (error !== undefined) return reject(error)
      items.push(...read)
      resolve(more === true)
    }),
  )

const withoutValue = (record: KeyRow): RecordHead => ({
  ...record,
  value: new Uint8Array(),
  valueBytes: record.value.length,
})

const names = Array.from({ length: 300 }, (_, at) => `k${String(at).padStart(3, '0')}`)
const puts = (keys: readonly string[], value: string): Command =>
  batchOf(...keys.map((key) => putOf(key, value)))

/** 300 keys that exist, each with an older version, and 100 others that were deleted. */
async function withKeys(limits?: Partial<StoreLimits>): Promise<Node> {
  const node = await Node.start(limits)
  const gone = names.slice(0, 100).map((name) => `${name}/gone`)
  await node.write(puts([...names, ...gone], 'old'), puts(names, 'new'))
  await node.write(batchOf(...gone.map((name) => deleteOf(name))))
  return node
}

test.each([false, true])('no value is read (falling order: %j)', async (reverse) => {
  const node = await withKeys()
  const options = { ...ALL, reverse }
  for (const where of ['in memory', 'on the disk']) {
    if (where === 'on the disk') await node.store()
    const records = await node.read(new RecordScan(node.storage, options))
    expect([records.items.length, records.values > 300]).toEqual([300, true])
    const metadata = await node.read(new MetadataScan(node.storage, options))
    const expected = records.items.map(withoutValue)
    expect([where, metadata.values, metadata.items]).toEqual([where, 0, expected])
    const keys = await node.read(new KeyScan(node.storage, options))
    expect([where, keys.values, keys.items.length]).toEqual([where, 0, 300])
  }
  const early = { ...options, revision: 401 as Revision }
  expect(await node.read(new KeyScan(node.storage, early))).toMatchObject({
    values: 0,
    items: { length: 400 },
  })
})

test('what has changed since the instant of a scan is read, and only that', async () => {
  const node = await withKeys()
  const [records, metadata, keys] = [RecordScan, MetadataScan, KeyScan].map(
    (Scan) => new Scan(node.storage, ALL),
  ) as [RecordScan, MetadataScan, KeyScan]
  await node.write(putOf('k050', 'newer'), deleteOf('k051'), putOf('k250', 'newer'), putOf('k000a', 'x'))
  await node.write({ kind: 'compact', revision: undefined })
  const read = await node.read(metadata)
  // Two places, with the next row of each.
  expect(read.values).toBeLessThan(16)
  const expected = await node.read(records)
  expect(read.items).toEqual(expected.items.map(withoutValue))
  expect(await node.read(keys)).toMatchObject({ values: 0, items: { length: 300 } })
})

test('a node whose memory has no room for the metadata reads the values', async () => {
  const node = await withKeys({ rowHeads: 1 })
  const { items, values } = await node.read(new MetadataScan(node.storage, ALL))
  const expected = await node.read(new RecordScan(node.storage, ALL))
  expect(items).toEqual(expected.items.map(withoutValue))
  expect(values).toBeGreaterThan(200)
})

/** A storage with these rows of versions. */
const storageOf = (rows: readonly StoredRow[], metadata: Uint8Array | 'absent' | undefined) => ({
  keyMetadata: () => metadata,
  applied: { index: asIndex(5), term: asTerm(1), raft: new Uint8Array(), kv: encodeState(initialState()) },
  damaged: (what: string) => new Error(`damaged: ${what}`),
  emptyRanges: new EmptyRangeCache(10, 1),
  scan: (): RowScan => ({
    applied: { index: asIndex(5), term: asTerm(1), raft: new Uint8Array(), kv: encodeState(initialState()) },
    stateHash: 0n,
    next: (_limits, done) => done(undefined, [...rows], false),
    seek: () => {},
    finish: (done) => done(undefined),
    close: () => {},
  }),
})

test('a damaged key of a row ends the scan with an error, and hides no key', async () => {
  const row = (key: Uint8Array): StoredRow => ({ key, value: new Uint8Array() })
  const name = versionKey(utf8('a'), 9 as Revision)
  const damaged = name.map((byte, at) => (at === 2 ? 7 : byte))
  const storage = storageOf([row(damaged)], 'absent')
  await expect(page(new KeyScan(storage, ALL), [])).rejects.toThrow('not of versions')
  await expect(page(new MetadataScan(storage, ALL), [])).rejects.toThrow('not of versions')

  // Without the memory, the row of a deletion proves nothing.
  for (const [metadata, known] of [
    [undefined, 0],
    ['absent', 1],
  ] as const) {
    const deleted = storageOf([row(tombstoneKey(utf8('a'), 9 as Revision))], metadata)
    const scan = new KeyScan(deleted, ALL)
    await page(scan, [])
    await new Promise((resolve) => scan.finish(resolve))
    expect(deleted.emptyRanges.size).toBe(known)
  }
})

test('a key without its record is an error', async () => {
  const key = versionKey(utf8('a'), 9 as Revision)
  const storage = storageOf([{ key, value: new Uint8Array() }], undefined)
  const { scan } = storage
  // The scan with values has skipped what it could not read.
  storage.scan = (range?: { readonly keysOnly?: boolean }): RowScan =>
    range?.keysOnly ? scan() : { ...scan(), next: (_limits, done) => done(undefined, [], false) }
  await expect(page(new MetadataScan(storage, ALL), [])).rejects.toThrow(
    'the keys of a range and its records differ',
  )
})
