// Two lanes, one contract: whatever is sent, the fast lane answers as node:http does, or leaves it to node:http.

import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { initialState } from '../../../src/kv/index.ts'
import { REST_MS_MAX } from '../../../src/server/connections/raw-connection.ts'
import { runs } from '../../runs.ts'
import {
  atRest,
  Client,
  COLD,
  get,
  holding,
  onNodeHttp,
  put,
  settled,
  statusOf,
  until,
} from './raw-client.ts'
import { type Served, serve, start } from './served.ts'

const LAST = 'GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

/** So many of them, as short as they can be. */
/** Longer than what each connection may hold without being counted. */
const LARGE = 'v'.repeat(2_000)

const fields = (count: number) => Array.from({ length: count }, (_, i) => `${i.toString(36)}:x\r\n`).join('')

test.each([10, 1_100, 2_100, 6_000])('a condition behind %i fields is looked at', async (count) => {
  const { port, node } = await serve()
  const client = new Client(port)
  for (let time = 0; time < 2; time++) {
    await client.send(put('a', 'abc', `${fields(count)}If-Match: "7"\r\n`))
    expect(statusOf(await client.answer())).toBe(412)
  }
  expect(node.revision).toBe(1)
  await client.send(put('a', 'abc', fields(count)))
  expect(statusOf(await client.answer())).toBe(200)
})

