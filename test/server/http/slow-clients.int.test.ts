// Clients that do not take their answers, or send half of what they announce: what that may cost a node, and for how
// long.

import { expect, onTestFinished, test, vi } from 'vitest'
import { http } from '../../../src/system/node-http.ts'
import { FakeNode } from './fake-node.ts'
import { atRest, Client, get, holding, onNodeHttp, put, settled, statusOf, until } from './raw-client.ts'
import { type Served, type Serving, serve } from './served.ts'

const LARGE = 1 << 20
/** Six bytes each in JSON. */
const WORST = '\0'.repeat(LARGE)
const PLAIN = 'x'.repeat(LARGE)

const ranged = (accept: string) => `GET /v1/kv HTTP/1.1\r\nHost: localhost\r\nAccept: ${accept}\r\n\r\n`
const PAGE = ranged('application/json')
const STREAM = ranged('application/x-ndjson')
const RECORD = get('big', 'Accept: application/json\r\n')

/** Shared: the state machine of the tests hashes each value. */
const node = new FakeNode()
node.put('big', WORST)
for (let i = 0; i < 20; i++) node.put(`more-${i}`, PLAIN)

const filled = (serving: Serving = {}): Promise<Served> => serve({ ...serving, node })

/** Asks, and takes nothing. */
async function silent(served: Served, request: string, lane: 'fast' | 'full'): Promise<Client> {
  const client = lane === 'fast' ? new Client(served.port) : await onNodeHttp(served)
  client.pause()
  return client.send(request)
}

const KINDS = [
  ['values on the fast lane', 'fast', get('big').repeat(64)],
  ['records on the fast lane', 'fast', RECORD.repeat(8)],
  ['values on node:http', 'full', get('big').repeat(64)],
  ['pages', 'full', PAGE.repeat(8)],
  ['a stream', 'full', STREAM],
] as const

test.each(KINDS)('a client that takes nothing of %s is cut', async (_, lane, request) => {
  const served = await filled({ limits: { writeStallMsMax: 40 } })
  const client = await silent(served, request, lane)
  await until(served, () => served.http.inspect().stalledTotal === 1)
  await atRest(served)
  client.leave()
  expect((await served.ask('GET', '/v1/kv/big')).bytes).toHaveLength(LARGE)
  expect(served.node.openScans).toBe(0)
  expect(await served.metrics.text()).toContain('quorate_http_connections_stalled_total 1\n')
})

test.each(KINDS)('a client that takes %s little by little is not', async (_, lane, request) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const served = await filled({ limits: { writeStallMsMax: 1_000 } })
  const client = await silent(served, request, lane)
  await until(served, () => served.http.inspect().answerBytes > 0)
  for (let i = 0; i < 5; i++) {
    await client.take(3 * LARGE)
    await settled(served, () => served.http.inspect().answerBytes)
    // The kernel may take nothing from the node although it gave something to the client: not for two rounds.
    vi.advanceTimersByTime(450)
  }
  expect(served.http.inspect().stalledTotal).toBe(0)
  // Bytes that it sends do not prove that it takes anything.
  for (let i = 0; i < 6; i++) {
    await client.send(get('a'))
    await settled(served, () => served.http.inspect().answerBytes)
    vi.advanceTimersByTime(250)
  }
  expect(served.http.inspect().stalledTotal).toBe(1)
  await atRest(served)
})

test.each([
  ['records', 'fast', RECORD],
  ['pages', 'full', PAGE],
  ['streams', 'full', STREAM],
] as const)('%s that nobody takes are bounded', async (_, lane, request) => {
  const answersBytesMax = 8 * LARGE
  const served = await filled({ limits: { answersBytesMax, writeStallMsMax: 600_000 } })
  const clients: Client[] = []
  // The kernel takes some of it, and a little more later.
  for (let full = 0; full < 2; await settled(served, () => served.http.inspect().answerBytes, 10)) {
    const { status } = await served.ask('GET', '/v1/kv/big', { headers: { Accept: 'application/json' } })
    full = status === 429 ? full + 1 : 0
    if (full === 0) clients.push(await silent(served, request, lane))
    expect(served.http.inspect().answerBytes).toBeLessThanOrEqual(answersBytesMax)
  }
  const asked = served.node.asked.length
  const { status, json, headers } = await served.ask('GET', '/v1/kv')
  expect({ status, code: json.code, after: headers['retry-after'] }).toEqual({
    status: 429,
    code: 'overloaded',
    after: '1',
  })
  // A change is refused before it is made, or its answer is sent: never in between.
  const large = { body: WORST }
  const changed = await served.ask('PUT', '/v1/kv/big?prev', large)
  expect(changed.json.code).toBe('overloaded')
  expect(served.node.asked.slice(asked).every(({ request }) => request === undefined)).toBe(true)
  expect((await served.ask('GET', '/livez')).status).toBe(200)
  for (const client of clients) client.leave()
  await atRest(served, 1)
  expect((await served.ask('PUT', '/v1/kv/big?prev', large)).json.prev.value).toBe(WORST)
})

