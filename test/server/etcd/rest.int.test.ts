// Clients that rest for longer than every limit near them, in virtual time; and limits of an interval, over many of
// them. All clients leave, and others come again.

import { type ClientRequest, request as httpRequest } from 'node:http'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import type { HttpLimits } from '../../../src/server/listener/limits.ts'
import { JSON_TYPE, type Served, serve } from '../http/served.ts'
import { callRpc, frame as message, openSession } from './grpc-call.ts'
import {
  callFields,
  END_STREAM,
  frame,
  headers,
  literal,
  RawHttp2,
  SETTING,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from './raw-http2.ts'
import { base64 } from './wires.ts'

beforeEach(() => {
  const timers = [
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'performance',
    'Date',
  ] as const
  vi.useFakeTimers({ toFake: [...timers] })
})
afterEach(() => void vi.useRealTimers())

const SECOND = 1_000
const MINUTE = 60 * SECOND

/** Both sides are in this process: what was sent arrives within some turns. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; !isSo(); turn++) {
    if (turn > 100_000) expect.fail('it does not become so')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Time passes, and everybody answers meanwhile. */
async function rest(ms: number, stepMs = SECOND): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    await vi.advanceTimersByTimeAsync(stepMs)
    await settle()
  }
}

const key = Buffer.from('k')
const name = Buffer.from('n')
const textOf = (bytes: Uint8Array = key): string => Buffer.from(bytes).toString()
const metadata = (timeoutMs: number) => ({ metadata: { 'grpc-timeout': `${timeoutMs}m` } })

/** A request of the gateway whose body stays open. `parts`: of the first request, as they arrive. */
async function openGateway(port: number, path: string, ...parts: readonly string[]) {
  const received: string[] = []
  const outgoing: ClientRequest = httpRequest(
    { host: '127.0.0.1', port, method: 'POST', path, headers: JSON_TYPE, agent: false },
    (response) => {
      response.on('data', (chunk: Buffer) => void received.push(chunk.toString()))
      response.on('error', () => {})
      response.on('end', () => void received.push('end'))
    },
  )
  outgoing.on('error', () => {})
  onTestFinished(() => void outgoing.destroy())
  for (const part of parts) {
    outgoing.write(part)
    await settle()
  }
  return { outgoing, text: () => received.join('') }
}

/** Reads a stream in the background. */
function follow<A>(stream: AsyncIterable<A>) {
  const received: A[] = []
  let end: unknown
  void (async () => {
    try {
      for await (const each of stream) received.push(each)
      end = 'well'
    } catch (error) {
      end = error
    }
  })()
  return { received, end: () => end }
}

/** A connection that has made a call, its stream 1. Others, without an identity, have little time. */
function openKnown(port: number): RawHttp2 {
  const client = new RawHttp2(port)
  const request = message(RPC.range.request.encode({ key }))
  client.write(headers(1, callFields(RPC.range.path)), frame(TYPE.data, END_STREAM, 1, request))
  return client
}

const facts = ({ http, node }: Served) => {
  const { stalledTotal: _, unidentifiedClosedTotal: __, ...counts } = http.inspect()
  return { ...counts, watches: node.watches.counts().open, scans: node.openScans, reads: node.openReads }
}

