// Records are read from rows of versions: few keys with many versions, and many keys with few. Pages of all sizes, now
// and at every revision, forwards and backwards, are compared with the writes. Scans without values show the same keys.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type KeyRow, keyAfter, type Revision } from '../../../src/operations/forms/index.ts'
import type { SlicedScan } from '../../../src/server/node/read/record-scan.ts'
import { expectEqual } from '../../expect-equal.ts'
import { deleteOf, putOf } from '../../kv/store.ts'
import { runs } from '../../runs.ts'
import { FakeNode } from '../http/fake-node.ts'

interface Change {
  readonly key: string
  readonly isDelete: boolean
  readonly times: number
}

type Shown = readonly string[]

const change = (keys: number): fc.Arbitrary<Change> =>
  fc.record({
    key: fc.nat(keys - 1).map((n) => 'k'.repeat(1 + (n % 3)) + String.fromCharCode(0x30 + n)),
    isDelete: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
    times: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.integer({ min: 15, max: 40 })),
  })

const scenario = fc.integer({ min: 1, max: 12 }).chain((keys) =>
  fc.record({
    changes: fc.array(change(keys), { maxLength: 32, size: 'max' }),
    rowsMax: fc.oneof(...[5, 60, 300].map((max) => fc.integer({ min: 1, max }))),
    bytesMax: fc.oneof(fc.constant(1 << 20), fc.integer({ min: 1, max: 400 })),
    reverse: fc.boolean(),
    start: fc.option(fc.constantFrom('', 'k', 'kk', 'kk2', 'kkk'), { nil: '' }),
    end: fc.option(fc.constantFrom('k9', 'kk3', 'kkkz'), { nil: undefined }),
  }),
)

/** The content of the store at each revision. */
class Written {
  readonly node = new FakeNode()
  readonly at = new Map<number, Map<string, string>>()
  #now = new Map<string, string>()

  run(changes: readonly Change[]): void {
    for (const { key, isDelete, times } of changes) for (let n = 0; n < times; n++) this.#one(key, isDelete)
  }

  #one(key: string, isDelete: boolean): void {
    const value = `${key}@${this.node.revision}`
    this.node.apply(isDelete ? deleteOf(key) : putOf(key, value))
    if (isDelete) this.#now.delete(key)
    else this.#now.set(key, value)
    this.at.set(this.node.revision, new Map(this.#now))
  }
}

function pages<T>(scan: SlicedScan<T>, rowsMax: number, bytesMax: number): Promise<T[]> {
  const found: T[] = []
  return new Promise((resolve, reject) => {
    const next = (): void =>
      scan.next({ rowsMax, bytesMax }, (error, records, more) => {
        if (error !== undefined) return reject(error)
        if (more && records.length === 0) return reject(new Error('a page without a record'))
        found.push(...records)
        if (more) next()
        else scan.finish((unread) => (unread === undefined ? resolve(found) : reject(unread)))
      })
    next()
  })
}

const shown = (record: KeyRow | undefined) =>
  record && { ...record, key: text(record.key), value: text(record.value) }

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

test('a scan gives each key once, with what it held at that revision', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, fc.boolean(), async (drawn, isKnown) => {
      const { changes, rowsMax, bytesMax, reverse, start: from, end: to } = drawn
      const written = new Written()
      const { node, at } = written
      written.run(changes)
      node.headsAreInMemory = isKnown
      const revisions = [...at.keys()]
      const asked = [undefined, ...revisions.filter((_, n) => n % 7 === 0), revisions.at(-1)]
      for (const revision of asked) {
        const [start, end] = [Buffer.from(from), to === undefined ? undefined : Buffer.from(to)]
        const options = { start, end, reverse, revision: revision as Revision | undefined }
        const records = await pages(node.list(options), rowsMax, bytesMax)
        const expected: Shown = [...(at.get(revision ?? node.revision) ?? [])]
          .filter(([key]) => key >= from && (to === undefined || key < to))
          .sort(([a], [b]) => (a < b === reverse ? 1 : -1))
          .map(([key, value]) => `${key}=${value}`)
        expectEqual(
          records.map(({ key, value }) => `${text(key)}=${text(value)}`),
          expected,
        )
        const withoutValues = await pages(node.listMetadata(options), rowsMax, bytesMax)
        expectEqual(
          withoutValues.map(shown),
          records.map((record) => ({
            ...shown({ ...record, value: Buffer.of() }),
            valueBytes: record.value.length,
          })),
        )
        const keys = await pages(node.listKeys(options), rowsMax, bytesMax)
        expectEqual(
          keys.map(({ key, revision: modRevision }) => [text(key), modRevision]),
          records.map(({ key, modRevision }) => [text(key), modRevision]),
        )
      }
      expect(node.openScans).toBe(0)
    }),
    { numRuns: runs(150) },
  )
})

