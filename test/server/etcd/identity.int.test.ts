// Users, unauthenticated clients and pages of other sites through gRPC.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { message } from '../../../src/etcd/message.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GRPC } from '../../../src/etcd/status.ts'
import { Audit } from '../../../src/server/api/audit.ts'
import { type AnyRpc, serveUnary } from '../../../src/server/etcd/rpc.ts'
import { authenticate } from '../../../src/server/etcd/services/auth-switch.ts'
import { put } from '../../../src/server/etcd/services/put.ts'
import { range } from '../../../src/server/etcd/services/range.ts'
import { quickPasswords } from '../../quick-passwords.ts'
import { AS_BOB, AS_ROOT, BOB_PASSWORD, basic, nodeWithUsers } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'
import { JSON_TYPE, serve } from '../http/served.ts'
import { callGrpc, callRpc, frame, openSession } from './grpc-call.ts'

quickPasswords()

const KiB = 1024
const Empty = message({})
const openRpc = (name: 'login' | 'health', isLogin: boolean): AnyRpc =>
  serveUnary(
    { kind: 'unary', path: `/test.Open/${name}`, gateway: [], request: Empty, response: Empty },
    () => Promise.resolve({}),
    { open: { isLogin, requestBytesMax: 8 * KiB }, isProbe: !isLogin },
  )
const login = openRpc('login', true)
const health = openRpc('health', false)

vi.mock('../../../src/server/etcd/services/index.ts', async (original) => {
  const { RPCS } = await original<typeof import('../../../src/server/etcd/services/index.ts')>()
  return { RPCS: [...RPCS, login, health] }
})

const key = Buffer.from('app/1')
const value = Buffer.from('1')
const tokenOf = ({ Authorization }: { readonly Authorization: string }) =>
  Authorization.replace('Bearer ', '')

const USER_EMPTY = { status: GRPC.invalidArgument, message: 'etcdserver: user name is empty' }
const BAD_TOKEN = { status: GRPC.unauthenticated, message: 'etcdserver: invalid auth token' }
const DENIED = { status: GRPC.permissionDenied, message: 'etcdserver: permission denied' }

test.each([
  ['a token', { token: tokenOf(AS_BOB) }],
  ['a token as authorization', { authorization: tokenOf(AS_BOB) }],
  ['a token as in HTTP', { authorization: AS_BOB.Authorization }],
  ['a password', { authorization: basic('bob', BOB_PASSWORD).Authorization }],
])('%s names the user', async (_, metadata) => {
  const { port } = await serve({ node: nodeWithUsers() })
  const session = openSession(port)
  expect(await callRpc(session, put, { key, value }, metadata)).toMatchObject({ status: GRPC.ok })
  const other = { key: Buffer.from('other'), value }
  expect(await callRpc(session, put, other, metadata)).toMatchObject(DENIED)
})

test.each([
  ['no token', {}, USER_EMPTY],
  ['a false token', { token: 'q1.x.y' }, BAD_TOKEN],
  ['a wrong password', { authorization: basic('bob', 'guess').Authorization }, BAD_TOKEN],
])('with %s nothing is read', async (_, metadata, refusal) => {
  const lines: string[] = []
  const audit = new Audit((line) => void lines.push(line), 'changes')
  const { port, http } = await serve({ node: nodeWithUsers(), audit })
  const session = openSession(port)
  // No body: the answer does not wait for it.
  const stream = session.request(
    { ':method': 'POST', ':path': put.path, 'content-type': 'application/grpc', ...metadata },
    { endStream: false },
  )
  const headers = await new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve))
  expect(headers).toMatchObject({
    'grpc-status': String(refusal.status),
    'grpc-message': refusal.message,
  })
  expect(http.inspect()).toMatchObject({ unidentified: 1, bodyBytes: 0, unauthenticatedBytes: 0 })
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ code: 'unauthenticated', method: 'grpc KV/Put' }),
  ])
})

test('a connection is known after its first call of a user, and after a login', async () => {
  const { port, http } = await serve({ node: nodeWithUsers() })
  const [user, newcomer, prober] = [openSession(port), openSession(port), openSession(port)]
  expect(await callGrpc(prober, health.path, frame(Buffer.alloc(0)))).toMatchObject({ status: GRPC.ok })
  expect(http.inspect().unidentified).toBe(3)
  await callRpc(user, range, { key }, { token: tokenOf(AS_BOB) })
  expect(http.inspect().unidentified).toBe(2)
  expect(await callGrpc(newcomer, login.path, frame(Buffer.alloc(0)))).toMatchObject({ status: GRPC.ok })
  expect(http.inspect().unidentified).toBe(1)
})

