// The meaning of etcd's requests where the contract of HTTP says less: each is made through gRPC.

import { expect, onTestFinished, test } from 'vitest'
import {
  COMPARE_RESULTS,
  COMPARE_TARGETS,
  type Compare,
  type PutRequest,
  type RequestOp,
  type TxnRequest,
} from '../../../src/etcd/messages/kv.ts'
import type { WatchRequest, WatchResponse } from '../../../src/etcd/messages/watch.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { put } from '../../../src/server/etcd/services/put.ts'
import { range } from '../../../src/server/etcd/services/range.ts'
import { txn } from '../../../src/server/etcd/services/txn.ts'
import { JSON_TYPE, serve } from '../http/served.ts'
import { callRpc, openSession } from './grpc-call.ts'

const INVALID = 3

type Some<T> = T extends Uint8Array | bigint ? T : { readonly [N in keyof T]?: Some<T[N]> }

async function open() {
  const served = await serve()
  const session = openSession(served.port)
  return {
    ...served,
    put: (request: Partial<PutRequest>) => callRpc(session, put, request),
    get: async (key: string) => {
      const { response } = await callRpc(session, range, { key: Buffer.from(key) })
      const [row] = response?.kvs ?? []
      return row && { ...row, value: Buffer.from(row.value).toString() }
    },
    txn: (request: Some<TxnRequest>) => callRpc(session, txn, request as TxnRequest),
  }
}

const key = Buffer.from('k')
const value = Buffer.from('value')
const NOT_FOUND = { status: INVALID, message: 'etcdserver: key not found' }

test('a put that ignores the value or the lease keeps that of its key', async () => {
  const { ask, get, put } = await open()
  await ask('POST', '/v1/leases', { headers: JSON_TYPE, body: '{"ttl":"60s","id":"7"}' })
  await put({ key, value, lease: 7n })
  expect(await put({ key, value: Buffer.from('new'), ignoreLease: true })).toMatchObject({ status: 0 })
  expect(await get('k')).toMatchObject({ value: 'new', lease: 7n, version: 2 })
  expect(await put({ key, ignoreValue: true })).toMatchObject({ status: 0 })
  expect(await get('k')).toMatchObject({ value: 'new', lease: 0n, version: 3 })
})

test('a put that ignores what does not exist is refused, and so is its whole transaction', async () => {
  const { get, put, txn } = await open()
  for (const ignored of [{ ignoreValue: true }, { ignoreLease: true }]) {
    expect(await put({ key, ...ignored })).toMatchObject(NOT_FOUND)
    const other: Some<RequestOp> = { requestPut: { key: Buffer.from('other'), value } }
    expect(await txn({ success: [other, { requestPut: { key, ...ignored } }] })).toMatchObject(NOT_FOUND)
  }
  expect([await get('k'), await get('other')]).toEqual([undefined, undefined])
})

const compare = (target: string, result: string, to: Some<Compare>): Some<Compare> => ({
  ...{ target: COMPARE_TARGETS.indexOf(target), result: COMPARE_RESULTS.indexOf(result) },
  ...to,
})

/** All keys from `nothing` on: there are none. */
const NOTHING = { key: Buffer.from('nothing'), rangeEnd: Buffer.from('nothinh') }

test('a range without keys compares as a record of zeros, and its value with nothing', async () => {
  const { txn } = await open()
  const holds = async (comparison: Some<Compare>) =>
    (await txn({ compare: [comparison] })).response?.succeeded
  for (const [target, to] of [
    ['VERSION', { version: 0 }],
    ['CREATE', { createRevision: 0 }],
    ['MOD', { modRevision: 0 }],
    ['LEASE', { lease: 0n }],
  ] as const) {
    expect(await holds(compare(target, 'EQUAL', { ...NOTHING, ...to }))).toBe(true)
    for (const result of ['GREATER', 'LESS', 'NOT_EQUAL'])
      expect(await holds(compare(target, result, { ...NOTHING, ...to }))).toBe(false)
  }
  for (const result of COMPARE_RESULTS)
    expect(await holds(compare('VALUE', result, { ...NOTHING, value: Buffer.from('') }))).toBe(false)
})

test('numbers that no key has compare like all others', async () => {
  const { put, txn } = await open()
  await put({ key, value })
  const holds = async (comparison: Some<Compare>) =>
    (await txn({ compare: [comparison] })).response?.succeeded
  for (const at of [{ key }, NOTHING])
    for (const [target, field, one] of [
      ['VERSION', 'version', 1],
      ['CREATE', 'createRevision', 1],
      ['MOD', 'modRevision', 1],
      ['LEASE', 'lease', 1n],
    ] as const)
      for (const [result, isBelow, isAbove] of [
        ['EQUAL', false, false],
        ['NOT_EQUAL', true, true],
        ['GREATER', true, false],
        ['LESS', false, true],
      ] as const) {
        const most = typeof one === 'number' ? 2 ** 62 : 2n ** 63n - 1n
        expect(await holds(compare(target, result, { ...at, [field]: -one }))).toBe(isBelow)
        expect(await holds(compare(target, result, { ...at, [field]: most }))).toBe(isAbove)
      }
})