test('every stream and every wait lasts, time after time, and its event arrives', {
  timeout: 60_000,
}, async () => {
  const served = await serve()
  const { port, node } = served
  const lease = { id: '1' as LeaseId }
  const lead = (value: string): void =>
    node.apply({
      ...{ kind: 'put', key: Buffer.from('n/1'), value: Buffer.from(value) },
      ...{ condition: undefined, prev: false, lease },
    })
  const before = facts(served)
  for (let round = 1; round <= 3; round++) {
    node.apply({ kind: 'grant', id: '1' as LeaseId, ttlMs: 60_000 })
    lead('n')
    for (const id of ['2', '3', '4']) node.apply({ kind: 'grant', id: id as LeaseId, ttlMs: 60_000 })
    const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
    const idle = openSession(port)
    await callRpc(idle, RPC.range, { key })
    const watching = client.duplex(RPC.watch, metadata(24 * 60 * MINUTE))
    watching.send(RPC.watch.request.fromJson({ create_request: { key: key.toString('base64') } }))
    const watch = follow(watching)
    const keeping = client.duplex(RPC.leaseKeepAlive)
    const kept = follow(keeping)
    keeping.send({ id: 1n })
    const observed = follow(client.serverStream(RPC.observe, { name }))
    const health = follow(client.serverStream(RPC.healthWatch, {}))
    const has = (entered: string) => until(() => node.records().some((row) => textOf(row.key) === entered))
    const locked = client.unary(RPC.lock, { name, lease: 2n }, metadata(60 * MINUTE))
    await has('n/2')
    const chosen = client.unary(RPC.campaign, { name, lease: 3n }, metadata(60 * MINUTE))
    for (const each of [locked, chosen]) each.catch(() => {})
    await has('n/3')
    const gatewayLock = await openGateway(
      port,
      '/v3/lock/lock',
      JSON.stringify({ name: base64('n'), lease: 4 }),
    )
    gatewayLock.outgoing.end()
    const gatewayWatch = await openGateway(
      port,
      '/v3/watch',
      '{"create_request":',
      `{"key":"${base64('k')}"}}`,
    )
    const gatewayKept = await openGateway(port, '/v3/lease/keepalive', '{"I', 'D":1}')
    const gatewayObserved = await openGateway(port, '/v3/election/observe', `{"name":"${base64('n')}"}`)
    gatewayObserved.outgoing.end()
    // Three for the queue, two for watches, two for observers.
    await until(() => node.watches.counts().open === 7 && health.received.length > 0)

    await rest(25 * MINUTE)

    lead(`value ${round}`)
    node.put('k', `value ${round}`)
    node.notReady = ['a reason']
    keeping.send({ id: 2n })
    gatewayKept.outgoing.write('{"ID":2}')
    await rest(2 * SECOND)
    expect(watch.received.flatMap(({ events }) => events.map(({ kv }) => textOf(kv?.value)))).toEqual([
      `value ${round}`,
    ])
    expect(observed.received.map(({ kv }) => textOf(kv?.value))).toEqual(['n', `value ${round}`])
    expect(health.received.map(({ status }) => status)).toEqual([1, 2])
    expect(kept.received.map(({ id }) => id)).toEqual([1n, 2n])
    expect(gatewayWatch.text()).toContain(base64(`value ${round}`))
    expect(gatewayObserved.text()).toContain(base64(`value ${round}`))
    expect(gatewayKept.text().match(/"ID":"\d"/g)).toEqual(['"ID":"1"', '"ID":"2"'])
    node.apply({ kind: 'revoke', id: '1' as LeaseId })
    await rest(2 * SECOND)
    expect(textOf((await locked).key)).toBe('n/2')
    node.apply({ kind: 'revoke', id: '2' as LeaseId })
    await rest(2 * SECOND)
    expect((await chosen).leader?.lease).toBe(3n)
    node.apply({ kind: 'revoke', id: '3' as LeaseId })
    await rest(2 * SECOND)
    await until(() => gatewayLock.text().includes(base64('n/4')))
    // A connection without calls is served too.
    expect(await callRpc(idle, RPC.range, { key })).toMatchObject({ status: 0 })
    expect([watch, kept, observed, health].map(({ end }) => end())).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ])

    node.notReady = []
    node.apply({ kind: 'revoke', id: '4' as LeaseId })
    client.close()
    idle.destroy()
    for (const { outgoing } of [gatewayLock, gatewayWatch, gatewayKept, gatewayObserved]) outgoing.destroy()
    await until(() => JSON.stringify(facts(served)) === JSON.stringify(before))
  }
})

