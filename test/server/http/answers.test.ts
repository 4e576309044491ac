// The common parts of all answers, through either reader: their heads, and that each request has exactly one answer.

import { expect, onTestFinished, test, vi } from 'vitest'
import { asTerm } from '../../../src/raft/types.ts'
import { basic, nodeWithUsers } from '../auth/users.ts'
import { FakeNode } from './fake-node.ts'
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
import { type Served, serve } from './served.ts'

const LANES = [
  ['fast', async ({ port }: Served) => new Client(port)],
  ['full', onNodeHttp],
] as const

const RANGE = 'GET /v1/kv HTTP/1.1\r\nHost: localhost\r\n\r\n'
const STREAM = 'GET /v1/kv HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n'

const headersOf = (answer = ''): Map<string, string> =>
  new Map(
    answer
      .slice(0, answer.indexOf('\r\n\r\n'))
      .split('\r\n')
      .slice(1)
      .map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
  )

test.each(LANES)(
  'an answer names the term and the leader as they are now (%s lane)',
  async (_, connected) => {
    const node = new FakeNode()
    const client = await connected(await serve({ node }))
    for (const [term, leaderName] of [
      [1, undefined],
      [1, 'n1'],
      [2, 'n1'],
      [2, 'n3'],
      [3, undefined],
      [4, undefined],
    ] as const) {
      Object.assign(node, { term: asTerm(term), leaderName })
      const headers = headersOf(await (await client.send(get('a'))).answer())
      expect([headers.get('Kv-Cluster'), headers.get('Kv-Node'), headers.get('Kv-Revision')]).toEqual([
        '4242',
        'n1',
        '1',
      ])
      expect([headers.get('Kv-Term'), headers.get('Kv-Leader')]).toEqual([String(term), leaderName])
    }
  },
)

test('an answer to an absolute target names them too', async () => {
  const client = new Client((await serve()).port)
  await client.send('GET http://localhost/v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const headers = headersOf(await client.answer())
  expect([headers.get('Kv-Term'), headers.get('Kv-Leader')]).toEqual(['3', 'n2'])
})

test.each(LANES)(
  'an answer names the revision that it is of, not a later one (%s lane)',
  async (_, connected) => {
    const client = await connected(await serve())
    const token = 'Idempotency-Key: t\r\n'
    const revisionOf = async (request: string): Promise<string | undefined> =>
      headersOf(await (await client.send(request)).answer()).get('Kv-Revision')
    expect(await revisionOf(put('a', '1', token))).toBe('2')
    expect(await revisionOf(put('a', '2'))).toBe('3')
    expect(await revisionOf(put('a', '1', token))).toBe('2')
  },
)

test('an answer tells the time', async () => {
  const { ask } = await serve()
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  for (const time of [
    'Tue, 17 Nov 2026 09:59:59',
    'Tue, 17 Nov 2026 10:00:00',
    'Wed, 18 Nov 2026 10:00:00',
  ]) {
    vi.setSystemTime(new Date(`${time} GMT`))
    for (let again = 0; again < 2; again++)
      expect((await ask('GET', '/v1/kv/a')).headers.date).toBe(`${time} GMT`)
  }
})

test('Retry-After is the pause that the problem has, in whole seconds', async () => {
  const { ask } = await serve({ node: nodeWithUsers() })
  let now = performance.now()
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now)
  onTestFinished(() => clock.mockRestore())
  const guess = () => ask('GET', '/v1/kv/app/1', { headers: basic('bob', 'a wrong password') })
  for (let wrong = 1; wrong <= 6; wrong++) {
    now += 60_000
    expect((await guess()).status).toBe(401)
  }
  const { status, headers, json } = await guess()
  expect([status, json.retry_after_ms, headers['retry-after']]).toEqual([429, 4_000, '4'])
})

test.each(LANES)('an answer says its length, but where it has none (%s lane)', async (_, connected) => {
  const served = await serve({ corsOrigins: ['http://app.example'] })
  const client = await connected(served)
  served.node.put('a', 'abc')
  const lengthOf = async (request: string): Promise<unknown[]> => {
    const answer = await (await client.send(request)).answer(!request.startsWith('PUT'))
    return [statusOf(answer), headersOf(answer).get('Content-Length')]
  }
  expect(await lengthOf(get('a').replace('GET', 'HEAD'))).toEqual([200, '3'])
  expect(await lengthOf(get('a', 'If-None-Match: "2"\r\n'))).toEqual([304, undefined])
  const preflight = 'Origin: http://app.example\r\nAccess-Control-Request-Method: PUT\r\n'
  expect(await lengthOf(get('a', preflight).replace('GET', 'OPTIONS'))).toEqual([204, undefined])
  expect(await lengthOf(put('a', 'abc'))).toEqual([200, expect.any(String)])
})