test('a store that was never compacted can be compacted to its first revision', async () => {
  const { node, port, put } = await open()
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  onTestFinished(() => client.close())
  expect(node.revision).toBe(1)
  await client.unary(RPC.compact, { revision: 1 })
  await put({ key, value })
  await client.unary(RPC.compact, { revision: 1 })
  await client.unary(RPC.compact, { revision: 2 })
  await expect(client.unary(RPC.compact, { revision: 1 })).rejects.toMatchObject({ code: 11 })
})

test('a watch from the compact revision has its events, a deletion too, and none before it', async () => {
  const { ask, node, port, put } = await open()
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  onTestFinished(() => client.close())
  await put({ key, value })
  await put({ key, value })
  await ask('DELETE', '/v1/kv/k')
  const { revision } = node
  await client.unary(RPC.compact, { revision })
  await expect(client.unary(RPC.compact, { revision })).rejects.toMatchObject({
    ...{ code: 11, message: 'etcdserver: mvcc: required revision has been compacted' },
  })
  await expect(client.unary(RPC.leaseGrant, { id: -1n, ttl: 10 })).rejects.toMatchObject({ code: INVALID })
  const stream = client.duplex(RPC.watch)
  const watchFrom = (startRevision: number): void => {
    const request: Some<WatchRequest> = { createRequest: { key, startRevision } }
    stream.send(request as WatchRequest)
  }
  watchFrom(revision)
  const received: Partial<WatchResponse>[] = []
  for await (const response of stream) {
    received.push(response)
    if (received.length === 2) watchFrom(revision - 1)
    if (received.length === 4) break
  }
  expect(received).toMatchObject([
    { created: true },
    { events: [{ type: 1, kv: { modRevision: revision } }] },
    { created: true },
    // From here on the client watches again.
    { canceled: true, compactRevision: revision },
  ])
})

const records = (answer: Awaited<ReturnType<Awaited<ReturnType<typeof open>>['txn']>>): unknown =>
  answer.response?.responses.map(({ responseRange }) =>
    responseRange?.kvs.map((row) => `${Buffer.from(row.value)}@${row.modRevision}`),
  )

test('a get in a transaction may be at a revision, whether the transaction changes something or not', async () => {
  const { node, put, txn } = await open()
  await put({ key, value: Buffer.from('1') })
  const before = node.revision
  await put({ key, value: Buffer.from('2') })
  const past: Some<RequestOp> = { requestRange: { key, revision: before } }
  const wholePast: Some<RequestOp> = {
    requestRange: { key: Buffer.from('a'), rangeEnd: Buffer.from('z'), revision: before, keysOnly: true },
  }
  const now: Some<RequestOp> = { requestRange: { key } }
  expect(records(await txn({ success: [past, now, wholePast] }))).toEqual([
    ...[[`1@${before}`], [`2@${before + 1}`], [`@${before}`]],
  ])
  const change: Some<RequestOp> = { requestPut: { key, value: Buffer.from('3') } }
  expect(records(await txn({ success: [change, past, now, wholePast] }))).toEqual([
    ...[undefined, [`1@${before}`], [`3@${before + 2}`], [`@${before}`]],
  ])
})

test('a get at a revision that cannot be read refuses the whole transaction', async () => {
  const { ask, get, node, put, txn } = await open()
  for (const text of ['1', '2', '3']) await put({ key, value: Buffer.from(text) })
  const { revision } = node
  const compaction = JSON.stringify({ revision: revision - 1 })
  await ask('POST', '/v1/compact', { headers: JSON_TYPE, body: compaction })
  const other: Some<RequestOp> = { requestPut: { key: Buffer.from('other'), value } }
  for (const [at, message] of [
    [revision - 2, 'etcdserver: mvcc: required revision has been compacted'],
    [revision + 1, 'etcdserver: mvcc: required revision is a future revision'],
    [2 ** 62, 'etcdserver: mvcc: required revision is a future revision'],
  ] as const)
    for (const changes of [[], [other]])
      expect(await txn({ success: [...changes, { requestRange: { key, revision: at } }] })).toMatchObject({
        ...{ status: 11, message },
      })
  expect(await get('other')).toBe(undefined)
})

test('values have up to 1.5 MiB, or what the setting says, and are read over HTTP too', async () => {
  const { ask, put } = await open()
  const large = Buffer.alloc(1.5 * 2 ** 20, 1)
  const tooLarge = { status: INVALID, message: 'etcdserver: request is too large' }
  expect(await put({ key, value: large })).toMatchObject({ status: 0 })
  expect(await put({ key, value: Buffer.alloc(large.length + 1) })).toMatchObject(tooLarge)
  const change = (valueBytesMax: number) =>
    ask('POST', '/v1/cluster/settings', {
      headers: JSON_TYPE,
      body: JSON.stringify({ value_bytes_max: valueBytesMax }),
    })
  // As a cluster that was founded by 0.1.0 has it.
  expect((await change(2 ** 20)).status).toBe(200)
  expect(await put({ key, value: large })).toMatchObject(tooLarge)
  expect((await change(large.length)).status).toBe(200)
  expect(await put({ key, value: large })).toMatchObject({ status: 0 })
  expect((await ask('GET', '/v1/kv/k')).bytes.equals(large)).toBe(true)
  // Over HTTP a value is no larger than before.
  expect((await ask('PUT', '/v1/kv/k', { body: large })).json.code).toBe('value_too_large')
})
