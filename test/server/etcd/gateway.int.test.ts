// etcd's JSON gateway over HTTP/1.1.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { Audit } from '../../../src/server/api/audit.ts'
import { ETCD_VERSION } from '../../../src/server/etcd/services/status.ts'
import { askAll, type GatewayAnswer, withError } from '../../etcd/gateway-cases.ts'
import { quickPasswords } from '../../quick-passwords.ts'
import { record, spans, stopRecording } from '../../tracing/recorded-spans.ts'
import { AS_BOB, AS_ROOT, BOB_PASSWORD, nodeWithUsers } from '../auth/users.ts'
import { JSON_TYPE, type Served, serve } from '../http/served.ts'

quickPasswords()

const MiB = 1024 * 1024

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const key = base64('app/1')
const value = base64('1')

const post = (served: Served, path: string, body: unknown, headers: Record<string, string> = JSON_TYPE) =>
  served.ask('POST', `/v3${path}`, { headers, body: typeof body === 'string' ? body : JSON.stringify(body) })

// ---------------------------------------------------------------------------------------------------------------------
// Compared with etcd

/** Requests that are no message: the texts are those of Go's packages in etcd. */
const OWN_TEXT: ReadonlySet<string> = new Set([
  'a number for bytes',
  'a text for a number',
  'a fraction',
  'a number beyond 64 bits',
  'a text for a bool',
  'an unknown name',
  'half of a body',
  'a list',
  'no base64',
  'an unknown target',
])

const refused = (message: string): Partial<GatewayAnswer> => ({
  status: 400,
  type: 'application/json',
  metadata: undefined,
  lines: [{ error: message, message, code: 3 }],
})

/** The fault of the client, which both releases do not report. */
const KEEP_ALIVE_FAULT = refused('ID: must be a whole number')

/** A release answers these otherwise. */
const DIFFERENT: Readonly<Record<'3.4' | '3.6', Readonly<Record<string, Partial<GatewayAnswer>>>>> = {
  '3.4': {
    // As 3.5 and 3.6, for FailedPrecondition.
    'grant of a lease that exists': { status: 400 },
    'keep alive with a fault': KEEP_ALIVE_FAULT,
    // As 3.6.
    'a route that does not exist': {
      type: 'application/json',
      lines: [{ error: 'Not Found', message: 'Not Found', code: 5 }],
    },
  },
  '3.6': {
    // As 3.4: 3.6 reads the default in its place.
    'an unknown name': refused('text'),
    'an unknown target': refused('text'),
    null: refused('etcdserver: key is not provided'),
    'keep alive without a request': { type: 'application/json' },
    'keep alive with a fault': KEEP_ALIVE_FAULT,
  },
}

const withoutText = ({ lines, ...answer }: GatewayAnswer) => ({
  ...answer,
  lines: lines.map((line) => ({ ...(line as object), error: 'text', message: 'text' })),
})

test.each(['3.6', '3.4'] as const)(
  'answers are those of etcd %s, byte for byte but for ids, terms and texts of JSON',
  async (release) => {
    const golden = JSON.parse(await readFile(`test/etcd/golden/${release}/gateway.json`, 'utf8')) as {
      readonly answers: Record<string, GatewayAnswer>
    }
    const { port } = await serve()
    const answers = await askAll(port)
    expect(Object.keys(answers)).toEqual(Object.keys(golden.answers))
    for (const [name, recorded] of Object.entries(golden.answers)) {
      const expected = { ...recorded, lines: recorded.lines.map(withError), ...DIFFERENT[release][name] }
      const answer = answers[name] as GatewayAnswer
      if (OWN_TEXT.has(name)) expect.soft(withoutText(answer), name).toEqual(withoutText(expected))
      else expect.soft(answer, name).toEqual(JSON.parse(JSON.stringify(expected)))
    }
  },
)

test('a watch with a fault is refused', async () => {
  const served = await serve()
  const message = 'create_request: key: must be a text'
  expect(await post(served, '/watch', { create_request: { key: 1 } })).toMatchObject({
    status: 400,
    json: { error: message, message, code: 3 },
  })
})