test('an answer without a body does not wait for the end of what its client still sends', async () => {
  const served = await serve()
  const client = await onNodeHttp(served)
  await client.send(get('a', 'Content-Length: 3\r\n').replace('GET', 'HEAD'))
  expect(statusOf(await client.answer(true))).toBe(404)
  await client.send('abc', COLD)
  expect(statusOf(await client.answer())).toBe(200)
})

test.each(LANES)('an answer has every byte that it should, of all sizes (%s lane)', async (_, connected) => {
  const served = await serve()
  const client = await connected(served)
  const bodyOf = async (request: string): Promise<Buffer> => {
    const answer = (await (await client.send(request)).answer()) ?? ''
    return Buffer.from(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'latin1')
  }
  for (const text of [
    '',
    'a',
    'é',
    '€',
    '😀',
    'x'.repeat(16_384),
    '€'.repeat(5_462),
    'x'.repeat(65_536),
    'é'.repeat(32_769),
  ]) {
    const value = Buffer.from(text)
    served.node.put('a', value)
    expect((await bodyOf(get('a'))).equals(value)).toBe(true)
    const record = JSON.parse((await bodyOf(get('a', 'Accept: application/json\r\n'))).toString('utf8'))
    expect(record.value === text).toBe(true)
  }
})

test.each(LANES)(
  'a read whose client has gone before it was granted waits no longer (%s lane)',
  async (_, connected) => {
    const served = await serve()
    const { node, http } = served
    node.hold = () => {}
    for (const request of [get('a'), RANGE, STREAM]) {
      const client = await connected(served)
      await client.send(request)
      await until(served, () => node.openReads === 1)
      client.reset()
      await until(served, () => node.openReads === 0)
      await atRest(served)
      expect(http.inspect()).toMatchObject({ requests: 0, ranges: 0, answerBytes: 0 })
    }
  },
)

test('a scan whose client leaves before its first rows are read is closed', async () => {
  const served = await serve()
  const { node, http } = served
  node.put('a', '1')
  const { promise: left, resolve: leave } = Promise.withResolvers<void>()
  const { list } = node
  node.list = (options) => {
    const scan = list.call(node, options)
    const { next } = scan
    scan.next = (limits, done) => void left.then(() => next.call(scan, limits, done))
    return scan
  }
  const client = await (await onNodeHttp(served)).send(STREAM)
  await until(served, () => node.openScans === 1)
  client.reset()
  await until(served, () => http.inspect().connections === 1)
  leave()
  await atRest(served)
  expect(node.openScans).toBe(0)
})

test('a stream that has ended leaves its connection to later requests, also those sent ahead', async () => {
  const served = await serve()
  const client = await onNodeHttp(served)
  const body = '{"ID":7}'
  const length = `Content-Length: ${body.length}\r\n`
  await client.send(`POST /v3/lease/keepalive HTTP/1.1\r\nHost: localhost\r\n${length}\r\n${body}`)
  expect(statusOf(await client.answer())).toBe(200)
  // Its chunks.
  expect(await client.answer()).toMatch(/"ID":"7".*\r\n0\r\n\r\n$/s)
  const { release } = holding(served.node)
  await client.send(put('a', '1'))
  const { value: go } = await release.next()
  await client.send(get('a'))
  await settled(served, () => served.http.inspect().requests, 30)
  served.node.hold = undefined
  go()
  expect((await client.answers(2)).map(statusOf)).toEqual([200, 200])
})

test.each(LANES)(
  'a request has one answer, whatever the node says behind it (%s lane)',
  async (_, connected) => {
    const served = await serve()
    const { node, http } = served
    const client = await connected(served)
    const { propose } = node
    let sayAgain = (): void => {}
    node.propose = (request, timeoutMs, done) =>
      propose.call(node, request, timeoutMs, (result) => {
        sayAgain = () => done(result)
        done(result)
      })
    for (let time = 0; time < 2; time++) {
      await client.send(put('a', 'x'))
      expect(statusOf(await client.answer())).toBe(200)
      await client.send(get('a'))
      expect(statusOf(await client.answer())).toBe(200)
      sayAgain()
      await client.send(get('none'))
      expect(statusOf(await client.answer())).toBe(404)
      expect(http.inspect().requests).toBe(0)
    }
  },
)
