// gRPC over HTTP/2, as its protocol describes it.

import { describe, expect, test, vi } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GRPC } from '../../../src/etcd/status.ts'
import { put } from '../../../src/server/etcd/services/put.ts'
import { range } from '../../../src/server/etcd/services/range.ts'
import { quickPasswords } from '../../quick-passwords.ts'
import { BOB_PASSWORD, basic, nodeWithUsers } from '../auth/users.ts'
import { type Served, serve } from '../http/served.ts'
import { callGrpc, callRpc, frame as message, openSession } from './grpc-call.ts'
import { callFields, END_STREAM, frame, headers, literal, RawHttp2, TYPE, windowUpdate } from './raw-http2.ts'

quickPasswords()

const key = Buffer.from('a')
const value = Buffer.from('1')
const putRequest = message(put.request.encode({ key, value }))

test.each([
  ['another media type', { 'content-type': 'application/json' }, undefined],
  ['its media type with a suffix', { 'content-type': 'application/grpc+proto' }, GRPC.ok],
  ['another codec', { 'content-type': 'application/grpc+json' }, undefined],
  ['no trailers', { te: undefined }, GRPC.ok],
  ['an encoding that is none', { 'grpc-encoding': 'identity' }, GRPC.ok],
])('%s', async (_, fields, status) => {
  const { port } = await serve()
  const answer = await callRpc(openSession(port), put, { key, value }, fields)
  expect(answer.status).toBe(status)
  if (status === undefined) expect(answer.headers[':status']).toBe(415)
})

test('another method', async () => {
  const { port, node } = await serve()
  const answer = await callRpc(openSession(port), put, { key, value }, { ':method': 'PUT' })
  expect([answer.status, answer.headers[':status']]).toEqual([undefined, 405])
  expect(node.asked).toEqual([])
})

/** Authorities that clients of etcd send. */
const AUTHORITIES = [
  ['the address', 'localhost:7301'],
  ['etcdctl, an address of the list of members', 'http://localhost:7301'],
  ['the C core, several endpoints (Python, C++, Ruby, PHP)', '10.0.0.1:2379,10.0.0.2:2379'],
  ['the same, newer', '10.0.0.1:2379%2C10.0.0.2:2379'],
  ['Go 3.5 and 3.6', '#initially=[10.0.0.1:2379;http://10.0.0.2:2379]'],
  ['dotnet-etcd', 'my-etcd-server'],
  ['jetcd', 'etcd0'],
  ['IPv6', '[fe80::1%25eth0]:2379'],
  ['a service of Kubernetes', 'etcd.kube-system.svc.cluster.local.:2379'],
  ['a socket of Unix', '%2Fvar%2Frun%2Fetcd.sock'],
  ['a name with user information', 'http://localhost@evil.example'],
  ['nothing', ''],
] as const

test.each(AUTHORITIES)('a program names any authority: %s', async (_, authority) => {
  const { port } = await serve()
  const session = openSession(port)
  const call = (more: Record<string, string> = {}) =>
    callRpc(session, put, { key, value }, { ':authority': authority, ...more })
  expect((await call()).status).toBe(GRPC.ok)
  // A name that a program has sent is accepted from no page.
  expect((await call({ origin: 'http://evil.example' })).status).toBe(GRPC.permissionDenied)
  expect((await call()).status).toBe(GRPC.ok)
})

test.each([
  ['of another site', { ':authority': 'localhost:7301', origin: 'http://evil.example' }, false],
  [
    'of a name that was bound to this node',
    { ':authority': 'evil.example', origin: 'http://evil.example' },
    false,
  ],
  [
    'of such a name, without Origin',
    { ':authority': 'evil.example', 'sec-fetch-site': 'same-origin' },
    false,
  ],
  ['of nobody', { ':authority': 'localhost:7301', origin: 'null' }, false],
  ['of this node', { ':authority': 'localhost:7301', origin: 'http://localhost:7301' }, true],
])('a page %s', async (_, fields, isServed) => {
  const { port, node } = await serve()
  const { status } = await callRpc(openSession(port), put, { key, value }, fields)
  expect(status).toBe(isServed ? GRPC.ok : GRPC.permissionDenied)
  expect(node.asked).toHaveLength(isServed ? 1 : 0)
})

test('a compressed request is refused, and the client learns what is read', async () => {
  const { port } = await serve()
  const session = openSession(port)
  const refused = await callRpc(session, put, { key, value }, { 'grpc-encoding': 'gzip' })
  expect(refused).toMatchObject({
    status: GRPC.unimplemented,
    message: 'grpc: Decompressor is not installed for grpc-encoding "gzip"',
  })
  expect(refused.headers['grpc-accept-encoding']).toBe('identity')
  const flagged = Buffer.from(putRequest)
  flagged[0] = 1
  expect(await callGrpc(session, put.path, flagged)).toMatchObject({
    status: GRPC.internal,
    message: 'grpc: compressed flag set with identity or empty encoding',
  })
})

