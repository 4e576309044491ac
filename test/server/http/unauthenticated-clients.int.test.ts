// Clients without a user while rights are checked make a node hold little, for seconds, and nothing that users need.
// The tables run through HTTP, etcd's JSON gateway and gRPC.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { quickPasswords } from '../../quick-passwords.ts'
import { AS_BOB, basic, nodeWithUsers } from '../auth/users.ts'
import { frame, openSession } from '../etcd/grpc-call.ts'
import {
  callFields,
  headers,
  frame as http2Frame,
  literal,
  RawHttp2,
  settings,
  TYPE,
} from '../etcd/raw-http2.ts'
import { base64, ETCD_WIRES } from '../etcd/wires.ts'
import { GET, MuxClient, PUT, soon } from '../mux/mux-client.ts'
import { FakeNode } from './fake-node.ts'
import { atRest, Client, COLD, get, statusOf, until } from './raw-client.ts'
import { JSON_TYPE, type Served, type Serving, serve } from './served.ts'

quickPasswords()

const KiB = 1024
const MiB = 1024 * KiB

const serveUsers = (limits: Serving['limits'] = {}, more: Serving = {}): Promise<Served> =>
  serve({ node: nodeWithUsers(), limits, ...more })

const fieldsOf = (headers: Readonly<Record<string, string>>): string =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
const head = (line: string, fields = ''): string => `${line} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`
const announced = (line: string, fields = '', length = MiB): string =>
  head(line, `${fields}Content-Length: ${length}\r\n`)

