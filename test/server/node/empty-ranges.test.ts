// A scan of the current state reads the rows of deleted keys once, and passes over the older versions of a key: of a
// queue whose items were taken, of a range that was cleared, of states that are written again and again.

import { expect, onTestFinished, test } from 'vitest'
import { encodeTombstone, tombstoneKey } from '../../../src/kv/codec/rows.ts'
import { type ApplyResult, type Command, encodeState, initialState } from '../../../src/kv/index.ts'
import type { KeyRange, Revision } from '../../../src/operations/forms/index.ts'
import { asIndex, asTerm } from '../../../src/raft/types.ts'
import type { Applier } from '../../../src/server/node/apply/applier.ts'
import { EmptyRangeCache } from '../../../src/server/node/key-index/empty-ranges.ts'
import type { StoreLimits } from '../../../src/server/node/key-index/key-index.ts'
import { RecordScan } from '../../../src/server/node/read/record-scan.ts'
import { type RowScan, type Storage, StorageInvariantError } from '../../../src/storage/index.ts'
import { ask, batchOf, deleteOf, putOf, utf8 } from '../../kv/store.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { closed, hardState } from '../../storage/samples.ts'
import { applierOn, entryOf } from './applying.ts'

class Node {
  readonly storage: Storage
  readonly #applier: Applier
  readonly #outcomes: (ApplyResult['outcome'] | undefined)[] = []
  #index = 1
  /** Rows that scans have read, and their reads and seeks. */
  rows = 0
  reads = 0

  private constructor(storage: Storage) {
    this.storage = storage
    this.#count()
    this.#applier = applierOn(storage, 64, {
      entryApplied: (_, result) => void this.#outcomes.push(result?.outcome),
    })
  }

  static async start(limits: Partial<StoreLimits> = {}): Promise<Node> {
    const applied = {
      ...{ index: asIndex(1), term: asTerm(1), raft: new Uint8Array() },
      kv: encodeState(initialState({ rangeKeysMax: 100_000 })),
    }
    const disk = memoryDisk({ hardState: hardState(1, 1), applied })
    const storage = await openDisk(disk, undefined, {}, { rowHeads: 100_000, ...limits })
    onTestFinished(() =>
      closed(storage).catch((error: unknown) => {
        // One test provokes it.
        if (!(error instanceof StorageInvariantError)) throw error
      }),
    )
    return new Node(storage)
  }

  #count(): void {
    const scan = this.storage.scan.bind(this.storage)
    this.storage.scan = (range) => {
      const opened = scan(range)
      const next = opened.next.bind(opened)
      opened.next = (limits, done) => {
        this.reads++
        next(limits, (error, rows, more) => {
          this.rows += rows.length
          done(error, rows, more)
        })
      }
      return opened
    }
  }

  async write(...commands: readonly Command[]): Promise<ApplyResult['outcome'] | undefined> {
    this.#applier.push(commands.map((command) => entryOf(++this.#index, ask(command))))
    while (this.#applier.queued > 0) {
      this.#applier.run(() => false)
      await new Promise(setImmediate)
    }
    return this.#outcomes.at(-1)
  }

  open(range: KeyRange = EVERYTHING, reverse = false, revision?: Revision): RecordScan {
    return new RecordScan(this.storage, { ...range, reverse, revision })
  }

  /** The first keys of a range, and the number of rows that were read for them. */
  async list(
    range = EVERYTHING,
    reverse = false,
    limit = 1000,
    revision?: Revision,
  ): Promise<[string[], number]> {
    const before = this.rows
    const scan = this.open(range, reverse, revision)
    const keys = await page(scan, limit)
    await finish(scan)
    return [keys, this.rows - before]
  }
}

const EVERYTHING: KeyRange = { start: utf8(''), end: undefined }

const page = (scan: RecordScan, rowsMax: number, readsMax?: number): Promise<string[]> =>
  new Promise((resolve, reject) =>
    scan.next({ rowsMax, bytesMax: 1e9, ...(readsMax && { readsMax }) }, (error, records) =>
      error === undefined ? resolve(records.map(({ key }) => Buffer.from(key).toString())) : reject(error),
    ),
  )

const finish = (scan: RecordScan): Promise<void> =>
  new Promise((resolve, reject) => scan.finish((error) => (error === undefined ? resolve() : reject(error))))

const names = (count: number, of = 'item'): string[] =>
  Array.from({ length: count }, (_, at) => `${of}/${String(at).padStart(6, '0')}`)
const prefix = (text: string): KeyRange => ({ start: utf8(`${text}/`), end: utf8(`${text}0`) })
const puts = (keys: readonly string[]): Command => batchOf(...keys.map((key) => putOf(key, 'v')))
const deletes = (keys: readonly string[]): Command => batchOf(...keys.map((key) => deleteOf(key)))

