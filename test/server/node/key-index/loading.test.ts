// All rows are read once in the background: the filter covers them, and their heads are known, unless they change
// during the reading.

import { expect, test } from 'vitest'
import {
  encodeTombstone,
  encodeVersionHead,
  tombstoneKey,
  versionKey,
} from '../../../../src/kv/codec/rows.ts'
import { decodeMetadata, metadataKey } from '../../../../src/kv/keys.ts'
import { asRevision } from '../../../../src/operations/forms/index.ts'
import { asIndex } from '../../../../src/raft/types.ts'
import { EmptyRangeCache } from '../../../../src/server/node/key-index/empty-ranges.ts'
import { KeyIndex } from '../../../../src/server/node/key-index/key-index.ts'
import { RowFilter } from '../../../../src/server/node/key-index/row-filter.ts'
import { RowHeads } from '../../../../src/server/node/key-index/row-heads.ts'
import type { Engine, Pair, Scan } from '../../../../src/storage/engine.ts'
import { IoScheduler } from '../../../../src/storage/io-scheduler.ts'
import { fixKeyHash, hashOfKey } from '../../../../src/storage/key-hash.ts'
import { ALL_ROWS, prefixed, rowPrefix } from '../../../../src/storage/keys.ts'
import { RowLoader } from '../../../../src/storage/row-loader.ts'
import { hashOfRow, Row } from '../../../../src/storage/rows.ts'
import { StickyError } from '../../../../src/storage/sticky-error.ts'
import { memoryDisk, openDisk } from '../../../storage/replicas.ts'
import {
  applied,
  applyRows,
  batch,
  bytes,
  closed,
  entries,
  hardState,
  must,
  page,
  sealRow,
  store,
  write,
} from '../../../storage/samples.ts'

// How many keys a table loses, or a filter takes for others, depends on their hashes.
fixKeyHash(1)

type Step = () => void

interface Fail {
  with: Error | undefined
  /** If the scan skips a row, it reports this when it is finished. */
  unread: Error | undefined
  /** Called when a scan is being finished. */
  finishing?: () => void
}

interface Loading {
  readonly loader: RowLoader
  readonly foreground: IoScheduler
  readonly filter: RowFilter
  readonly heads: RowHeads
  readonly first: StickyError
  /** The steps of scans. The test completes them. */
  readonly steps: Step[]
  readonly fail: Fail
  /** Whether each scan so far reads only keys. */
  readonly keysOnly: boolean[]
}