/** Fields of the request that opens a multiplexed connection. */
const OPENING = {
  ...{ Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
  ...{ 'Sec-WebSocket-Key': 'MDEyMzQ1Njc4OWFiY2RlZg==', 'Sec-WebSocket-Protocol': 'quorate.v1' },
}

const NOBODY = { none: {}, 'a false token': { Authorization: 'Bearer q1.x.y' } }

const REQUESTS = [
  ['PUT /v1/kv/app/1?timeout=60s', ''],
  ['PUT /v1/kv?key=app/1', ''],
  ['GET /v1/kv/app/1', ''],
  ['DELETE /v1/kv?prefix=app/', ''],
  ['POST /v1/changes', fieldsOf(JSON_TYPE)],
  ['POST /v1/txn', fieldsOf(JSON_TYPE)],
  ['POST /v1/auth/enable', fieldsOf(JSON_TYPE)],
  ['POST /v1/none', ''],
  ['POST /v3/kv/put', fieldsOf(JSON_TYPE)],
  ['POST /v3/kv/txn', fieldsOf(JSON_TYPE)],
  ['POST /v3/watch', fieldsOf(JSON_TYPE)],
  ['POST /v3/lease/keepalive', fieldsOf(JSON_TYPE)],
  ['POST /v3/auth/user/add', fieldsOf(JSON_TYPE)],
] as const

/** etcd has another status for a client without a token. */
const refusalOf = (line: string, given: object): number =>
  line.startsWith('POST /v3/') && Object.keys(given).length === 0 ? 400 : 401

test.each(Object.entries(NOBODY))(
  'with %s: refused before the body, and the connection ends',
  async (_, given) => {
    const served = await serveUsers()
    for (const [line, fields] of REQUESTS) {
      const client = new Client(served.port)
      await client.send(announced(line, fields + fieldsOf(given)), 'x'.repeat(1000))
      const answer = await client.answer()
      expect([line, statusOf(answer), answer]).toEqual([
        line,
        refusalOf(line, given),
        expect.stringMatching(/\nConnection: close\r/i),
      ])
      expect(served.http.inspect()).toMatchObject({ bodyBytes: 0, unauthenticatedBytes: 0 })
      await client.send('x'.repeat(300 * KiB))
      expect(await client.rest()).toBe('')
    }
    await atRest(served)
  },
)

test('the rest of a body of nobody is dropped for some seconds', async () => {
  const served = await serveUsers({ unauthenticatedBodyMs: 2_000 })
  const client = new Client(served.port)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  await client.send(announced('PUT /v1/kv/app/1'))
  const answer = client.answer()
  await until(served, () => vi.getTimerCount() > 0)
  vi.advanceTimersByTime(10)
  expect(statusOf(await answer)).toBe(401)
  vi.advanceTimersByTime(2_000)
  expect(await client.rest()).toBe('')
})

/** Sends 30 KiB of a large put in the name of nobody; the returned function leaves. */
type SendHalf = (served: Served, fields: Readonly<Record<string, string>>) => Promise<() => void>

const halfOver =
  (line: string, type: string): SendHalf =>
  async ({ port }, fields) => {
    const client = new Client(port)
    await client.send(announced(line, type + fieldsOf(fields)), 'x'.repeat(30 * KiB))
    return () => client.leave()
  }

const halfOverGrpc: SendHalf = async ({ port }, { Authorization = '' }) => {
  const session = openSession(port)
  const headers = { ':method': 'POST', 'content-type': 'application/grpc', authorization: Authorization }
  const stream = session.request({ ...headers, ':path': RPC.put.path })
  stream.on('error', () => {})
  stream.write(frame(Buffer.alloc(MiB)).subarray(0, 30 * KiB))
  return () => session.destroy()
}

const HALVES: Readonly<Record<string, SendHalf>> = {
  HTTP: halfOver('PUT /v1/kv/app/1', ''),
  "etcd's gateway": halfOver('POST /v3/kv/put', fieldsOf(JSON_TYPE)),
  gRPC: halfOverGrpc,
}

test.each(Object.entries(HALVES))(
  'bodies without a user leave the budget of users alone: %s',
  async (_, sendHalf) => {
    const served = await serveUsers({ bodiesBytesMax: 160 * KiB, unauthenticatedBytesMax: 64 * KiB })
    // The wrong password is compared with the newest state of users, which does not come.
    const held: (() => void)[] = []
    served.node.hold = (go) => held.push(go)
    const clients: (() => void)[] = []
    for (let at = 0; at < 8; at++) {
      const fields = at % 2 === 0 ? basic('bob', `guess ${at}`) : NOBODY['a false token']
      clients.push(await sendHalf(served, fields))
    }
    await soon(() => expect(served.http.inspect().unauthenticatedBytes).toBeGreaterThan(30 * KiB))
    await soon(() => expect(served.http.inspect().unauthenticatedBytes).toBeLessThanOrEqual(64 * KiB))
    expect(served.http.inspect().bodyBytes).toBe(0)
    served.node.hold = undefined
    for (const size of [10, 2 * KiB, 60 * KiB]) {
      const value = 'x'.repeat(size)
      const put = await served.ask('PUT', '/v1/kv/app/1', { headers: AS_BOB, body: value })
      expect([size, put.status]).toEqual([size, 200])
      for (const [name, open] of ETCD_WIRES) {
        const call = open(served.port, { token: AS_BOB.Authorization.replace('Bearer ', '') })
        const { error } = await call(RPC.put, { key: base64('app/1'), value: base64(value) })
        expect([name, size, error]).toEqual([name, size, undefined])
      }
    }
    for (const go of held) go()
    for (const leave of clients) leave()
    await until(served, () => served.http.inspect().unauthenticatedBytes === 0)
  },
)

test('a body counts for its user once he is known', async () => {
  for (const [headers, unauthenticatedBytesMax] of [
    [AS_BOB, 1],
    [basic('bob', 'password of bob'), 64 * KiB],
  ] as const) {
    const served = await serveUsers({ bodiesBytesMax: 64 * KiB, unauthenticatedBytesMax })
    const client = new Client(served.port)
    await client.send(announced('PUT /v1/kv/app/1', fieldsOf(headers), 60 * KiB), 'x'.repeat(30 * KiB))
    await soon(() => expect(served.http.inspect().bodyBytes).toBeGreaterThanOrEqual(29 * KiB))
    expect(served.http.inspect().unauthenticatedBytes).toBe(0)
    await client.send('x'.repeat(30 * KiB))
    expect(statusOf(await client.answer())).toBe(200)
    client.leave()
    await atRest(served)
  }
})

test.each([
  ['/v1/auth/login', 'user'],
  ['/v3/auth/authenticate', 'name'],
])('a client that has logged in keeps its connection: %s', async (path, name) => {
  const served = await serveUsers()
  const client = new Client(served.port)
  const login = JSON.stringify({ [name]: 'bob', password: 'password of bob' })
  await client.send(announced(`POST ${path}`, fieldsOf(JSON_TYPE), login.length), login)
  const answer = (await client.answer()) ?? ''
  const Authorization = `Bearer ${/"token":"([^"]+)"/.exec(answer)?.[1]}`
  expect(served.http.inspect().unidentified).toBe(0)
  expect(statusOf(await (await client.send(get('app/1', fieldsOf({ Authorization })))).answer())).toBe(404)
})

test.each([
  ['/v1/auth/login', 'user', 413],
  // etcd has no other code for it.
  ['/v3/auth/authenticate', 'name', 400],
])('a login is small, arrives at once, and has room: %s', async (path, name, tooLarge) => {
  const served = await serveUsers({ unauthenticatedBodyMs: 2_000, unauthenticatedBytesMax: 1 })
  const right = JSON.stringify({ [name]: 'bob', password: 'password of bob' })
  expect((await served.ask('POST', path, { headers: JSON_TYPE, body: right })).status).toBe(200)
  const big = JSON.stringify({ [name]: 'bob', password: 'x'.repeat(8 * KiB) })
  const roomy = await serveUsers()
  expect((await roomy.ask('POST', path, { headers: JSON_TYPE, body: big })).status).toBe(tooLarge)
  const client = new Client(served.port)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const login = announced(`POST ${path}?timeout=60s`, fieldsOf(JSON_TYPE), 100)
  await client.send(login, '{"user":')
  await until(served, () => served.http.inspect().requests > 0)
  vi.advanceTimersByTime(2_000)
  expect(statusOf(await client.answer())).toBe(400)
})

test('what is open to all stays open, and a user keeps the connection', async () => {
  const served = await serveUsers()
  for (const path of ['/livez', '/readyz', '/', '/openapi.json', '/v1/auth']) {
    const answer = await served.ask('GET', path)
    expect([path, answer.status]).toEqual([path, 200])
  }
  const client = new Client(served.port)
  for (const request of [get('app/1', fieldsOf(AS_BOB)), get('app/2', fieldsOf(AS_BOB)), COLD])
    expect(statusOf(await (await client.send(request)).answer())).toBeLessThan(405)
})

/** Opens a connection and begins a request, or nothing; resolves when the connection has ended. */
const HALF_HEADS: Readonly<Record<string, (port: number) => Promise<{ ended(): Promise<unknown> }>>> = {
  'a head of HTTP': async (port) => {
    const client = await new Client(port).send(get('app/1').slice(0, -2))
    return { ended: () => client.rest() }
  },
  'metadata of gRPC': async (port) => {
    const client = new RawHttp2(port)
    client.write(headers(1, callFields(RPC.put.path), 0))
    return { ended: () => client.find(() => false) }
  },
  'a preface of HTTP/2': async (port) => {
    const client = new RawHttp2(port)
    return { ended: () => client.find(() => false) }
  },
}

test.each(
  Object.entries(HALF_HEADS).flatMap(([what, begin]) => [
    [what, 'checked', nodeWithUsers, begin] as const,
    [what, 'not checked', () => new FakeNode(), begin] as const,
  ]),
)('%s on all connections keeps nobody out while rights are %s', async (_, __, node, begin) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const headMs = 10_000
  const served = await serve({ node: node(), limits: { connectionsMax: 6, headMs } })
  const user = new Client(served.port)
  const request = get('app/1', fieldsOf(AS_BOB))
  expect(statusOf(await (await user.send(request)).answer())).toBe(404)
  const half = []
  for (let at = 0; at < 20; at++) half.push(await begin(served.port))
  await soon(() => expect(served.http.inspect().connections).toBe(6))
  const fresh = new Client(served.port)
  expect(statusOf(await (await fresh.send(request)).answer())).toBe(404)
  for (const client of [user, fresh]) expect(statusOf(await (await client.send(COLD)).answer())).toBe(200)
  // All of them are closed in the end.
  vi.advanceTimersByTime(2 * headMs)
  await Promise.all(half.map((client) => client.ended()))
  await soon(() => expect(served.http.inspect().unidentified).toBe(0))
})