test('a connection on which nobody is known is closed after some time, however it calls', async () => {
  const { port } = await serve({ node: nodeWithUsers(), limits: { headMs: 300, writeStallMsMax: 100 } })
  const half = openSession(port)
  const stream = half.request({ ':method': 'POST', ':path': health.path, 'content-type': 'application/grpc' })
  stream.on('error', () => {})
  const calling = openSession(port)
  const call = () => callRpc(calling, range, { key }).catch(() => {})
  await new Promise((resolve) => half.once('close', resolve))
  // Not until its event: calls of a session that is destroyed fail at once, so the event would have no turn.
  while (!calling.destroyed) await call()
})

test('a connection that does nothing stays, whether rights are checked or not, and is served when it is used', async () => {
  for (const node of [nodeWithUsers(), new FakeNode()]) {
    const { port, http } = await serve({
      node,
      limits: { headMs: 200, grpcPingMs: 100, writeStallMsMax: 100 },
    })
    const [silent, half] = [openSession(port), connect({ port, host: '127.0.0.1' })]
    onTestFinished(() => void half.destroy())
    half.on('error', () => {}).resume()
    // Bytes of a frame that do not continue end as before, which shows that time has passed.
    half.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0')
    await once(half, 'close')
    let pings = 0
    silent.on('ping', () => pings++)
    await expect.poll(() => pings).toBeGreaterThan(4)
    expect([silent.closed, http.inspect().unidentified]).toEqual([false, 1])
    expect(await callRpc(silent, range, { key }, { token: tokenOf(AS_ROOT) })).toMatchObject({
      status: GRPC.ok,
    })
  }
})

test('a connection on which nobody is known is closed after some refused calls', async () => {
  const { port } = await serve({ node: nodeWithUsers(), limits: { grpcUnidentifiedStreamsMax: 20 } })
  const session = openSession(port)
  const goaway = new Promise((resolve) =>
    session.once('goaway', (code, _, data) => resolve([code, data?.toString()])),
  )
  const answers = []
  for (let n = 0; n < 30 && !session.closed; n++) answers.push(await callRpc(session, range, { key }))
  expect(answers.filter(({ status }) => status === GRPC.invalidArgument).length).toBeLessThanOrEqual(21)
  expect(await goaway).toEqual([11, 'too_many_refused_calls'])
})

test('a connection of a user is not closed for refused calls', async () => {
  const { port } = await serve({ node: nodeWithUsers(), limits: { grpcUnidentifiedStreamsMax: 5 } })
  const session = openSession(port)
  const token = tokenOf(AS_BOB)
  for (let round = 0; round < 2; round++) {
    expect(await callRpc(session, range, { key }, { token })).toMatchObject({ status: GRPC.ok })
    for (const refused of [
      { token: 'q1.x.y' },
      {},
      { token, 'grpc-encoding': 'gzip' },
      { token, ':method': 'PUT' },
    ])
      for (let n = 0; n < 5; n++)
        expect((await callRpc(session, range, { key }, refused)).status).not.toBe(GRPC.ok)
  }
  expect(await callRpc(session, range, { key }, { token })).toMatchObject({ status: GRPC.ok })
})

test('what a client sends before it is known is bounded on all connections', async () => {
  const node = nodeWithUsers()
  const { http, port } = await serve({ node, limits: { unauthenticatedBytesMax: 64 * KiB } })
  // The false token is compared with the newest state of users, which does not come.
  const held: (() => void)[] = []
  node.hold = (go) => held.push(go)
  const sessions = Array.from({ length: 4 }, () => openSession(port))
  const big = { key, value: Buffer.alloc(200 * KiB) }
  const calls = sessions.flatMap((session) =>
    [1, 2].map(() => callRpc(session, put, big, { token: 'q1.x.y' })),
  )
  expect(await Promise.race(calls)).toMatchObject({
    status: GRPC.resourceExhausted,
    message: 'etcdserver: too many requests',
  })
  expect(http.inspect()).toMatchObject({ bodyBytes: 0 })
  expect(http.inspect().unauthenticatedBytes).toBeLessThanOrEqual(64 * KiB)
  for (const go of held) go()
})