test('a call lasts as long as its client has stated, and no longer', async () => {
  const served = await serve()
  const { port, node } = served
  node.put('n/1', 'held')
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  onTestFinished(() => client.close())
  const options = metadata(3 * MINUTE)
  const watching = client.duplex(RPC.watch, options)
  watching.send(RPC.watch.request.fromJson({ create_request: { key: 'aw==' } }))
  node.apply({ kind: 'grant', id: '2' as LeaseId, ttlMs: 60_000 })
  const calls = [
    follow(watching),
    follow(client.serverStream(RPC.observe, { name }, options)),
    follow(client.serverStream(RPC.healthWatch, {}, options)),
    follow(client.duplex(RPC.leaseKeepAlive, options)),
    follow(client.serverStream(RPC.lock, { name, lease: 2n }, options)),
  ]
  await until(() => node.watches.counts().open === 3)
  await rest(2 * MINUTE + 55 * SECOND)
  expect(calls.map(({ end }) => end())).toEqual(calls.map(() => undefined))
  await rest(10 * SECOND)
  const late = expect.objectContaining({ code: 4, message: 'context deadline exceeded' })
  expect(calls.map(({ end }) => end())).toEqual(calls.map(() => late))
  expect(node.watches.counts().open).toBe(0)
})

test('a call lasts whose client has stated a longer time than a timer has', async () => {
  const { port, node } = await serve()
  node.put('n/1', 'held')
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  onTestFinished(() => client.close())
  // 596 hours are 24.8 days, and a little less than the longest time of a timer.
  const calls = ['596H', '597H', '99999999S', '99999999H'].flatMap((timeout) => {
    const options = { metadata: { 'grpc-timeout': timeout } }
    const watching = client.duplex(RPC.watch, options)
    watching.send(RPC.watch.request.fromJson({ create_request: { key: 'aw==' } }))
    return [
      follow(watching),
      follow(client.serverStream(RPC.healthWatch, {}, options)),
      follow(client.serverStream(RPC.lock, { name }, options)),
    ]
  })
  await until(() => node.watches.counts().open === 8)
  await rest(MINUTE, 10 * SECOND)
  expect(calls.map(({ end }) => end())).toEqual(calls.map(() => undefined))
})

test('a watch lasts whose client takes as much as it is sent, and one whose client takes nothing does not', async () => {
  const { port, node, http } = await serve()
  const open = (): RawHttp2 => {
    const client = new RawHttp2(port, settings([SETTING.initialWindowSize, 0]))
    const request = RPC.watch.request.fromJson({ create_request: { key: 'aw==' } })
    client.write(headers(1, callFields(RPC.watch.path)))
    client.write(frame(TYPE.data, 0, 1, message(RPC.watch.request.encode(request))))
    return client
  }
  const isReset = ({ frames }: RawHttp2): boolean => frames.some(({ type }) => type === TYPE.reset)
  const change = async (): Promise<void> => {
    node.put('k', 'value')
    await settle()
  }
  const client = open()
  await until(() => node.watches.counts().open === 1 && http.inspect().answerBytes > 0)
  const created = http.inspect().answerBytes
  await change()
  const event = http.inspect().answerBytes - created
  for (let second = 0; second < 30; second++) {
    await change()
    client.write(windowUpdate(1, event))
    await rest(SECOND)
    expect([isReset(client), http.inspect().answerBytes]).toEqual([false, created + event])
  }
  client.socket.destroy()
  await until(() => node.watches.counts().open === 0)
  const idle = open()
  await until(() => node.watches.counts().open === 1)
  for (let second = 0; second < 12; second++) {
    await change()
    await rest(SECOND)
  }
  expect([isReset(idle), http.inspect().answerBytes, node.watches.counts().open]).toEqual([true, 0, 0])
})

test.each(['before', 'after'])(
  'a node that stops answers a call, whichever call of its connection waits for its client: one %s it',
  async (order) => {
    const { port, node, http } = await serve()
    const client = openKnown(port)
    const held: (() => void)[] = []
    await until(() => client.frames.some(({ type, flags }) => type === TYPE.headers && flags === 5))
    node.hold = (go) => void held.push(go)
    const [half, whole] = order === 'before' ? [3, 5] : [5, 3]
    const begin = {
      [half]: () => client.write(headers(half, callFields(RPC.put.path))),
      [whole]: () =>
        client.write(
          headers(whole, callFields(RPC.put.path)),
          frame(TYPE.data, END_STREAM, whole, message(RPC.put.request.encode({ key }))),
        ),
    }
    for (const stream of [3, 5]) {
      begin[stream]?.()
      await until(() => http.inspect().grpcCalls === (stream === 3 ? 1 : 2))
    }
    await until(() => held.length === 1)
    const closed = http.close({ graceful: true })
    await rest(5 * SECOND)
    expect(client.isClosed).toBe(false)
    for (const go of held) go()
    await until(() => client.frames.some(({ stream, type }) => stream === whole && type === TYPE.data))
    // Nobody waits for the rest of a request.
    await rest(2 * SECOND, 100)
    await until(() => client.isClosed)
    await closed
  },
)