const LONG = `A: ${'x'.repeat(30 * KiB)}`
/** Metadata without its end, and half of a frame. */
const METADATA = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  settings(),
  headers(1, callFields(RPC.put.path, literal('x', 'y'.repeat(15 * KiB))), 0),
  http2Frame(TYPE.continuation, 0, 1, Buffer.alloc(16_000)).subarray(0, 14 * KiB),
]).toString('latin1')
const SHORT = Array.from({ length: 3 * KiB }, (_, at) => `f${at}:${at}\r\n`).join('')

test.each([
  ['a long target', 'checked', `GET /v1/kv?key=${'x'.repeat(30 * KiB)}`],
  ['a long field', 'checked', `GET /livez HTTP/1.1\r\nHost: localhost\r\n${LONG}`],
  ['many short fields', 'checked', `GET /livez HTTP/1.1\r\nHost: localhost\r\n${SHORT}`],
  ['many short fields', 'not checked', `GET /livez HTTP/1.1\r\nHost: localhost\r\n${SHORT}`],
  ['fields after empty lines', 'checked', `\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n${LONG}`],
  ['metadata of gRPC', 'checked', METADATA],
  ['metadata of gRPC', 'not checked', METADATA],
  ['trailers', 'checked', `${head('POST /v1/auth/login', 'Transfer-Encoding: chunked\r\n')}0\r\n${LONG}`],
])(
  'half-sent heads of unidentified connections are few: %s, while rights are %s',
  async (_, checked, half) => {
    const isChecked = checked === 'checked'
    const unidentifiedHeadBytesMax = 200 * KiB
    const served = await serve({
      node: isChecked ? nodeWithUsers() : new FakeNode(),
      limits: { unidentifiedHeadBytesMax, headMs: 60_000, unauthenticatedBodyMs: 60_000 },
    })
    const fields = isChecked ? fieldsOf(AS_BOB) : ''
    const user = new Client(served.port)
    expect(statusOf(await (await user.send(get('app/1', fields))).answer())).toBe(404)
    const clients = Array.from({ length: 40 }, () => new Client(served.port))
    let most = 0
    for (const client of clients) {
      // In two pieces, so that the second one is not read with the first.
      await client.send(half.slice(0, 9 * KiB))
      await client.send(half.slice(9 * KiB))
      most = Math.max(most, served.http.inspect().unidentifiedHeadBytes)
    }
    await soon(() => expect(served.http.inspect().unidentifiedClosedTotal).toBeGreaterThanOrEqual(30))
    await soon(() => expect(served.http.inspect().unidentifiedHeadBytes).toBeGreaterThan(100 * KiB))
    expect(Math.max(most, served.http.inspect().unidentifiedHeadBytes)).toBeLessThanOrEqual(
      unidentifiedHeadBytesMax,
    )
    expect(statusOf(await (await user.send(get('app/1', fields))).answer())).toBe(404)
    // One with a long key, which arrives in pieces.
    const fresh = new Client(served.port)
    const long = get(`app/${'%41'.repeat(4_000)}`, fields)
    await fresh.send(long.slice(0, 9 * KiB))
    await soon(() => expect(served.http.inspect().fastConnections).toBe(1))
    expect(statusOf(await (await fresh.send(long.slice(9 * KiB))).answer())).toBe(404)
    for (const client of clients) client.leave()
    await soon(() =>
      expect(served.http.inspect()).toMatchObject({ unidentified: 0, unidentifiedHeadBytes: 0 }),
    )
  },
)

