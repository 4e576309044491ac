// Responses to ranges, however many keys there are, and the memory that their rows take.

import { describe, expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import type { HttpLimits } from '../../../src/server/listener/limits.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { callRpc, frame, openSession } from './grpc-call.ts'
import { base64, ETCD_WIRES, fromBase64, type Json } from './wires.ts'

const KiB = 1024
const ALL = { key: base64('\0'), range_end: base64('\0') }

describe.each(ETCD_WIRES)('%s', (_, open) => {
  test('rows that are sorted by something else than their keys are kept up to a limit', async () => {
    const node = new FakeNode()
    for (let at = 0; at < 150; at++) node.put(`k${at}`, 'v')
    const { port, http } = await serve({ node, limits: { etcdSortBytesMax: 64 * KiB } })
    const call = open(port)
    const errorOf = async (part: object) => (await call(RPC.range, { ...ALL, ...part })).error
    for (const sort_target of ['MOD', 'VALUE'])
      expect(await errorOf({ sort_target })).toBe(
        '8 etcdserver: sorting this range takes more than 65536 bytes of memory: set a limit, or sort by key',
      )
    // In the order of keys nothing is kept, and a filter leaves rows out before.
    for (const part of [
      {},
      { sort_order: 'DESCEND' },
      { min_mod_revision: 2 },
      { sort_target: 'MOD', min_mod_revision: 100 },
    ])
      expect(await errorOf(part)).toBeUndefined()
    await node.scansClosed()
    await expect.poll(() => http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0, ranges: 0 })
  })

  test('of sorted rows with a limit only the first ones are kept', async () => {
    const node = new FakeNode()
    for (let at = 0; at < 5_000; at++) node.put(`k${at}`, 'v'.repeat(100))
    const { port, http } = await serve({ node, limits: { etcdSortBytesMax: 2 * 1024 * KiB } })
    const request = { ...ALL, sort_target: 'MOD', sort_order: 'DESCEND', limit: 3 }
    const { responses, error } = await open(port)(RPC.range, request)
    const [{ kvs, more, count }] = responses as [Json]
    expect([error, more, count]).toEqual([undefined, true, '5000'])
    expect(kvs.map(({ key }: Json) => fromBase64(key))).toEqual(['k4999', 'k4998', 'k4997'])
    await node.scansClosed()
    await expect.poll(() => http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0, ranges: 0 })
  })

  test('chunks of a stream grow by their size in the response', async () => {
    const node = new FakeNode()
    for (let at = 0; at < 12_000; at++) node.put(`k${at}`, 'v')
    const { port } = await serve({ node })
    const { responses } = await open(port)(RPC.rangeStream, ALL)
    const sizes = responses.map(({ range_response: { kvs } }) => (kvs as Json[]).length)
    expect(sizes).toEqual([10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120, 1_770])
  })

  test('rows are those of the range in its order, however many there are', async () => {
    const node = new FakeNode()
    const names = Array.from({ length: 600 }, (_, at) => `k${String(at).padStart(3, '0')}`)
    for (const [at, name] of names.entries()) node.put(name, `value ${at}`)
    const { port } = await serve({ node })
    const call = open(port)
    for (const limit of [0, 1, 255, 256, 257, 512, 599, 600, 601])
      for (const sort_order of ['ASCEND', 'DESCEND']) {
        const { responses } = await call(RPC.range, { ...ALL, limit, sort_order })
        const [{ kvs, more = false, count }] = responses as [Json]
        const all = sort_order === 'ASCEND' ? names : names.toReversed()
        const expected = limit === 0 ? all : all.slice(0, limit)
        const found = kvs.map(({ key, value, mod_revision }: Json) => [
          fromBase64(key),
          fromBase64(value),
          mod_revision,
        ])
        expect(found).toEqual(
          expected.map((name) => [name, `value ${names.indexOf(name)}`, `${names.indexOf(name) + 2}`]),
        )
        expect([limit, more, count]).toEqual([limit, expected.length < 600, '600'])
      }
  })

  test('rows in another order are those of the range, however many there are', async () => {
    const node = new FakeNode()
    const names = Array.from({ length: 1_500 }, (_, at) => `k${String(at).padStart(4, '0')}`)
    const numberOf = (name: string): string => String((Number(name.slice(1)) * 7) % 100).padStart(2, '0')
    for (const name of names) node.put(name, numberOf(name))
    const { port } = await serve({ node })
    const call = open(port)
    const sorted = names.toSorted((a, b) => Number(numberOf(b)) - Number(numberOf(a)))
    for (const limit of [0, 1, 257, 1_499, 1_500])
      for (const keys_only of [false, true]) {
        const request = { ...ALL, limit, keys_only, sort_target: 'VALUE', sort_order: 'DESCEND' }
        const { responses } = await call(RPC.range, request)
        const [{ kvs, more = false, count }] = responses as [Json]
        const expected = limit === 0 ? sorted : sorted.slice(0, limit)
        expect(kvs.map(({ key, value }: Json) => [fromBase64(key), fromBase64(value)])).toEqual(
          expected.map((name) => [name, keys_only ? '' : numberOf(name)]),
        )
        expect([more, count]).toEqual([expected.length < 1_500, '1500'])
      }
  })
})

const EVERYTHING = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) }
const ORDERS = Object.entries({ KEY: 0, MOD: 3 })

/** A node with 300 KB of rows, of which an answer is not held. */
async function serveLarge(limits: Partial<HttpLimits> = {}) {
  const node = new FakeNode()
  for (let at = 0; at < 300; at++) node.put(`k${at}`, 'v'.repeat(1_000))
  const held = { etcdHeldBytesMax: 1_000, etcdHeldTogetherBytesMax: 0 }
  return await serve({ node, limits: { ...held, ...limits } })
}