test('a silent connection is cut, also the first one after all have left', async () => {
  const { port, http } = await serve()
  for (let round = 0; round < 3; round++) {
    const silent = openKnown(port)
    silent.answersPings = false
    await until(() => http.inspect().grpcConnections === 1)
    await rest(20 * SECOND)
    expect(silent.isClosed).toBe(false)
    await rest(50 * SECOND)
    expect([silent.isClosed, http.inspect().grpcConnections]).toEqual([true, 0])
    const leaving = openSession(port)
    expect(await callRpc(leaving, RPC.range, { key })).toMatchObject({ status: 0 })
    leaving.destroy()
    await until(() => http.inspect().grpcConnections === 0)
  }
})

const LIMITS: Partial<HttpLimits> = { grpcResetsMax: 20 }

/** Frames of which a client may send so many in an interval. `made`: by number, from 1 on. */
interface Limited {
  readonly max: number
  readonly intervalMs: number
  readonly made: (at: number) => Buffer
  readonly reason: string
}

const streamOf = (at: number): number => 2 * at + 1
const LIMITED: Readonly<Record<string, Limited>> = {
  'calls that are given up': {
    ...{ max: 20, intervalMs: 10 * SECOND, reason: 'too_many_resets' },
    made: (at) =>
      Buffer.concat([
        headers(streamOf(at), callFields(RPC.watch.path)),
        frame(TYPE.reset, 0, streamOf(at), uint32(8)),
      ]),
  },
  'calls that the server breaks': {
    ...{ max: 20, intervalMs: 10 * SECOND, reason: 'too_many_resets' },
    made: (at) =>
      Buffer.concat([
        headers(streamOf(at), callFields(RPC.watch.path)),
        frame(TYPE.windowUpdate, 0, streamOf(at), uint32(0)),
      ]),
  },
  'malformed requests': {
    ...{ max: 20, intervalMs: 10 * SECOND, reason: 'too_many_resets' },
    made: (at) => headers(streamOf(at), literal('x', 'y')),
  },
  settings: {
    ...{ max: 98, intervalMs: 10 * SECOND, reason: 'too_many_settings' },
    made: () => settings(),
  },
  'frames without a use': {
    ...{ max: 990, intervalMs: SECOND, reason: 'too_many_frames' },
    made: () => frame(TYPE.priority, 0, 1, Buffer.alloc(5)),
  },
}

test.each(Object.entries(LIMITED))(
  '%s are limited in each interval, and not in the life of a connection',
  async (_, { max, intervalMs, made, reason }) => {
    const { port } = await serve({ limits: LIMITS })
    const client = openKnown(port)
    await settle()
    let sent = 1
    const send = (count: number): void => client.write(...Array.from({ length: count }, () => made(sent++)))
    for (let interval = 0; interval < 12; interval++) {
      send(max)
      await rest(intervalMs + SECOND)
      expect(client.isClosed).toBe(false)
    }
    for (let batch = 0; batch < 3; batch++) send(max)
    expect(await client.goaway()).toEqual([11, reason])
  },
)

test('pings of a client that waits are all acknowledged', async () => {
  const { port } = await serve({ limits: { grpcPingMsMin: 1 } })
  const client = openKnown(port)
  client.write(headers(3, callFields(RPC.watch.path)), frame(TYPE.data, 0, 3, message(Buffer.of())))
  await settle()
  for (let at = 1; at <= 5; at++) {
    const payload = Buffer.alloc(8, at)
    client.write(frame(TYPE.ping, 0, 0, payload))
    await rest(10 * SECOND)
    expect(
      client.frames.some(
        ({ type, flags, payload: back }) => type === TYPE.ping && flags === 1 && back.equals(payload),
      ),
    ).toBe(true)
  }
})