test('what follows a request whose user is being checked counts as a head, and its body does not', async () => {
  const served = await serveUsers({ unidentifiedHeadBytesMax: 8 * KiB })
  // The wrong password is compared with the newest state of users, which does not come.
  const held: (() => void)[] = []
  served.node.hold = (go) => held.push(go)
  const wrong = fieldsOf(basic('bob', 'a wrong password'))
  const slow = new Client(served.port)
  await slow.send(announced('PUT /v1/kv/app/1', wrong), ...Array(30).fill('x'.repeat(KiB)))
  const chunked = new Client(served.port)
  await chunked.send(head('PUT /v1/kv/app/2', `${wrong}Transfer-Encoding: chunked\r\n`))
  await chunked.send(...Array(30).fill(`400\r\n${'x'.repeat(KiB)}\r\n`), '0\r\n\r\n')
  await soon(() => expect(held).toHaveLength(2))
  await soon(() => expect(served.http.inspect().unauthenticatedBytes).toBeGreaterThanOrEqual(58 * KiB))
  expect(served.http.inspect()).toMatchObject({ unidentifiedHeadBytes: 0, unidentifiedClosedTotal: 0 })
  const ahead = new Client(served.port)
  await ahead.send(head('GET /v1/none', wrong))
  await soon(() => expect(held).toHaveLength(3))
  await ahead.send(`GET /livez HTTP/1.1\r\n${LONG}`)
  expect(await ahead.rest()).toBe('')
  expect(served.http.inspect()).toMatchObject({ unidentifiedHeadBytes: 0, unidentifiedClosedTotal: 1 })
  for (const go of held) go()
  for (const client of [slow, chunked]) expect(statusOf(await client.answer())).toBe(401)
})

