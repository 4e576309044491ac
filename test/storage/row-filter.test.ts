// The filter of rows that do not exist: it is never wrong about an existing row, is seldom useless, and covers the
// current rows.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Engine, Pair, Scan } from '../../src/storage/engine.ts'
import { FirstError } from '../../src/storage/first-error.ts'
import { prefixed, rowPrefix } from '../../src/storage/keys.ts'
import { hashOfKey, RowFilter } from '../../src/storage/row-filter.ts'
import { runs } from '../runs.ts'
import { memoryDisk, openDisk } from './replicas.ts'
import { bytes, must } from './samples.ts'

type Step = () => void

interface Fail {
  with: Error | undefined
  /** If the scan skips something, it reports this when it is finished. */
  unread: Error | undefined
}

/** A filter over an engine whose scans answer when the test tells them to. */
async function filterOver(
  rows: Readonly<Record<number, readonly Uint8Array[]>>,
  filterBytes: number,
): Promise<{ filter: RowFilter; first: FirstError; steps: Step[]; fail: Fail }> {
  const engines: Engine[] = []
  await openDisk(memoryDisk(), undefined, {}, {}, (engine) => {
    engines.push(engine)
    return engine
  })
  const engine = must(engines[0])
  const batch = engine.batch()
  for (const [generation, keys] of Object.entries(rows))
    for (const key of keys) batch.put(prefixed(rowPrefix(Number(generation)), key), bytes('x'))
  await new Promise<void>((resolve, reject) =>
    engine.write(batch, (error) => (error === undefined ? resolve() : reject(error))),
  )
  const steps: Step[] = []
  const fail: Fail = { with: undefined, unread: undefined }
  const held = (scan: Scan): Scan => ({
    next: (pairsMax, done) => {
      expect(pairsMax).toBe(1024)
      scan.next(pairsMax, (error: Error | undefined, pairs: readonly Pair[], ended: boolean) => {
        steps.push(() => (fail.with === undefined ? done(error, pairs, ended) : done(fail.with, [], false)))
      })
    },
    finish: (done) => scan.finish((error) => done(error ?? fail.unread)),
    seek: (key) => scan.seek(key),
    close: () => scan.close(),
  })
  const first = new FirstError()
  const under = { scan: (range: Parameters<Engine['scan']>[0]) => held(engine.scan(range)) }
  const filter = new RowFilter(Object.setPrototypeOf(under, engine), first, filterBytes)
  return { filter, first, steps, fail }
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
  Array.from({ length: count }, (_, at) => bytes(`${of}/${at}`))
const excluded = (filter: RowFilter, keys: readonly Uint8Array[]): number =>
  keys.filter((key) => filter.excludes(hashOfKey(key))).length

test('excludes nothing before it has read all rows, and none of them after', async () => {
  const keys = keysOf(4000)
  const { filter, steps } = await filterOver({ 1: keys, 2: keysOf(1000, 'other') }, 8000)
  const absent = keysOf(10_000, 'absent')
  filter.readAll(1)
  for (let step = 0; step < 4; step++) {
    await turn()
    expect(excluded(filter, absent)).toBe(0)
    must(steps.shift())()
  }
  expect(await readOn(steps)).toBe(1)
  expect(excluded(filter, keys)).toBe(0)
  // At 16 bits a key, one in five hundred is looked for although it is absent.
  expect(excluded(filter, absent)).toBeGreaterThan(9950)
  expect(excluded(filter, keysOf(1000, 'other'))).toBeGreaterThan(985)
})

test('knows what is added while it reads and after', async () => {
  const { filter, steps } = await filterOver({ 1: keysOf(300) }, 2000)
  const [meanwhile, after] = [keysOf(100, 'meanwhile'), keysOf(100, 'after')]
  filter.readAll(1)
  for (const key of meanwhile) filter.add(hashOfKey(key))
  await readOn(steps)
  expect(excluded(filter, meanwhile)).toBe(0)
  expect(excluded(filter, after)).toBeGreaterThan(95)
  for (const key of after) filter.add(hashOfKey(key))
  expect(excluded(filter, [...meanwhile, ...after, ...keysOf(300)])).toBe(0)
})

test('with many more keys than it began with room for, it still knows most that do not exist', async () => {
  const { filter, steps } = await filterOver({ 1: keysOf(2000) }, 100)
  filter.readAll(1)
  await readOn(steps)
  const more = keysOf(30_000, 'more')
  for (const key of more) filter.add(hashOfKey(key))
  expect(excluded(filter, [...keysOf(2000), ...more])).toBe(0)
  expect(excluded(filter, keysOf(10_000, 'absent'))).toBeGreaterThan(9600)
})

test('forgets everything when it reads another generation, also in the middle of one', async () => {
  const [old, now] = [keysOf(2400, 'old'), keysOf(2400, 'new')]
  const { filter, steps } = await filterOver({ 1: old, 2: now }, 8000)
  filter.readAll(1)
  await turn()
  must(steps.shift())()
  await turn()
  filter.readAll(2)
  await readOn(steps)
  expect(excluded(filter, now)).toBe(0)
  expect(excluded(filter, old)).toBeGreaterThan(2380)
  filter.readAll(1)
  expect(excluded(filter, keysOf(100, 'absent'))).toBe(0)
  await readOn(steps)
  expect(excluded(filter, old)).toBe(0)
  expect(excluded(filter, now)).toBeGreaterThan(2380)
})

test('reads nothing and excludes nothing after it is closed', async () => {
  const { filter, steps, first, fail } = await filterOver({ 1: keysOf(2400) }, 2000)
  filter.readAll(1)
  await turn()
  filter.close()
  fail.with = new Error('the scan is closed')
  expect(await readOn(steps)).toBe(1)
  expect(first.error).toBeUndefined()
  expect(excluded(filter, keysOf(100, 'absent'))).toBe(0)
})

test('a step that fails is an error of the storage', async () => {
  const { filter, steps, first, fail } = await filterOver({ 1: keysOf(2400) }, 2000)
  filter.readAll(1)
  await turn()
  fail.with = new Error('EIO')
  expect(await readOn(steps)).toBe(1)
  expect(first.error).toMatchObject({ name: 'StorageFailedError' })
  expect(excluded(filter, keysOf(100, 'absent'))).toBe(0)
})

test('a step that has skipped something is an error of the storage', async () => {
  const { filter, steps, first, fail } = await filterOver({ 1: keysOf(2400) }, 2000)
  filter.readAll(1)
  await turn()
  fail.unread = new Error('Too many open files')
  expect(await readOn(steps)).toBe(1)
  expect(first.error).toMatchObject({ name: 'StorageFailedError' })
  expect(excluded(filter, keysOf(100, 'absent'))).toBe(0)
})

test('after an error of the storage nothing is read', async () => {
  const { filter, steps, first } = await filterOver({ 1: keysOf(2400) }, 2000)
  filter.readAll(1)
  await turn()
  first.fail(new Error('EIO'))
  expect(await readOn(steps)).toBe(1)
})

test('of any size is never wrong about a row that exists', async () => {
  const { filter: some } = await filterOver({ 1: [] }, 1)
  expect(some.excludes(hashOfKey(bytes('x')))).toBe(false)
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      fc.uniqueArray(fc.string({ maxLength: 12 }), { maxLength: 30 }),
      async (filterBytes, names) => {
        const keys = names.map((name) => bytes(name))
        const { filter, steps } = await filterOver({ 1: keys.slice(0, 10) }, filterBytes)
        filter.readAll(1)
        await readOn(steps)
        for (const key of keys.slice(10)) filter.add(hashOfKey(key))
        expect(excluded(filter, keys)).toBe(0)
      },
    ),
    { numRuns: runs(50) },
  )
})

test('the hash of a key is FNV-1a, its high bits folded into the low ones', () => {
  // FNV-1a of "" and of "foobar" as published: 0x811c9dc5 and 0xbf9cf968.
  for (const [text, fnv] of [
    ['', 0x811c9dc5],
    ['foobar', 0xbf9cf968],
  ] as const)
    expect(hashOfKey(bytes(text)) >>> 0).toBe((fnv ^ ((fnv | 0) >>> 15)) >>> 0)
})