test('what a client without a user sends to log in is small', async () => {
  const { port } = await serve({ node: nodeWithUsers() })
  const session = openSession(port)
  const request = { name: 'bob', password: 'x'.repeat(9 * KiB) }
  expect(await callRpc(session, authenticate, request)).toMatchObject({
    status: GRPC.resourceExhausted,
    message: expect.stringMatching(/^grpc: received message larger than max/),
  })
  expect(await callRpc(session, authenticate, { ...request, password: BOB_PASSWORD })).toMatchObject({
    status: GRPC.ok,
  })
})

test('no path that a client sends is in its line', async () => {
  const lines: string[] = []
  const audit = new Audit((line) => void lines.push(line), 'changes')
  const { port } = await serve({ audit })
  const session = openSession(port)
  for (const path of [`/${'x'.repeat(10 * KiB)}`, '/\u009b2J', range.path])
    await callGrpc(session, path, frame(Buffer.alloc(0)), { origin: 'http://evil.example' })
  expect(lines.map((line) => JSON.parse(line).method)).toEqual(['grpc', 'grpc', 'grpc KV/Range'])
})

/** From now on accepted connections are those of another machine. */
function fromElsewhere(): void {
  const accepted = (event: unknown): void => {
    const { socket } = event as { readonly socket: Socket }
    Object.defineProperty(socket, 'remoteAddress', { value: '10.9.8.7' })
  }
  subscribe('net.server.socket', accepted)
  onTestFinished(() => void unsubscribe('net.server.socket', accepted))
}

test('a client of another machine is not served when rights are checked no longer while he is sought', async () => {
  const node = nodeWithUsers()
  const { port, http } = await serve({ node, served: 'own-machine' })
  fromElsewhere()
  node.hold = (release) => {
    node.hold = undefined
    node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
    release()
  }
  const refused = await callRpc(openSession(port), range, { key }, { token: 'q1.x.y' })
  expect(refused).toMatchObject({ status: GRPC.permissionDenied, messages: [] })
  expect(http.inspect().unidentified).toBe(1)
})

test('a client of another machine is not served while rights are not checked, but for the health', async () => {
  const lines: string[] = []
  const audit = new Audit((line) => void lines.push(line), 'changes')
  const node = new FakeNode()
  const { port } = await serve({ node, served: 'own-machine', audit })
  fromElsewhere()
  const session = openSession(port)
  const refused = await callRpc(session, put, { key, value })
  expect(refused.status).toBe(GRPC.permissionDenied)
  expect(refused.message).toMatch(/--client-cert required.*--insecure/)
  expect(node.asked).toEqual([])
  expect(lines.map((line) => JSON.parse(line).code)).toEqual(['loopback_only'])
  expect(await callGrpc(session, health.path, frame(Buffer.alloc(0)))).toMatchObject({ status: GRPC.ok })
})

test.each([
  ['a page under another host', { ':authority': 'evil.example:7301', origin: 'http://evil.example:7301' }],
  ['the page of another origin', { origin: 'https://evil.example' }],
  ['the page of another site', { 'sec-fetch-site': 'cross-site' }],
])('a call of %s is refused', async (_, headers) => {
  const node = nodeWithUsers()
  const { port } = await serve({ node })
  const session = openSession(port)
  const metadata = { token: tokenOf(AS_ROOT) }
  const before = node.asked.length
  expect(await callRpc(session, put, { key, value }, { ...metadata, ...headers })).toMatchObject({
    status: GRPC.permissionDenied,
  })
  expect(node.asked).toHaveLength(before)
  expect(await callRpc(session, put, { key, value }, metadata)).toMatchObject({ status: GRPC.ok })
})

test('the watches of a user end with the token, in a way after which clients log in again', async () => {
  const node = nodeWithUsers()
  const { port, ask } = await serve({ node })
  const token = tokenOf(AS_BOB)
  const request = { create_request: { key: key.toString('base64') } }
  const message = RPC.watch.request.encode(RPC.watch.request.fromJson(request))
  const headers = { ...JSON_TYPE, authorization: token }
  const watching = [
    callGrpc(openSession(port), RPC.watch.path, frame(message), { token }),
    ask('POST', '/v3/watch', { headers, body: JSON.stringify(request) }),
  ]
  await expect.poll(() => node.watches.counts().open).toBe(2)
  // As its end, which is ten minutes later.
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } })
  expect(await Promise.all(watching)).toMatchObject([
    { status: GRPC.unavailable, message: 'etcdserver: the token has ended: log in again' },
    {
      text: expect.stringMatching(
        /"grpc_code":16,"http_code":401,"message":"etcdserver: invalid auth token"/,
      ),
    },
  ])
})