/** A node with live keys around 2,000 keys that were deleted. */
async function withDeletedKeys(limits?: Partial<StoreLimits>): Promise<Node> {
  const node = await Node.start(limits)
  const keys = names(2000)
  await node.write(puts(['a', 'z']), puts(keys), deletes(keys))
  return node
}

test.each([false, true])(
  'the rows of deleted keys are read by one scan (falling order: %j)',
  async (reverse) => {
    const node = await withDeletedKeys()
    const live = reverse ? ['z', 'a'] : ['a', 'z']
    expect(await node.list(EVERYTHING, reverse)).toEqual([live, 4002])
    for (const again of [reverse, !reverse]) {
      const [keys, rows] = await node.list(EVERYTHING, again)
      expect(keys).toEqual(again ? ['z', 'a'] : ['a', 'z'])
      expect(rows).toBeLessThan(50)
    }
    expect((await node.list(prefix('item')))[1]).toBeLessThan(50)
    // History has them still.
    const [keys] = await node.list(EVERYTHING, false, 10_000, 2002 as Revision)
    expect(keys).toEqual(['a', ...names(1999), 'z'])
  },
)

test('each pop of a queue reads few rows, however many items were taken before', async () => {
  const node = await Node.start()
  const items = names(300)
  await node.write(puts(items.slice(0, 10)))
  const worst: number[] = []
  for (const [at, item] of items.entries()) {
    const next = items[at + 10]
    // As the recipe does: it is pushed, taken, which writes its state, and acknowledged.
    if (next !== undefined) await node.write(puts([next]))
    const [keys, rows] = await node.list(prefix('item'), false, 3)
    expect(keys[0]).toBe(item)
    worst.push(rows)
    await node.write(puts([item]), deletes([item]))
  }
  expect(Math.max(...worst)).toBeLessThan(150)
  expect((await node.list(prefix('item')))[0]).toEqual([])
})

test('lists read about as many rows as keys have changed, in whatever order keys come and go', async () => {
  const node = await Node.start()
  const items = names(1200).map((_, at) => `item/${(at * 7919) % 1200}`)
  await node.write(puts(items.slice(0, 10)))
  const rows: number[] = []
  for (let at = 10; at < items.length; at += 10) {
    await node.write(puts(items.slice(at, at + 10)))
    const [keys, read] = await node.list(prefix('item'), false, 10)
    expect(keys.length).toBe(10)
    rows.push(read)
    await node.write(deletes(keys))
  }
  // In the end there are 2,400 rows.
  expect(Math.max(...rows)).toBeLessThan(700)
})

test('transactions over a range of deleted keys read its rows once, so they do not stop apply', async () => {
  const node = await withDeletedKeys()
  const clear: Command = { kind: 'delete-range', range: prefix('item') }
  const before = node.rows
  expect(await node.write(clear)).toMatchObject({ deleted: 0 })
  expect(node.rows - before).toBe(4000)
  expect(await node.write(...Array.from({ length: 30 }, () => clear))).toMatchObject({ deleted: 0 })
  expect(node.rows - before - 4000).toBeLessThan(30 * 20)
  expect(await node.write(puts(['item/000777']), clear)).toMatchObject({ deleted: 1 })
})

test('a key that is created in a known range is shown at once, and hidden from no scan', async () => {
  const node = await withDeletedKeys()
  await node.list()
  const before = node.open()
  await node.write(puts(['item/000777']))
  for (const range of [EVERYTHING, prefix('item')])
    expect((await node.list(range))[0]).toContain('item/000777')
  const after = node.open()
  await node.write(deletes(['item/000777']))
  for (let n = 0; n < 3; n++) expect(await node.list()).toMatchObject([['a', 'z'], expect.any(Number)])
  expect(await page(before, 10)).toEqual(['a', 'z'])
  expect(await page(after, 10)).toEqual(['a', 'item/000777', 'z'])
  for (const scan of [before, after]) await finish(scan)
})

test('readers that give up in the middle make progress', async () => {
  const node = await withDeletedKeys()
  const rows: number[] = []
  for (let left = 4000; left > 0; left -= 1000) {
    const scan = node.open(prefix('item'))
    const before = node.rows
    expect(await page(scan, 1, 8)).toEqual([])
    rows.push(node.rows - before)
    scan.close()
    await new Promise(setImmediate)
  }
  expect(node.storage.openScans).toBe(0)
  expect(await node.list()).toEqual([['a', 'z'], expect.any(Number)])
  expect(node.rows).toBeLessThan(4300)
})

