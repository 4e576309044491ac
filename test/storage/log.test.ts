// The log on a disk in memory: terms and records after a truncation, a compaction and a snapshot, what is read from the
// disk, and what is rejected as a record.

import { describe, expect, test } from 'vitest'
import { asIndex, type SnapshotMeta } from '../../src/raft/types.ts'
import type { Engine, Pair, Scan, ScanRange } from '../../src/storage/engine.ts'
import type { SnapshotSource, Storage } from '../../src/storage/index.ts'
import { keyString, logKey } from '../../src/storage/keys.ts'
import { seal } from '../../src/storage/records.ts'
import { metaOf } from './conformance.ts'
import { FaultyEngine } from './faulty.ts'
import { memoryDisk, openDisk } from './replicas.ts'
import {
  applied,
  applyRows,
  batch,
  closed,
  entries,
  frames,
  hardState,
  must,
  sinkFor,
  store,
  stream,
  write,
} from './samples.ts'

/** A storage whose log has these records: from, to, term. Only index 1 is committed. */
async function withRecords(
  records: readonly (readonly [from: number, to: number, term: number])[],
  disk = memoryDisk(),
  under?: (engine: Engine) => Engine,
): Promise<Storage> {
  const storage = await openDisk(disk, undefined, {}, {}, under)
  for (const [from, to, term] of records)
    await store(storage, batch(hardState(term, 1), [write({ entries: entries(from, to, term) })]))
  return storage
}

const termsOf = ({ log }: Storage, from: number, to: number): (number | undefined)[] =>
  Array.from({ length: to - from + 1 }, (_, at) => log.termAt(asIndex(from + at)))

const read = ({ log }: Storage, from: number, to: number): string[] =>
  frames(log.entries(asIndex(from), asIndex(to + 1), 1e9))

async function staged(storage: Storage, index: number, term: number): Promise<SnapshotSource> {
  const before = { hardState: hardState(term, index - 1), applied: applied(index - 1, term) }
  const sender = await openDisk(memoryDisk(before))
  applyRows(sender, [], applied(index, term))
  const source = sender.snapshotSource()
  await stream(source, must(await sinkFor(storage, source)))
  return source
}

const named = (
  source: SnapshotSource,
  keepLog: boolean,
): { meta: SnapshotMeta; snapshotId: string; keepLog: boolean } => ({
  meta: metaOf(source),
  snapshotId: source.id,
  keepLog,
})

describe('a truncated log', () => {
  test.each([
    ['the last that is committed', [write({ truncateFrom: 3, entries: entries(3, 9, 3) })]],
    ['one before that', [write({ truncateFrom: 2, entries: entries(2, 9, 3) })]],
  ])('is not truncated from %s on, even if it is as long again afterwards', async (_what, writes) => {
    const storage = await withRecords([[2, 6, 2]])
    await store(storage, batch(hardState(2, 3)))
    await expect(store(storage, batch(hardState(3, 3), writes))).rejects.toThrow('which is committed')
  })

  test('may be truncated right after the last committed entry', async () => {
    const storage = await withRecords([[2, 6, 2]])
    await store(storage, batch(hardState(2, 3)))
    await store(storage, batch(hardState(3, 3), [write({ truncateFrom: 4, entries: entries(4, 4, 3) })]))
    expect(read(storage, 2, 4)).toEqual(frames([...entries(2, 3, 2), ...entries(4, 4, 3)]))
  })

  test('is not truncated in a snapshot that the same batch installs', async () => {
    const storage = await withRecords([[2, 6, 2]])
    const source = await staged(storage, 8, 2)
    const writes = [
      write({ snapshot: named(source, false) }),
      write({ truncateFrom: 8, entries: entries(8, 9, 3) }),
    ]
    await expect(store(storage, batch(hardState(3, 8), writes))).rejects.toThrow('which is committed')
  })
})

describe('a log that a snapshot replaces', () => {
  test('keeps its bounds and terms until that is durable, whatever else the batch does', async () => {
    const storage = await withRecords([
      [2, 6, 2],
      [7, 12, 2],
    ])
    const source = await staged(storage, 8, 3)
    const stored = store(
      storage,
      batch(hardState(3, 8), [
        write({ snapshot: named(source, false), entries: entries(9, 11, 3) }),
        write({ truncateFrom: 10, entries: entries(10, 10, 3) }),
      ]),
    )
    expect([storage.log.firstIndex(), storage.log.lastIndex()]).toEqual([2, 12])
    expect(termsOf(storage, 1, 13)).toEqual([1, ...Array(11).fill(2), undefined])
    await stored
    expect([storage.log.firstIndex(), storage.log.lastIndex()]).toEqual([9, 10])
    expect(read(storage, 9, 10)).toEqual(frames(entries(9, 10, 3)))
  })

  test('is kept by a snapshot whose last entry came with the same batch', async () => {
    const disk = memoryDisk()
    const storage = await withRecords([[2, 3, 2]], disk)
    const source = await staged(storage, 7, 3)
    const added = [...entries(4, 6, 2), ...entries(7, 9, 3)]
    await store(
      storage,
      batch(hardState(3, 7), [write({ entries: added }), write({ snapshot: named(source, true) })]),
    )
    const whole = frames([...entries(2, 3, 2), ...added])
    expect(read(storage, 2, 9)).toEqual(whole)
    await closed(storage)
    expect(read(await openDisk(disk), 2, 9)).toEqual(whole)
  })

  test('is not kept by a snapshot whose last entry has another term in the log', async () => {
    const storage = await withRecords([[2, 3, 2]])
    const source = await staged(storage, 7, 3)
    const writes = [
      write({ entries: [...entries(4, 7, 2), ...entries(8, 9, 3)] }),
      write({ snapshot: named(source, true) }),
    ]
    await expect(store(storage, batch(hardState(3, 7), writes))).rejects.toThrow(
      'keeps a log that does not hold',
    )
  })
})

