// How a connection is opened, and what is refused: as ordinary answers of HTTP, with the same checks.

import { describe, expect, test } from 'vitest'
import { atRest, Client, get, statusOf, until } from '../http/raw-client.ts'
import { type Served, type Serving, serve } from '../http/served.ts'
import { GET, MuxClient, PUT, pack } from './mux-client.ts'

const FIELDS: Readonly<Record<string, string>> = {
  Host: 'localhost',
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'MDEyMzQ1Njc4OWFiY2RlZg==',
  'Sec-WebSocket-Protocol': 'quorate.v1',
}

/** An opening request in which some fields are others; undefined: without it. */
function opening(changed: Readonly<Record<string, string | undefined>> = {}, target = '/v1/connect'): string {
  const fields = Object.entries({ ...FIELDS, ...changed })
  const lines = fields.flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}\r\n`]))
  return `GET ${target} HTTP/1.1\r\n${lines.join('')}\r\n`
}

const bodyOf = (answer: string | undefined) => JSON.parse(answer?.split('\r\n\r\n')[1] ?? 'null')

async function answerTo(served: Served, request: string): Promise<string> {
  const client = await new Client(served.port).send(request)
  const answer = await client.answer()
  client.leave()
  return answer ?? ''
}

test('a request that is right is answered with 101', async () => {
  const served = await serve()
  const answer = await answerTo(served, opening())
  expect(answer).toMatch(/^HTTP\/1.1 101 /)
  // As in RFC 6455 §4.2.2, for the key above.
  expect(answer).toContain('\r\nSec-WebSocket-Accept: ')
  expect(answer).toContain('\r\nSec-WebSocket-Protocol: quorate.v1\r\n')
  expect(answer).not.toContain('Sec-WebSocket-Extensions')
  await atRest(served)
  expect(await served.metrics.text()).toContain(
    'quorate_http_requests_total{operation="other",status="101"} 1',
  )
})

test.each<[string, Readonly<Record<string, string | undefined>>, string?]>([
  [
    'as browsers send it',
    { Connection: 'keep-alive, Upgrade', Upgrade: 'WebSocket', Origin: 'http://localhost' },
  ],
  ['with extensions, which are not used', { 'Sec-WebSocket-Extensions': 'permessage-deflate' }],
  ['with several protocols', { 'Sec-WebSocket-Protocol': 'other, quorate.v1' }],
  ['for this cluster', {}, '/v1/connect?cluster=4242'],
  ['for this cluster, in a header', { 'Kv-Cluster': '4242' }],
  ['with a timeout', {}, '/v1/connect?timeout=3s'],
])('%s', async (_, changed, target) => {
  const served = await serve()
  const answer = await answerTo(served, opening(changed, target))
  expect(statusOf(answer)).toBe(101)
  expect(answer).toContain('\r\nSec-WebSocket-Protocol: quorate.v1\r\n')
  expect(answer).not.toContain('Sec-WebSocket-Extensions')
})

describe('refused', () => {
  test.each<[string, Readonly<Record<string, string | undefined>>, string | undefined, number, string]>([
    ['a foreign host', { Host: 'evil.example' }, undefined, 421, 'host_not_allowed'],
    ['no host', { Host: undefined }, undefined, 400, 'bad_request'],
    ['a foreign page', { Origin: 'http://evil.example' }, undefined, 403, 'origin_not_allowed'],
    ['a page without an origin', { Origin: 'null' }, undefined, 403, 'origin_not_allowed'],
    ['another cluster', {}, '/v1/connect?cluster=77', 421, 'wrong_cluster'],
    ['another cluster, in a header', { 'Kv-Cluster': '77' }, undefined, 421, 'wrong_cluster'],
    ['an unknown parameter', {}, '/v1/connect?clutser=4242', 400, 'unknown_parameter'],
    ['another version', { 'Sec-WebSocket-Version': '8' }, undefined, 426, 'upgrade_required'],
    ['no version', { 'Sec-WebSocket-Version': undefined }, undefined, 426, 'upgrade_required'],
    ['no key', { 'Sec-WebSocket-Key': undefined }, undefined, 400, 'bad_request'],
    ['a key of another length', { 'Sec-WebSocket-Key': 'MDEyMzQ1' }, undefined, 400, 'bad_request'],
    ['no protocol', { 'Sec-WebSocket-Protocol': undefined }, undefined, 400, 'bad_request'],
    ['another protocol', { 'Sec-WebSocket-Protocol': 'quorate.v2' }, undefined, 400, 'bad_request'],
  ])('%s', async (_, changed, target, status, code) => {
    const served = await serve()
    const client = await new Client(served.port).send(opening(changed, target) + get('a'))
    const answer = await client.answer()
    expect(statusOf(answer)).toBe(status)
    expect(bodyOf(answer)).toMatchObject({ status, code, type: `urn:quorate:problem:${code}` })
    expect(answer).toContain(
      '\r\nKv-Cluster: 4242\r\nKv-Node: n1\r\nKv-Term: 3\r\nKv-Revision: 1\r\nKv-Leader: n2\r\n',
    )
    expect(answer).toContain('\r\nContent-Type: application/problem+json\r\n')
    if (status === 426) expect(answer).toContain('\r\nSec-WebSocket-Version: 13\r\n')
    // The following bytes may be frames. They are not read as requests.
    expect(await client.rest()).toBe('')
    expect(served.node.asked).toEqual([])
    expect(await served.metrics.text()).toContain(`{operation="other",status="${status}"} 1`)
    expect(statusOf(await answerTo(served, opening()))).toBe(101)
    await atRest(served)
  })

  test.each<[string, string]>([
    ['no upgrade', opening({ Upgrade: undefined, Connection: undefined })],
    ['an upgrade without its connection field', opening({ Connection: undefined })],
    ['an upgrade to another protocol', opening({ Upgrade: 'h2c' })],
    ['an upgrade with a body', `${opening({ 'Content-Length': '1' })}x`],
    ['a field twice', opening({ upgrade: 'websocket' })],
  ])('%s is answered by node:http', async (_, request) => {
    const served = await serve()
    const answer = await answerTo(served, request)
    expect(statusOf(answer)).toBe(426)
    expect(answer).toContain('\r\nUpgrade: websocket\r\n')
    expect(bodyOf(answer)).toMatchObject({ status: 426, code: 'upgrade_required' })
    await atRest(served)
  })

  test('another method', async () => {
    const served = await serve()
    const answer = await answerTo(served, 'DELETE /v1/connect HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(statusOf(answer)).toBe(405)
    expect(answer).toContain('\r\nAllow: GET, HEAD\r\n')
  })

  test('another path', async () => {
    const served = await serve()
    for (const path of ['/v1/connect/', '/v1/connections', '/v1/connec%74x'])
      expect(statusOf(await answerTo(served, opening({}, path)))).toBe(404)
  })
})

test('an upgrade elsewhere is an ordinary request, as before', async () => {
  const { port, node } = await serve()
  node.put('a', '1')
  const client = await new Client(port).send(opening({}, '/v1/kv/a'))
  expect(await client.answer()).toMatch(/^HTTP\/1.1 200 .*\r\n\r\n1$/s)
})

test.each<[string, Serving, Readonly<Record<string, string>>]>([
  ['of a host that is allowed', { allowedHosts: ['kv.example'] }, { Host: 'kv.example' }],
  ['of a page that is allowed', { corsOrigins: ['http://app.example'] }, { Origin: 'http://app.example' }],
])('a request %s', async (_, serving, changed) => {
  expect(statusOf(await answerTo(await serve(serving), opening(changed)))).toBe(101)
})

test('a connection that has served requests may become a multiplexed one', async () => {
  const { port, node } = await serve()
  node.put('a', '1')
  const client = await new Client(port).send(get('a'))
  expect(statusOf(await client.answer())).toBe(200)
  await client.send(get('a') + opening())
  expect(statusOf(await client.answer())).toBe(200)
  expect(statusOf(await client.answer())).toBe(101)
})

test('operations may be sent together with the request, before the answer is read', async () => {
  const served = await serve()
  // The mask is 0, so the payload is as it is.
  const message = pack([[1, PUT, null, 'a', '1']])
  const frame = Buffer.concat([Buffer.from([0x82, 0x80 + message.length, 0, 0, 0, 0]), message])
  const client = await new Client(served.port).send(opening() + frame.toString('latin1'))
  expect(statusOf(await client.answer())).toBe(101)
  await until(served, () => served.node.revision === 2)
})

test('the request that has opened a connection counts no longer than that takes', async () => {
  const { port, http } = await serve()
  await new MuxClient(port, { headers: { 'X-Long': 'x'.repeat(6 * 1024) } }).open()
  expect(http.inspect()).toMatchObject({ muxConnections: 1, bodyBytes: 0, unidentifiedHeadBytes: 0 })
})

test('connections count in the limit of connections, and the one that was idle longest makes room', async () => {
  const served = await serve({ limits: { connectionsMax: 2 } })
  const { port, http } = served
  const busy = await new MuxClient(port).open()
  served.node.hold = () => {}
  busy.send([1, GET, null, 'a'])
  while (http.inspect().operations === 0) await new Promise(setImmediate)
  const idle = await new MuxClient(port).open()
  expect(http.inspect()).toMatchObject({ connections: 2, muxConnections: 2 })
  await new MuxClient(port).open()
  expect((await idle.end()).code).toBe(1006)
  expect(busy.closed).toBeUndefined()
})

test('a connection is idle from its last answer on', async () => {
  const { port } = await serve({ limits: { connectionsMax: 2 } })
  const [older, newer] = [await new MuxClient(port).open(), await new MuxClient(port).open()]
  await older.ask(1, PUT, null, 'a', '1')
  await new MuxClient(port).open()
  expect((await newer.end()).code).toBe(1006)
  expect(older.closed).toBeUndefined()
})