test('a body that is no message has the status of etcd, and says what is wrong', async () => {
  const served = await serve()
  const texts = await Promise.all(
    [
      { key: 1 },
      { key, limit: 1.5 },
      { key, sort_order: 'UP' },
      { key, limit: '9223372036854775808000' },
      [1],
    ].map(async (body) => (await post(served, '/kv/range', body)).json.message),
  )
  expect(texts).toEqual([
    'key: must be a text',
    'limit: must be a whole number',
    'sort_order: must be one of NONE, ASCEND, DESCEND',
    'limit: must be a whole number',
    'a message must be an object',
  ])
  const deep = `${'{"success":[{"request_txn":'.repeat(60)}{}${'}]}'.repeat(60)}`
  expect(await post(served, '/kv/txn', deep)).toMatchObject({ status: 400 })
  const twice = await post(served, '/kv/range', `{"key":"${key}","key":"${base64('b')}"}`)
  expect(twice.json.message).toMatch(/occurs twice/)
  expect(await post(served, '/kv/put', { key, value: 'A'.repeat(3 * 1024 * 1024) })).toMatchObject({
    status: 400,
    json: { message: 'etcdserver: request is too large' },
  })
})

test('base64 may have ends of lines, as encoders of mails make them', async () => {
  const served = await serve()
  const stored = Buffer.from(Array.from({ length: 200 }, (_, at) => (at * 37) % 256))
  const broken = (end: string): string => stored.toString('base64').replace(/.{76}/g, `$&${end}`) + end
  for (const end of ['\n', '\r\n', '\n\n']) {
    const body = { key: `${key}${end}`, value: broken(end) }
    expect(await post(served, '/kv/put', body)).toMatchObject({ status: 200 })
    const { json } = await post(served, '/kv/range', { key: `${key.slice(0, 3)}${end}${key.slice(3)}` })
    expect(json.kvs[0].value).toBe(stored.toString('base64'))
  }
  for (const text of ['Zm9v YmFy', 'Zm9v\tYmFy', 'Zm9v\u2028'])
    expect(await post(served, '/kv/put', { key, value: text })).toMatchObject({ status: 400 })
})

test('a range of many rows arrives as one JSON', async () => {
  const served = await serve()
  const large = Buffer.alloc(100_000, 7).toString('base64')
  for (let i = 0; i < 30; i++) await post(served, '/kv/put', { key: base64(`k${i}`), value: large })
  const { json, status } = await post(served, '/kv/range', { key: base64('k'), range_end: base64('l') })
  expect({ status, count: json.count, last: json.kvs[29].value === large }).toEqual({
    status: 200,
    count: '30',
    last: true,
  })
  expect(served.http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0, requests: 0 })
})

// ---------------------------------------------------------------------------------------------------------------------
// Routes

test('metrics name the RPC of a request', async () => {
  const served = await serve()
  await post(served, '/kv/put', { key, value })
  await post(served, '/kv/lease/revoke', { ID: '7' })
  await post(served, '/kv/none', {})
  const { text } = await served.ask('GET', '/metrics')
  expect(text).toMatch(/^quorate_http_requests_total\{operation="KV\/Put",status="200"\} 1$/m)
  expect(text).toMatch(/^quorate_http_requests_total\{operation="Lease\/LeaseRevoke",status="404"\} 1$/m)
  expect(text).toMatch(/^quorate_http_requests_total\{operation="other",status="404"\} 1$/m)
})

test('version and health', async () => {
  const { ask, node } = await serve()
  const version = await ask('GET', '/version')
  expect(version.text).toBe(`{"etcdserver":"${ETCD_VERSION}","etcdcluster":"${ETCD_VERSION}"}`)
  expect(await ask('GET', '/health')).toMatchObject({ status: 200, text: '{"health":"true","reason":""}' })
  node.notReady = ['no leader']
  expect(await ask('GET', '/health')).toMatchObject({
    status: 503,
    text: '{"health":"false","reason":"no leader"}',
  })
  expect(await ask('GET', '/livez')).toMatchObject({ json: { status: 'ok' } })
})