describe('the same request on either lane', () => {
  type Server = Awaited<ReturnType<typeof start>>
  /** The first answer, and whether the connection serves requests after it. */
  async function outcome(client: Client, request: string, head: boolean): Promise<string[]> {
    await client.send(request)
    let first = await client.answer(head)
    if (statusOf(first) === 100) first += (await client.answer(head)) ?? ''
    await client.send(LAST)
    return [first ?? 'nothing', (await client.answer())?.slice(0, 12) ?? 'closed']
  }

  async function expectSame(fast: Served, slow: Served, request: string): Promise<void> {
    const head = request.startsWith('HEAD')
    const [lane, http] = [new Client(fast.port), await onNodeHttp(slow)]
    expect(await outcome(lane, request, head)).toEqual(await outcome(http, request, head))
    lane.leave()
    http.leave()
  }

  let servers: [Server, Server]
  beforeAll(async () => {
    const corsOrigins = ['http://app.example']
    servers = [await start({ corsOrigins }), await start({ corsOrigins })]
  })
  afterAll(() => Promise.all(servers.map((server) => server.close())))
  beforeEach(() => {
    for (const { node } of servers) node.clear(initialState())
  })

  const CHUNKED = 'Transfer-Encoding: chunked\r\n'
  const head = (line: string, fields = 'Host: localhost\r\n') => `${line}\r\n${fields}\r\n`

  test.each([
    ['HTTP/1.0', head('GET /v1/kv/a HTTP/1.0')],
    [
      'HTTP/1.0 that keeps alive',
      head('GET /v1/kv/a HTTP/1.0', 'Host: localhost\r\nConnection: keep-alive\r\n'),
    ],
    ['HTTP/1.2', head('GET /v1/kv/a HTTP/1.2')],
    ['HTTP/2.0', head('GET /v1/kv/a HTTP/2.0')],
    ['http in lower case', head('GET /v1/kv/a http/1.1')],
    ['a method in lower case', head('get /v1/kv/a HTTP/1.1')],
    ['no version', head('GET /v1/kv/a')],
    ['two spaces', head('GET  /v1/kv/a HTTP/1.1')],
    ['a tab', head('GET\t/v1/kv/a HTTP/1.1')],
    ['a space at the end of its line', head('GET /v1/kv/a HTTP/1.1 ')],
    ['an absolute-form target', head('GET http://localhost/v1/kv/a HTTP/1.1')],
    ['a foreign absolute-form target', head('GET http://evil.example/v1/kv/a HTTP/1.1')],
    ['a fragment', head('GET /v1/kv/a#b HTTP/1.1')],
    ['a byte above ASCII in the target', head('GET /v1/kv/\xe9 HTTP/1.1')],
    ['a NUL in the target', head('GET /v1/kv/\0 HTTP/1.1')],
    ['an empty line before it', `\r\n${get('a')}`],
    ['a bare LF before it', `\n${get('a')}`],
    ['no Host', head('GET /v1/kv/a HTTP/1.1', '')],
    ['an empty Host', head('GET /v1/kv/a HTTP/1.1', 'Host:\r\n')],
    ['two Hosts', get('a', 'Host: evil.example\r\n')],
    ['a foreign Host', head('GET /v1/kv/a HTTP/1.1', 'Host: evil.example\r\n')],
    ['a foreign Origin', put('a', '1', 'Origin: http://evil.example\r\n')],
    ['an allowed Origin', put('a', '1', 'Origin: http://app.example\r\n')],
    ['another cluster', put('a', '1', 'Kv-Cluster: 1\r\n')],
    ['the right cluster', put('a', '1', 'KV-CLUSTER:4242\r\n')],
    ['a bare LF as line end', 'GET /v1/kv/a HTTP/1.1\nHost: localhost\n\n'],
    ['a bare LF among fields', 'GET /v1/kv/a HTTP/1.1\r\nHost: localhost\nAccept: x\r\n\r\n'],
    ['a bare LF in a value', get('a', 'Accept: a\nX: b\r\n')],
    ['a bare CR in a value', get('a', 'Accept: a\rX: b\r\n')],
    ['a bare CR as line end', get('a', 'Accept: a\r')],
    ['a bare LF before the body', 'PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\n'],
    ['a folded line', get('a', 'Accept: a\r\n b\r\n')],
    ['a folded first line', 'GET /v1/kv/a HTTP/1.1\r\n Host: localhost\r\n\r\n'],
    ['a space before the colon', get('a', 'Accept : a\r\n')],
    ['a field without a colon', get('a', 'Accept\r\n')],
    ['a field without a name', get('a', ': a\r\n')],
    ['a name with odd characters', get('a', "a!#$%&'*+.^_`|~: b\r\n")],
    ['a name that is none', get('a', 'a(b): c\r\n')],
    ['a NUL in a value', get('a', 'Accept: a\0b\r\n')],
    ['Latin-1 in a value', put('a', '1', 'Idempotency-Key: \xe9\r\n')],
    ['spaces around a value', get('a', 'Accept: \t application/json \t\r\n')],
    ['a field that comes twice', get('a', 'If-None-Match: "1"\r\nIf-None-Match: "2"\r\n')],
    ['a name that every object has', get('a', 'constructor: x\r\n__proto__: y\r\ntoString: z\r\n')],
    ['a length with a plus', 'PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: +3\r\n\r\nabc'],
    ['a length with a minus', get('a', 'Content-Length: -0\r\n')],
    [
      'a length with leading zeros',
      'PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 003\r\n\r\nabc',
    ],
    ['a length in hexadecimal', get('a', 'Content-Length: 0x0\r\n')],
    ['a list of lengths', 'PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3, 3\r\n\r\nabc'],
    ['an empty length', get('a', 'Content-Length:\r\n')],
    ['a length of many digits', get('a', `Content-Length: ${'9'.repeat(30)}\r\n`)],
    ['the same length twice', put('a', 'abc', 'Content-Length: 3\r\n')],
    ['two lengths', put('a', 'abc', 'Content-Length: 2\r\n')],
    ['chunks', `PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n${CHUNKED}\r\n3\r\nabc\r\n0\r\n\r\n`],
    ['chunks and a length', put('a', '3\r\nabc\r\n0\r\n\r\n', CHUNKED)],
    ['a length and chunks', put('a', 'abc').replace('\r\n\r\n', `\r\n${CHUNKED}\r\n`)],
    ['another coding', put('a', 'abc', 'Transfer-Encoding: gzip\r\n')],
    ['chunked, misspelt', put('a', 'abc', 'Transfer-Encoding: xchunked\r\n')],
    ['chunked behind a tab', put('a', '0\r\n\r\n', 'Transfer-Encoding:\tchunked\r\n')],
    ['a body with GET', `${get('a', 'Content-Length: 3\r\n')}abc`],
    ['a body with DELETE', `${get('a', 'Content-Length: 3\r\n').replace('GET', 'DELETE')}abc`],
    ['100-continue', put('a', 'abc', 'Expect: 100-continue\r\n')],
    ['another expectation', put('a', 'abc', 'Expect: miracles\r\n')],
    ['Connection: close', put('a', 'abc', 'Connection: close\r\n')],
    ['Connection: Keep-Alive', put('a', 'abc', 'Connection: Keep-Alive\r\n')],
    ['Connection with a list', put('a', 'abc', 'Connection: keep-alive, close\r\n')],
    ['an upgrade', get('a', 'Connection: upgrade\r\nUpgrade: websocket\r\n')],
    ['a Proxy-Connection', get('a', 'Proxy-Connection: close\r\n')],
    ['a coding of its content', put('a', 'abc', 'Content-Encoding: gzip\r\n')],
    ['a part of a value', put('a', 'abc', 'Content-Range: bytes 0-2/3\r\n')],
    ['a condition that fails', put('a', 'abc', 'If-Match: "7"\r\n')],
    ['a token', put('a', 'abc', 'Idempotency-Key: "t";since=1\r\n')],
    ['a bad escape', put('%zz', 'abc')],
    ['an empty key', put('', 'abc')],
    ['an unknown parameter', put('a?what', 'abc')],
    ['a key in the query', put('?key=a', 'abc').replace('/kv/', '/kv')],
    ['one that is read', get('?key=a').replace('/kv/', '/kv')],
    ['an empty one', get('?key=').replace('/kv/', '/kv')],
    ['two of them', put('?key=a&key=b', 'abc').replace('/kv/', '/kv')],
    ['one and a prefix', get('?key=a&prefix=b').replace('/kv/', '/kv')],
    ['a value of 64 KiB', put('a', 'x'.repeat(65_536))],
    ['a value beyond that', put('a', 'x'.repeat(65_537))],
    ['a value of UTF-8', put('a', '\xc3\xa9')],
    ['a head of 9 KiB', get('a', `X-Long: ${'x'.repeat(9000)}\r\n`)],
    ['a head of 70 KiB', get('a', `X-Long: ${'x'.repeat(70_000)}\r\n`)],
    ['many fields before a condition', put('a', 'abc', `${fields(1_100)}If-Match: "7"\r\n`)],
    ['more than the lane reads', put('a', 'abc', `${fields(3_000)}If-Match: "7"\r\n`)],
    ['many fields before a token', put('a', 'abc', `${fields(3_000)}Idempotency-Key: a b\r\n`)],
    ['many fields before Host', `GET /v1/kv/a HTTP/1.1\r\n${fields(3_000)}Host: evil.example\r\n\r\n`],
    ['the cluster', head('GET /v1/cluster HTTP/1.1')],
    ['HEAD of the cluster', head('HEAD /v1/cluster?timeout=3s HTTP/1.1')],
    ['the cluster with an unknown parameter', head('GET /v1/cluster?what HTTP/1.1')],
    ['a body for the cluster', put('', 'abc').replace('/v1/kv/', '/v1/cluster')],
    ['POST', head('POST /v1/kv/a HTTP/1.1')],
    [
      'OPTIONS',
      get('a', 'Origin: http://app.example\r\nAccess-Control-Request-Method: PUT\r\n').replace(
        'GET',
        'OPTIONS',
      ),
    ],
  ])('%s', async (_, request) => {
    const [fast, slow] = servers
    for (const { node } of [fast, slow]) node.put('a', 'before')
    await expectSame(fast, slow, request)
    // Nor does it leave anything else behind.
    expect(fast.node.state).toEqual(slow.node.state)
  })

  test.each([
    ['a head within its limit', { headBytesMax: 1_000 }, get('a', `X: ${'x'.repeat(700)}\r\n`), 404],
    ['a head over its limit', { headBytesMax: 1_000 }, get('a', `X: ${'x'.repeat(1_100)}\r\n`), 400],
    ['a body for which there is no room', { bodiesBytesMax: 2 }, put('a', LARGE), 429],
    ['one whose request is at fault as well', { bodiesBytesMax: 2 }, put('a', 'abc', 'If-Match: 7\r\n'), 400],
  ])('under limits that somebody has set: %s', async (_, limits, request, status) => {
    const [fast, slow] = [await serve({ limits }), await serve({ limits })]
    for (let time = 0; time < 2; time++) {
      await expectSame(fast, slow, request)
      const client = await new Client(fast.port).send(request)
      expect(statusOf(await client.answer())).toBe(status)
      client.leave()
    }
    await atRest(fast)
  })

  const oneOf = (...texts: string[]) => fc.constantFrom(...texts)
  const field = fc.oneof(
    {
      weight: 6,
      arbitrary: oneOf(
        'Accept: application/json',
        'Accept: */*',
        'Accept:x',
        'User-Agent: a (b; c)',
        'Origin: http://app.example',
        'Kv-Cluster: 4242',
        'Connection: keep-alive',
        'If-Match: *',
        'If-None-Match: "2", "3"',
        'if-none-match: *',
        'Content-Type: text/plain',
        'Idempotency-Key: tok',
        'X:  y',
      ),
    },
    {
      weight: 1,
      arbitrary: oneOf(
        'Origin: http://evil',
        'Kv-Cluster: 1',
        'If-Match: 7',
        'Idempotency-Key: a b',
        'Content-Encoding: br',
        'Connection: close',
        'Connection: x',
        'Host: a',
        'Transfer-Encoding: chunked',
        'Content-Length: 1',
        'Expect: 100-continue',
        'X: \t',
        'X:',
        'X',
        ' X: y',
        'X : y',
        'X: \x7f',
        'X: \x01',
        'X: \xff',
        'X: a\nb: c',
      ),
    },
  )
  const request = fc.record({
    method: fc.oneof(
      { weight: 9, arbitrary: oneOf('GET', 'PUT', 'PUT', 'HEAD', 'DELETE') },
      { weight: 1, arbitrary: oneOf('PATCH', 'put', 'G', 'OPTIONS', '') },
    ),
    target: fc.oneof(
      {
        weight: 5,
        arbitrary: oneOf(
          'a',
          'b',
          'a/b',
          'c?prev',
          'a?timeout=3s',
          'a?consistency=stale',
          'a%20b',
          '..',
          '//',
          'a"b<>\\^`{|}~',
        ),
      },
      { weight: 1, arbitrary: oneOf('', '%', 'a?x', 'a b', 'a\t', 'a#b', '\x80', '\x7f', 'a?prev&prev') },
    ),
    /** In the path or in the query. */
    resource: oneOf('/v1/kv/', '/v1/kv?key='),
    version: fc.oneof(
      { weight: 12, arbitrary: oneOf('HTTP/1.1') },
      { weight: 1, arbitrary: oneOf('HTTP/1.0', 'HTTP/1.9', 'HTTPS/1.1', 'HTTP/1.1 ', '') },
    ),
    fields: fc.array(field, { maxLength: 4 }),
    lineEnd: fc.oneof(
      { weight: 15, arbitrary: oneOf('\r\n') },
      { weight: 1, arbitrary: oneOf('\n', '\r', '\r\r\n', ' \r\n') },
    ),
    body: fc.option(
      fc.string({ maxLength: 20 }).map((text) => text.replaceAll(/[^!-~]/g, '.')),
      { nil: undefined },
    ),
  })

  test('whatever it is', async () => {
    const [fast, slow] = servers
    await fc.assert(
      fc.asyncProperty(request, async ({ method, resource, target, version, fields, lineEnd, body }) => {
        const withBody = body !== undefined && method === 'PUT'
        const lines = [`${method} ${resource}${target} ${version}`, 'Host: localhost', ...fields]
        if (withBody) lines.push(`Content-Length: ${body.length}`)
        // It would wait for its body.
        fc.pre(withBody || !lines.includes('Content-Length: 1'))
        await expectSame(fast, slow, `${lines.join(lineEnd)}${lineEnd}${lineEnd}${withBody ? body : ''}`)
      }),
      { numRuns: runs(200) },
    )
  })
})