test.each([
  ['/etcdserverpb.KV/Nothing', 'unknown method Nothing for service etcdserverpb.KV'],
  ['/etcdserverpb.Nothing/Put', 'unknown service etcdserverpb.Nothing'],
])('%s is not served', async (path, text) => {
  const { port } = await serve()
  expect(await callGrpc(openSession(port), path, putRequest)).toMatchObject({
    status: GRPC.unimplemented,
    message: text,
  })
})

test('an error without a response is one block of fields', async () => {
  const { port } = await serve()
  const { headers: fields, messages } = await callRpc(openSession(port), put, { value })
  expect(fields).toEqual({
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-status': '3',
    'grpc-message': 'etcdserver: key is not provided',
    [Object.getOwnPropertySymbols(fields)[0] ?? '']: expect.anything(),
  })
  expect(messages).toEqual([])
})

test('a text that is not ASCII is escaped', async () => {
  const { port } = await serve()
  const session = openSession(port)
  const { headers: fields, message: text } = await callGrpc(session, '/etcdserverpb.KV/%C3%A4%', putRequest)
  expect(fields['grpc-message']).toBe('unknown method %25C3%25A4%25 for service etcdserverpb.KV')
  expect(text).toBe('unknown method %C3%A4% for service etcdserverpb.KV')
})

describe('grpc-timeout', () => {
  test.each(['1H', '2M', '3S', '4000m', '5000000u', '99999999n'])('%s', async (timeout) => {
    const { port } = await serve()
    const answer = await callRpc(openSession(port), put, { key, value }, { 'grpc-timeout': timeout })
    expect(answer).toMatchObject({ status: GRPC.ok })
  })

  test.each(['1', 'S', '123456789S', '1s', '-1S'])('%s is none', async (timeout) => {
    const { port } = await serve()
    const answer = await callRpc(openSession(port), put, { key, value }, { 'grpc-timeout': timeout })
    expect(answer.status).toBe(GRPC.internal)
    expect(answer.message).toBe(`malformed grpc-timeout: "${timeout}"`)
  })

  test('is the time of the operation, and at most that of etcd', async () => {
    const { port, node } = await serve()
    const session = openSession(port)
    for (const timeout of ['500m', '1H', undefined])
      await callRpc(session, put, { key, value }, { 'grpc-timeout': timeout })
    const times = node.asked.flatMap(({ request, timeoutMs }) => (request === undefined ? [] : [timeoutMs]))
    expect(times[0]).toBeLessThanOrEqual(500)
    expect(times[1]).toBeLessThanOrEqual(7_000)
    expect(times[2]).toBeGreaterThan(1_000)
  })
})

describe('a request', () => {
  /** Sends these pieces as frames of data. Returns the fields at the end of the answer as they arrive. */
  async function sendPieces({ port }: Served, pieces: readonly Uint8Array[], ends = true): Promise<number> {
    const client = new RawHttp2(port)
    client.write(headers(1, callFields(put.path)))
    for (const [at, piece] of pieces.entries())
      client.write(frame(TYPE.data, ends && at === pieces.length - 1 ? END_STREAM : 0, 1, piece))
    const end = await client.find(
      ({ type, stream, flags }) => stream === 1 && type === TYPE.headers && (flags & END_STREAM) !== 0,
    )
    return end?.stream ?? 0
  }

  test('may arrive in frames of any size', async () => {
    const served = await serve()
    await sendPieces(
      served,
      Array.from(putRequest, (byte) => Buffer.from([byte])),
    )
    expect((await served.ask('GET', '/v1/kv/a')).text).toBe('1')
  })

  test('ends when its client has ended its side, and not before', async () => {
    const served = await serve()
    const client = new RawHttp2(served.port)
    client.write(headers(1, callFields(put.path)), frame(TYPE.data, 0, 1, putRequest))
    await expect.poll(() => served.http.inspect().grpcCalls).toBe(1)
    expect((await served.ask('GET', '/v1/kv/a')).status).toBe(404)
    client.write(frame(TYPE.data, END_STREAM, 1))
    await client.find(({ type, flags }) => type === TYPE.headers && (flags & END_STREAM) !== 0)
    expect((await served.ask('GET', '/v1/kv/a')).text).toBe('1')
  })

  test.each([
    ['none', Buffer.alloc(0), 'grpc: the request has not arrived completely'],
    ['half of one', putRequest.subarray(0, 8), 'grpc: the request has not arrived completely'],
    ['two', Buffer.concat([putRequest, putRequest]), 'grpc: more than one request'],
    ['one that is no message', message(Buffer.from([0xff])), /^grpc: error unmarshalling request: /],
  ])('%s', async (_, body, text) => {
    const { port } = await serve()
    const answer = await callGrpc(openSession(port), put.path, body)
    expect(answer.status).toBe(GRPC.internal)
    expect(answer.message).toEqual(typeof text === 'string' ? text : expect.stringMatching(text))
  })
})