test('paths of etcd 3.3 are served too, with a span', async () => {
  record()
  onTestFinished(stopRecording)
  const { ask } = await serve()
  const body = JSON.stringify({ key })
  const answer = await ask('POST', '/v3beta/kv/range', { headers: JSON_TYPE, body })
  expect(answer).toMatchObject({ status: 200, json: { header: { raft_term: expect.any(String) } } })
  await expect.poll(() => spans().map(({ name }) => name)).toContain('POST /v3beta/kv/range')
})

test('other methods are refused, and other paths do not exist', async () => {
  const served = await serve()
  expect(await served.ask('GET', '/v3/kv/range')).toMatchObject({ status: 405, headers: { allow: 'POST' } })
  expect(await served.ask('POST', '/version')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
  for (const path of ['/kv/range/', '/kv/%72ange', '/'])
    expect(await post(served, path, { key })).toMatchObject({ status: 404, json: { code: 5 } })
  expect(await served.ask('POST', '/v3', { headers: JSON_TYPE, body: '{}' })).toMatchObject({
    json: { code: 'route_not_found' },
  })
})

test('without the API of etcd the routes do not exist', async () => {
  const served = await serve({ etcdApi: false })
  for (const [method, path] of [
    ['POST', '/v3/kv/put'],
    ['GET', '/version'],
    ['GET', '/health'],
  ] as const)
    expect(await served.ask(method, path, { headers: JSON_TYPE, body: '{}' })).toMatchObject({
      status: 404,
      json: { code: 'route_not_found' },
    })
})

// ---------------------------------------------------------------------------------------------------------------------
// Clients

const USER_EMPTY = { status: 400, json: { error: 'etcdserver: user name is empty', code: 3 } }
const BAD_TOKEN = { status: 401, json: { error: 'etcdserver: invalid auth token', code: 16 } }
const DENIED = { status: 403, json: { error: 'etcdserver: permission denied', code: 7 } }

const BOB_TOKEN = AS_BOB.Authorization.replace('Bearer ', '')

test.each([
  ['as etcd clients send it', { authorization: BOB_TOKEN }],
  ['with a scheme', { authorization: AS_BOB.Authorization }],
  ['as metadata', { 'Grpc-Metadata-Token': BOB_TOKEN }],
  ['as the metadata authorization', { 'Grpc-Metadata-Authorization': BOB_TOKEN }],
  ['as that, with a scheme', { 'grpc-metadata-authorization': AS_BOB.Authorization }],
  ['as metadata, beside a header of a proxy', { 'Grpc-Metadata-Token': BOB_TOKEN, authorization: 'q1.x.y' }],
])('a token %s names the user', async (_, fields) => {
  const served = await serve({ node: nodeWithUsers() })
  const headers = { ...JSON_TYPE, ...fields }
  expect(await post(served, '/kv/put', { key, value }, headers)).toMatchObject({ status: 200 })
  expect(await post(served, '/kv/put', { key: base64('other'), value }, headers)).toMatchObject(DENIED)
  const other = Object.fromEntries(Object.keys(fields).map((name) => [name, 'q1.x.y']))
  expect(await post(served, '/kv/put', { key, value }, { ...JSON_TYPE, ...other })).toMatchObject(BAD_TOKEN)
})

test('to unauthenticated clients only the version and the health are answered', async () => {
  const lines: string[] = []
  const audit = new Audit((line) => void lines.push(line), 'changes')
  const served = await serve({ node: nodeWithUsers(), audit })
  expect(await post(served, '/kv/put', { key, value })).toMatchObject(USER_EMPTY)
  const headers = { ...JSON_TYPE, authorization: 'q1.x.y' }
  expect(await post(served, '/kv/put', { key, value }, headers)).toMatchObject(BAD_TOKEN)
  expect(await post(served, '/watch', { create_request: { key } }, headers)).toMatchObject(BAD_TOKEN)
  expect(await served.ask('GET', '/version')).toMatchObject({ status: 200 })
  expect(await served.ask('GET', '/health')).toMatchObject({ status: 200 })
  // The body has not arrived: the answer does not wait for it.
  const half = await served.raw(
    'POST /v3/kv/put HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{',
    (received) => received.includes('user name is empty'),
  )
  expect(half).toMatch(/^HTTP\/1.1 400 /)
  expect(served.http.inspect()).toMatchObject({ bodyBytes: 0, unauthenticatedBytes: 0 })
  expect(lines.map((line) => JSON.parse(line).code)).toEqual(Array(4).fill('unauthenticated'))
})

test('a page of another site reaches nothing', async () => {
  const served = await serve()
  const text = { 'Content-Type': 'text/plain;charset=UTF-8' }
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
  const origin = { Origin: 'http://evil.example' }
  for (const headers of [
    text,
    { ...text, ...origin },
    { ...form, ...origin },
    { ...form, Origin: 'null' },
    { ...form, 'Sec-Fetch-Site': 'cross-site' },
    { ...JSON_TYPE, Host: 'evil.example' },
  ])
    expect((await post(served, '/kv/put', { key, value }, headers)).status).toBeGreaterThanOrEqual(400)
  const versions = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' }
  expect(await served.ask('GET', '/version', { headers: versions })).toMatchObject({ status: 403 })
  expect((await post(served, '/kv/range', { key }, form)).json).not.toHaveProperty('kvs')
})

// ---------------------------------------------------------------------------------------------------------------------
// Streams

/** A request whose body stays open, and the chunks of its response. */
async function openStream({ port }: Served, path: string) {
  const chunks: string[] = []
  const outgoing = httpRequest({
    port,
    host: '127.0.0.1',
    method: 'POST',
    path: `/v3${path}`,
    headers: JSON_TYPE,
  })
  outgoing.on('error', () => {})
  outgoing.on('response', (response) => response.on('data', (chunk: Buffer) => void chunks.push(`${chunk}`)))
  onTestFinished(() => void outgoing.destroy())
  const results = () =>
    chunks
      .join('')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  return { outgoing, results, send: (request: unknown) => outgoing.write(JSON.stringify(request)) }
}

test('a watch takes requests as long as its body is open', async () => {
  const served = await serve()
  const { results, send, outgoing } = await openStream(served, '/watch')
  send({ create_request: { key: base64('a') } })
  await expect.poll(results).toMatchObject([{ result: { created: true } }])
  await post(served, '/kv/put', { key: base64('a'), value })
  await expect.poll(results).toHaveLength(2)
  send({ create_request: { key: base64('b'), watch_id: '7' } })
  await expect.poll(results).toHaveLength(3)
  send({ cancel_request: { watch_id: 0 } })
  await expect
    .poll(results)
    .toMatchObject([
      {},
      { result: { events: [{ kv: { key: base64('a'), value } }] } },
      { result: { created: true, watch_id: '7' } },
      { result: { canceled: true } },
    ])
  // etcd's watches outlive the end of the requests.
  outgoing.end()
  await post(served, '/kv/put', { key: base64('b'), value })
  await expect.poll(results).toHaveLength(5)
  outgoing.destroy()
  await expect
    .poll(() => served.http.inspect())
    .toMatchObject({ watchBytes: 0, answerBytes: 0, bodyBytes: 0 })
})

test('each response is a chunk of its own, as clients read it', async () => {
  const served = await serve()
  await post(served, '/lease/grant', { ID: '7', TTL: 60 })
  const body = '{"ID":7}{"ID":8}'
  const received = await served.raw(
    `POST /v3/lease/keepalive HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    (bytes) => bytes.endsWith('0\r\n\r\n'),
  )
  const chunks = received.split('\r\n').filter((line) => line.startsWith('{'))
  expect(chunks.map((chunk) => JSON.parse(chunk).result.ID)).toEqual(['7', '8'])
  expect(chunks.every((chunk) => chunk.endsWith('\n'))).toBe(true)
})

test('requests may arrive byte by byte, and what is no request ends the stream', async () => {
  const served = await serve()
  await post(served, '/lease/grant', { ID: '7', TTL: 60 })
  const { outgoing, results } = await openStream(served, '/lease/keepalive')
  for (const byte of ' {"ID":"7","x":"}\\"{"}\n{"ID":"8"}') outgoing.write(byte)
  await expect.poll(results).toMatchObject([{ result: { ID: '7', TTL: '60' } }, { result: { ID: '8' } }])
  outgoing.write('[')
  await expect.poll(results).toHaveLength(3)
  expect(results()[2]).toEqual({
    error: {
      grpc_code: 3,
      http_code: 400,
      message: 'the body is not a sequence of JSON objects',
      http_status: 'Bad Request',
    },
  })
  await expect.poll(() => served.http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0 })
})

test('a client that sends keep-alives and takes no answers is not read, and receives all of them later', async () => {
  const served = await serve()
  const { http } = served
  const socket = connect(served.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  socket.pause()
  socket.write('POST /v3/lease/keepalive HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n')
  const requests = '{"ID":7}'.repeat(8_000)
  const chunk = `${requests.length.toString(16)}\r\n${requests}\r\n`
  for (let i = 0; i < 5; i++) socket.write(chunk)
  socket.write('0\r\n\r\n')
  await expect.poll(() => http.inspect().answerBytes).toBeGreaterThan(64 * 1024)
  for (let turn = 0; turn < 20; turn++) {
    await post(served, '/kv/range', { key })
    expect(http.inspect().answerBytes).toBeLessThan(8 * MiB)
    expect(http.inspect().bodyBytes).toBeLessThan(1 * MiB)
  }
  let answers = 0
  let received = ''
  socket
    .setEncoding('latin1')
    .on('data', (text: string) => {
      received = (received + text).slice(-1_000)
      answers += text.split('"ID"').length - 1
    })
    .resume()
  await expect.poll(() => received, { timeout: 60_000 }).toMatch(/\r\n0\r\n\r\n$/)
  // Some names stand in two pieces.
  expect(answers).toBeGreaterThan(39_000)
  expect(http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0 })
})

// ---------------------------------------------------------------------------------------------------------------------
// Locks, elections, snapshots and logins

test('a lock is had by one client at a time, and a client that goes leaves the queue', async () => {
  const served = await serve()
  const name = base64('l')
  const first = await post(served, '/lock/lock', { name })
  const gone = httpRequest({ port: served.port, host: '127.0.0.1', method: 'POST', path: '/v3/lock/lock' })
  gone.on('error', () => {}).end(JSON.stringify({ name }))
  await expect.poll(() => served.node.watches.counts().open).toBe(1)
  const third = post(served, '/lock/lock', { name })
  await expect.poll(() => served.node.watches.counts().open).toBe(2)
  gone.destroy()
  await expect.poll(() => served.node.watches.counts().open).toBe(1)
  expect((await post(served, '/lock/unlock', { key: first.json.key })).status).toBe(200)
  // The name of the lock, and the id of a lease.
  expect(Buffer.from((await third).json.key, 'base64').toString()).toMatch(/^l\/[0-9a-f]+$/)
})

test('an election has a leader, whom others observe until he resigns', async () => {
  const served = await serve()
  const name = base64('e')
  expect((await post(served, '/election/leader', { name })).json.message).toBe('election: no leader')
  const observed = await openStream(served, '/election/observe')
  observed.outgoing.end(JSON.stringify({ name }))
  const won = await post(served, '/election/campaign', { name, value: base64('first') })
  const { leader } = won.json
  await expect.poll(() => observed.results().length).toBe(1)
  expect((await post(served, '/election/proclaim', { leader, value: base64('second') })).status).toBe(200)
  await expect.poll(() => observed.results().at(-1)?.result.kv.value).toBe(base64('second'))
  expect((await post(served, '/election/leader', { name })).json.kv.key).toBe(leader.key)
  expect((await post(served, '/election/resign', { leader })).status).toBe(200)
  expect((await post(served, '/election/leader', { name })).json.message).toBe('election: no leader')
  observed.outgoing.destroy()
  await expect.poll(() => served.node.watches.counts().open).toBe(0)
})

test('the value of a campaign that waits counts until the client has its answer', async () => {
  const served = await serve()
  const name = base64('e')
  const { leader } = (await post(served, '/election/campaign', { name, value: base64('first') })).json
  const value = base64('x'.repeat(MiB / 2))
  const waiting = post(served, '/election/campaign', { name, value })
  await expect.poll(() => served.node.watches.counts().open).toBe(1)
  expect(served.http.inspect().bodyBytes).toBeGreaterThan(MiB / 2)
  expect((await post(served, '/election/resign', { leader })).status).toBe(200)
  expect((await waiting).status).toBe(200)
  expect(served.http.inspect().bodyBytes).toBe(0)
})

test('a snapshot arrives in blobs, the last of which is the hash of the others', async () => {
  const served = await serve()
  await post(served, '/kv/put', { key, value: base64('x'.repeat(100_000)) })
  const answer = await post(served, '/maintenance/snapshot', {})
  const lines = answer.text.trim().split('\n')
  const blobs = lines.map((line) => Buffer.from(JSON.parse(line).result.blob, 'base64'))
  const hash = blobs.pop()
  expect(blobs.length).toBeGreaterThan(3)
  expect(createHash('sha256').update(Buffer.concat(blobs)).digest()).toEqual(hash)
  await served.node.scansClosed()
})

test('a client logs in with a password, and its token names it', async () => {
  const served = await serve({ node: nodeWithUsers() })
  const wrong = await post(served, '/auth/authenticate', { name: 'bob', password: 'guess' })
  expect(wrong).toMatchObject({
    status: 400,
    json: { message: 'etcdserver: authentication failed, invalid user ID or password' },
  })
  // Its token has ended, and it sends it still.
  const ended = { ...JSON_TYPE, authorization: 'q1.x.y' }
  const { json } = await post(served, '/auth/authenticate', { name: 'bob', password: BOB_PASSWORD }, ended)
  const headers = { ...JSON_TYPE, authorization: json.token }
  expect((await post(served, '/kv/put', { key, value }, headers)).status).toBe(200)
  // A token changes no password of its own user, and only root those of others.
  const changed = { name: 'bob', password: 'another password' }
  expect(await post(served, '/auth/user/changepw', changed, headers)).toMatchObject(DENIED)
  const asRoot = { ...JSON_TYPE, authorization: AS_ROOT.Authorization }
  const own = { name: 'root', password: 'another password' }
  expect(await post(served, '/auth/user/changepw', own, asRoot)).toMatchObject(DENIED)
  expect((await post(served, '/auth/user/changepw', changed, asRoot)).status).toBe(200)
})

test('a stream whose client is silent within a request ends, and gives its memory back', async () => {
  const served = await serve({ limits: { writeStallMsMax: 300 } })
  const { results, send, outgoing } = await openStream(served, '/watch')
  send({ create_request: { key } })
  await expect.poll(results).toHaveLength(1)
  outgoing.write('{"create_request":{"key":"'.padEnd(50_000, 'A'))
  await expect.poll(() => served.http.inspect().bodyBytes).toBeGreaterThan(40_000)
  const end = { error: { grpc_code: 4, message: 'the rest of a request has not arrived' } }
  await expect.poll(results).toMatchObject([{}, end])
  expect(served.http.inspect().bodyBytes).toBe(0)
})

test('a node that stops ends its streams', async () => {
  const served = await serve()
  const { results, send } = await openStream(served, '/watch')
  send({ create_request: { key } })
  await expect.poll(results).toHaveLength(1)
  await served.http.close({ graceful: true })
  expect(results()[1]).toMatchObject({ error: { grpc_code: 14, message: 'etcdserver: server stopped' } })
})
