// The end of a connection whose client still sends a refused body, in virtual time.

import { expect, onTestFinished, test, vi } from 'vitest'
import { LINGER_MS } from '../../../src/server/clients/client-connection.ts'
import { atRest, Client, COLD, get, onNodeHttp, settled, statusOf, until } from './raw-client.ts'
import { type Served, type Serving, serve } from './served.ts'

const CHUNKED = 'Transfer-Encoding: chunked\r\n'
const ENCODED = 'Content-Encoding: gzip\r\n'
const JSON_FIELD = 'Content-Type: application/json\r\n'

const head = (line: string, fields: string): string => `${line} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`
const put = (fields: string): string => head('PUT /v1/kv/a', fields)
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

async function inStillTime(limits: Serving['limits']): Promise<{ served: Served; client: Client }> {
  const served = await serve({ limits: { drainMsMax: 5_000, ...limits } })
  const client = await onNodeHttp(served)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  return { served, client }
}

const goesOn = async (client: Client): Promise<void> =>
  expect(statusOf(await (await client.send(COLD)).answer())).toBe(200)

test('what was refused and read to its end is forgotten: the connection goes on, and is not cut later', async () => {
  const { served, client } = await inStillTime({})
  for (const length of [1, 70_000, 1]) {
    await client.send(put(`${ENCODED}Content-Length: ${length}\r\n`))
    expect(statusOf(await client.answer())).toBe(415)
    await client.send('x'.repeat(length))
    await goesOn(client)
    vi.advanceTimersByTime(5_000)
    await goesOn(client)
  }
  await atRest(served, 1)
  expect(vi.getTimerCount()).toBe(0)
})

test('as much as the limit says is read of what was refused, and no more', async () => {
  const { served, client } = await inStillTime({ drainBytesMax: 1_000 })
  await client.send(put(`${ENCODED}Content-Length: 1000\r\n`), 'x'.repeat(500), 'x'.repeat(500))
  expect(statusOf(await client.answer())).toBe(415)
  await goesOn(client)
  await client.send(put(`${ENCODED}Content-Length: 2000\r\n`), 'x'.repeat(500), 'x'.repeat(501))
  expect(statusOf(await client.answer())).toBe(415)
  expect(await client.rest()).toBe('')
  await atRest(served)
  expect(vi.getTimerCount()).toBe(0)
})

test.each([
  ['known', 200],
  ['not known', undefined],
])('a client that is refused by its host, and is %s, is read up to its limit', async (is, status) => {
  const limits = { drainBytesMax: 2_000, unauthenticatedDrainBytesMax: 1_000, drainMsMax: 600_000 }
  const served = await serve({ limits: { ...limits, unauthenticatedBodyMs: 600_000 } })
  const client = new Client(served.port)
  if (is === 'known') expect(statusOf(await (await client.send(get('a'))).answer())).toBe(404)
  await client.send('PUT /v1/kv/a HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2000\r\n\r\n')
  expect(statusOf(await client.answer())).toBe(421)
  await client.send('x'.repeat(1_500), 'x'.repeat(500), COLD)
  const next = await client.answer()
  expect(next && statusOf(next)).toBe(status)
})

test('what was refused is waited for as long as the limit says, and no longer', async () => {
  const { served, client } = await inStillTime({ drainMsMax: 300 })
  await client.send(put(`${ENCODED}Content-Length: 2000\r\n`), 'x')
  expect(statusOf(await client.answer())).toBe(415)
  const connections = (): number => served.http.inspect().connections
  // A client that still sends has no more time.
  for (let piece = 0; piece < 2; piece++) {
    vi.advanceTimersByTime(100)
    await client.send('x')
    await settled(served, connections, 10)
  }
  vi.advanceTimersByTime(99)
  expect(await settled(served, connections, 10)).toBe(2)
  vi.advanceTimersByTime(1)
  expect(await client.rest()).toBe('')
  await atRest(served)
  expect(vi.getTimerCount()).toBe(0)
})

test('a client that leaves within what was refused is waited for no longer', async () => {
  const { served, client } = await inStillTime({})
  await client.send(put(`${ENCODED}Content-Length: 2000\r\n`), 'x')
  expect(statusOf(await client.answer())).toBe(415)
  expect(vi.getTimerCount()).toBe(1)
  client.reset()
  await until(served, () => vi.getTimerCount() === 0)
  await atRest(served)
})

test('a client that breaks off within what was refused gets its answer, and has a moment to read it', async () => {
  const { served, client } = await inStillTime({})
  await client.send(put(`${ENCODED}${CHUNKED}`), chunk('abc'))
  expect(statusOf(await client.answer())).toBe(415)
  await client.send('no length\r\n')
  const connections = (): number => served.http.inspect().connections
  await settled(served, connections, 10)
  vi.advanceTimersByTime(LINGER_MS - 1)
  expect(await settled(served, connections, 10)).toBe(2)
  vi.advanceTimersByTime(1)
  expect(await client.rest()).toBe('')
  await atRest(served)
  expect(vi.getTimerCount()).toBe(0)
})

test('a stream that ends before its client has sent all requests ends the connection', async () => {
  const { served, client } = await inStillTime({})
  await client.send(head('POST /v3/lease/keepalive', CHUNKED), chunk('{"ID":7}'))
  expect(statusOf(await client.answer())).toBe(200)
  await client.send(chunk('['))
  // Its chunks.
  expect(await client.answer()).toMatch(/"ID":"7".*"error".*\r\n0\r\n\r\n$/s)
  expect(await client.rest()).toBe('')
  await atRest(served)
})

test.each([
  ['a value', put(CHUNKED), {}, 1 << 20, 'value_too_large'],
  [
    'a request',
    head('POST /v1/cluster/leader', `${JSON_FIELD}${CHUNKED}`),
    {},
    1.5 * (1 << 20),
    'request_too_large',
  ],
  ['all that is under way', put(CHUNKED), { bodiesBytesMax: 100_000 }, 100_000, 'overloaded'],
] as const)(
  '%s that says no length is refused when it becomes too large',
  async (_, request, limits, bytes, code) => {
    const { served, client } = await inStillTime(limits)
    const most = Array<string>((bytes / 50_000) | 0).fill(chunk('x'.repeat(50_000)))
    const left = chunk('x'.repeat(bytes % 50_000 || 1))
    for (let time = 0; time < 2; time++) {
      await client.send(request, ...most, left, chunk('x'.repeat(50_000)))
      expect(await client.answer()).toContain(`"code":"${code}"`)
      expect(served.http.inspect().bodyBytes).toBe(0)
      await client.send('0\r\n\r\n')
      await goesOn(client)
    }
    expect(served.node.asked).toEqual([])
  },
)