test('the head with which a multiplexed connection opens counts while its user is being checked', async () => {
  const served = await serveUsers({ unidentifiedHeadBytesMax: 20 * KiB })
  // The wrong password is compared with the newest state of users, which does not come.
  served.node.hold = () => {}
  const fields = { ...OPENING, ...basic('bob', 'a wrong password'), 'X-Long': 'x'.repeat(6 * KiB) }
  for (let at = 0; at < 8; at++) await new Client(served.port).send(head('GET /v1/connect', fieldsOf(fields)))
  await soon(() => expect(served.http.inspect().unidentifiedClosedTotal).toBeGreaterThanOrEqual(5))
  expect(served.http.inspect().unidentifiedHeadBytes).toBeLessThanOrEqual(20 * KiB)
})

test('a multiplexed connection whose user is being checked is not the first that makes room', async () => {
  const served = await serveUsers({ connectionsMax: 2 })
  const held: (() => void)[] = []
  served.node.hold = (go) => held.push(go)
  const wrong = basic('bob', 'a wrong password')
  const checked = await new Client(served.port).send(
    head('GET /v1/connect', fieldsOf({ ...OPENING, ...wrong })),
  )
  await soon(() => expect(held).toHaveLength(1))
  const half = await new Client(served.port).send('GET /livez HT')
  await soon(() => expect(served.http.inspect().connections).toBe(2))
  const fresh = await new Client(served.port).send(COLD)
  expect(statusOf(await fresh.answer())).toBe(200)
  expect(await half.rest()).toBe('')
  for (const go of held) go()
  expect(statusOf(await checked.answer())).toBe(401)
})

/** From now on, until the returned function is called, no answer of the server is taken. */
function nothingTaken({ port }: Served): () => void {
  let isOver = false
  for (const method of ['_write', '_writev'] as const) {
    const original = Socket.prototype[method] as (...args: unknown[]) => void
    const spy = vi.spyOn(Socket.prototype, method)
    onTestFinished(() => spy.mockRestore())
    spy.mockImplementation(function (this: Socket, ...args: unknown[]) {
      if (isOver || this.localPort !== port) original.apply(this, args)
    })
  }
  return () => {
    isOver = true
  }
}

/** A console with one large file. */
function largeConsole(): string {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-console-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(join(directory, 'assets'))
  writeFileSync(join(directory, 'assets/large-77.js'), randomBytes(300 * KiB))
  return directory
}

test.each(['/openapi.json', '/ui/assets/large-77.js'])(
  'answers of %s that unauthenticated clients do not take leave the room of users alone, and are few',
  async (path) => {
    const limits = { answersBytesMax: 256 * KiB, unauthenticatedBytesMax: MiB }
    const served = await serveUsers(limits, { consoleDirectory: largeConsole() })
    expect((await served.ask('GET', path)).status).toBe(200)
    const taken = nothingTaken(served)
    const clients = Array.from({ length: 10 }, () => new Client(served.port))
    for (const client of clients) await client.send(head(`GET ${path}`))
    await soon(() => {
      const { unauthenticatedBytes, answerBytes } = served.http.inspect()
      expect(unauthenticatedBytes + answerBytes).toBeGreaterThan(700 * KiB)
    })
    taken()
    expect((await served.ask('PUT', '/v1/kv/app/1', { headers: AS_BOB, body: 'x' })).status).toBe(200)
    const newcomer = await new Client(served.port).send(head(`GET ${path}`))
    expect(statusOf(await newcomer.answer())).toBe(429)
    expect((await served.ask('GET', '/livez')).status).toBe(200)
    expect(served.http.inspect().unauthenticatedBytes).toBeLessThanOrEqual(MiB)
    for (const client of clients) client.reset()
    await until(served, () => served.http.inspect().unauthenticatedBytes === 0)
  },
)