describe('a connection', () => {
  const body = (answer: string | undefined) => answer?.slice(answer.indexOf('\r\n\r\n') + 4)

  const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 12 })

  function cutAt(text: string, lengths: readonly number[]): string[] {
    const pieces: string[] = []
    let at = 0
    for (const length of lengths) {
      pieces.push(text.slice(at, at + length))
      at += length
    }
    return [...pieces, text.slice(at)].filter((piece) => piece !== '')
  }

  const REQUESTS: readonly (readonly [string, RegExp])[] = [
    [put('b', 'x'.repeat(300)), /^HTTP\/1.1 200 .*"version":\d+}$/s],
    [put('b', ''), /^HTTP\/1.1 200 .*"version":\d+}$/s],
    [put('b', 'c', 'If-Match: x\r\n'), /^HTTP\/1.1 400 .*If-Match must be/s],
    [get('a'), /^HTTP\/1.1 200 .*\r\n\r\nvalue of a$/s],
    [get('a', 'Accept: application/json\r\n'), /^HTTP\/1.1 200 .*"value":"value of a"/s],
    [get('a', 'If-None-Match: "2"\r\n'), /^HTTP\/1.1 304 .*\r\n\r\n$/s],
    [get('none'), /^HTTP\/1.1 404 .*not_found/s],
    [get('none').replace('GET', 'DELETE'), /^HTTP\/1.1 200 .*{"deleted":0,/s],
    [COLD, /^HTTP\/1.1 200 .*{"status":"ok"}$/s],
    [get('?prefix=a').replace('/kv/', '/kv'), /^HTTP\/1.1 200 .*"key":"a"/s],
    [
      'PUT /v1/kv/c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
      /^HTTP\/1.1 200 .*"version":\d+}$/s,
    ],
  ]

  test('may send head and body apart, whatever it does between', async () => {
    const { port, node } = await serve()
    const [head = '', value = ''] = put('a', 'x'.repeat(256)).split(/(?<=\r\n\r\n)/)
    const client = await new Client(port).send(head)
    // Long enough for others to be served.
    const other = new Client(port)
    for (let i = 0; i < 50; i++) {
      await other.send(get('a'))
      expect(statusOf(await other.answer())).toBe(404)
    }
    await client.send(value)
    expect(statusOf(await client.answer())).toBe(200)
    expect(node.asked.at(-1)?.request?.command).toMatchObject({ kind: 'put', value: Buffer.from(value) })
  })

  test('is served on the lane one request after the other', async () => {
    const { port, node } = await serve()
    const { release } = holding(node)
    const client = await new Client(port).send(put('a', '1') + put('a', '2') + get('a'))
    const { value: go } = await release.next()
    // node:http would have proposed both at once.
    expect(node.asked).toHaveLength(1)
    go()
    for (let i = 0; i < 2; i++) (await release.next()).value()
    expect(body((await client.answers(3))[2])).toBe('2')
  })

  test('gives each request its whole time, also one that was sent ahead: the same on both lanes', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const served = await serve()
    for (const client of [new Client(served.port), await onNodeHttp(served)]) {
      const { release } = holding(served.node)
      await client.send(put('a', '1') + put('a', '2'))
      for (let i = 0; i < 3; i++) {
        const { value: go } = await release.next()
        // It arrives while another one is served.
        if (i === 1) await client.send(put('a', '3'))
        await settled(served, () => served.http.inspect().requests, 30)
        vi.advanceTimersByTime(3_000)
        go()
      }
      expect((await client.answers(3)).map(statusOf)).toEqual([200, 200, 200])
    }
    const [first, ...others] = served.node.asked.map(({ timeoutMs }) => timeoutMs)
    expect(others).toEqual(Array(5).fill(first))
  })

  test('is not read while it is far ahead', async () => {
    const served = await serve()
    const { node, port } = served
    const { release } = holding(node)
    const client = new Client(port)
    const one = put('a', 'x'.repeat(60_000))
    const count = 220
    let sent = 0
    const sending = (async () => {
      for (; sent < count; sent++) await client.send(one)
    })()
    const { value: first } = await release.next()
    // 13 MB neither arrived nor piled up: the rest waits at the client.
    expect(await settled(served, () => sent)).toBeLessThan(count)
    expect(node.asked).toHaveLength(1)
    node.hold = undefined
    first()
    await sending
    expect((await client.answers(count)).every((answer) => statusOf(answer) === 200)).toBe(true)
  })

  test('that does not read is not served, nor read', async () => {
    const served = await serve()
    const { node, port } = served
    node.put('a', 'x'.repeat(1 << 20))
    const client = new Client(port)
    client.pause()
    const count = 32
    let sent = 0
    const sending = (async () => {
      await client.send(get('a').repeat(count))
      for (; sent < 220; sent++) await client.send(put('b', 'x'.repeat(60_000)))
    })()
    expect(await settled(served, () => sent)).toBeLessThan(220)
    expect(node.asked.length).toBeLessThan(count)
    client.resume()
    await sending
    expect((await client.answers(count + 220)).map(statusOf)).toEqual(Array(count + 220).fill(200))
  })

  test('may go away under a request', async () => {
    const { port, node, ask, metrics } = await serve()
    const { release } = holding(node)
    const client = await new Client(port).send(put('a', '1'))
    const { value: go } = await release.next()
    client.leave()
    node.hold = undefined
    await ask('GET', '/livez')
    await ask('GET', '/v1/kv/a')
    go()
    // The change was made, and counted.
    expect((await ask('GET', '/v1/kv/a')).text).toBe('1')
    expect(await metrics.text()).toContain('requests_total{operation="put",status="200"} 1\n')
  })

  test.each([
    ['in a head', put('a', '1').slice(0, 30)],
    ['in a body', put('a', '12345').slice(0, -1)],
  ])('that ends %s changes nothing', async (_, bytes) => {
    const { port, node } = await serve()
    const client = (await new Client(port).send(bytes)).endSending()
    expect(await client.rest()).toContain('bad_request')
    expect(node.asked).toEqual([])
  })

  test('that sends no more is answered what it has asked: the same on both lanes', async () => {
    const served = await serve()
    const { release } = holding(served.node)
    for (const client of [new Client(served.port), await onNodeHttp(served)]) {
      ;(await client.send(put('a', '1') + get('a'))).endSending()
      const { value: go } = await release.next()
      // Until both lanes know that it sends no more.
      await served.ask('GET', '/livez')
      go()
      const { value: second } = await release.next()
      second()
      expect([await client.answer(), await client.answer()].map(statusOf)).toEqual([200, 200])
      expect(await client.rest()).toBe('')
    }
  })

  test('that asks behind a change sees it: the same on both lanes', async () => {
    const served = await serve()
    const large = 'x'.repeat(100_000)
    for (const [client, value] of [
      [new Client(served.port), '1'],
      [new Client(served.port), large],
      [await onNodeHttp(served), '2'],
    ] as const) {
      const { release } = holding(served.node)
      const asked = served.node.asked.length
      await client.send(put('a', value) + get('a'))
      const { value: go } = await release.next()
      await served.ask('GET', '/livez')
      expect(served.node.asked).toHaveLength(asked + 1)
      served.node.hold = undefined
      go()
      expect(statusOf(await client.answer())).toBe(200)
      expect(await client.answer()).toContain(`\r\n\r\n${value}`)
    }
  })

  const CHUNKED = 'PUT /v1/kv/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'
  const WHOLE: readonly (readonly [string, string, number])[] = [
    ['another route', COLD, 200],
    ['a range', 'GET /v1/kv HTTP/1.1\r\nHost: localhost\r\n\r\n', 200],
    ['chunks', `${CHUNKED}1\r\na\r\n0\r\n\r\n`, 200],
    ['a large value', put('b', 'x'.repeat(200_000)), 200],
    ['a head of 9 KiB', get('a', `X-Long: ${'x'.repeat(9000)}\r\n`), 200],
    ['an expectation', put('b', 'c', 'Expect: miracles\r\n'), 200],
    ['an unknown method', get('a').replace('GET', 'PATCH'), 405],
  ]
  const BROKEN: readonly (readonly [string, string, number])[] = [
    ['half a head', get('a').slice(0, -1), 400],
    ['half a value', put('b', '12345').slice(0, -1), 400],
    ['half a large value', put('b', 'x'.repeat(200_000)).slice(0, -1), 400],
    ['a chunk cut off', `${CHUNKED}5\r\nab`, 400],
    ['chunks without an end', `${CHUNKED}1\r\na\r\n`, 400],
    ['a chunk of no length', `${CHUNKED}x\r\na\r\n0\r\n\r\n`, 400],
    ['a chunk longer than it says', `${CHUNKED}1\r\nabc\r\n0\r\n\r\n`, 400],
    ['an unknown coding', put('b', 'c', '').replace('Content-Length', 'Transfer-Encoding: gzip\r\nX'), 400],
    ['chunks within another coding', CHUNKED.replace('chunked', 'chunked, gzip'), 400],
    ['no HTTP', 'HELLO\r\n\r\n', 400],
    ['CONNECT', 'CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n', 405],
    ['CONNECT and what would follow', `CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n${get('a')}`, 405],
  ]
  const LANES = ['fast', 'full'] as const
  const both = (cases: typeof WHOLE) => LANES.flatMap((lane) => cases.map((each) => [lane, ...each] as const))

  test.each([...both(WHOLE), ...both(BROKEN)])(
    'that sends no more (%s lane) is answered behind what came before: %s',
    async (lane, _, last, status) => {
      const served = await serve()
      served.node.put('a', 'x')
      const { release } = holding(served.node)
      const client = lane === 'fast' ? new Client(served.port) : await onNodeHttp(served)
      ;(await client.send(put('a', '1') + get('a') + last)).endSending()
      const { value: go } = await release.next()
      // Waits until the server has noticed the end of the body.
      await settled(served, () => served.http.inspect().bodyBytes, 30)
      served.node.hold = undefined
      go()
      expect((await client.answers(3)).map(statusOf)).toEqual([200, 200, status])
      expect(await client.rest()).toBe('')
      await atRest(served)
    },
  )

  // All at the same time: the server gives a client half a second to read why.
  test.each(LANES)('that breaks off on the %s lane is told why, behind what came before', async (lane) => {
    const outcomeOf = async (last: string) => {
      const served = await serve()
      const statuses: number[][] = []
      for (let time = 0; time < 2; time++) {
        const { release } = holding(served.node)
        const client = lane === 'fast' ? new Client(served.port) : await onNodeHttp(served)
        await client.send(put('a', '1') + put('a', '2') + last)
        for (let i = 0; i < 2; i++) {
          const { value: go } = await release.next()
          await settled(served, () => served.http.inspect().requests, 30)
          go()
        }
        const answers = await client.answers(3)
        statuses.push(answers.map(statusOf))
        expect(answers[2]).toMatch(/application\/problem\+json/)
        expect(answers[2]).toContain('Connection: close')
        expect(await client.rest()).toBe('')
        await atRest(served)
      }
      served.node.hold = undefined
      return { statuses, value: (await served.ask('GET', '/v1/kv/a')).text }
    }
    const cases = BROKEN.slice(5)
    const outcomes = cases.map(async ([name, last]) => [name, await outcomeOf(last)])
    const expected = cases.map(([name, , status]) => {
      const statuses = [200, 200, status]
      return [name, { statuses: [statuses, statuses], value: '2' }]
    })
    expect(await Promise.all(outcomes)).toEqual(expected)
  })

  test('gets its answers in order, whatever comes last and whether or not it ends there', async () => {
    const served = await serve()
    served.node.put('a', 'value of a')
    const last = fc.constantFrom(...WHOLE, ...BROKEN)
    const mixed = fc.array(fc.constantFrom(...REQUESTS), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(mixed, last, cuts, fc.boolean(), async (mix, [name, bytes, status], at, ends) => {
        const client = new Client(served.port)
        await client.send(...cutAt(mix.map(([request]) => request).join('') + bytes, at))
        // An incomplete request must end.
        if (ends || BROKEN.slice(0, 5).some(([half]) => half === name)) client.endSending()
        for (const [, expected] of mix) expect(await client.answer()).toMatch(expected)
        expect(statusOf(await client.answer())).toBe(status)
        client.leave()
      }),
      { numRuns: runs(150) },
    )
    await atRest(served)
  })

  const UPGRADE = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n'
  const UPGRADES: readonly (readonly [string, string])[] = [
    ['without a body', get('a', UPGRADE)],
    ['with a body', put('a', 'abc', UPGRADE)],
    ['with chunks', `${CHUNKED.slice(0, -2)}${UPGRADE}\r\n1\r\na\r\n0\r\n\r\n`],
    ['as through a proxy', get('a', UPGRADE.replace('Connection', 'Proxy-Connection'))],
    ['and names none', get('a', 'Connection: upgrade\r\nUpgrade:\r\n')],
  ]
  test.each(LANES.flatMap((lane) => UPGRADES.map((each) => [lane, ...each] as const)))(
    'that asks for another protocol on the %s lane ends with the answer, and nothing sent behind it is done: %s',
    async (lane, _, request) => {
      const served = await serve()
      const client = lane === 'fast' ? new Client(served.port) : await onNodeHttp(served)
      const asked = served.node.asked.length
      // Where its head is lost, the rest of the value is another request.
      const [head = '', value] = put('b', put('c', '')).split(/(?<=Content-Length: \d+\r\n\r\n)(?=PUT)/)
      await client.send(request + head, value ?? '')
      const answer = await client.answer()
      expect([200, 404]).toContain(statusOf(answer))
      expect(answer).toContain('Connection: close')
      expect(await client.rest()).not.toContain('HTTP/1.1 200')
      expect(served.node.asked).toHaveLength(asked + 1)
      await atRest(served)
    },
  )

  test('that breaks off within a large upload can read why', async () => {
    const served = await serve()
    const client = await new Client(served.port).send(
      `${CHUNKED}${LARGE.length.toString(16)}\r\n${LARGE}\r\n`,
    )
    // Somebody waits for the body.
    await until(served, () => served.http.inspect().bodyBytes > 0)
    await client.send('x\r\n', ...Array<string>(100).fill('y'.repeat(10_000)))
    expect(await client.answer()).toMatch(/^HTTP\/1.1 400 .*not an HTTP request/s)
    await client.rest()
    await atRest(served)
  })

  test('stays on the lane when others wait for the rest of a request for longer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const served = await serve()
    const { http } = served
    const pieces = put('a', '12345').split(/(?<=localhost\r\n)/)
    const [early, late] = [new Client(served.port), new Client(served.port)]
    // Both are known, and on the lane.
    for (const client of [early, late]) await client.send(get('b')).then(() => client.answer())
    await early.send(pieces[0] ?? '')
    await settled(served, () => http.inspect().fastConnections)
    vi.advanceTimersByTime(REST_MS_MAX - 1)
    await late.send(pieces[0] ?? '')
    await settled(served, () => http.inspect().fastConnections)
    vi.advanceTimersByTime(1)
    await settled(served, () => http.inspect().fastConnections)
    // A request that arrived in time keeps its reader; node:http reads the late one.
    expect(http.inspect().fastConnections).toBe(1)
    for (const client of [late, early]) {
      await client.send(pieces[1] ?? '')
      expect(statusOf(await client.answer())).toBe(200)
    }
    expect(http.inspect().fastConnections).toBe(1)
    // And it is no different the next time.
    await late.send(pieces[0] ?? '')
    await settled(served, () => http.inspect().fastConnections)
    vi.advanceTimersByTime(REST_MS_MAX - 1)
    await late.send(pieces[1] ?? '')
    expect(statusOf(await late.answer())).toBe(200)
    vi.advanceTimersByTime(REST_MS_MAX)
    await settled(served, () => http.inspect().fastConnections)
    expect(http.inspect().fastConnections).toBe(1)
  })

  test('whose request is late moves to node:http, also if another one was late a little earlier', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const served = await serve()
    const fastConnections = (): Promise<number> =>
      settled(served, () => served.http.inspect().fastConnections)
    const half = put('a', '1').slice(0, 30)
    await new Client(served.port).send(half)
    expect(await fastConnections()).toBe(1)
    vi.advanceTimersByTime(REST_MS_MAX - 1)
    await new Client(served.port).send(half)
    expect(await fastConnections()).toBe(2)
    vi.advanceTimersByTime(1)
    expect(await fastConnections()).toBe(1)
    vi.advanceTimersByTime(REST_MS_MAX)
    expect(await fastConnections()).toBe(0)
  })

  test.each([
    ['a head', put('a', '1').slice(0, 30)],
    ['a body', put('a?timeout=40ms', '12345').slice(0, -1)],
  ])('that never finishes %s is judged by node:http', async (_, bytes) => {
    const { http, port } = await serve({ limits: { drainMsMax: 20, closeMsMax: 100 } })
    const client = await new Client(port).send(bytes)
    if (bytes.startsWith('PUT /v1/kv/a?')) expect(await client.answer()).toContain('did not arrive within')
    await http.close({ graceful: true })
    await client.rest()
  })

  test('that is idle is closed after its time, also one that comes when all others have left', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const served = await serve({ limits: { keepAliveMs: 50 } })
    for (let time = 0; time < 2; time++) {
      const [silent, idle] = [new Client(served.port), await new Client(served.port).send(put('a', '1'))]
      expect(statusOf(await idle.answer())).toBe(200)
      expect(await settled(served, () => served.http.inspect().fastConnections)).toBe(2)
      vi.advanceTimersByTime(1_200)
      expect([await silent.rest(), await idle.rest()]).toEqual(['', ''])
      await until(served, () => served.http.inspect().fastConnections === 0)
    }
  })
})

