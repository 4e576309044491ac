// Every byte of a request that a connection holds counts, of its head too, whichever reader reads it. Beyond the budget
// of all connections, one that sends more is refused, and a small request is served.

import { expect, test, vi } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { OPERATIONS } from '../../../src/operations/index.ts'
import { callGrpc, callRpc, frame as message, openSession } from '../etcd/grpc-call.ts'
import { KEEP_ALIVE, MuxClient, PUT, soon } from '../mux/mux-client.ts'
import { atRest, Client, COLD, get, holding, onNodeHttp, put, settled, statusOf } from './raw-client.ts'
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

test('a request that moves to node:http because it is late is given back by both readers', async () => {
  const served = await serve()
  const client = new Client(served.port)
  const request = put('a', 'x'.repeat(20 * KiB))
  await client.send(request.slice(0, -1))
  await soon(() => expect(held(served)).toBeGreaterThan(10 * KiB))
  await soon(() => expect(served.http.inspect().fastConnections).toBe(0))
  await client.send(request.slice(-1))
  expect(statusOf(await client.answer())).toBe(200)
  await soon(() => expect(held(served)).toBe(0))
})

test('the head of a request counts with the memory that it takes at node:http, until it is answered', async () => {
  const served = await serve({ limits: { bodiesBytesMax: 256 * KiB } })
  const client = new Client(served.port)
  await client.send(get('watch', `X-Long: ${'x'.repeat(20 * KiB)}\r\n`).replace('/kv/watch', '/watch?key=a'))
  await soon(() => expect(held(served)).toBeGreaterThan(180 * KiB))
  client.leave()
  await atRest(served)
  expect(held(served)).toBe(0)
})

test('many connections with heads without an end are refused in the end, and small requests are served', async () => {
  const served = await serve({ limits: LIMITS })
  const clients = Array.from({ length: 8 }, () => new Client(served.port))
  // The raw reader keeps the beginning of a head only for some milliseconds.
  const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now())
  for (const client of clients) await client.send(beginning('/v1/kv/a', 6 * KiB))
  const answers = await Promise.all(clients.slice(4).map((client) => client.answer()))
  clock.mockRestore()
  expect(answers.map(statusOf)).toEqual([429, 429, 429, 429])
  expect(held(served)).toBeLessThanOrEqual(LIMITS.bodiesBytesMax)
  const small = new Client(served.port)
  expect(statusOf(await (await small.send(get('a'))).answer())).toBe(404)
  expect(statusOf(await (await small.send(COLD)).answer())).toBe(200)
})

const LANES = [
  ['fast', async ({ port }: Served) => new Client(port)],
  ['full', onNodeHttp],
] as const

test.each(LANES)(
  'requests that are sent ahead on the %s lane are not kept without a bound; the one before them is answered',
  async (lane, connected) => {
    const served = await serve({ limits: { bodiesBytesMax: 10 * KiB } })
    const release: (() => void)[] = []
    served.node.hold = (go) => release.push(go)
    const client = await connected(served)
    await client.send(put('a', '1'))
    await soon(() => expect(release).toHaveLength(1))
    await client.send(...Array<string>(4).fill(get('b', `X-Long: ${'x'.repeat(7 * KiB)}\r\n`)))
    await settled(served, () => held(served), 30)
    // The raw reader gives back what it drops, and node:http is not read further.
    expect(held(served)).toBeLessThanOrEqual(lane === 'fast' ? 0 : 10 * KiB)
    served.node.hold = undefined
    release[0]?.()
    expect(statusOf(await client.answer())).toBe(200)
    expect(await client.rest()).toMatch(lane === 'fast' ? /^$/ : /HTTP\/1.1 429 /)
    await atRest(served)
    expect(held(served)).toBe(0)
  },
)

