// Calls that are open and wait: what they take is in the budget of requests.

import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GRPC } from '../../../src/etcd/status.ts'
import { AS_BOB, nodeWithUsers } from '../auth/users.ts'
import { type Served, serve } from '../http/served.ts'
import { soon } from '../mux/mux-client.ts'
import { callRpc, openSession } from './grpc-call.ts'
import { callFields, headers, literal, RawHttp2, TYPE } from './raw-http2.ts'

const KiB = 1024
const token = AS_BOB.Authorization.replace('Bearer ', '')
const key = Buffer.from('app/1')

const held = ({ http }: Served): number => http.inspect().bodyBytes

/** Opens so many watches that do not begin, each with so many bytes of metadata. */
function openCalls(client: RawHttp2, from: number, count: number, bytes: number): void {
  const fields = callFields(RPC.watch.path, literal('token', token), literal('x', 'x'.repeat(bytes)))
  for (let n = from; n < from + count; n++) client.write(headers(2 * n + 1, fields))
}

test('an open call counts until it is closed, and its head until it is open', async () => {
  const served = await serve({ node: nodeWithUsers() })
  const client = new RawHttp2(served.port)
  openCalls(client, 0, 1, 0)
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 1, strangers: 0 }))
  openCalls(client, 1, 499, 8 * KiB)
  await soon(() => expect(served.http.inspect().grpcCalls).toBe(500))
  expect(held(served)).toBeGreaterThan(500 * 2 * KiB)
  expect(held(served)).toBeLessThan(500 * 8 * KiB)
  client.socket.destroy()
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 0, bodyBytes: 0 }))
})

test('the table of fields of a client counts until its connection ends', async () => {
  const served = await serve({ node: nodeWithUsers() })
  const client = new RawHttp2(served.port)
  openCalls(client, 0, 1, 0)
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 1, strangers: 0 }))
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
  await soon(() => expect(served.http.inspect()).toMatchObject({ grpcCalls: 1, strangers: 0 }))
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

test('a large value of one key is refused when too many answers wait, and its room is given back', async () => {
  const served = await serve({ limits: { answersBytesMax: 64 * KiB } })
  served.node.put('app/1', 'v'.repeat(40 * KiB))
  const session = openSession(served.port)
  const { api } = served
  api.outbound.add(40 * KiB)
  const refused = await callRpc(session, RPC.range, { key })
  expect(refused).toMatchObject({ status: GRPC.resourceExhausted, messages: [] })
  api.outbound.remove(40 * KiB)
  for (let n = 0; n < 5; n++)
    expect((await callRpc(session, RPC.range, { key })).response?.kvs).toHaveLength(1)
  await soon(() => expect(served.http.inspect().answerBytes).toBe(0))
})