test('an answer that is larger than the bound is given when nothing else waits', async () => {
  const served = await filled({ limits: { answersBytesMax: 1 } })
  for (const target of ['/v1/kv/big', '/v1/kv', '/v1/kv/big'])
    expect((await served.ask('GET', target)).status).toBe(200)
  await atRest(served, 1)
})

test.each([
  ['values on the fast lane', 'fast', get('big').repeat(64)],
  ['pages', 'full', PAGE],
  ['a stream', 'full', STREAM],
  ['half a head', 'fast', 'GET /v1/kv/a HT'],
  ['half a head on node:http', 'full', 'GET /v1/kv/a HT'],
  ['half a head behind a request', 'full', `${get('a')}GET /v1/kv/a HT`],
  ['half a body', 'fast', put('a?timeout=60s', 'xyz').slice(0, -1)],
  ['half a large body', 'full', put('a?timeout=60s', 'x'.repeat(100_000)).slice(0, -1)],
] as const)('a node that stops does not wait for a client with %s', async (_, lane, request) => {
  const served = await filled({ limits: { closeMsMax: 600_000, closeStallMsMax: 50 } })
  const client = await silent(served, request, lane)
  const { http } = served
  if (request.includes('big') || lane === 'full')
    await settled(served, () => http.inspect().answerBytes + http.inspect().bodyBytes)
  await http.close({ graceful: true })
  expect(http.inspect()).toMatchObject({ connections: 0, requests: 0, bodyBytes: 0, answerBytes: 0 })
  client.leave()
})

test('a node that stops answers a client that has asked before, however long that takes', async () => {
  const served = await serve({ limits: { closeMsMax: 600_000, closeStallMsMax: 1 } })
  const { release } = holding(served.node)
  const clients = [new Client(served.port), await onNodeHttp(served)]
  const going: (() => void)[] = []
  for (const client of clients) {
    await client.send(put('a', '1'))
    going.push((await release.next()).value)
  }
  const closed = served.http.close({ graceful: true })
  const other = setInterval(() => {}, 1)
  await new Promise((resolve) => setTimeout(resolve, 50))
  clearInterval(other)
  for (const go of going) go()
  expect((await Promise.all(clients.map((client) => client.answer()))).map(statusOf)).toEqual([200, 200])
  await closed
})

test.each([
  ['fast', 'some', 400, 60_000],
  ['fast', 'more than is read', 6_000, 200_000],
  ['full', 'some', 400, 60_000],
  ['full', 'more than is read', 6_000, 200_000],
] as const)(
  'a node that stops cuts no answer off on the %s lane where a client has asked %s',
  async (lane, _, asked, bytes) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const served = await serve({ limits: { closeMsMax: 600_000 } })
    const value = 'x'.repeat(bytes)
    served.node.put('a', value)
    const client = await silent(served, get('a').repeat(asked), lane)
    await until(served, () => served.http.inspect().answerBytes > 0)
    expect(await settled(served, () => served.http.inspect().answerBytes)).toBeGreaterThan(0)
    const closed = served.http.close({ graceful: true })
    // The checks for idle connections and for slow clients run.
    vi.advanceTimersByTime(500)
    client.resume()
    await closed
    const answers = (await client.rest()).split('HTTP/1.1 ').slice(1)
    expect(answers.length).toBeGreaterThan(0)
    expect(
      answers.filter((answer) => !answer.endsWith(`\r\n\r\n${value}`)).map(({ length }) => length),
    ).toEqual([])
  },
)

