// Every byte of a request that a connection holds counts, of its head too, whichever reader reads it. Beyond the budget
// of all connections, one that sends more is refused, and a small request is served.

import { expect, test } from 'vitest'
import { WATCH } from '../../../src/server/mux/protocol.ts'
import { MuxClient, soon } from '../mux/mux-client.ts'
import { atRest, Client, COLD, get, put, statusOf } from './raw-client.ts'
import { type Served, serve } from './served.ts'

const KiB = 1024
const LIMITS = { bodiesBytesMax: 24 * KiB }

const held = ({ http }: Served) => http.inspect().bodyBytes

/** A head of this length that lacks its end. */
const beginning = (target: string, length: number): string => {
  const head = `GET ${target} HTTP/1.1\r\nHost: localhost\r\nX-Long: `
  return head + 'x'.repeat(length - head.length)
}

test('the beginning of a head counts at the raw reader, and is given back', async () => {
  const served = await serve({ limits: LIMITS })
  const client = new Client(served.port)
  const length = 6 * KiB
  await client.send(beginning('/v1/kv/a', length))
  await soon(() => expect(held(served)).toBeGreaterThan(length - 2 * KiB))
  expect(held(served)).toBeLessThanOrEqual(length)
  await client.send('\r\n\r\n')
  expect(statusOf(await client.answer())).toBe(404)
  await atRest(served, 1)
  expect(held(served)).toBe(0)
})

test('the head of a request counts until it is answered', async () => {
  const served = await serve({ limits: LIMITS })
  const client = new Client(served.port)
  await client.send(get('watch', `X-Long: ${'x'.repeat(20 * KiB)}\r\n`).replace('/kv/watch', '/watch?key=a'))
  await soon(() => expect(held(served)).toBeGreaterThan(18 * KiB))
  client.leave()
  await atRest(served)
  expect(held(served)).toBe(0)
})

test('many connections with heads without an end are refused in the end, and small requests are served', async () => {
  const served = await serve({ limits: LIMITS })
  const clients = Array.from({ length: 8 }, () => new Client(served.port))
  for (const client of clients) await client.send(beginning('/v1/kv/a', 6 * KiB))
  const answers = Promise.all(clients.slice(4).map((client) => client.answer()))
  expect((await answers).map(statusOf)).toEqual([429, 429, 429, 429])
  expect(held(served)).toBeLessThanOrEqual(LIMITS.bodiesBytesMax)
  const small = new Client(served.port)
  expect(statusOf(await (await small.send(get('a'))).answer())).toBe(404)
  expect(statusOf(await (await small.send(COLD)).answer())).toBe(200)
})

test('requests that are sent ahead are not kept without a bound; the one before them is answered', async () => {
  const served = await serve({ limits: { bodiesBytesMax: 10 * KiB } })
  const release: (() => void)[] = []
  served.node.hold = (go) => release.push(go)
  const client = new Client(served.port)
  await client.send(put('a', '1'))
  await soon(() => expect(release).toHaveLength(1))
  await client.send(get('b', `X-Long: ${'x'.repeat(7 * KiB)}\r\n`).repeat(4))
  await soon(() => expect(held(served)).toBeLessThanOrEqual(10 * KiB))
  served.node.hold = undefined
  release[0]?.()
  expect(await client.answer()).toMatch(/^HTTP\/1.1 200 (?:.*\r\n)*Connection: close\r\n/)
  expect(await client.answer()).toBeUndefined()
  await atRest(served)
})

test('ranges and watches of a multiplexed connection count with their keys', async () => {
  const served = await serve({ limits: LIMITS })
  const client = await new MuxClient(served.port).open()
  const key = (n: number) => String(n).padEnd(4 * KiB, 'k')
  for (let n = 1; n <= 8; n++) client.send([n, WATCH, null, { key: key(n) }])
  const ends = await Promise.all(Array.from({ length: 8 }, (_, n) => client.answer(n + 1)))
  const refused = ends.filter((answer) => answer?.[1] !== 0)
  expect(refused).toHaveLength(2)
  expect(JSON.stringify(refused)).toContain('overloaded')
  expect(held(served)).toBeGreaterThan(22 * KiB)
  expect(held(served)).toBeLessThanOrEqual(LIMITS.bodiesBytesMax)
  client.ws.terminate()
  await atRest(served)
  expect(held(served)).toBe(0)
})