describe('pings of a client', () => {
  const ping = frame(TYPE.ping, 0, 0, Buffer.alloc(8))
  const isPong = ({ type, flags }: { type: number; flags: number }) => type === TYPE.ping && flags === 1
  const pongs = (client: RawHttp2) => client.frames.filter(isPong).length

  test('are answered as long as they are rare enough', async () => {
    const { port } = await serve({ limits: { grpcPingMsMin: 1 } })
    const client = new RawHttp2(port)
    for (let n = 1; n <= 10; n++) {
      client.write(ping)
      await expect.poll(() => pongs(client)).toBe(n)
    }
    expect(client.isClosed).toBe(false)
  })

  test('are free after each response', async () => {
    const { port } = await serve()
    const client = new RawHttp2(port)
    for (let n = 0; n < 10; n++) {
      const stream = 2 * n + 1
      client.write(headers(stream, callFields(range.path)))
      client.write(frame(TYPE.data, END_STREAM, stream, message(range.request.encode({ key }))), ping)
      await client.find((each) => each.stream === stream && (each.flags & END_STREAM) !== 0)
    }
    expect(client.isClosed).toBe(false)
  })
})

test('a client may ping for each part of a large response, as clients in Go do', async () => {
  const { port, node } = await serve()
  node.put(key, Buffer.alloc(1024 * 1024))
  const client = new RawHttp2(port)
  const request = message(range.request.encode({ key }))
  client.write(headers(1, callFields(range.path)), frame(TYPE.data, END_STREAM, 1, request))
  let taken = 0
  const isEnd = ({ type, flags }: { readonly type: number; readonly flags: number }): boolean =>
    type === TYPE.headers && (flags & END_STREAM) !== 0
  while (!client.frames.some(isEnd) && !client.isClosed) {
    const data = client.frames.filter(({ type }) => type === TYPE.data)
    const bytes = data.reduce((sum, { payload }) => sum + payload.length, 0)
    // All of its window has arrived.
    if (bytes - taken > 60_000) {
      client.write(windowUpdate(0, bytes - taken), windowUpdate(1, bytes - taken))
      client.write(frame(TYPE.ping, 0, 0, Buffer.alloc(8)))
      taken = bytes
    }
    await new Promise(setImmediate)
  }
  expect([client.isClosed, taken > 900_000]).toEqual([false, true])
  // One that pings for nothing is still closed.
  client.write(...Array.from({ length: 5 }, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8))))
  expect(await client.goaway()).toEqual([11, 'too_many_pings'])
})

test('a silent connection is pinged, and cut if it does not answer', async () => {
  const { port, http } = await serve({ limits: { grpcPingMs: 100 } })
  const client = openSession(port)
  await callRpc(client, put, { key, value })
  let pings = 0
  client.on('ping', () => pings++)
  const silent = new RawHttp2(port)
  silent.write(headers(1, callFields(put.path)), frame(TYPE.data, END_STREAM, 1, putRequest))
  await silent.find(({ flags, type }) => type === TYPE.headers && (flags & END_STREAM) !== 0)
  silent.answersPings = false
  await silent.find(() => false)
  await expect.poll(() => pings).toBeGreaterThan(2)
  expect(http.inspect().grpcConnections).toBe(1)
})

test('a node that stops answers what it has accepted, and ends the connections', async () => {
  const { port, http, node } = await serve()
  const [busy, idle] = [openSession(port), openSession(port)]
  for (const session of [busy, idle]) await callRpc(session, range, { key })
  const held: (() => void)[] = []
  node.hold = (go) => held.push(go)
  const answer = callRpc(busy, put, { key, value })
  await expect.poll(() => held.length).toBe(1)
  const goaway = new Promise((resolve) => busy.once('goaway', resolve))
  const closed = http.close({ graceful: true })
  expect(await goaway).toBe(0)
  for (const go of held) go()
  expect(await answer).toMatchObject({ status: GRPC.ok })
  await closed
  expect(http.inspect()).toMatchObject({ connections: 0, grpcConnections: 0, grpcCalls: 0 })
})