test.each([
  ['fast', 'is idle', ''],
  ['full', 'is idle', ''],
  ['full', 'ends already', 'Connection: close\r\n'],
] as const)(
  'a node that stops cuts off no answer that has left, on a connection of the %s lane that %s',
  async (lane, _, more) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const served = await serve({ limits: { closeMsMax: 600_000 } })
    const value = 'x'.repeat(1_000_000)
    served.node.put('a', value)
    const request = get('a', more)
    const client = await silent(served, request, lane)
    await until(served, () => served.node.asked.length === 1)
    // The client has taken little of it.
    expect(await settled(served, () => served.http.inspect().answerBytes)).toBe(0)
    const closed = served.http.close({ graceful: true })
    // The server first accepts waiting connections: after two turns of the event loop, there are none.
    for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
    vi.advanceTimersByTime(50)
    await new Promise((resolve) => setImmediate(resolve))
    await client.send(request)
    client.resume()
    expect((await client.rest()).endsWith(`\r\n\r\n${value}`)).toBe(true)
    vi.advanceTimersByTime(500)
    await closed
  },
)

test('how a node is doing is told, whatever waits for clients that take nothing', async () => {
  const served = await filled({ limits: { answersBytesMax: LARGE } })
  const client = await silent(served, RECORD, 'fast')
  const waiting = await settled(served, () => served.http.inspect().answerBytes)
  expect(waiting).toBeGreaterThan(LARGE)
  expect((await served.ask('GET', '/v1/kv/more-1')).status).toBe(429)
  for (const path of ['/livez', '/readyz', '/metrics', '/v1/status', '/v1/cluster'])
    expect({ path, status: (await served.ask('GET', path)).status }).toEqual({ path, status: 200 })
  client.leave()
  await atRest(served, 1)
})

test.each(['fast', 'full'] as const)(
  'a node that stops answers who has just had an answer that began before, and asks again (%s lane)',
  async (lane) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const served = await serve({ limits: { closeMsMax: 600_000 } })
    served.node.put('a', 'x'.repeat(LARGE))
    const client = await silent(served, '', lane)
    let asked = 0
    // Until the head of an answer has left, and not all of it.
    do {
      await client.send(get('a'))
      asked++
      await until(served, () => served.node.asked.length === asked)
    } while ((await settled(served, () => served.http.inspect().answerBytes)) === 0)
    const closed = served.http.close({ graceful: true })
    const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
    for (let count = 0; count < 4; count++) await turn()
    client.resume()
    for (const answer of await client.answers(asked)) expect(answer).toContain('Connection: keep-alive')
    // The check for idle connections runs.
    vi.advanceTimersByTime(50)
    await turn()
    await client.send(put('b', '1'))
    expect(await client.answer()).toMatch(/^HTTP\/1.1 200 .*\r\nConnection: close\r\n/s)
    vi.advanceTimersByTime(500)
    expect(await client.rest()).toBe('')
    await closed
    expect(served.node.asked).toHaveLength(asked + 1)
  },
)

test('node:http has no limit for the time in which the requests of a stream arrive', async () => {
  const created = vi.spyOn(http, 'createServer')
  onTestFinished(() => created.mockRestore())
  await serve()
  expect(created.mock.results.map(({ value }) => value.requestTimeout)).toEqual([0])
})

test('a client that is far ahead of its answers on node:http is not read', async () => {
  const served = await serve()
  const { node } = served
  for (let time = 0; time < 2; time++) {
    const { release } = holding(node)
    const client = await onNodeHttp(served)
    await client.send(put('a', '1'))
    const { value: go } = await release.next()
    const many = get('a').repeat(1_000)
    let sent = 0
    void (async () => {
      for (; sent < 400; sent++) await client.send(many)
    })()
    // 16 MB neither arrived nor piled up: the rest waits at the client.
    expect(await settled(served, () => sent)).toBeLessThan(400)
    client.leave()
    node.hold = undefined
    go()
    await atRest(served)
  }
  const client = await onNodeHttp(served)
  await client.send(put('a', '1') + get('a').repeat(100))
  expect((await client.answers(101)).map(statusOf)).toEqual(Array(101).fill(200))
})
