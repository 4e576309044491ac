// The cost of counts, in rows that are read, and the counts that are known and must not be used.

import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { historyAfter } from '../../../src/kv/history.ts'
import { initialState } from '../../../src/kv/index.ts'
import { asRevision, type KeyRange } from '../../../src/operations/forms/index.ts'
import { Api } from '../../../src/server/api/api.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import { RangeCounts } from '../../../src/server/api/range-counts.ts'
import { nodeWithUsers, permit } from '../auth/users.ts'
import { base64, ETCD_WIRES, fromBase64, type Json } from '../etcd/wires.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { readPage } from './pages.ts'

const nameOf = (at: number): string => `k/${String(at).padStart(3, '0')}`

function filled(keys: number, node = new FakeNode()): FakeNode {
  for (let at = 0; at < keys; at++) node.put(nameOf(at), 'v')
  node.rowsRead = 0
  return node
}

const newApi = (node: FakeNode): Api =>
  new Api({ node, limits: apiLimits, version: '', failed: (error) => expect.fail(error.message) })

const bytes = (text: string): Uint8Array => Buffer.from(text)
const rangeOf = (start: string, end: string | undefined): KeyRange => ({
  start: bytes(start),
  end: end === undefined ? undefined : bytes(end),
})
const ALL = rangeOf('k/', 'k0')

/** The rows that `read` reads. */
async function rowsRead(node: FakeNode, read: () => Promise<unknown>): Promise<number> {
  const before = node.rowsRead
  await read()
  await node.scansClosed()
  return node.rowsRead - before
}

/** Reads the keys from `k/` to before `k0` in pages. Returns the rows that each page has read. */
async function list(
  node: FakeNode,
  port: number,
  open: (typeof ETCD_WIRES)[number][1],
  limit: number,
  options: object,
): Promise<readonly number[]> {
  const call = open(port)
  const rows: number[] = []
  let revision = '0'
  let [key, end] = ['k/', 'k0']
  let before: number | undefined
  for (;;) {
    let found: Json
    rows.push(
      await rowsRead(node, async () => {
        const request = { key: base64(key), range_end: base64(end), limit, revision, ...options }
        const { responses } = await call(RPC.range, request)
        found = responses[0]
      }),
    )
    const { header, kvs, more, count } = found
    if (before !== undefined) expect(Number(count)).toBe(before - limit)
    before = Number(count)
    if (!more) return rows
    revision = header.revision
    const last = fromBase64(kvs.at(-1).key)
    if ('sort_order' in options) end = last
    else key = `${last}\0`
  }
}

// A page reads its rows, and one more to know whether there are more. Backwards a key is known when the next one is
// read, and another read has 16 rows.
test.each(ETCD_WIRES)('%s: a range that is read in pages is counted once', async (_, open) => {
  const node = filled(100)
  const { port } = await serve({ node })
  expect(await list(node, port, open, 25, {})).toEqual([126, 26, 26, 25])
  node.put('other', 'v')
  expect(await list(node, port, open, 25, { sort_order: 'DESCEND' })).toEqual([142, 42, 42, 25])
})

test('a range that a page holds as a whole is not counted', async () => {
  const node = filled(100)
  const { port } = await serve({ node })
  for (const [, open] of ETCD_WIRES)
    for (const limit of [0, 100, 101]) expect(await list(node, port, open, limit, {})).toEqual([100])
})

test('a stream of a whole range is not counted', async () => {
  const node = filled(100)
  const { port } = await serve({ node })
  for (const [name, open] of ETCD_WIRES)
    for (const [limit, rows] of [
      [0, 100],
      [60, 161],
    ] as const) {
      const call = open(port)
      const request = { key: base64('k/'), range_end: base64('k0'), limit }
      let last: Json
      const read = await rowsRead(node, async () => {
        last = (await call(RPC.rangeStream, request)).responses.at(-1)
      })
      expect([name, read, last.range_response.count]).toEqual([name, rows, '100'])
      node.put('other', 'v')
    }
})