/** Streams that last until either side ends them, with their first request. */
const LASTING: readonly (readonly [path: string, request: Uint8Array])[] = [
  [RPC.watch.path, RPC.watch.request.encode(RPC.watch.request.fromJson({ create_request: { key: 'aw==' } }))],
  [RPC.leaseKeepAlive.path, RPC.leaseKeepAlive.request.encode({ id: 1n })],
  [RPC.observe.path, RPC.observe.request.encode({ name: key })],
  [RPC.healthWatch.path, RPC.healthWatch.request.encode({})],
]

test('a node that stops ends its streams, and clients open them again at another node', async () => {
  const { port, http, node } = await serve()
  const client = new RawHttp2(port)
  for (const [at, [path, request]] of LASTING.entries()) {
    const isWhole = path === RPC.observe.path || path === RPC.healthWatch.path
    const data = frame(TYPE.data, isWhole ? END_STREAM : 0, 2 * at + 1, message(request))
    client.write(headers(2 * at + 1, callFields(path)), data)
  }
  // That of the client, and that of the observer.
  await expect.poll(() => node.watches.counts().open).toBe(2)
  const closed = http.close({ graceful: true })
  const stopped = Buffer.from('etcdserver: server stopped')
  for (const at of LASTING.keys()) {
    const end = await client.find(
      ({ type, stream, flags }) =>
        type === TYPE.headers && stream === 2 * at + 1 && (flags & END_STREAM) !== 0,
    )
    expect([LASTING[at]?.[0], end?.payload.includes(stopped)]).toEqual([LASTING[at]?.[0], true])
  }
  await closed
  expect(node.watches.counts().open).toBe(0)
})

test('a node that stops serves a put whose user it identifies meanwhile, and no stream', async () => {
  const { port, http, api, node } = await serve({ node: nodeWithUsers() })
  const client = new RawHttp2(port)
  const { passwords } = api.authenticator
  const held: (() => void)[] = []
  const { check } = passwords
  vi.spyOn(passwords, 'check').mockImplementation(
    (...args) => void held.push(() => check.apply(passwords, args)),
  )
  const user = literal('authorization', basic('bob', BOB_PASSWORD).Authorization)
  const whole = message(put.request.encode({ key: Buffer.from('app/1'), value }))
  const calls = [[put.path, whole] as const, ...LASTING]
  for (const [at, [path, request]] of calls.entries())
    client.write(
      headers(2 * at + 1, callFields(path, user)),
      frame(TYPE.data, END_STREAM, 2 * at + 1, request === whole ? whole : message(request)),
    )
  await expect.poll(() => http.inspect().grpcCalls).toBe(calls.length)
  // Anybody may watch the health.
  await expect.poll(() => held.length).toBeGreaterThanOrEqual(calls.length - 1)
  const closed = http.close({ graceful: true })
  for (const go of held) go()
  for (const at of calls.keys())
    await client.find(
      ({ stream, flags, type }) => type === TYPE.headers && stream === 2 * at + 1 && flags === 5,
    )
  const answered = client.frames.filter(({ type }) => type === TYPE.data).map(({ stream }) => stream)
  expect([...answered, node.watches.counts().open]).toEqual([1, 0])
  await closed
})

test('a node that stops serves a put whose client does not know yet, and no new stream', async () => {
  const { port, http } = await serve()
  const client = new RawHttp2(port)
  client.answersPings = false
  const send = (stream: number, path: string, request: Uint8Array): void =>
    client.write(headers(stream, callFields(path)), frame(TYPE.data, END_STREAM, stream, request))
  const ended = (stream: number) =>
    client.find((each) => each.stream === stream && (each.flags & END_STREAM) !== 0)
  send(1, put.path, putRequest)
  await ended(1)
  const closed = http.close({ graceful: true })
  await client.find(({ type }) => type === TYPE.goaway)
  send(3, put.path, putRequest)
  for (const [at, [path, request]] of LASTING.entries()) send(5 + 2 * at, path, message(request))
  await ended(3)
  for (const at of LASTING.keys()) await ended(5 + 2 * at)
  // An error has no data.
  const answered = client.frames.filter(({ type }) => type === TYPE.data).map(({ stream }) => stream)
  expect(answered).toEqual([1, 3])
  await closed
})

test('metrics have the calls by RPC and status', async () => {
  const { port, metrics } = await serve()
  const session = openSession(port)
  await callRpc(session, put, { key, value })
  await callRpc(session, put, { value })
  await callRpc(session, range, { key })
  const text = await metrics.text()
  expect(text).toContain('quorate_grpc_calls_total{rpc="KV/Put",code="0"} 1')
  expect(text).toContain('quorate_grpc_calls_total{rpc="KV/Put",code="3"} 1')
  expect(text).toContain('quorate_grpc_call_duration_seconds_count{rpc="KV/Range"} 1')
  expect(text).toContain('quorate_http_connections{lane="grpc"} 1')
})