/** A loader of these rows by generation: key and value are the same. */
async function loaderOf(
  rows: Readonly<Record<number, readonly Uint8Array[]>>,
  {
    headRows = 10_000,
    damaged = -1,
    more = [],
  }: {
    readonly headRows?: number
    readonly damaged?: number
    /** Rows of generation 1. */
    readonly more?: readonly (readonly [key: Uint8Array, value: Uint8Array])[]
  } = {},
): Promise<Loading> {
  const engines: Engine[] = []
  await openDisk(memoryDisk(), undefined, {}, {}, (engine) => {
    engines.push(engine)
    return engine
  })
  const engine = must(engines[0])
  const batch = engine.batch()
  for (const [generation, keys] of Object.entries(rows))
    for (const [at, key] of keys.entries()) {
      const { stored } = sealRow(new Uint8Array(), key, key)
      if (at === damaged) stored[0] = must(stored[0]) ^ 1
      batch.put(prefixed(rowPrefix(Number(generation)), key), stored)
    }
  for (const [key, value] of more)
    batch.put(prefixed(rowPrefix(1), key), sealRow(new Uint8Array(), key, value).stored)
  await new Promise<void>((resolve, reject) =>
    engine.write(batch, (error) => (error === undefined ? resolve() : reject(error))),
  )
  const steps: Step[] = []
  const fail: Fail = { with: undefined, unread: undefined }
  const held = (scan: Scan): Scan => ({
    next: (pairsMax, done) => {
      expect(pairsMax).toBe(128)
      scan.next(pairsMax, (error: Error | undefined, pairs: readonly Pair[], ended: boolean) => {
        steps.push(() => (fail.with === undefined ? done(error, pairs, ended) : done(fail.with, [], false)))
      })
    },
    finish: (done) => {
      fail.finishing?.()
      scan.finish((error) => done(error ?? fail.unread))
    },
    seek: (key) => scan.seek(key),
    close: () => scan.close(),
  })
  const first = new StickyError()
  const keysOnly: boolean[] = []
  const under = {
    scan: (range: Parameters<Engine['scan']>[0]) => {
      keysOnly.push(range.keysOnly)
      return held(engine.scan(range))
    },
  }
  const filter = new RowFilter(8000)
  const heads = new RowHeads(headRows)
  const foreground = new IoScheduler()
  const loader = new RowLoader(
    Object.setPrototypeOf(under, engine),
    first,
    foreground,
    new KeyIndex(heads, filter, new EmptyRangeCache(0, 1)),
  )
  return { loader, foreground, filter, heads, first, steps, fail, keysOnly }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Continues until nothing is read any more. Returns how many steps that took. */
async function readOn(steps: Step[]): Promise<number> {
  for (let count = 0; ; count++) {
    await turn()
    const step = steps.shift()
    if (step === undefined) return count
    step()
  }
}

const keysOf = (count: number, of = 'row'): Uint8Array[] =>
  Array.from({ length: count }, (_, at) => bytes(`\u0001${of}/${at}`))
const headOf = (heads: RowHeads, key: Uint8Array): string | undefined => {
  const head = heads.get(key, hashOfKey(key))
  return head === undefined || head === 'absent' ? head : Buffer.from(head.bytes).toString()
}
const namesOf = (keys: readonly Uint8Array[]): string[] => keys.map((key) => Buffer.from(key).toString())
const changed = (heads: RowHeads, key: Uint8Array, value: string | undefined): void =>
  heads.changed(
    key,
    new Row(new Uint8Array(), key, hashOfKey(key), value === undefined ? undefined : bytes(value)),
  )
const excluded = (filter: RowFilter, keys: readonly Uint8Array[]): number =>
  keys.filter((key) => filter.excludes(hashOfKey(key))).length

test('excludes nothing before it has read all rows, and none of them after', async () => {
  const keys = keysOf(500)
  const { loader, filter, steps } = await loaderOf({ 1: keys, 2: keysOf(1000, 'other') })
  const absent = keysOf(10_000, 'absent')
  loader.readInBackground(1, asIndex(1))
  for (let step = 0; step < 4; step++) {
    await turn()
    expect(excluded(filter, absent)).toBe(0)
    must(steps.shift())()
  }
  // The rest of the rows, and the rows of versions.
  expect(await readOn(steps)).toBe(2)
  expect(excluded(filter, keys)).toBe(0)
  // At 16 bits a key, one in five hundred absent keys passes the filter.
  expect(excluded(filter, absent)).toBeGreaterThan(9950)
  expect(excluded(filter, keysOf(1000, 'other'))).toBeGreaterThan(985)
})

test('knows what is added while it reads and after', async () => {
  const { loader, filter, steps } = await loaderOf({ 1: keysOf(300) })
  const [meanwhile, after] = [keysOf(100, 'meanwhile'), keysOf(100, 'after')]
  loader.readInBackground(1, asIndex(1))
  for (const key of meanwhile) filter.add(hashOfKey(key))
  await readOn(steps)
  expect(excluded(filter, meanwhile)).toBe(0)
  expect(excluded(filter, after)).toBeGreaterThan(95)
  for (const key of after) filter.add(hashOfKey(key))
  expect(excluded(filter, [...meanwhile, ...after, ...keysOf(300)])).toBe(0)
})

test('forgets everything when it reads another generation, also in the middle of one', async () => {
  const [old, now] = [keysOf(2400, 'old'), keysOf(2400, 'new')]
  const { loader, filter, steps } = await loaderOf({ 1: old, 2: now })
  loader.readInBackground(1, asIndex(1))
  await turn()
  must(steps.shift())()
  await turn()
  loader.readInBackground(2, asIndex(1))
  await readOn(steps)
  expect(excluded(filter, now)).toBe(0)
  expect(excluded(filter, old)).toBeGreaterThan(2380)
  loader.readInBackground(1, asIndex(1))
  expect(excluded(filter, keysOf(100, 'absent'))).toBe(0)
  await readOn(steps)
  expect(excluded(filter, old)).toBe(0)
  expect(excluded(filter, now)).toBeGreaterThan(2380)
})

test('forgets also the rows of a scan that is being finished when it reads another generation', async () => {
  const [old, now] = [keysOf(100, 'old'), keysOf(300, 'new')]
  const { loader, filter, heads, steps, fail } = await loaderOf({ 1: old, 2: now })
  loader.readInBackground(1, asIndex(1))
  await turn()
  fail.finishing = () => {
    delete fail.finishing
    loader.readInBackground(2, asIndex(2))
  }
  await readOn(steps)
  expect(old.filter((key) => headOf(heads, key) !== undefined)).toEqual([])
  expect(excluded(filter, old)).toBeGreaterThan(95)
  expect(excluded(filter, now)).toBe(0)
})

test('goes on beside scans of clients that leave while a page is read', async () => {
  const disk = memoryDisk()
  const written = await openDisk(disk)
  await store(written, batch(hardState(1, 2), [write({ entries: entries(2, 2, 1) })]))
  const rows = keysOf(1000).map((key) => ({ key, value: bytes('v') }))
  applyRows(written, rows, applied(2, 1))
  await store(written, batch(hardState(1, 2)))
  await closed(written)
  const storage = await openDisk(disk, undefined, {}, { rowHeads: 10_000 }, undefined, false)
  for (let client = 0; client < 3; client++) {
    const scan = storage.scan({ ...ALL_ROWS, reverse: false })
    const reading = page(scan)
    scan.close()
    await expect(reading).rejects.toThrow('the scan is closed')
  }
  for (let turns = 0; turns < 1000 && !storage.knowsAllKeyMetadata; turns++) await turn()
  expect(storage.knowsAllKeyMetadata).toBe(true)
  await closed(storage)
})

test('a step that fails is an error of the storage', async () => {
  const { loader, filter, steps, first, fail } = await loaderOf({ 1: keysOf(2400) })
  loader.readInBackground(1, asIndex(1))
  await turn()
  fail.with = new Error('EIO')
  expect(await readOn(steps)).toBe(1)
  expect(first.error).toMatchObject({ name: 'StorageFailedError' })
  expect(excluded(filter, keysOf(100, 'absent'))).toBe(0)
})

test('a step that has skipped something is an error of the storage', async () => {
  const { loader, filter, steps, first, fail } = await loaderOf({ 1: keysOf(2400) })
  loader.readInBackground(1, asIndex(1))
  await turn()
  fail.unread = new Error('Too many open files')
  expect(await readOn(steps)).toBe(1)
  expect(first.error).toMatchObject({ name: 'StorageFailedError' })
  expect(excluded(filter, keysOf(100, 'absent'))).toBe(0)
})

test('afterwards the heads of all rows are known, and none of another generation', async () => {
  const keys = keysOf(375)
  const { loader, heads, steps, keysOnly } = await loaderOf({ 1: keys, 2: keysOf(100, 'other') })
  loader.readInBackground(1, asIndex(1))
  expect(await readOn(steps)).toBe(5)
  expect(keys.filter((key) => headOf(heads, key) === undefined).length).toBeLessThan(4)
  for (const key of keys) expect([Buffer.from(key).toString(), undefined]).toContain(headOf(heads, key))
  expect(keysOf(100, 'other').filter((key) => headOf(heads, key) !== undefined)).toEqual([])
  expect(keysOnly).toEqual([false, false, false, false, false])
  loader.readInBackground(2, asIndex(1))
  expect(keys.filter((key) => headOf(heads, key) !== undefined)).toEqual([])
  await readOn(steps)
  expect(keysOf(100, 'other').map((key) => headOf(heads, key))).toEqual(namesOf(keysOf(100, 'other')))
})

test('a row that has changed meanwhile stays as it is now', async () => {
  const keys = keysOf(2000)
  const { loader, heads, steps } = await loaderOf({ 1: keys })
  loader.readInBackground(1, asIndex(1))
  await turn()
  for (const [at, key] of keys.entries())
    if (at % 2 === 0) changed(heads, key, at % 4 === 0 ? 'newer' : undefined)
  heads.endEntry()
  await readOn(steps)
  for (const [at, key] of keys.entries()) {
    const now = at % 4 === 0 ? 'newer' : at % 4 === 2 ? 'absent' : Buffer.from(key).toString()
    expect([now, undefined]).toContain(headOf(heads, key))
  }
})

test('of each key the newest version gives the head, also when they are read in different steps', async () => {
  const key = (n: number): Uint8Array => bytes(`user/${n}`)
  const versions = Array.from({ length: 100 }, (_, n) =>
    [9, 5, 2].map((revision) => ({
      n,
      revision: revision + 10 * n,
      isDeleted: revision === 9 && n % 5 === 0,
    })),
  ).flat()
  const rows = versions.map(({ n, revision, isDeleted }) => {
    const head = { createRevision: asRevision(2 + 10 * n), version: revision, lease: undefined }
    const value = isDeleted
      ? encodeTombstone({})
      : Buffer.concat([encodeVersionHead(head), bytes(`of ${revision}`)])
    const rowKey = isDeleted ? tombstoneKey : versionKey
    return [rowKey(key(n), asRevision(revision)), value] as const
  })
  const { loader, heads, filter, steps } = await loaderOf({ 1: [] }, { more: rows })
  loader.readInBackground(1, asIndex(1))
  // One step for the other rows, and one to find the end.
  expect(await readOn(steps)).toBe(5)
  expect(heads.knowsAllKeys).toBe(true)
  for (let n = 0; n < 100; n++) {
    const head = heads.get(metadataKey(key(n)), hashOfKey(metadataKey(key(n))))
    if (n % 5 === 0) expect(head).toBeUndefined()
    else if (head === undefined || head === 'absent') expect.fail(`${n} is not known`)
    else {
      const [rowKey, row] = must(rows[3 * n])
      const { mix, crc } = hashOfRow(rowKey, row)
      expect(decodeMetadata(key(n), head.bytes)).toEqual({
        ...{ key: key(n), createRevision: 2 + 10 * n, modRevision: 9 + 10 * n, version: 9 + 10 * n },
        ...{ lease: undefined, valueBytes: `of ${9 + 10 * n}`.length, versionHash: { mix, crc } },
      })
    }
    expect(filter.excludes(hashOfKey(metadataKey(key(n))))).toBe(false)
  }
})

test('a damaged row is an error of the storage', async () => {
  const { loader, filter, first, steps } = await loaderOf({ 1: keysOf(100) }, { damaged: 60 })
  loader.readInBackground(1, asIndex(1))
  expect(await readOn(steps)).toBe(1)
  expect(first.error).toMatchObject({ name: 'CorruptionError' })
  expect(excluded(filter, keysOf(100, 'absent'))).toBe(0)
})