describe('closing', () => {
  test.each([
    ['the fast lane', async ({ port }: Served) => new Client(port)],
    ['node:http', onNodeHttp],
  ])('on %s answers what is under way, and nothing behind that is done', async (_, connected) => {
    const served = await serve({ limits: { closeMsMax: 600_000 } })
    const { http, node } = served
    const { release } = holding(node)
    const idle = await (await connected(served)).send(get('a'))
    const { value: first } = await release.next()
    first()
    await idle.answer()
    const busy = await (await connected(served)).send(put('a', '1') + put('a', '2'))
    const { value: go } = await release.next()
    const closed = http.close({ graceful: true })
    go()
    const answer = await busy.answer()
    expect(answer).toMatch(/^HTTP\/1.1 200 .*\r\nConnection: close\r\n/s)
    expect(answer).not.toContain('eep-')
    expect([await busy.rest(), await idle.rest()]).toEqual(['', ''])
    await closed
    expect(node.asked).toHaveLength(2)
  })

  test.each([
    ['the fast lane', async ({ port }: Served) => new Client(port)],
    ['node:http', onNodeHttp],
  ])('on %s answers what is on its way when it begins', async (_, connected) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const served = await serve()
    const [client, idle] = [await connected(served), await connected(served)]
    for (const each of [client, idle])
      expect(statusOf(await (await each.send(put('a', '1'))).answer())).toBe(200)
    const closed = served.http.close({ graceful: true })
    // The server first accepts waiting connections: after two turns of the event loop, there are none.
    const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
    for (let count = 0; count < 4; count++) await turn()
    vi.advanceTimersByTime(40)
    await turn()
    await client.send(put('a', '2'))
    expect(await client.answer()).toMatch(/^HTTP\/1.1 200 .*\r\nConnection: close\r\n/s)
    vi.advanceTimersByTime(40)
    expect([await client.rest(), await idle.rest()]).toEqual(['', ''])
    await closed
    expect(served.node.asked).toHaveLength(3)
  })

  test('without grace cuts', async () => {
    const { http, port, node } = await serve()
    const { release } = holding(node)
    const busy = await new Client(port).send(put('a', '1'))
    await release.next()
    await http.close({ graceful: false })
    expect(await busy.rest()).toBe('')
  })

  test('cuts what does not end', async () => {
    const { http, port, node } = await serve({ limits: { closeMsMax: 50 } })
    const { release } = holding(node)
    const busy = await new Client(port).send(put('a', '1'))
    await release.next()
    await http.close({ graceful: true })
    expect(await busy.rest()).toBe('')
  })
})
