// An open scan keeps all overwritten data on the disk. So the scrub has no scan open between two slices.

import { expect, test } from 'vitest'
import { asIndex } from '../../src/raft/types.ts'
import { Scrub, type Storage } from '../../src/storage/index.ts'
import { metaOf } from './conformance.ts'
import { memoryReplica } from './replicas.ts'
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
  sinkFor,
  slice,
  store,
  stream,
  write,
} from './samples.ts'

/** Counts the open scans of a storage. */
function countScans(storage: Storage): () => number {
  const open = new Set<unknown>()
  const scan = storage.scan.bind(storage)
  storage.scan = (range) => {
    const opened = scan(range)
    const close = opened.close.bind(opened)
    open.add(opened)
    opened.close = () => {
      open.delete(opened)
      close()
    }
    return opened
  }
  return () => open.size
}

async function withRows(): Promise<Storage> {
  const storage = await (await memoryReplica()).open()
  await store(storage, batch(hardState(1, 9), [write({ entries: entries(2, 9, 1) })]))
  applyRows(storage, changes({ a: '1', b: '2', c: '3', d: '4' }), applied(2, 1))
  await store(storage, batch(hardState(1, 9)))
  return storage
}

test('a scan is open only during a slice', async () => {
  const storage = await withRows()
  const scans = countScans(storage)
  const pass = new Scrub(storage, { rowsMax: 1, bytesMax: 1 })
  const held: number[] = []
  for (let index = 3, finished = false; !finished; index++) {
    expect(scans()).toBe(0)
    const reading = slice(pass)
    held.push(scans())
    applyRows(storage, changes({ a: `${index}`, c: `${index}`, e: `${index}` }), applied(index, 1))
    finished = await reading
  }
  expect(held).toEqual([1, 1, 1, 1, 1])
  expect(scans()).toBe(0)
  pass.close()
  await closed(storage)
})

test('rows that change or are deleted while they are read, and right after the end of a slice, are not damage', async () => {
  const storage = await withRows()
  const scans = countScans(storage)
  const pass = new Scrub(storage, { rowsMax: 2, bytesMax: 1000 })
  const during = [{ b: undefined }, { c: undefined, d: '5' }, {}]
  const behind = [{ 'b\0': '1', a: undefined }, { 'd\0': '1' }, {}]
  for (const [at, change] of during.entries()) {
    const reading = slice(pass)
    applyRows(storage, changes(change), applied(3 + 2 * at, 1))
    expect(await reading).toBe(at === 2)
    applyRows(storage, changes(behind[at] ?? {}), applied(4 + 2 * at, 1))
  }
  expect(await allRows(storage)).toEqual(['b\0=1', 'd=5', 'd\0=1'])
  expect(scans()).toBe(0)
  pass.close()
  await closed(storage)
})

test('the rows of an entry that is applied in parts across the end of a pass are not damage', async () => {
  const storage = await withRows()
  const pass = new Scrub(storage)
  const reading = slice(pass)
  storage.begin(asIndex(3), { bytes: 0, items: 0 }, true)
  for (const change of changes({ b: 'new', c: undefined, e: '5' })) storage.change(change)
  expect(storage.hashOfChanges).toBeDefined()
  expect(await reading).toBe(true)
  while (storage.prepare(1)) expect(storage.hashOfChanges).toBeDefined()
  storage.end(applied(3, 1))
  pass.close()
  expect(await slice(new Scrub(storage))).toBe(true)
  await closed(storage)
})

test('a scrub that is closed while a slice is being finished does not report the slice', async () => {
  const storage = await withRows()
  const pass = new Scrub(storage, { rowsMax: 1, bytesMax: 1 })
  const scan = storage.scan.bind(storage)
  storage.scan = (range) => {
    const opened = scan(range)
    opened.finish = (done) => {
      pass.close()
      setImmediate(done, new Error('the scan is closed'))
    }
    return opened
  }
  expect(await slice(pass)).toBe(false)
  expect(storage.openScans).toBe(0)
  await closed(storage)
})

test('a slice whose scan was ended to free disk space is read again', async () => {
  const storage = await withRows()
  const pass = new Scrub(storage, { rowsMax: 1, bytesMax: 1 })
  for (let index = 3; index < 6; index++) {
    const reading = slice(pass)
    applyRows(storage, changes({ a: `${index}`, c: `${index}`, e: `${index}` }), applied(index, 1))
    for (let time = 0; time < 2; time++) storage.endOldScans()
    expect(await reading).toBe(false)
  }
  for (const finished of [false, false, false, false, true]) expect(await slice(pass)).toBe(finished)
  pass.close()
  await closed(storage)
})

test('a scrub that is closed in the middle of a slice closes its scan and is told of no more changes', async () => {
  const storage = await withRows()
  const scans = countScans(storage)
  const pass = new Scrub(storage, { rowsMax: 1, bytesMax: 1 })
  await slice(pass)
  const reading = slice(pass)
  pass.close()
  expect(scans()).toBe(0)
  expect(await reading).toBe(false)
  await closed(storage)
})

test('a pass during which a snapshot replaced all rows begins anew', async () => {
  const [storage, sender] = [await withRows(), await withRows()]
  applyRows(sender, changes({ b: 'new', z: '26' }), applied(12, 1))
  const pass = new Scrub(storage, { rowsMax: 1, bytesMax: 1 })
  await slice(pass)
  const reading = slice(pass)
  const source = sender.snapshotSource()
  await stream(source, must(await sinkFor(storage, source)))
  const snapshot = { meta: metaOf(source), snapshotId: source.id, keepLog: false }
  await store(storage, batch(hardState(1, 12), [write({ snapshot })]))
  source.close()
  expect(await reading).toBe(false)
  const finished: boolean[] = []
  while (finished.at(-1) !== true) finished.push(await slice(pass))
  expect(finished).toHaveLength(5)
  pass.close()
})