test('a get finds what a scan finds, whether the head of its key is in memory or not', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, fc.boolean(), async ({ changes }, isKnown) => {
      const written = new Written()
      const { node } = written
      written.run(changes)
      node.headsAreInMemory = isKnown
      for (const key of new Set(changes.map((each) => each.key))) {
        const bytes = Buffer.from(key)
        const scanned = node.list({
          start: bytes,
          end: keyAfter(bytes),
          reverse: false,
          revision: undefined,
        })
        const [record] = await pages(scanned, 10, 1000)
        const got = await new Promise<KeyRow | undefined>((resolve) =>
          node.get(bytes, (_, found) => resolve(found)),
        )
        expectEqual(shown(got), shown(record))
      }
    }),
    { numRuns: runs(200) },
  )
})

test('a key with many versions does not lead back to the keys behind it', async () => {
  const written = new Written()
  written.run([{ key: 'k0', isDelete: false, times: 20 }])
  written.run(['k1', 'k2', 'k3', 'k4'].map((key) => ({ key, isDelete: false, times: 1 })))
  const all = { start: Buffer.from(''), end: undefined, reverse: false, revision: undefined }
  for (let rowsMax = 1; rowsMax <= 25; rowsMax++) {
    const records = await pages(written.node.list(all), rowsMax, 1 << 20)
    expect(records.map(({ key }) => text(key))).toEqual(['k0', 'k1', 'k2', 'k3', 'k4'])
  }
})

test('rows without a record are passed over in few reads, however few records are asked for', async () => {
  const written = new Written()
  const { node } = written
  const keys = Array.from({ length: 300 }, (_, n) => `k${n}`)
  for (const isDelete of [false, true]) written.run(keys.map((key) => ({ key, isDelete, times: 1 })))
  written.run([{ key: 'z', isDelete: false, times: 300 }])
  let reads = 0
  node.onSlice = () => {
    reads++
  }
  const middle = (node.revision - 150) as Revision
  for (const reverse of [false, true])
    for (const revision of [undefined, middle]) {
      const options = { start: Buffer.from(''), end: undefined, reverse, revision }
      const records = await pages(node.list(options), 1, 1 << 20)
      expect(records.map(({ modRevision }) => modRevision)).toEqual([revision ?? node.revision])
    }
  expect(reads).toBeLessThan(100)
})

test('a page of so many reads may have no record, and then does not know whether there are any', async () => {
  const written = new Written()
  for (const isDelete of [false, true])
    written.run(Array.from({ length: 50 }, (_, n) => ({ key: `k${n}`, isDelete, times: 1 })))
  written.run([{ key: 'z', isDelete: false, times: 1 }])
  const all = { start: Buffer.from(''), end: undefined, reverse: false, revision: undefined }
  const scan = written.node.list(all)
  const next = (rowsMax: number) =>
    new Promise((resolve, reject) =>
      scan.next({ rowsMax, bytesMax: 1 << 20, readsMax: 2 }, (error, records, more) =>
        error === undefined ? resolve([records.map(({ key }) => text(key)), more]) : reject(error),
      ),
    )
  expect(await next(1)).toEqual([[], undefined])
  expect(await next(0)).toEqual([[], true])
  expect(await next(1)).toEqual([['z'], false])
  scan.close()
})