test.each(LANES)(
  'what was sent ahead on the %s lane is given back when its client leaves before the answer',
  async (_, connected) => {
    const served = await serve()
    const release: (() => void)[] = []
    served.node.hold = (go) => release.push(go)
    const client = await connected(served)
    await client.send(put('a', '1'))
    await soon(() => expect(release).toHaveLength(1))
    await client.send(get('b', `X-Long: ${'x'.repeat(4 * KiB)}\r\n`).repeat(8))
    await soon(() => expect(held(served)).toBeGreaterThan(16 * KiB))
    client.reset()
    await soon(() => expect(served.http.inspect().connections).toBe(0))
    release[0]?.()
    await atRest(served)
    expect(held(served)).toBe(0)
  },
)

test('a request behind a watch ends the connection, whether it is sent before the watch begins or later', async () => {
  const served = await serve()
  const watch = 'GET /v1/watch?key=a HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const early = await new Client(served.port).send(watch + get('a'))
  expect(await early.rest()).not.toContain('404')
  const late = await new Client(served.port).send(watch)
  await soon(() => expect(served.node.watches.counts().open).toBe(1))
  await late.send(get('a', `X-Long: ${'x'.repeat(30 * KiB)}\r\n`).repeat(12))
  await atRest(served)
  expect(await late.rest()).not.toContain('404')
  expect(served.node.watches.counts().open).toBe(0)
  expect(held(served)).toBe(0)
})

test('ranges and watches of a multiplexed connection count with their keys', async () => {
  const served = await serve({ limits: LIMITS })
  const client = await new MuxClient(served.port).open()
  const key = (n: number) => String(n).padEnd(4 * KiB, 'k')
  for (let n = 1; n <= 8; n++) client.send([n, OPERATIONS.watch.mux.opcode, null, { key: key(n) }])
  const ends = await Promise.all(Array.from({ length: 8 }, (_, n) => client.answer(n + 1)))
  const refused = ends.filter((answer) => answer?.[1] !== 0)
  // Each counts with 512 bytes, and twice with its key.
  expect(refused).toHaveLength(6)
  expect(JSON.stringify(refused)).toContain('overloaded')
  expect(held(served)).toBe(2 * (8 * KiB + 512) - KiB)
  client.ws.terminate()
  await atRest(served)
  expect(held(served)).toBe(0)
})

test.each([
  ['a head', onNodeHttp, 'GET /v1/status HTTP/1.1\r\nHost: localhost\r\n'],
  [
    'trailers',
    async ({ port }: Served) => new Client(port),
    'POST /v1/txn HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n',
  ],
])('of %s that a user does not finish, all that node:http keeps counts', async (_, connected, begin) => {
  const served = await serve({ limits: { bodiesBytesMax: 512 * KiB } })
  const client = await connected(served)
  await client.send(begin, 'X-Long: ', ...Array<string>(20).fill('x'.repeat(KiB)))
  await soon(() => expect(held(served)).toBeGreaterThan(180 * KiB))
  // Further connections with as much have no room.
  const others = await Promise.all([1, 2, 3].map(() => connected(served)))
  for (const other of others) await other.send(begin, `X-Long: ${'x'.repeat(20 * KiB)}`)
  await soon(() => expect(held(served)).toBeGreaterThan(380 * KiB))
  const small = new Client(served.port)
  expect(statusOf(await (await small.send(get('a'))).answer())).toBe(404)
  for (const each of [client, ...others]) each.leave()
  await atRest(served, 1)
  expect(held(served)).toBe(0)
})

test('half a head is given back when what follows it is no head', async () => {
  const served = await serve()
  const { release } = holding(served.node)
  const client = await onNodeHttp(served)
  await client.send(put('a', '1'))
  const { value: go } = await release.next()
  await client.send('GET /v1/kv/a HTTP/1.1\r\nX-Long: ', 'x'.repeat(20 * KiB))
  await soon(() => expect(held(served)).toBeGreaterThan(180 * KiB))
  await client.send('\r\nno field\r\n')
  await soon(() => expect(held(served)).toBeLessThan(KiB))
  go()
  expect((await client.answers(2)).map(statusOf)).toEqual([200, 400])
})