test.each(ORDERS)(
  'a range in the order of %s that its client takes too slowly ends',
  async (_, sortTarget) => {
    const { http, node, port } = await serveLarge({ streamMsMax: 0 })
    const { status } = await callRpc(openSession(port), RPC.range, { ...EVERYTHING, sortTarget })
    expect(status).toBe(8)
    await node.scansClosed()
    await expect.poll(() => http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0, ranges: 0 })
  },
)

/** Opens a range whose client takes nothing: the window of HTTP/2 fills. Sorted by its last revisions unless given. */
function openUntaken(port: number, sort_target = 'MOD', { path }: { readonly path: string } = RPC.range) {
  const stream = openSession(port).request({
    ...{ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' },
  })
  stream.on('error', () => {})
  stream.end(frame(RPC.range.request.encode(RPC.range.request.fromJson({ ...ALL, sort_target }))))
  stream.pause()
  return stream
}

/** RPCs and the orders of their ranges. */
test.each([
  ['range', 'KEY', 0],
  ['range', 'MOD', 3],
  ['rangeStream', 'KEY', 0],
] as const)(
  'a %s in the order of %s leaves its turn after its time, though its client takes nothing more of it',
  async (rpc, name, sortTarget) => {
    // One stream at a time. A client that takes a byte now and then is never cut.
    const limits = { rangesMax: 6, streamMsMax: 100, writeStallMsMax: 3_600_000 }
    const { http, node, port } = await serveLarge(limits)
    const slow = openUntaken(port, name, RPC[rpc])
    await expect.poll(() => http.inspect().answerBytes).toBeGreaterThan(64 * KiB)
    await node.scansClosed()
    const whole = { ...EVERYTHING, sortTarget }
    const { response } = await callRpc(openSession(port), RPC.range, whole, { 'grpc-timeout': '10S' })
    expect(response).toMatchObject({ count: 300 })
    expect(http.inspect().answerBytes).toBeGreaterThan(64 * KiB)
    slow.close()
    await expect.poll(() => http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0, ranges: 0 })
  },
)

test('a sorted range has no scan open while its client takes it', async () => {
  const { http, node, port } = await serveLarge()
  openUntaken(port)
  await expect.poll(() => http.inspect().answerBytes).toBeGreaterThan(100_000)
  await expect.poll(() => [http.inspect().ranges, node.openScans]).toEqual([0, 0])
  expect(http.inspect().answerBytes).toBeGreaterThan(100_000)
})

test('a range in the order of keys is read while sorted ones wait for each other', async () => {
  const { http, node, port } = await serveLarge({ rangesMax: 12 })
  const first = openUntaken(port)
  await expect.poll(() => http.inspect().answerBytes).toBeGreaterThan(100_000)
  const session = openSession(port)
  const list = (sortTarget: number) => callRpc(session, RPC.range, { ...EVERYTHING, sortTarget })
  const sorted = Array.from({ length: 20 }, () => list(3))
  // Two reads have their turn at a time.
  await expect.poll(() => node.asked.length).toBeGreaterThanOrEqual(5)
  for (let round = 0; round < 20; round++) expect((await list(0)).response).toMatchObject({ count: 300 })
  first.close()
  for (const answer of sorted) expect((await answer).response).toMatchObject({ count: 300 })
  await expect.poll(() => http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0, ranges: 0 })
})

/** Names of RPCs, and the scans that one of their streams has. */
test.each([
  ['range', 2],
  ['rangeStream', 1],
] as const)(
  'ranges are read while more clients than have turns are slow to take a %s',
  async (rpc, scans) => {
    // Two streams, and two other reads.
    const { http, node, port } = await serveLarge({ rangesMax: 12 })
    const slow = Array.from({ length: 5 }, () => openUntaken(port, 'KEY', RPC[rpc]))
    // The others wait.
    await expect.poll(() => http.inspect().ranges).toBe(2 * scans)
    const session = openSession(port)
    for (let at = 0; at < 3; at++) {
      const one = { ...EVERYTHING, limit: 1 }
      const { message, response } = await callRpc(session, RPC.range, one, { 'grpc-timeout': '10S' })
      expect([message, response?.count]).toEqual(['', 300])
    }
    // The others are read when these have gone.
    const whole = callRpc(session, RPC.range, EVERYTHING)
    for (const stream of slow) stream.close()
    expect((await whole).response?.kvs).toHaveLength(300)
    await node.scansClosed()
    await expect.poll(() => http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0, ranges: 0 })
  },
)

test('a range that has waited for the turn of a stream, and is small by then, leaves it', async () => {
  const { http, node, port } = await serveLarge({ rangesMax: 12 })
  const slow = [openUntaken(port, 'KEY'), openUntaken(port, 'KEY')]
  await expect.poll(() => http.inspect().ranges).toBe(4)
  const before = node.asked.length
  const waiting = callRpc(openSession(port), RPC.range, EVERYTHING)
  await expect.poll(() => node.asked.length).toBeGreaterThan(before)
  await expect.poll(() => http.inspect().ranges).toBe(4)
  const range = { start: new Uint8Array(), end: undefined }
  node.apply({ kind: 'delete-range', range })
  slow[0]?.close()
  expect((await waiting).response).toMatchObject({ count: 0 })
  slow[1]?.close()
  await node.scansClosed()
  // Both turns are free again.
  for (let at = 0; at < 300; at++) node.put(`k${at}`, 'v'.repeat(1_000))
  for (let at = 0; at < 2; at++) openUntaken(port, 'KEY')
  await expect.poll(() => http.inspect().ranges).toBe(4)
})