test('what is refused before its user is sought is the only request of its connection too', async () => {
  const served = await serve({ node: nodeWithUsers(), corsOrigins: ['https://page.example'] })
  const origin = 'Origin: https://page.example\r\nAccess-Control-Request-Method: PUT\r\n'
  for (const [request, status] of [
    ['GET /v1/kv/app/1 HTTP/1.1\r\nHost: other.example\r\n\r\n', 421],
    [head('GET /v1/kv/app/1', 'Kv-Cluster: 7\r\n'), 421],
    [head('GET /v1/kv/app/1?timeout=soon'), 400],
    [head('OPTIONS /v1/kv/app/1', origin), 204],
  ] as const) {
    const client = await new Client(served.port).send(request.repeat(100))
    expect(statusOf(await client.answer(status === 204))).toBe(status)
    expect(await client.rest()).toBe('')
  }
})

test('a wrong request of a user ends neither his connection nor what he has sent behind it', async () => {
  const origin = 'Origin: https://page.example\r\nAccess-Control-Request-Method: PUT\r\n'
  const served = await serve({ node: nodeWithUsers(), corsOrigins: ['https://page.example'] })
  const fields = fieldsOf(AS_BOB)
  const right = get('app/1', fields)
  const user = await new Client(served.port).send(right)
  expect(statusOf(await user.answer())).toBe(404)
  for (const [request, status] of [
    [`GET /v1/kv/app/1 HTTP/1.1\r\nHost: other.example\r\n${fields}\r\n`, 421],
    [head('GET /v1/kv/app/1', `${fields}Kv-Cluster: 7\r\n`), 421],
    [head('GET /v1/kv/app/1?timeout=soon', fields), 400],
    [head('OPTIONS /v1/kv/app/1', origin), 204],
  ] as const) {
    await user.send(request + right)
    expect((await user.answers(2)).map(statusOf)).toEqual([status, 404])
  }
})

test('a user who is deleted is unauthenticated at the next request of a connection, which ends', async () => {
  const served = await serveUsers()
  const asked = get('app/1', fieldsOf(AS_BOB))
  const [first, second] = [new Client(served.port), new Client(served.port)]
  for (const client of [first, second]) {
    await client.send(asked)
    expect(statusOf(await client.answer())).toBe(404)
  }
  served.node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } })
  await first.send(asked)
  expect(await first.answer()).toMatch(/^HTTP\/1.1 401 .*\nConnection: close\r/is)
  await second.send(announced('PUT /v1/kv/app/1', fieldsOf(AS_BOB)), 'x'.repeat(1000))
  expect(await second.answer()).toMatch(/^HTTP\/1.1 401 .*\nConnection: close\r/is)
  await second.send('x'.repeat(300 * KiB))
  expect([await first.rest(), await second.rest()]).toEqual(['', ''])
  await atRest(served)
})

test('a connection that has ended is closed soon, though its client does not close it', async () => {
  const { port, http, node } = await serveUsers()
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  const answered = async (): Promise<string> => {
    socket.write(get('app/1', fieldsOf(AS_BOB)))
    const [answer] = await once(socket, 'data')
    return String(answer)
  }
  expect(statusOf(await answered())).toBe(404)
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } })
  expect(await answered()).toMatch(/^HTTP\/1.1 401 .*\nConnection: close\r/is)
  await soon(() => expect(http.inspect().connections).toBe(0))
})

test('a multiplexed connection whose user is deleted sends no large message any more', async () => {
  const served = await serveUsers()
  const large = () => Buffer.alloc(100 * KiB, 'v')
  const bob = await new MuxClient(served.port, { headers: AS_BOB }).open()
  expect((await bob.ask(1, PUT, null, Buffer.from('app/1'), large()))[1]).toBe(0)
  served.node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } })
  expect((await bob.ask(2, GET, null, Buffer.from('app/1')))[2]).toMatchObject({ code: 'unauthenticated' })
  bob.ws.send(large(), { fin: false })
  expect(await bob.end()).toMatchObject({ code: 1008, reason: expect.stringContaining('of no user') })
  await until(served, () => served.http.inspect().bodyBytes === 0)
})