test('one batch drops 4096 records of the log, the next one goes on', async () => {
  const storage = await openDisk(memoryDisk(), (_what, complete) => void process.nextTick(complete))
  for (let index = 2; index <= 4100; index++)
    await store(storage, batch(hardState(1, index), [write({ entries: entries(index, index, 1) })]))
  applyRows(storage, [], applied(4100, 1))
  await store(storage, batch(hardState(1, 4100), [], 4100))
  expect(storage.log.firstIndex()).toBe(2 + 4096)
  await store(storage, batch(hardState(1, 4100), [], 4100))
  expect([storage.log.firstIndex(), storage.log.lastIndex()]).toEqual([4101, 4100])
})

describe('what is not taken for a record of the log', () => {
  const [first, second] = [must(entries(2, 2, 1)[0]).frame, must(entries(3, 3, 1)[0]).frame]
  const third = must(entries(4, 4, 1)[0]).frame
  const flipped = Buffer.from(second)
  flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1)

  test.each<[string, readonly Uint8Array[], string]>([
    ['one that is cut short', [first, second], 'the log record that begins at index 2 is cut short'],
    [
      'one with an entry that is damaged',
      [first, flipped, third],
      'an entry in the log record that begins at index 2 does not match its checksum',
    ],
    [
      'one with a piece of an entry at its end',
      [first, second, third, third.subarray(0, 2)],
      'an entry in the log record that begins at index 2 does not match its checksum',
    ],
    [
      'one with an entry out of place',
      [first, third],
      'the log record that begins at index 2 holds index 4 out of place',
    ],
    ['an empty one', [], 'the log record that begins at index 2 is empty'],
  ])('%s', async (_what, content, message) => {
    const key = logKey(2)
    const replaced = new Map([[keyString(key), seal(key, ...content)]])
    const disk = memoryDisk()
    const storage = await withRecords([[2, 4, 1]], disk, (engine) => new Replaced(engine, replaced))
    expect(() => read(storage, 2, 4)).toThrow(message)
  })

  test('an intact one of entries that were truncated', async () => {
    const key = logKey(2)
    const replaced = new Map([[keyString(key), seal(key, ...entries(2, 4, 1).map(({ frame }) => frame))]])
    const storage = await withRecords([[2, 4, 2]], memoryDisk(), (engine) => new Replaced(engine, replaced))
    expect(() => read(storage, 2, 4)).toThrow('the log record that begins at index 2 is an older one')
  })

  test('none at all', async () => {
    const replaced = new Map([[keyString(logKey(2)), undefined]])
    const storage = await withRecords([[2, 4, 1]], memoryDisk(), (engine) => new Replaced(engine, replaced))
    expect(() => read(storage, 2, 4)).toThrow('the log record that begins at index 2 is missing')
  })
})

test('a log whose last term is not the one that was stored with it is not opened', async () => {
  const disk = memoryDisk()
  const key = logKey(2)
  await closed(await withRecords([[2, 4, 2]], disk))
  const record = seal(key, ...entries(2, 4, 1).map(({ frame }) => frame))
  const under = (engine: Engine): Engine => new Rewritten(engine, key, record)
  await expect(openDisk(disk, undefined, {}, {}, under)).rejects.toThrow(
    'the log ends at index 4 (term 1) instead of 4 (term 2)',
  )
})

/** Scans find another value for one key of the log. */
class Rewritten extends FaultyEngine {
  readonly #name: string
  readonly #value: Uint8Array

  constructor(engine: Engine, key: Uint8Array, value: Uint8Array) {
    super(engine, {})
    this.#name = keyString(key)
    this.#value = value
  }
  override scan(range: ScanRange): Scan {
    const scan = super.scan(range)
    const rewritten = ([key, value]: Pair): Pair => [key, keyString(key) === this.#name ? this.#value : value]
    return {
      ...scan,
      next: (pairsMax, done) =>
        scan.next(pairsMax, (error, pairs, ended) => done(error, pairs.map(rewritten), ended)),
    }
  }
}

/** Reads of some keys find something else. */
class Replaced extends FaultyEngine {
  readonly #replaced: ReadonlyMap<string, Uint8Array | undefined>

  constructor(engine: Engine, replaced: ReadonlyMap<string, Uint8Array | undefined>) {
    super(engine, {})
    this.#replaced = replaced
  }
  override get(key: Uint8Array): Uint8Array | undefined {
    const name = keyString(key)
    return this.#replaced.has(name) ? this.#replaced.get(name) : super.get(key)
  }
}