test('a scan whose rows may be incomplete teaches nothing', async () => {
  const emptyRanges = new EmptyRangeCache(10, 1)
  const deleted = [1, 2, 3].map((at) => ({
    key: tombstoneKey(utf8(`k${at}`), 9 as Revision),
    value: encodeTombstone({}),
  }))
  for (const error of [new Error('Too many open files'), undefined]) {
    const scan: RowScan = {
      applied: { index: asIndex(5), term: asTerm(1), raft: new Uint8Array(), kv: new Uint8Array() },
      stateHash: 0n,
      next: (_limits, done) => done(undefined, deleted, false),
      seek() {},
      finish: (done) => done(error),
      close() {},
    }
    const records = new RecordScan(
      {
        scan: () => scan,
        emptyRanges,
        applied: scan.applied,
        keyMetadata: () => undefined,
        damaged: (what) => new Error(what),
      },
      { ...EVERYTHING, reverse: false, revision: undefined },
    )
    expect(await page(records, 1)).toEqual([])
    const finished = expect(finish(records))
    await (error === undefined ? finished.resolves.toBeUndefined() : finished.rejects.toBe(error))
    expect(emptyRanges.overlaps(utf8(''), undefined)).toBe(error === undefined)
  }
})

test('a scan over several ranges in turn says nothing about the keys between them', async () => {
  const node = await Node.start({ emptyRangeRows: 1 })
  await node.write(puts(['a', 'b', 'c']), deletes(['a', 'c']))
  const scan = node.open()
  for (const [start, end] of [
    ['a', 'b'],
    ['c', 'd'],
  ] as const) {
    scan.moveTo({ start: utf8(start), end: utf8(end) })
    expect(await page(scan, 10)).toEqual([])
  }
  await finish(scan)
  const { emptyRanges, applied } = node.storage
  expect(['a', 'b', 'c'].map((key) => emptyRanges.at(utf8(key), applied.index) !== undefined)).toEqual([
    true,
    false,
    true,
  ])
})

test.each([1, 3, 50])('at most %d ranges are known, and so many created keys', (max) => {
  const ranges = new EmptyRangeCache(max, 1)
  const key = (at: number): Uint8Array => utf8(String(at).padStart(6, '0'))
  const list = Array.from({ length: 100 }, (_, at) => ({ start: key(10 * at), end: key(10 * at + 9) }))
  const known = (index: number): number =>
    Array.from({ length: 1000 }, (_, at) => ranges.at(key(at), asIndex(index))).reduce(
      (all, range) => (range === undefined ? all : all.add(range)),
      new Set<unknown>(),
    ).size
  ranges.add(list, asIndex(5))
  expect(known(5)).toBe(max)
  for (let at = 0; at < 1000; at += 2) {
    ranges.created(key(at), asIndex(6 + at))
    expect(ranges.has(key(at))).toBe(false)
  }
  expect(known(5)).toBeLessThanOrEqual(max)
  // Older scans than the oldest created key that is known add nothing.
  ranges.clear(asIndex(2000))
  ranges.add(list, asIndex(1999))
  expect(known(3000)).toBe(0)
  for (let at = 0; at <= max; at++) ranges.created(key(5000 + at), asIndex(2001 + at))
  ranges.add([{ start: key(1), end: key(2) }], asIndex(2000))
  expect(known(3000)).toBe(0)
  ranges.add([{ start: key(1), end: key(2) }], asIndex(2001))
  expect(known(3000)).toBe(1)
})

test('the node ends if a key that exists turns out to be in a range that is known to be empty', async () => {
  const node = await Node.start()
  await node.write(puts(['a', 'b']))
  node.storage.emptyRanges.add([{ start: utf8('a'), end: utf8('c') }], node.storage.applied.index)
  await expect(node.write(puts(['b']))).rejects.toThrow(StorageInvariantError)
})

test('a list of keys with many versions reads few rows of each', async () => {
  const node = await Node.start()
  const keys = names(200, 'state')
  for (let version = 0; version < 60; version++) await node.write(puts(keys))
  for (const limit of [1000, 10]) {
    const [listed, rows] = await node.list(EVERYTHING, false, limit)
    expect(listed).toEqual(keys.slice(0, limit))
    expect(rows / listed.length).toBeLessThan(limit === 1000 ? 22 : 40)
  }
  const before = node.reads
  await node.list()
  expect(node.reads - before).toBeLessThan(250)
})

test('a page reads few rows behind it', async () => {
  const node = await Node.start()
  const keys = names(1000, 'state')
  for (const versions of [1, 2, 3]) {
    await node.write(puts(keys))
    for (const limit of [1, 10, 100, 400]) {
      const before = node.reads
      const [listed, rows] = await node.list(EVERYTHING, false, limit)
      expect(listed).toEqual(keys.slice(0, limit))
      // One record more than the page, and the rest of a read that another one is dearer than.
      expect(rows).toBeLessThanOrEqual(versions * (limit + 1) + 20)
      expect(node.reads - before).toBeLessThanOrEqual(versions + 2)
    }
  }
})

test('a list of keys with few versions reads them in few reads', async () => {
  const node = await Node.start()
  const keys = names(1000, 'state')
  for (let version = 0; version < 3; version++) await node.write(puts(keys))
  const before = node.reads
  expect((await node.list())[0]).toEqual(keys)
  expect(node.reads - before).toBeLessThan(8)
})