test('the number of all keys is known', async () => {
  const node = filled(100)
  const api = newApi(node)
  for (const start of ['', '\0'])
    expect(
      await rowsRead(node, async () => {
        const all = rangeOf(start, undefined)
        expect(await readPage(api, { range: all, countOnly: true })).toMatchObject({ count: 100 })
        expect(await readPage(api, { range: all, limit: 1, count: true })).toMatchObject({ count: 100 })
      }),
    ).toBe(2)
})

test('a range is counted again when the store has changed', async () => {
  const node = filled(100)
  const api = newApi(node)
  const count = async (): Promise<number | undefined> => {
    const page = await readPage(api, { range: ALL, countOnly: true })
    return page === 'compacted' ? undefined : page.count
  }
  expect(await rowsRead(node, count)).toBe(100)
  expect(await rowsRead(node, count)).toBe(0)
  node.put('k/1', 'v')
  expect(await rowsRead(node, count)).toBe(101)
  expect(await count()).toBe(101)
})

test('a count that its client has abandoned is not kept', async () => {
  const node = filled(3_000)
  const api = newApi(node)
  let isAbandoned = false
  node.onSlice = () => {
    isAbandoned = true
  }
  await readPage(api, { range: ALL, countOnly: true }, undefined, () => isAbandoned)
  node.onSlice = undefined
  expect(await readPage(api, { range: ALL, countOnly: true })).toMatchObject({ count: 3_000 })
})

test('a user receives no count of keys that he may not read', async () => {
  const node = filled(10, nodeWithUsers())
  for (const key of ['app/1', 'app/2', 'app/3']) node.put(key, 'v')
  const api = newApi(node)
  const [root, bob] = ['root', 'bob'].map((user) => ({ user, epoch: undefined }))
  const [all, part] = [rangeOf('\0', undefined), rangeOf('app/', 'app0')]
  for (const range of [all, ALL, part]) await readPage(api, { range, limit: 1, count: true }, root)
  const count = (range: KeyRange) => readPage(api, { range, countOnly: true }, bob)
  expect(await count(part)).toMatchObject({ count: 3 })
  for (const range of [all, ALL])
    await expect(count(range)).rejects.toMatchObject({ code: 'permission_denied' })
  permit(node, { access: 'read', range: ALL })
  expect(await count(ALL)).toMatchObject({ count: 10 })
  await expect(count(part)).rejects.toMatchObject({ code: 'permission_denied' })
})

test('a snapshot replaces what was counted', async () => {
  const node = filled(10)
  const api = newApi(node)
  const { revision } = node
  const page = { range: ALL, limit: 4, count: true }
  expect(await readPage(api, page)).toMatchObject({ count: 10 })
  const newest = asRevision(revision + 5)
  node.clear({ ...initialState(), revision: newest, history: historyAfter(newest) })
  expect(await readPage(api, page)).toMatchObject({ count: 0, revision: newest })
  expect(await readPage(api, { ...page, revision })).toBe('compacted')
})

test('few ranges are known, and none whose bounds are longer than keys', () => {
  const counts = new RangeCounts(apiLimits.rangeCountsMax)
  const revision = asRevision(7)
  const known = (range: KeyRange): boolean => counts.find(range, revision) !== undefined
  const ranges = Array.from({ length: 1_025 }, (_, at) => rangeOf(nameOf(at), undefined))
  for (const range of ranges.slice(0, 1_024)) counts.set(range, revision, 1)
  const [first, second, ...others] = ranges
  if (first === undefined || second === undefined) expect.fail()
  expect(known(first)).toBe(true)
  counts.set(ranges[1_024] ?? expect.fail(), revision, 1)
  expect([known(first), known(second), others.filter(known).length]).toEqual([true, false, 1_023])
  const long = rangeOf('k'.repeat(4_098), undefined)
  counts.set(long, revision, 1)
  expect(known(long)).toBe(false)
})