test('a body of which a part has arrived when its turn comes needs room only for the rest', async () => {
  const served = await serve({ limits: { bodiesBytesMax: 60 * KiB } })
  const { release } = holding(served.node)
  const client = await onNodeHttp(served)
  const request = put('b', 'x'.repeat(40 * KiB))
  await client.send(put('a', '1'))
  const { value: go } = await release.next()
  await client.send(request.slice(0, -KiB))
  await soon(() => expect(held(served)).toBeGreaterThan(35 * KiB))
  served.node.hold = undefined
  go()
  expect(statusOf(await client.answer())).toBe(200)
  await client.send(request.slice(-KiB))
  expect(statusOf(await client.answer())).toBe(200)
})

test('a stream of requests for which there is no room ends with the reason, and so does its connection', async () => {
  const served = await serve({ limits: { ...LIMITS, drainMsMax: 100 } })
  const client = new Client(served.port)
  const head = 'POST /v3/watch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'
  const requests = '{"create_request":{"key":"YQ=="}}'.repeat(1_000)
  await client.send(head, `${requests.length.toString(16)}\r\n${requests}\r\n`)
  expect(statusOf(await client.answer())).toBe(429)
  expect(await client.rest()).toBe('')
  await atRest(served)
  expect(held(served)).toBe(0)
})

const VALUE = 'v'.repeat(20 * KiB)
const IDS = Array.from({ length: 1_000 }, (_, n) => `${n + 1}`)
const KEEP_ALIVES = Buffer.concat(
  IDS.map((id) => message(RPC.leaseKeepAlive.request.encode({ id: BigInt(id) }))),
)

/** Operations that continue without their client, and their memory. */
const CONTINUED: readonly [string, number, (served: Served) => Promise<() => void>][] = [
  [
    'a put on the fast lane',
    20 * KiB,
    async ({ port }) => {
      const client = await new Client(port).send(put('a', VALUE))
      return () => client.reset()
    },
  ],
  [
    'a put on the full lane, with a large head',
    220 * KiB,
    async (served) => {
      const client = await onNodeHttp(served)
      await client.send(put('a', VALUE, `X-Long: ${VALUE}\r\n`))
      return () => client.reset()
    },
  ],
  [
    'a put of a multiplexed connection',
    20 * KiB,
    async ({ port }) => {
      const client = await new MuxClient(port).open()
      client.send([1, PUT, null, 'a', VALUE])
      return () => client.ws.terminate()
    },
  ],
  [
    'a keep-alive of a multiplexed connection',
    64 * KiB,
    async ({ port }) => {
      const client = await new MuxClient(port).open()
      client.send([1, KEEP_ALIVE, null, IDS])
      return () => client.ws.terminate()
    },
  ],
  [
    'a put of gRPC',
    20 * KiB,
    async ({ port }) => {
      const session = openSession(port)
      void callRpc(session, RPC.put, { key: Buffer.from('a'), value: Buffer.from(VALUE) })
      return () => session.destroy()
    },
  ],
  [
    'a stream of keep-alives of gRPC',
    128 * KiB,
    async ({ port }) => {
      const session = openSession(port)
      void callGrpc(session, RPC.leaseKeepAlive.path, KEEP_ALIVES)
      return () => session.destroy()
    },
  ],
]

test.each(CONTINUED)('%s counts until it ends, also when its client has left', async (_, bytes, begin) => {
  const served = await serve()
  const release: (() => void)[] = []
  served.node.hold = (go) => release.push(go)
  const leave = await begin(served)
  await soon(() => expect([release.length, held(served) > bytes - 2 * KiB]).toEqual([1, true]))
  leave()
  await soon(() => expect(served.http.inspect().connections).toBe(0))
  expect(held(served)).toBeGreaterThan(bytes - 2 * KiB)
  served.node.hold = undefined
  release[0]?.()
  await soon(() => expect(held(served)).toBe(0))
})
