// The recorded outcome for every way in which a call of etcd's API can end. A wrong "certainly not applied" would hide
// a lost write, or invent one.

import { once } from 'node:events'
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { buffer } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { GrpcWireClient } from '../../../jepsen-lite/local/wires/grpc/wire-client.ts'
import type { OneRequest } from '../../../jepsen-lite/local/wires/wire.ts'
import type { HistoryOperation } from '../../../jepsen-lite/workload/history.ts'
import { readLists } from '../../../jepsen-lite/workload/transaction.ts'
import { FRAME_HEAD_BYTES, withFrameHead } from '../../../src/etcd/frames.ts'
import type { KeyValue } from '../../../src/etcd/messages/kv.ts'
import { RPC, type RpcDescription } from '../../../src/etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../src/etcd/status.ts'

type Answer = (stream: ServerHttp2Stream) => void

/** Answers the calls it gets in this order; keeps their paths and messages. */
async function node(...answers: Answer[]) {
  const calls: { readonly path: string; readonly message: Uint8Array }[] = []
  const server = createServer()
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => sessions.add(session))
  server.on('stream', async (stream, headers) => {
    stream.on('error', () => {})
    const message = (await buffer(stream)).subarray(FRAME_HEAD_BYTES)
    calls.push({ path: String(headers[':path']), message })
    answers.shift()?.(stream)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  return { port: Number(Object(server.address()).port), calls }
}

const HEAD = { ':status': 200, 'content-type': 'application/grpc' }

const responses =
  <Q, A>(rpc: RpcDescription<Q, A>, ...all: readonly object[]): Answer =>
  (stream) => {
    stream.respond(HEAD, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    const frames = all.map((each) => withFrameHead(rpc.response.encode(each as Partial<A>, FRAME_HEAD_BYTES)))
    stream.end(Buffer.concat(frames))
  }
const refusal =
  ({ code, message }: GrpcError): Answer =>
  (stream) =>
    stream.respond({ ...HEAD, 'grpc-status': code, 'grpc-message': message }, { endStream: true })
const hangUp: Answer = (stream) => stream.session?.destroy()
const never: Answer = () => {}

const header = (revision: number) => ({ clusterId: 1n, memberId: 1n, revision, raftTerm: 1 })
const row = (key: string, createRevision: number, modRevision: number, version: number): KeyValue => ({
  ...{ key: Buffer.from(key), value: Buffer.from(`v${modRevision}`), createRevision, modRevision, version },
  lease: 0n,
})

async function ends(op: HistoryOperation | OneRequest, port: number, timeoutMs = 2_000) {
  const client = new GrpcWireClient()
  onTestFinished(() => client.close())
  return client.perform(port, op, timeoutMs)
}

const put: HistoryOperation = { f: 'put', key: 'a/b', value: 'x' }
const get: HistoryOperation = { f: 'get', key: 'a/b' }
const fail = (why: string) => ({ kind: 'fail', why, unreachable: false })
const unknown = (why: string) => ({ kind: 'unknown', why })
const status = (code: number, text: string) => refusal(new GrpcError(code, text))

test.each([
  [
    'made, of a new key',
    responses(RPC.put, { header: header(7) }),
    { kind: 'ok', result: { revision: 7, modRevision: 7, version: 1 } },
  ],
  [
    'made, of a known key',
    responses(RPC.put, { header: header(7), prevKv: row('a/b', 3, 5, 2) }),
    { kind: 'ok', result: { revision: 7, modRevision: 7, version: 3 } },
  ],
  [
    'made over a record that is newer',
    responses(RPC.put, { header: header(7), prevKv: row('a/b', 3, 8, 2) }),
    { ...unknown('wrong answer'), wrong: expect.any(String) },
  ],
  ['no leader', refusal(ETCD_ERRORS.noLeader), fail('etcdserver: no leader')],
  ['too many', refusal(ETCD_ERRORS.tooManyRequests), fail('etcdserver: too many requests')],
  ['full', refusal(ETCD_ERRORS.noSpace), fail('etcdserver: mvcc: database space exceeded')],
  ['nobody knows', refusal(ETCD_ERRORS.timeout), unknown('etcdserver: request timed out')],
  ['the node stops', refusal(ETCD_ERRORS.stopped), unknown('etcdserver: server stopped')],
  ['its time is over', status(GRPC.deadlineExceeded, 'late'), unknown('late')],
  ['a defect', status(GRPC.internal, 'defect'), unknown('defect')],
  [
    'refused, although it was correct',
    refusal(ETCD_ERRORS.emptyKey),
    { ...fail('etcdserver: key is not provided'), wrong: expect.any(String) },
  ],
  ['connection lost', hangUp, { kind: 'unknown', why: expect.any(String) }],
])('a put: %s', async (_, answer, expected) => {
  const { port } = await node(answer)
  expect(await ends(put, port)).toEqual(expected)
})

test('a put that is never answered is unknown, a get has certainly changed nothing', async () => {
  const { port } = await node(never, never)
  expect(await ends(put, port, 20)).toEqual(unknown('no answer in time'))
  expect(await ends(get, port, 20)).toEqual(fail('no answer in time'))
})

test('a put of which no byte left has failed', async () => {
  expect(await ends(put, 1)).toEqual({ kind: 'fail', why: 'ECONNREFUSED', unreachable: true })
})

test('a read shows its key and no other', async () => {
  const { port } = await node(
    responses(RPC.range, { header: header(9), kvs: [row('a/b', 3, 5, 2)], count: 1 }),
    responses(RPC.range, { header: header(9) }),
    responses(RPC.range, { header: header(9), kvs: [row('a/c', 3, 5, 2)], count: 1 }),
    responses(RPC.range, { header: header(9), kvs: [row('a/b', 3, 5, 9)], count: 1 }),
    responses(RPC.range, {}),
    refusal(ETCD_ERRORS.compacted),
  )
  const result = { revision: 9, served: 'linearizable' }
  expect(await ends(get, port)).toEqual({
    kind: 'ok',
    result: { value: 'v5', modRevision: 5, version: 2, ...result },
  })
  expect(await ends(get, port)).toEqual({ kind: 'ok', result: { value: null, ...result } })
  for (let wrong = 0; wrong < 3; wrong++)
    expect(await ends(get, port)).toEqual({ ...fail('wrong answer'), wrong: expect.any(String) })
  expect(await ends({ ...get, at: 4 }, port)).toEqual({ kind: 'ok', result: { applied: false } })
})

test('a condition is compared in a transaction, whose refusal says where the key is', async () => {
  const responseRange = { kvs: [row('a/b', 3, 5, 2)] }
  const made = { responsePut: { prevKv: row('a/b', 3, 5, 2) } }
  const { port, calls } = await node(
    responses(RPC.txn, { header: header(9), succeeded: false, responses: [{ responseRange }] }),
    responses(RPC.txn, { header: header(9), succeeded: true, responses: [made] }),
    responses(RPC.txn, { header: header(9), succeeded: true, responses: [{ responseRange }] }),
  )
  expect(await ends({ ...put, ifRevision: 4 }, port)).toEqual({
    kind: 'ok',
    result: { applied: false, current: 5, revision: 9 },
  })
  expect(await ends({ ...put, ifRevision: 5 }, port)).toEqual({
    kind: 'ok',
    result: { revision: 9, modRevision: 9, version: 3 },
  })
  expect(await ends({ ...put, ifAbsent: true }, port)).toEqual({
    ...unknown('wrong answer'),
    wrong: expect.any(String),
  })
  const compared = calls.map(({ message }) => RPC.txn.request.decode(message).compare[0]?.modRevision)
  expect(compared).toEqual([4, 5, 0])
})

test('a list goes on after a key, and counts the keys of its whole range at the same revision', async () => {
  const listed = { responseRange: { kvs: [row('k2', 3, 3, 1)], more: true, count: 2 } }
  const counted = { responseRange: { count: 4 } }
  const { port, calls } = await node(
    responses(RPC.txn, { header: header(9), succeeded: true, responses: [listed, counted] }),
  )
  const op: HistoryOperation = { f: 'range', prefix: 'k', after: 'k1', limit: 1, count: true }
  expect(await ends(op, port)).toEqual({
    kind: 'ok',
    result: {
      ...{ rows: [{ key: 'k2', value: 'v3', modRevision: 3, version: 1 }], more: true, next: 'k2', count: 4 },
      ...{ revision: 9, served: 'linearizable' },
    },
  })
  const [first] = calls.map(({ message }) => RPC.txn.request.decode(message).success[0]?.requestRange)
  expect([first?.key, first?.rangeEnd].map((key) => Buffer.from(key ?? []).toString())).toEqual(['k1\0', 'l'])
})

test('a stream has all of its parts, and the last one has the revision', async () => {
  const part = (key: string, rest: object = {}) => ({ rangeResponse: { kvs: [row(key, 3, 3, 1)], ...rest } })
  const last = { header: header(9), count: 2 }
  const { port } = await node(
    responses(RPC.rangeStream, part('k1'), part('k2', last)),
    responses(RPC.rangeStream, part('k1', last), part('k2')),
  )
  const op: HistoryOperation = { f: 'range', prefix: 'k', stream: true }
  expect(await ends(op, port)).toMatchObject({ kind: 'ok', result: { count: 2, revision: 9 } })
  expect(await ends(op, port)).toEqual({ ...fail('wrong answer'), wrong: expect.any(String) })
})

test('leases have whole seconds, and one that is gone is an answer', async () => {
  const { port } = await node(
    responses(RPC.leaseGrant, { header: header(2), id: 77n, ttl: 2 }),
    responses(RPC.leaseKeepAlive, { header: header(2), id: 77n, ttl: 2 }),
    responses(RPC.leaseKeepAlive, { header: header(2), id: 77n, ttl: 0 }),
    refusal(ETCD_ERRORS.leaseNotFound),
    responses(RPC.leaseTimeToLive, { header: header(2), id: 77n, ttl: -1 }),
    refusal(ETCD_ERRORS.leaseNotFound),
  )
  const gone = { kind: 'ok', result: { applied: false } }
  expect(await ends({ f: 'grant', ttlMs: 1_500 }, port)).toEqual({
    kind: 'ok',
    result: { lease: '77', ttlMs: 2_000 },
  })
  expect(await ends({ f: 'keep-alive', lease: '77' }, port)).toEqual({ kind: 'ok', result: { ttlMs: 2_000 } })
  expect(await ends({ f: 'keep-alive', lease: '77' }, port)).toEqual(gone)
  expect(await ends({ f: 'revoke', lease: '77' }, port)).toEqual(gone)
  expect(await ends({ f: 'lease', lease: '77' }, port)).toEqual(gone)
  expect(await ends({ ...put, lease: '77' }, port)).toEqual(gone)
})

test('a transaction that does not answer each of its reads is wrong', async () => {
  const { port } = await node(
    responses(RPC.txn, { header: header(9), succeeded: true, responses: [{ responseRange: {} }] }),
  )
  const client = new GrpcWireClient()
  onTestFinished(() => client.close())
  expect(await client.transact(port, readLists(1, ['k1', 'k2']), 2_000)).toEqual(
    [1, 2].map(() => ({ ...fail('wrong answer'), wrong: expect.any(String) })),
  )
})
