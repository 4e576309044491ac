// Calls that are open and wait: what they take is in the budget of requests.

import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GRPC } from '../../../src/etcd/status.ts'
import { AS_BOB, nodeWithUsers } from '../auth/users.ts'
import { type Served, serve } from '../http/served.ts'
import { soon } from '../mux/mux-client.ts'
import { callRpc, frame as message, openSession } from './grpc-call.ts'
import {
  callFields,
  END_STREAM,
  frame,
  headers,
  literal,
  RawHttp2,
  TYPE,
  uint32,
  windowUpdate,
} from './raw-http2.ts'

const KiB = 1024
const token = AS_BOB.Authorization.replace('Bearer ', '')
const key = Buffer.from('app/1')

const held = ({ http }: Served): number => http.inspect().bodyBytes

/** Opens so many calls without their requests, each with so many bytes of metadata. */
function openCalls(
  client: RawHttp2,
  from: number,
  count: number,
  bytes: number,
  path: string = RPC.watch.path,
): void {
  const fields = callFields(path, literal('token', token), literal('x', 'x'.repeat(bytes)))
  for (let n = from; n < from + count; n++) client.write(headers(2 * n + 1, fields))
}

test('an open call counts until it is closed, and its head until it is open', async () => {
  const served = await serve({ node: nodeWithUsers() })
  const client = new RawHttp2(served.port)
  openCalls(client, 0, 1, 0)
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 1, unidentified: 0 }))
  openCalls(client, 1, 499, 8 * KiB)
  await soon(() => expect(served.http.inspect().grpcCalls).toBe(500))
  expect(held(served)).toBeGreaterThan(500 * 2 * KiB)
  expect(held(served)).toBeLessThan(500 * 8 * KiB)
  client.socket.destroy()
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 0, bodyBytes: 0 }))
})

const { watch, range } = RPC
const request = message(range.request.encode({ key }))

test.each<[string, string, (stream: number) => Buffer]>([
  ['are given up', watch.path, (stream) => frame(TYPE.reset, 0, stream, uint32(8))],
  ['are broken', watch.path, (stream) => windowUpdate(stream, 0)],
  ['are answered', range.path, (stream) => frame(TYPE.data, END_STREAM, stream, request)],
  ['are refused', range.path, (stream) => frame(TYPE.data, END_STREAM, stream)],
])('calls that %s count no longer, on a connection that stays', async (_, path, end) => {
  const served = await serve({ node: nodeWithUsers() })
  const client = new RawHttp2(served.port)
  openCalls(client, 0, 1, 0)
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 1, unidentified: 0 }))
  const before = held(served)
  for (let round = 0; round < 2; round++) {
    const first = 1 + 100 * round
    openCalls(client, first, 100, KiB, path)
    await soon(() => expect(served.http.inspect().grpcCalls).toBe(101))
    expect(held(served)).toBeGreaterThan(before + 90 * 4 * KiB)
    for (let n = first; n < first + 100; n++) client.write(end(2 * n + 1))
    await soon(() => expect([served.http.inspect().grpcCalls, held(served)]).toEqual([1, before]))
  }
})

test('metadata of calls that are given up before they are admitted counts no longer', async () => {
  const node = nodeWithUsers()
  const served = await serve({ node })
  const client = new RawHttp2(served.port)
  openCalls(client, 0, 1, 0)
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 1, unidentified: 0 }))
  const before = held(served)
  // A false token is compared with the newest users.
  const waiting: (() => void)[] = []
  node.hold = (go) => void waiting.push(go)
  const fields = callFields(RPC.range.path, literal('token', 'q1.x.y'), literal('x', 'x'.repeat(8 * KiB)))
  const all = Array.from({ length: 50 }, (_, at) => 2 * at + 3)
  for (const stream of all) client.write(headers(stream, fields))
  await soon(() => expect(waiting.length).toBeGreaterThan(0))
  await soon(() => expect(held(served)).toBeGreaterThan(before + 50 * 8 * KiB))
  for (const stream of all) client.write(frame(TYPE.reset, 0, stream, uint32(8)))
  await soon(() => expect([served.http.inspect().grpcCalls, held(served)]).toEqual([1, before]))
  node.hold = undefined
  for (const go of waiting) go()
  expect(await callRpc(openSession(served.port), RPC.range, { key }, { token })).toMatchObject({ status: 0 })
  expect(held(served)).toBe(before)
})

test('the table of fields of a client counts until its connection ends', async () => {
  const served = await serve({ node: nodeWithUsers() })
  const client = new RawHttp2(served.port)
  openCalls(client, 0, 1, 0)
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 1, unidentified: 0 }))
  // A literal of 3,000 bytes with incremental indexing (RFC 7541 §6.2.1).
  const kept = Buffer.concat([Buffer.of(0x40, 1, 0x78, 0x7f, 0xb9, 0x16), Buffer.alloc(3_000, 'x')])
  client.write(headers(3, callFields(RPC.watch.path, literal('token', token), kept)))
  const [call, field] = [4 * KiB, 32 + 1 + 3_000]
  await soon(() => expect(held(served)).toBe(call + field - KiB))
  client.socket.destroy()
  await soon(() => expect(held(served)).toBe(0))
})

test('calls beyond the budget are refused, and others are served again when it is free', async () => {
  const served = await serve({ node: nodeWithUsers(), limits: { bodiesBytesMax: 256 * KiB } })
  const [first, second] = [openSession(served.port), openSession(served.port)]
  // Both are known.
  for (const session of [first, second]) await callRpc(session, RPC.range, { key }, { token })
  const client = new RawHttp2(served.port)
  openCalls(client, 0, 1, 0)
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 1, unidentified: 0 }))
  openCalls(client, 1, 200, 0)
  const ended = (): number => client.frames.filter(({ type }) => type === TYPE.headers).length
  await soon(() => expect(served.http.inspect().grpcCalls + ended()).toBeGreaterThan(200))
  expect(served.http.inspect().grpcCalls).toBeLessThan(70)
  expect(held(served)).toBeLessThanOrEqual(256 * KiB)
  const large = { key, value: Buffer.alloc(100 * KiB) }
  expect(await callRpc(second, RPC.put, large, { token })).toMatchObject({ status: GRPC.resourceExhausted })
  // A single small call has room, whatever others hold.
  expect(await callRpc(second, RPC.range, { key }, { token })).toMatchObject({ status: GRPC.ok })
  client.socket.destroy()
  await soon(() => expect(held(served)).toBe(0))
  expect(await callRpc(second, RPC.put, large, { token })).toMatchObject({ status: GRPC.ok })
})

test('a large value of one key waits while too many answers wait, and its room is given back', async () => {
  const served = await serve({ limits: { answersBytesMax: 64 * KiB } })
  served.node.put('app/1', 'v'.repeat(40 * KiB))
  const session = openSession(served.port)
  const { api } = served
  api.outbound.add(40 * KiB)
  const waiting = callRpc(session, RPC.range, { key })
  await soon(() => expect(api.outbound.waiting).toBe(1))
  api.outbound.remove(40 * KiB)
  expect((await waiting).response?.kvs).toHaveLength(1)
  for (let n = 0; n < 5; n++)
    expect((await callRpc(session, RPC.range, { key })).response?.kvs).toHaveLength(1)
  await soon(() => expect(served.http.inspect().answerBytes).toBe(0))
})
