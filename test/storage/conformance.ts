// The contract of every storage, on any engine. The only assumption about timing: applied rows are never durable
// before their entries.

import { describe, expect, onTestFinished, test } from 'vitest'
import { asIndex, asTerm, emptyConfiguration, type SnapshotMeta } from '../../src/raft/index.ts'
import { LINK_LIMITS } from '../../src/server/peers/limits.ts'
import { PART_BYTES } from '../../src/storage/chunk.ts'
import type { SnapshotSource, Storage } from '../../src/storage/types.ts'
import {
  allRows,
  applied,
  applyRows,
  batch,
  bytes,
  changes,
  chunkOf,
  closed,
  entries,
  entry,
  finished,
  finishedScan,
  firstPage,
  frames,
  hardState,
  identity,
  must,
  page,
  receive,
  rowKey,
  scanOf,
  scrub,
  sinkFor,
  store,
  stream,
  text,
  write,
} from './samples.ts'

/** The directory or disk of one replica, just formatted with `initial`. */
export interface Replica {
  open(): Promise<Storage>
  dispose(): Promise<void>
}

export function conformance(name: string, format: () => Promise<Replica>): void {
  /** A replica and its open storage. The test ends both. */
  async function fresh(): Promise<{ storage: Storage; reopened: () => Promise<Storage> }> {
    const replica = await format()
    let storage = await replica.open()
    onTestFinished(async () => {
      await closed(storage).catch(() => {})
      await replica.dispose()
    })
    const reopened = async (): Promise<Storage> => {
      await closed(storage)
      storage = await replica.open()
      return storage
    }
    return { storage, reopened }
  }

  describe(`${name}: a replica`, () => {
    test('starts as it was formatted', async () => {
      const { storage } = await fresh()
      expect(storage.identity).toEqual(identity)
      expect(storage.boot).toBe(1)
      expect(storage.hardState).toEqual(hardState(1, 1))
      expect(storage.applied.index).toBe(1)
      expect(text(storage.applied.raft)).toBe('raft at 1')
      expect(text(storage.applied.kv)).toBe('kv at 1')
      expect(storage.stateHash).toBe(0n)
      expect([storage.log.firstIndex(), storage.log.lastIndex()]).toEqual([2, 1])
      expect([storage.dirty, storage.rowsLeft, storage.hasGarbage]).toEqual([false, false, false])
      expect(await allRows(storage)).toEqual([])
    })

    test('counts its starts', async () => {
      const { reopened } = await fresh()
      expect((await reopened()).boot).toBe(2)
      expect((await reopened()).boot).toBe(3)
    })

    test('remembers term, vote and commit', async () => {
      const { storage, reopened } = await fresh()
      await store(
        storage,
        batch(hardState(7, 2, '18446744073709551615'), [write({ entries: entries(2, 3, 6) })]),
      )
      expect((await reopened()).hardState).toEqual(hardState(7, 2, '18446744073709551615'))
    })

    test.each([
      ['a lower term', hardState(4, 3, '8')],
      ['another vote in the same term', hardState(5, 3, '9')],
      ['a vote taken back', hardState(5, 3)],
      ['a lower commit index', hardState(5, 2, '8')],
      ['a commit index beyond the log', hardState(5, 99, '8')],
    ])('refuses %s', async (_what, forgetful) => {
      const { storage } = await fresh()
      await store(storage, batch(hardState(5, 3, '8'), [write({ entries: entries(2, 5, 5) })]))
      await expect(store(storage, batch(forgetful))).rejects.toThrow()
    })
  })

  describe(`${name}: an entry that is applied in parts`, () => {
    const [kept, gone, added] = [rowKey('kept'), rowKey('gone'), rowKey('added')]

    /** Two rows are durable. An entry has deleted one of them and added another, and has not ended. */
    async function halfway() {
      const { storage, reopened } = await fresh()
      applyRows(storage, changes({ kept: 'a', gone: 'b' }), applied(2, 1))
      await store(storage, batch(hardState(1, 5), [write({ entries: entries(2, 5, 1) })]))
      storage.begin(asIndex(3), { bytes: 0, items: 0 }, true)
      storage.change({ key: gone, value: undefined })
      storage.change({ key: added, value: bytes('c') })
      const end = (): void => {
        while (storage.prepare(1));
        storage.end(applied(3, 1))
      }
      return { storage, reopened, end }
    }

    test('nobody else sees half of it', async () => {
      const { storage, end } = await halfway()
      const before = { hash: storage.stateHash, rows: await allRows(storage) }
      expect(storage.applied.index).toBe(2)
      expect([storage.get(gone), storage.get(added)].map((row) => row && text(row))).toEqual(['b', undefined])
      expect([storage.rowBefore(gone, false), storage.rowBefore(added, false)?.length]).toEqual([
        undefined,
        1,
      ])
      const scan = scanOf(storage)
      expect([scan.applied.index, scan.stateHash]).toEqual([2, before.hash])
      end()
      expect((await page(scan)).rows).toEqual(before.rows)
      await finishedScan(scan)
      expect(storage.applied.index).toBe(3)
      expect([storage.get(gone), storage.get(added)].map((row) => row && text(row))).toEqual([undefined, 'c'])
      expect([storage.hashOfChanges, storage.stateHash === before.hash]).toEqual([undefined, false])
    })

    test('a batch holds nothing of it before it ends, and all of it afterwards', async () => {
      const { storage, reopened, end } = await halfway()
      await store(storage, batch(hardState(1, 5)))
      expect(storage.appliedSubmitted).toBe(2)
      end()
      applyRows(storage, changes({ later: 'd' }), applied(4, 1))
      await store(storage, batch(hardState(1, 5)))
      expect([storage.appliedSubmitted, storage.rowsLeft]).toEqual([3, true])
      const { stateHash } = storage
      await store(storage, batch(hardState(1, 5)))
      const again = await reopened()
      expect([again.applied.index, again.stateHash]).toEqual([4, stateHash])
      const rows = [kept, gone, added].map((key) => again.get(key))
      expect(rows.map((row) => row && text(row))).toEqual(['a', undefined, 'c'])
      await scrub(again)
    })

    test('a restart forgets the half', async () => {
      const { storage, reopened } = await halfway()
      const { stateHash } = storage
      await store(storage, batch(hardState(1, 5)))
      const again = await reopened()
      expect([again.applied.index, again.stateHash]).toEqual([2, stateHash])
      await scrub(again)
    })

    test('no other entry begins before it has ended', async () => {
      const { storage } = await halfway()
      expect(() => storage.begin(asIndex(4), { bytes: 0, items: 0 })).toThrow('while another entry is')
    })
  })

  describe(`${name}: under quarantine`, () => {
    test('it is opened no more, and says why', async () => {
      const replica = await format()
      onTestFinished(() => replica.dispose())
      const storage = await replica.open()
      const writing = store(storage, batch(hardState(2, 1)))
      storage.quarantine('n1 has lost durable state. Rejoin.')
      storage.quarantine('Told twice.')
      await writing
      await closed(storage)
      for (let start = 0; start < 2; start++)
        await expect(replica.open()).rejects.toMatchObject({
          name: 'StorageRefusedError',
          message: expect.stringMatching(
            /^Node n1 was put under quarantine: n1 has lost durable state\. Rejoin\. .*delete the file QUARANTINE/,
          ),
        })
    })
  })

  describe(`${name}: the log`, () => {
    test('gives back the frames as they came, within limits', async () => {
      const { storage } = await fresh()
      const list = [...entries(2, 5, 2), entry(6, 3, 'x'.repeat(1000)), ...entries(7, 9, 3)]
      await store(storage, batch(hardState(3, 1), [write({ entries: list })]))
      const { log } = storage
      expect(frames(log.entries(asIndex(2), asIndex(10), 1e6))).toEqual(frames(list))
      expect(frames(log.entries(asIndex(4), asIndex(6), 1e6))).toEqual(frames(list.slice(2, 4)))
      expect(log.entries(asIndex(6), asIndex(10), 10).map(({ index }) => index)).toEqual([6])
      const two = must(list[1]).frame.length + must(list[2]).frame.length
      expect(log.entries(asIndex(3), asIndex(10), two).map(({ index }) => index)).toEqual([3, 4])
      expect(() => log.entries(asIndex(1), asIndex(3), 1e6)).toThrow(RangeError)
      expect(() => log.entries(asIndex(9), asIndex(11), 1e6)).toThrow(RangeError)
    })

    test('knows the term of every entry, and of the one before the first', async () => {
      const { storage } = await fresh()
      await store(
        storage,
        batch(hardState(5, 1), [write({ entries: [...entries(2, 3, 2), ...entries(4, 6, 5)] })]),
      )
      expect([0, 1, 2, 3, 4, 6, 7].map((index) => storage.log.termAt(asIndex(index)))).toEqual([
        undefined,
        ...[1, 2, 2, 5, 5],
        undefined,
      ])
    })

    test('reports nothing as durable that is still being written', async () => {
      const { storage } = await fresh()
      const stored = store(storage, batch(hardState(1, 1), [write({ entries: entries(2, 4, 1) })]))
      expect(storage.log.lastIndex()).toBe(1)
      await stored
      expect(storage.log.lastIndex()).toBe(4)
    })

    test('takes several writes of one batch in their order', async () => {
      const { storage, reopened } = await fresh()
      await store(
        storage,
        batch(hardState(4, 1), [
          write({ entries: entries(2, 6, 2) }),
          write({ truncateFrom: 4, entries: entries(4, 7, 3) }),
          write({ truncateFrom: 7 }),
          write({ entries: entries(7, 8, 4) }),
        ]),
      )
      const { log } = await reopened()
      const expected = [...entries(2, 3, 2), ...entries(4, 6, 3), ...entries(7, 8, 4)]
      expect(frames(log.entries(asIndex(2), asIndex(9), 1e6))).toEqual(frames(expected))
    })

    test.each([
      ['truncating what is committed', write({ truncateFrom: 3 })],
      ['a gap', write({ entries: entries(8, 9, 2) })],
      ['an overlap', write({ entries: entries(5, 7, 2) })],
      ['a falling term', write({ entries: entries(7, 7, 1) })],
    ])('refuses %s', async (_what, wrong) => {
      const { storage } = await fresh()
      await store(storage, batch(hardState(2, 3), [write({ entries: entries(2, 6, 2) })]))
      await expect(store(storage, batch(hardState(2, 3), [wrong]))).rejects.toThrow()
    })

    test('is compacted by whole records, never beyond what is applied', async () => {
      const { storage, reopened } = await fresh()
      for (const from of [2, 5, 8]) {
        await store(storage, batch(hardState(from, 1), [write({ entries: entries(from, from + 2, from) })]))
      }
      applyRows(storage, [], applied(6, 5))
      await store(storage, batch(hardState(8, 9), [], 10))
      const { log } = storage
      expect([log.firstIndex(), log.lastIndex(), log.termAt(asIndex(4))]).toEqual([5, 10, 2])
      expect(log.termAt(asIndex(3))).toBeUndefined()
      expect(frames(log.entries(asIndex(5), asIndex(11), 1e6))).toEqual(
        frames([...entries(5, 7, 5), ...entries(8, 10, 8)]),
      )
      const again = (await reopened()).log
      expect([again.firstIndex(), again.termAt(asIndex(4)), again.termAt(asIndex(5))]).toEqual([5, 2, 5])
    })
  })

  describe(`${name}: rows`, () => {
    test('are read as soon as they are applied, and are durable with the next batch', async () => {
      const { storage, reopened } = await fresh()
      await store(storage, batch(hardState(1, 3), [write({ entries: entries(2, 3, 1) })]))
      applyRows(storage, changes({ a: '1', b: '2' }), applied(2, 1))
      expect(storage.dirty).toBe(true)
      expect(text(storage.get(rowKey('a')))).toBe('1')
      expect(storage.get(rowKey('c'))).toBeUndefined()
      expect(storage.applied.index).toBe(2)
      await store(storage, batch(hardState(1, 3)))
      expect(storage.dirty).toBe(false)
      const { stateHash } = storage
      const again = await reopened()
      expect(await allRows(again)).toEqual(['a=1', 'b=2'])
      expect(text(again.applied.kv)).toBe('kv at 2')
      expect(again.stateHash).toBe(stateHash)
      await scrub(again)
    })

    test('applied after the last batch are gone with it', async () => {
      const { storage, reopened } = await fresh()
      await store(storage, batch(hardState(1, 3), [write({ entries: entries(2, 3, 1) })]))
      applyRows(storage, changes({ a: 'durable' }), applied(2, 1))
      await store(storage, batch(hardState(1, 3)))
      applyRows(storage, changes({ a: 'lost', b: 'lost' }), applied(3, 1))
      const again = await reopened()
      expect(again.applied.index).toBe(2)
      expect(await allRows(again)).toEqual(['a=durable'])
      await scrub(again)
    })

    test('can be changed and deleted before, while and after they are written', async () => {
      const { storage, reopened } = await fresh()
      await store(storage, batch(hardState(1, 6), [write({ entries: entries(2, 6, 1) })]))
      applyRows(storage, changes({ a: '1', b: '1', c: '1', d: '1' }), applied(2, 1))
      await store(storage, batch(hardState(1, 6)))
      applyRows(storage, changes({ a: '2', b: undefined, d: undefined }), applied(3, 1))
      const stored = store(storage, batch(hardState(1, 6)))
      applyRows(storage, changes({ b: '3', c: undefined, e: '3' }), applied(4, 1))
      expect(text(storage.get(rowKey('a')))).toBe('2')
      expect(storage.get(rowKey('c'))).toBeUndefined()
      expect(await allRows(storage)).toEqual(['a=2', 'b=3', 'e=3'])
      await stored
      expect(await allRows(storage)).toEqual(['a=2', 'b=3', 'e=3'])
      await store(storage, batch(hardState(1, 6)))
      expect(storage.get(rowKey('d'))).toBeUndefined()
      const again = await reopened()
      expect(await allRows(again)).toEqual(['a=2', 'b=3', 'e=3'])
      await scrub(again)
    })

    test('may be empty, long and any bytes', async () => {
      const { storage, reopened } = await fresh()
      await store(storage, batch(hardState(1, 2), [write({ entries: entries(2, 2, 1) })]))
      const odd = Uint8Array.from({ length: 300 }, (_, at) => at & 0xff)
      const key = Uint8Array.of(1, ...odd)
      const value = new Uint8Array(1 << 20).fill(7)
      applyRows(
        storage,
        [
          { key, value },
          { key: Uint8Array.of(1), value: new Uint8Array(0) },
        ],
        applied(2, 1),
      )
      await store(storage, batch(hardState(1, 2)))
      const again = await reopened()
      expect(Buffer.compare(must(again.get(key)), value)).toBe(0)
      expect(again.get(Uint8Array.of(1))).toHaveLength(0)
      await scrub(again)
    })

    test('must be applied in the order of the log', async () => {
      const { storage } = await fresh()
      await store(storage, batch(hardState(1, 3), [write({ entries: entries(2, 3, 1) })]))
      applyRows(storage, [], applied(3, 1))
      expect(() => applyRows(storage, [], applied(3, 1))).toThrow()
      expect(() => applyRows(storage, [], applied(2, 1))).toThrow()
    })

    test('become durable with their entries at the earliest', async () => {
      const { storage, reopened } = await fresh()
      await store(storage, batch(hardState(1, 2), [write({ entries: entries(2, 2, 1) })]))
      applyRows(storage, changes({ a: 'in the log' }), applied(2, 1))
      scanOf(storage).close()
      applyRows(storage, changes({ b: 'not yet' }), applied(3, 1))
      await store(storage, batch(hardState(1, 2)))
      expect([storage.dirty, storage.rowsLeft, storage.appliedSubmitted]).toEqual([true, false, 2])
      const again = await reopened()
      expect([again.applied.index, await allRows(again)]).toEqual([2, ['a=in the log']])
      await scrub(again)
      applyRows(again, changes({ b: 'now' }), applied(3, 1))
      await store(again, batch(hardState(1, 3), [write({ entries: entries(3, 3, 1) })]))
      expect([again.dirty, await allRows(await reopened())]).toEqual([false, ['a=in the log', 'b=now']])
    })
  })

  describe(`${name}: a scan of rows`, () => {
    async function withRows(): Promise<Storage> {
      const { storage } = await fresh()
      await store(storage, batch(hardState(1, 9), [write({ entries: entries(2, 9, 1) })]))
      applyRows(storage, changes({ a: '1', c: '1', e: '1', g: '1' }), applied(2, 1))
      await store(storage, batch(hardState(1, 9)))
      applyRows(storage, changes({ b: '2', c: undefined, e: '2', h: '2' }), applied(3, 1))
      return storage
    }
    const rows = ['a=1', 'b=2', 'e=2', 'g=1', 'h=2']

    test('stays as it was while the rows change', async () => {
      const storage = await withRows()
      const [early, late] = [scanOf(storage), scanOf(storage)]
      const backward = scanOf(storage, { reverse: true })
      applyRows(storage, changes({ a: undefined, b: '3', z: '3' }), applied(4, 1))
      expect(await page(early, { rowsMax: 2 })).toEqual({ rows: rows.slice(0, 2), more: true })
      await store(storage, batch(hardState(1, 9)))
      applyRows(storage, changes({ e: undefined, g: undefined }), applied(5, 1))
      await store(storage, batch(hardState(1, 9)))
      expect(await page(early)).toEqual({ rows: rows.slice(2), more: false })
      expect(await page(late)).toEqual({ rows, more: false })
      expect(await page(backward)).toEqual({ rows: rows.toReversed(), more: false })
      for (const scan of [early, late, backward]) {
        expect(scan.applied.index).toBe(3)
        await finishedScan(scan)
      }
      expect(await allRows(storage)).toEqual(['b=3', 'h=2', 'z=3'])
    })

    test('stays as it was while everything is compacted, and writes go on meanwhile', async () => {
      const { storage, reopened } = await fresh()
      await store(storage, batch(hardState(1, 3), [write({ entries: entries(2, 3, 1) })]))
      applyRows(storage, changes({ a: '1', b: '1' }), applied(2, 1))
      await store(storage, batch(hardState(1, 3)))
      const scan = scanOf(storage)
      const compacted = new Promise<void>((resolve, reject) =>
        storage.compactDatabase((error) => (error === undefined ? resolve() : reject(error))),
      )
      applyRows(storage, changes({ a: undefined, c: '2' }), applied(3, 1))
      await store(storage, batch(hardState(1, 3)))
      await compacted
      expect((await page(scan)).rows).toEqual(['a=1', 'b=1'])
      scan.close()
      expect(await allRows(storage)).toEqual(['b=1', 'c=2'])
      expect(await allRows(await reopened())).toEqual(['b=1', 'c=2'])
    })

    test('of keys alone has the same rows, with empty values', async () => {
      const storage = await withRows()
      const names = rows.map((row) => row.slice(0, 2))
      for (const reverse of [false, true]) {
        const scan = scanOf(storage, { reverse, keysOnly: true })
        const expected = reverse ? names.toReversed() : names
        expect(await page(scan, { rowsMax: 2 })).toEqual({ rows: expected.slice(0, 2), more: true })
        expect(await page(scan)).toEqual({ rows: expected.slice(2), more: false })
        scan.seek(rowKey('f'))
        expect((await page(scan)).rows).toEqual(reverse ? ['e=', 'b=', 'a='] : ['g=', 'h='])
        await finishedScan(scan)
      }
      await store(storage, batch(hardState(1, 9)))
      expect((await firstPage(storage, { keysOnly: true })).rows).toEqual(names)
    })

    test('opened while a batch is being written sees it whole', async () => {
      const storage = await withRows()
      const stored = store(storage, batch(hardState(1, 9)))
      const scan = scanOf(storage)
      await stored
      expect((await page(scan)).rows).toEqual(rows)
      scan.close()
    })

    test('gives pages in both directions, and says whether there is more', async () => {
      const storage = await withRows()
      const some = (asked: Parameters<typeof firstPage>[1]): Promise<unknown> => firstPage(storage, asked)
      expect(await some({ rowsMax: 2 })).toEqual({ rows: ['a=1', 'b=2'], more: true })
      expect(await some({ rowsMax: 5 })).toEqual({ rows, more: false })
      expect(await some({ rowsMax: 2, reverse: true })).toEqual({ rows: ['h=2', 'g=1'], more: true })
      expect(await some({ reverse: true })).toEqual({ rows: rows.toReversed(), more: false })
      expect(await some({ gte: rowKey('b'), lt: rowKey('g') })).toEqual({ rows: ['b=2', 'e=2'], more: false })
      expect(await some({ gte: rowKey('b'), lt: rowKey('g'), reverse: true })).toEqual({
        rows: ['e=2', 'b=2'],
        more: false,
      })
      expect(await some({ gte: rowKey('c'), lt: rowKey('d') })).toEqual({ rows: [], more: false })
      expect(await some({ gte: rowKey('x'), lt: rowKey('b') })).toEqual({ rows: [], more: false })
      expect(await some({ bytesMax: 6 })).toEqual({ rows: ['a=1', 'b=2'], more: true })
      expect(await some({ bytesMax: 1 })).toEqual({ rows: ['a=1'], more: true })
    })

    test('goes on where a page ended, or where it is told to', async () => {
      const storage = await withRows()
      const scan = scanOf(storage, { gte: rowKey('b') })
      applyRows(storage, changes({ d: '4', e: undefined }), applied(4, 1))
      await store(storage, batch(hardState(1, 9)))
      for (const rowsMax of [1, 2]) {
        scan.seek(rowKey('b'))
        expect(await page(scan, { rowsMax })).toEqual({ rows: rows.slice(1, 1 + rowsMax), more: true })
        expect(await page(scan)).toEqual({ rows: rows.slice(1 + rowsMax), more: false })
        expect(await page(scan)).toEqual({ rows: [], more: false })
        scan.seek(rowKey('f'))
        expect(await page(scan)).toEqual({ rows: ['g=1', 'h=2'], more: false })
        scan.seek(rowKey('h'))
        expect(await page(scan)).toEqual({ rows: ['h=2'], more: false })
        scan.seek(rowKey('x'))
        expect(await page(scan)).toEqual({ rows: [], more: false })
      }
      await finishedScan(scan)
    })

    test('goes on where it is told to in falling order too', async () => {
      const storage = await withRows()
      const scan = scanOf(storage, { gte: rowKey('b'), reverse: true })
      applyRows(storage, changes({ d: '4', e: undefined }), applied(4, 1))
      await store(storage, batch(hardState(1, 9)))
      const falling = rows.slice(1).toReversed()
      for (const rowsMax of [1, 2]) {
        scan.seek(rowKey('y'))
        expect(await page(scan, { rowsMax })).toEqual({ rows: falling.slice(0, rowsMax), more: true })
        expect(await page(scan)).toEqual({ rows: falling.slice(rowsMax), more: false })
        scan.seek(rowKey('h\0'))
        expect(await page(scan, { rowsMax: 2 })).toEqual({ rows: ['h=2', 'g=1'], more: true })
        scan.seek(rowKey('gg'))
        expect(await page(scan, { rowsMax: 1 })).toEqual({ rows: ['g=1'], more: true })
        scan.seek(rowKey('a'))
        expect(await page(scan)).toEqual({ rows: [], more: false })
      }
      await finishedScan(scan)
    })

    // Rows that are not durable yet hide those of the engine. A row of either that does not fit ends the page.
    test.each([
      ['not durable', { b: 'b'.repeat(50) }, { a: '.'.repeat(50), c: '.', d: '.' }],
      ['durable', { a: '.'.repeat(50), c: '.', d: '.' }, { b: 'b'.repeat(50) }],
    ])('never passes over a row that does not fit and is %s', async (_what, waiting, stored) => {
      const { storage } = await fresh()
      await store(storage, batch(hardState(1, 3), [write({ entries: entries(2, 3, 1) })]))
      applyRows(storage, changes(stored), applied(2, 1))
      await store(storage, batch(hardState(1, 3)))
      applyRows(storage, changes(waiting), applied(3, 1))
      const names = async (asked: Parameters<typeof firstPage>[1]): Promise<unknown> => {
        const { rows, more } = await firstPage(storage, { bytesMax: 80, ...asked })
        return [rows.map((row) => row[0]).join(''), more]
      }
      expect(await names({})).toEqual(['a', true])
      expect(await names({ gte: rowKey('b') })).toEqual(['bcd', false])
      expect(await names({ reverse: true })).toEqual(['dcb', true])
      expect(await names({ reverse: true, lt: rowKey('b') })).toEqual(['a', false])
      expect(await names({ reverse: true, bytesMax: 50 })).toEqual(['dc', true])
    })

    test('closed in the middle of a page ends that, and harms nothing else', async () => {
      const storage = await withRows()
      const many = Object.fromEntries(
        Array.from({ length: 2000 }, (_, at) => [`m${10_000 + at}`, '.'.repeat(500)]),
      )
      applyRows(storage, changes(many), applied(4, 1))
      while (storage.dirty) await store(storage, batch(hardState(1, 9)))
      for (const turns of [0, 1, 2, 3]) {
        const scan = scanOf(storage)
        const reading = page(scan, { rowsMax: 10_000, bytesMax: 1e9 })
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
        scan.close()
        await expect(reading).rejects.toThrow('the scan is closed')
        expect(storage.openScans).toBe(0)
      }
      expect(await allRows(storage)).toHaveLength(1000)
    })

    test('that takes long is ended when the disk needs its space, and its reader gets an error', async () => {
      const storage = await withRows()
      const [old, read] = [scanOf(storage), scanOf(storage)]
      const source = storage.snapshotSource()
      storage.endOldScans()
      expect(await page(old, { rowsMax: 1 })).toEqual({ rows: ['a=1'], more: true })
      const young = scanOf(storage)
      const reading = page(read)
      storage.endOldScans()
      await expect(reading).rejects.toMatchObject({
        name: 'ScanEndedError',
        message: expect.stringContaining('the disk of this node is nearly full'),
      })
      for (let again = 0; again < 2; again++) {
        old.seek(rowKey('a'))
        await expect(page(old)).rejects.toThrow('the disk of this node is nearly full')
        await expect(finishedScan(old)).rejects.toThrow('the disk of this node is nearly full')
        await expect(chunkOf(source, 0)).rejects.toThrow('the disk of this node is nearly full')
        old.close()
      }
      expect(await page(young)).toEqual({ rows, more: false })
      await finishedScan(young)
      storage.endOldScans()
      expect(storage.openScans).toBe(0)
      expect(await allRows(storage)).toEqual(rows)
    })

    test.each(['closed', 'finished'])('cannot be read once it is %s', async (how) => {
      const scan = scanOf(await withRows())
      if (how === 'closed') scan.close()
      else await finishedScan(scan)
      for (let again = 0; again < 2; again++) {
        await expect(page(scan)).rejects.toThrow('the scan is closed')
        await expect(finishedScan(scan)).rejects.toThrow('the scan is closed')
        expect(() => scan.seek(rowKey('a'))).toThrow('the scan is closed')
        scan.close()
      }
    })
  })

  describe(`${name}: the state hash`, () => {
    test('is the same for the same rows, whatever their history', async () => {
      const one = (await fresh()).storage
      const other = (await fresh()).storage
      for (const storage of [one, other])
        await store(storage, batch(hardState(1, 9), [write({ entries: entries(2, 9, 1) })]))
      applyRows(one, changes({ a: '1', b: '2', c: '3' }), applied(2, 1))
      applyRows(other, changes({ c: 'x', a: 'y', d: 'z' }), applied(2, 1))
      await store(other, batch(hardState(1, 9)))
      applyRows(other, changes({ b: '2', d: undefined }), applied(3, 1))
      applyRows(other, changes({ a: '1' }), applied(4, 1))
      const stored = store(other, batch(hardState(1, 9)))
      applyRows(other, changes({ c: '3', e: undefined }), applied(5, 1))
      await stored
      expect(other.stateHash).toBe(one.stateHash)
      applyRows(other, changes({ a: '2', b: '1' }), applied(6, 1))
      expect(other.stateHash).not.toBe(one.stateHash)
      applyRows(other, changes({ a: undefined, b: undefined, c: undefined }), applied(7, 1))
      expect(other.stateHash).toBe(0n)
    })
  })

  describe(`${name}: a snapshot`, () => {
    /** A sender at index 8 with rows that fill several chunks. */
    async function sender(): Promise<{ storage: Storage; source: SnapshotSource; rows: readonly string[] }> {
      const { storage } = await fresh()
      await store(
        storage,
        batch(hardState(3, 8), [write({ entries: [...entries(2, 5, 2), ...entries(6, 9, 3)] })]),
      )
      const rows = Object.fromEntries(
        Array.from({ length: 12 }, (_, at) => [`s${10 + at}`, `${at}`.repeat(60_000)]),
      )
      applyRows(storage, changes(rows), applied(7, 3))
      await store(storage, batch(hardState(3, 8)))
      applyRows(storage, changes({ s10: 'changed', s11: undefined, t: 'new' }), applied(8, 3))
      const source = storage.snapshotSource()
      applyRows(storage, changes({ s12: 'later' }), applied(9, 3))
      scanOf(storage).close()
      return { storage, source, rows: Object.keys(rows) }
    }

    const installing = (
      source: SnapshotSource,
      keepLog: boolean,
    ): NonNullable<Parameters<typeof write>[0]['snapshot']> => ({
      meta: metaOf(source),
      snapshotId: source.id,
      keepLog,
    })

    const names = async (storage: Storage): Promise<readonly string[]> =>
      (await allRows(storage)).map((row) => row.slice(0, 12))

    const expectedNames = [
      's10=changed',
      ...Array.from({ length: 10 }, (_, at) => `s${12 + at}=${`${at + 2}`.repeat(8)}`.slice(0, 12)),
      't=new',
    ]

    test('carries the rows of its instant to another replica, which restarts its log from it', async () => {
      const { storage: from, source } = await sender()
      const { storage, reopened } = await fresh()
      await store(storage, batch(hardState(2, 1), [write({ entries: entries(2, 4, 1) })]))
      applyRows(storage, changes({ old: 'row' }), applied(2, 1))
      const sink = must(await sinkFor(storage, source))
      expect(sink.nextChunk).toBe(0)
      expect(await stream(source, sink)).toBeGreaterThan(1)
      const before = scanOf(storage)
      expect(await allRows(storage)).toEqual(['old=row'])

      const next = entries(9, 10, 3)
      await store(
        storage,
        batch(hardState(3, 8), [write({ snapshot: installing(source, false), entries: next })]),
      )
      expect(await names(storage)).toEqual(expectedNames)
      expect(storage.stateHash).toBe(source.meta.stateHash)
      expect(storage.applied).toMatchObject({ index: 8, term: 3 })
      expect([storage.log.firstIndex(), storage.log.lastIndex(), storage.log.termAt(asIndex(8))]).toEqual([
        9, 10, 3,
      ])
      expect((await page(before)).rows).toEqual(['old=row'])
      before.close()
      expect(storage.rowBefore(rowKey('old'), true)).toBeUndefined()
      applyRows(storage, changes({ t: 'newer' }), applied(9, 3))
      await store(storage, batch(hardState(3, 10)))

      const again = await reopened()
      expect(await names(again)).toEqual([...expectedNames.slice(0, -1), 't=newer'])
      expect(frames(again.log.entries(asIndex(9), asIndex(11), 1e6))).toEqual(frames(next))
      await scrub(again)
      expect(from.openScans).toBe(1)
      source.close()
      expect(from.openScans).toBe(0)
    })

    test('leaves a log that goes on from it', async () => {
      const { source } = await sender()
      const { storage, reopened } = await fresh()
      const list = [...entries(2, 5, 2), ...entries(6, 11, 3)]
      await store(storage, batch(hardState(3, 1), [write({ entries: list })]))
      await stream(source, must(await sinkFor(storage, source)))
      await store(storage, batch(hardState(3, 8), [write({ snapshot: installing(source, true) })]))
      expect(frames(storage.log.entries(asIndex(2), asIndex(12), 1e6))).toEqual(frames(list))
      const again = await reopened()
      expect(await names(again)).toEqual(expectedNames)
      expect(again.log.lastIndex()).toBe(11)
      source.close()
    })

    test('that replaces the log leaves no cached entries of the old log', async () => {
      const { source } = await sender()
      const { storage } = await fresh()
      await store(storage, batch(hardState(3, 1), [write({ entries: entries(2, 8, 2) })]))
      await store(storage, batch(hardState(3, 1), [write({ entries: entries(9, 11, 2) })]))
      const all = storage.log.entries(asIndex(2), asIndex(12), 1e6)
      expect(all.map(({ term }) => term)).toEqual(all.map(() => 2))
      await stream(source, must(await sinkFor(storage, source)))
      await store(storage, batch(hardState(3, 8), [write({ snapshot: installing(source, false) })]))
      const next = entries(9, 10, 3)
      await store(storage, batch(hardState(3, 8), [write({ entries: next })]))
      expect(frames(storage.log.entries(asIndex(9), asIndex(11), 1e6))).toEqual(frames(next))
      source.close()
    })

    test('does not leave a log that does not hold its last entry', async () => {
      const { source } = await sender()
      const { storage } = await fresh()
      await store(storage, batch(hardState(3, 1), [write({ entries: entries(2, 11, 2) })]))
      await stream(source, must(await sinkFor(storage, source)))
      const kept = batch(hardState(3, 8), [write({ snapshot: installing(source, true) })])
      await expect(store(storage, kept)).rejects.toThrow()
      source.close()
    })

    test('goes on where it broke off, over a restart of the receiver', async () => {
      const { source } = await sender()
      const { storage, reopened } = await fresh()
      const sink = must(await sinkFor(storage, source))
      await receive(sink, 0, must(await chunkOf(source, 0)))
      await receive(sink, 1, must(await chunkOf(source, 1)))
      const again = await reopened()
      const resumed = must(await sinkFor(again, source))
      expect(resumed.nextChunk).toBe(2)
      await stream(source, resumed)
      await store(again, batch(hardState(3, 8), [write({ snapshot: installing(source, false) })]))
      expect(await names(again)).toEqual(expectedNames)
      await scrub(again)
      source.close()
    })

    test('can be read again from any chunk, with the same bytes', async () => {
      const { source } = await sender()
      const last = must(await chunkOf(source, 2))
      const first = must(await chunkOf(source, 0))
      expect(await chunkOf(source, 2)).toEqual(last)
      expect(await chunkOf(source, 0)).toEqual(first)
      expect(await chunkOf(source, 1000)).toBeUndefined()
      source.close()
    })

    test('whose row is too long for a message goes in parts, and begins them anew where it broke off', async () => {
      const { storage: from } = await fresh()
      await store(from, batch(hardState(1, 2), [write({ entries: entries(2, 3, 1) })]))
      // Three parts, and two.
      const long = Buffer.alloc(2 * PART_BYTES + 1, 'abcdefg').toString()
      const shorter = long.slice(PART_BYTES)
      applyRows(from, changes({ a: 'a'.repeat(300_000), b: long, c: shorter, d: '4' }), applied(2, 1))
      const source = from.snapshotSource()
      const { storage, reopened } = await fresh()
      const sink = must(await sinkFor(storage, source))
      const chunks: Uint8Array[] = []
      for (let chunk = await chunkOf(source, 0); chunk !== undefined; ) {
        expect(chunk.length).toBeLessThan(LINK_LIMITS.frameBytesMax / 4)
        chunks.push(chunk)
        chunk = await chunkOf(source, chunks.length)
      }
      for (const number of [3, 5, 0, 2])
        expect(Buffer.compare(must(await chunkOf(source, number)), must(chunks[number]))).toBe(0)
      for (const number of [0, 1, 2]) await receive(sink, number, must(chunks[number]))
      await expect(receive(sink, 2, must(chunks[2]))).rejects.toThrow('instead of 3')

      const again = await reopened()
      const resumed = must(await sinkFor(again, source))
      expect(resumed.nextChunk).toBe(1)
      expect(await stream(source, resumed)).toBe(chunks.length)
      const snapshot = { meta: metaOf(source), snapshotId: source.id, keepLog: false }
      await store(again, batch(hardState(1, 2), [write({ snapshot })]))
      expect(again.stateHash).toBe(source.meta.stateHash)
      const lengths = (await firstPage(again, { bytesMax: 1e9 })).rows.map((row) => row.length)
      expect(lengths).toEqual([300_002, long.length + 2, shorter.length + 2, 3])
      await scrub(again)
      source.close()
    })

    test('is refused chunk by chunk when damaged, out of order or of another one', async () => {
      const { source, storage: sending } = await sender()
      const other = sending.snapshotSource()
      const { storage } = await fresh()
      const sink = must(await sinkFor(storage, source))
      const [first, second] = [must(await chunkOf(source, 0)), must(await chunkOf(source, 1))]
      await expect(receive(sink, 1, second)).rejects.toThrow('chunk 1')
      await expect(receive(sink, 0, second)).rejects.toThrow()
      await expect(receive(sink, 0, first.with(20, must(first[20]) ^ 1))).rejects.toThrow('checksum')
      await expect(receive(sink, 0, first.subarray(0, 100))).rejects.toThrow()
      await expect(receive(sink, 0, must(await chunkOf(other, 0)))).rejects.toThrow('checksum')
      expect(sink.nextChunk).toBe(0)
      await stream(source, sink)
      for (const each of [source, other]) each.close()
    })

    test('that is not whole cannot be finished or installed', async () => {
      const { source } = await sender()
      const { storage } = await fresh()
      const sink = must(await sinkFor(storage, source))
      await receive(sink, 0, must(await chunkOf(source, 0)))
      await expect(finished(sink)).rejects.toThrow()
      await expect(receive(sink, 1, must(await chunkOf(source, 1)))).rejects.toThrow()
      const install = batch(hardState(3, 8), [write({ snapshot: installing(source, false) })])
      await expect(store(storage, install)).rejects.toThrow()
      source.close()
    })

    test('gives way to a newer transfer, and leaves nothing behind', async () => {
      const { source, storage: sending } = await sender()
      const newer = sending.snapshotSource()
      const { storage, reopened } = await fresh()
      const sink = must(await sinkFor(storage, source))
      await receive(sink, 0, must(await chunkOf(source, 0)))
      const second = must(await sinkFor(storage, newer))
      await expect(receive(sink, 1, must(await chunkOf(source, 1)))).rejects.toThrow('given up')
      expect(storage.hasGarbage).toBe(true)
      await sweep(storage)
      await stream(newer, second)
      second.abort()
      expect(storage.hasGarbage).toBe(true)
      await sweep(storage)
      const again = await reopened()
      expect(again.hasGarbage).toBe(false)
      expect(must(await sinkFor(again, newer)).nextChunk).toBe(0)
      for (const each of [source, newer]) each.close()
    })

    test('is not reported complete when a newer transfer has replaced it, meanwhile or before', async () => {
      const { source, storage: sending } = await sender()
      const newer = sending.snapshotSource()
      const { storage } = await fresh()
      const sink = must(await sinkFor(storage, source))
      for (let number = 0; ; number++) {
        const chunk = await chunkOf(source, number)
        if (chunk === undefined) break
        await receive(sink, number, chunk)
      }
      const [whole, second] = await Promise.allSettled([finished(sink), sinkFor(storage, newer)])
      expect(whole).toMatchObject({
        status: 'rejected',
        reason: { message: expect.stringContaining('given up') },
      })
      expect(second.status).toBe('fulfilled')
      await expect(finished(sink)).rejects.toThrow('given up')
      for (const each of [source, newer]) each.close()
    })

    test('sweeps the rows that it replaced, over a restart', async () => {
      const { source } = await sender()
      const { storage, reopened } = await fresh()
      await store(storage, batch(hardState(1, 2), [write({ entries: entries(2, 2, 1) })]))
      const many = Object.fromEntries(Array.from({ length: 2500 }, (_, at) => [`m${at}`, 'x']))
      applyRows(storage, changes(many), applied(2, 1))
      await stream(source, must(await sinkFor(storage, source)))
      await store(storage, batch(hardState(3, 8), [write({ snapshot: installing(source, false) })]))
      expect(storage.hasGarbage).toBe(true)
      await store(storage, batch(hardState(3, 8)))
      const again = await reopened()
      expect(again.hasGarbage).toBe(true)
      await sweep(again)
      expect(await names(again)).toEqual(expectedNames)
      expect((await reopened()).hasGarbage).toBe(false)
      source.close()
    })

    test('is the only thing that may change rows while it is being installed', async () => {
      const { source } = await sender()
      const { storage } = await fresh()
      await stream(source, must(await sinkFor(storage, source)))
      const stored = store(storage, batch(hardState(3, 8), [write({ snapshot: installing(source, false) })]))
      expect(() => applyRows(storage, changes({ a: '1' }), applied(9, 3))).toThrow()
      expect(storage.applied.index).toBe(1)
      await stored
      expect(storage.applied.index).toBe(8)
      source.close()
    })

    test('is not installed over newer rows', async () => {
      const { source } = await sender()
      const { storage } = await fresh()
      await store(
        storage,
        batch(hardState(3, 9), [write({ entries: [...entries(2, 5, 2), ...entries(6, 9, 3)] })]),
      )
      const sink = must(await sinkFor(storage, source))
      await stream(source, sink)
      applyRows(storage, changes({ a: '1' }), applied(9, 3))
      const install = batch(hardState(3, 9), [write({ snapshot: installing(source, true) })])
      await expect(store(storage, install)).rejects.toThrow()
      source.close()
    })
  })

  describe(`${name}: the end`, () => {
    test('comes after the batch under way', async () => {
      const { storage, reopened } = await fresh()
      let isStored = false
      const stored = store(storage, batch(hardState(2, 1), [write({ entries: entries(2, 2, 2) })])).then(
        () => {
          isStored = true
        },
      )
      const again = await reopened()
      expect(isStored).toBe(true)
      await stored
      expect(again.hardState.term).toBe(2)
      expect(() => storage.get(rowKey('a'))).toThrow()
      expect(() => scanOf(storage)).toThrow()
    })

    test('one batch at a time', async () => {
      const { storage } = await fresh()
      const stored = store(storage, batch(hardState(1, 1)))
      expect(() => storage.write(batch(hardState(1, 1)), () => {})).toThrow()
      await stored
      await store(storage, batch(hardState(1, 1)))
    })

    test('a chunk that is being stored and a batch do not disturb each other', async () => {
      const { storage } = await fresh()
      const other = (await fresh()).storage
      applyRows(other, changes({ a: bytesText(1000) }), applied(2, 1))
      const source = other.snapshotSource()
      const sink = must(await sinkFor(storage, source))
      const chunk = must(await chunkOf(source, 0))
      await Promise.all([
        receive(sink, 0, chunk),
        store(storage, batch(hardState(4, 1), [write({ entries: entries(2, 3, 4) })])),
      ])
      await finished(sink)
      expect(storage.log.lastIndex()).toBe(3)
      source.close()
    })
  })
}

const bytesText = (length: number): string => Buffer.from(bytes('x'.repeat(length))).toString()

export const metaOf = ({ meta }: SnapshotSource): SnapshotMeta => ({
  index: meta.index,
  term: asTerm(meta.term),
  state: { configuration: emptyConfiguration, leaderLeases: { on: false, durationMs: 0 } },
})

/** Empty batches until dead generations have no rows left, as an idle driver writes them. */
async function sweep(storage: Storage): Promise<void> {
  for (let rounds = 0; storage.hasGarbage; rounds++) {
    if (rounds > 100) throw new Error('the garbage does not go')
    await store(storage, batch(hardState(9, storage.log.lastIndex())))
    await new Promise((resolve) => setImmediate(resolve))
  }
}
