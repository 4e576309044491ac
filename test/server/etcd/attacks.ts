// Attacks on connections of HTTP/2. Each of them ends in less than a second, and other clients are served meanwhile.

import { afterEach, describe, expect, test } from 'vitest'
import { GRPC } from '../../../src/etcd/status.ts'
import { put } from '../../../src/server/etcd/services/put.ts'
import { range } from '../../../src/server/etcd/services/range.ts'
import type { HttpLimits } from '../../../src/server/listener/limits.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { type Served, serve } from '../http/served.ts'
import { callRpc, frame as message, openSession } from './grpc-call.ts'
import {
  callFields,
  END_HEADERS,
  END_STREAM,
  frame,
  headers,
  indexed,
  literal,
  RawHttp2,
  SETTING,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from './raw-http2.ts'

const KiB = 1024
const MiB = 1024 * KiB
const key = Buffer.from('a')
const value = Buffer.from('1')
const getRequest = message(range.request.encode({ key }))
const putRequest = message(put.request.encode({ key, value }))

const FLOW_CONTROL_ERROR = 3
const ENHANCE_YOUR_CALM = 11

let served: Served | undefined

async function listen(limits: Partial<HttpLimits> = {}): Promise<Served> {
  served = await serve({ limits })
  return served
}

/** Streams of a client have odd numbers. */
const streams = (count: number): number[] => Array.from({ length: count }, (_, at) => 2 * at + 1)

const call = (stream: number, path: string, request: Uint8Array): Buffer =>
  Buffer.concat([headers(stream, callFields(path)), frame(TYPE.data, END_STREAM, stream, request)])

/** Proposals and reads wait from now on. */
function holdProposals(node: FakeNode): () => void {
  const held: (() => void)[] = []
  node.hold = (go) => held.push(go)
  return () => {
    node.hold = undefined
    for (const go of held) go()
  }
}

const NOTHING = Buffer.alloc(0)
const isEndOfFirst = ({ type, stream, flags }: { type: number; stream: number; flags: number }): boolean =>
  stream === 1 && (type === TYPE.reset || (type === TYPE.headers && (flags & END_STREAM) !== 0))

/** Attacks on the implementation of HTTP/2 that serves. */
export function describeAttacks(): void {
  /** Another client is served, and nothing of the attack is left. */
  afterEach(async () => {
    if (served === undefined) return
    const { port, http } = served
    served = undefined
    const session = openSession(port)
    expect(await callRpc(session, put, { key, value })).toMatchObject({ status: GRPC.ok })
    await expect.poll(() => http.inspect()).toMatchObject({ bodyBytes: 0, answerBytes: 0, connections: 1 })
  })

  describe('calls that their client gives up (CVE-2023-44487)', () => {
    const reset = (stream: number) => frame(TYPE.reset, 0, stream, uint32(8))

    test.each([
      ['at once', () => NOTHING],
      ['with their request', (stream: number) => frame(TYPE.data, END_STREAM, stream, getRequest)],
    ])('%s', async (_, request) => {
      const { port } = await listen({ grpcResetsMax: 100 })
      const client = new RawHttp2(port)
      const all = streams(200).map((stream) => [
        headers(stream, callFields(range.path)),
        request(stream),
        reset(stream),
      ])
      client.write(...all.flat())
      expect(await client.goaway()).toEqual([ENHANCE_YOUR_CALM, 'too_many_resets'])
    })

    test('are those of a healthy client if thousands of them time out together', async () => {
      const { port, node } = await listen()
      const session = openSession(port)
      await callRpc(session, range, { key })
      const release = holdProposals(node)
      const calls = Array.from({ length: 3_000 }, () =>
        session.request({ ':method': 'POST', ':path': put.path, 'content-type': 'application/grpc' }),
      )
      for (const stream of calls) stream.on('error', () => {}).end(putRequest)
      await expect.poll(() => node.asked.length).toBeGreaterThan(2_000)
      for (const stream of calls) stream.close(8)
      release()
      expect(await callRpc(session, range, { key })).toMatchObject({ status: GRPC.ok })
      expect(session.destroyed).toBe(false)
      session.destroy()
    })
  })

  describe('calls that the server has to break (CVE-2025-8671)', () => {
    test.each([
      ['no more window', (stream: number) => windowUpdate(stream, 0)],
      ['too much window', (stream: number) => windowUpdate(stream, 2 ** 31 - 1)],
      ['data after the end', (stream: number) => frame(TYPE.data, 0, stream, value)],
    ])('by %s', async (_, fault) => {
      const { port, node } = await listen({ grpcResetsMax: 50 })
      const release = holdProposals(node)
      const client = new RawHttp2(port)
      client.write(...streams(200).flatMap((stream) => [call(stream, put.path, putRequest), fault(stream)]))
      const end = await client.goaway()
      release()
      // Most faults end the connection at once.
      expect(end?.[0]).toBeGreaterThan(0)
      expect(node.asked.length).toBeLessThanOrEqual(100)
    })
  })

  describe('metadata', () => {
    test('that never ends (CVE-2024-27316)', async () => {
      const { port } = await listen()
      const client = new RawHttp2(port)
      client.write(headers(1, callFields(range.path), 0))
      const more = frame(TYPE.continuation, 0, 1, literal('x', 'y'.repeat(1_000)))
      for (let n = 0; n < 1_000 && !client.isClosed; n++) client.write(more)
      await client.find(() => false)
      expect(client.isClosed).toBe(true)
    })

    test('that is small on the wire and large in memory (CVE-2016-6581)', async () => {
      const { port } = await listen()
      const client = new RawHttp2(port)
      const entry = literal('x', 'y'.repeat(3_900), true)
      // The newest entry of the table has the index 62.
      const bomb = Buffer.concat([
        callFields(range.path, entry),
        ...Array.from({ length: 3_000 }, () => indexed(62)),
      ])
      client.write(headers(1, bomb, END_HEADERS), frame(TYPE.data, END_STREAM, 1, getRequest))
      await expect.poll(() => client.isClosed || client.frames.some(isEndOfFirst)).toBe(true)
      client.socket.destroy()
    })

    test('with more bytes than are allowed', async () => {
      const { port } = await listen({ grpcHeadBytesMax: 4 * KiB })
      const session = openSession(port)
      expect(await callRpc(session, range, { key }, { x: 'y'.repeat(2 * KiB) })).toMatchObject({
        status: GRPC.ok,
      })
      expect((await callRpc(session, range, { key }, { x: 'y'.repeat(6 * KiB) })).status).not.toBe(GRPC.ok)
      session.destroy()
    })

    test('with more fields than are allowed', async () => {
      const { port } = await listen()
      const session = openSession(port)
      const fields = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`x${at}`, '']))
      expect((await callRpc(session, range, { key }, fields)).status).not.toBe(GRPC.ok)
      session.destroy()
    })
  })

  describe('floods (CVE-2019-9511 to 9518)', () => {
    test('of settings', async () => {
      const { port } = await listen()
      const client = new RawHttp2(port)
      client.write(...Array.from({ length: 300 }, () => settings([SETTING.initialWindowSize, 65_535])))
      expect(await client.goaway()).toEqual([ENHANCE_YOUR_CALM, 'too_many_settings'])
    })

    test('of pings', async () => {
      const { port } = await listen()
      const client = new RawHttp2(port)
      client.write(...Array.from({ length: 300 }, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8))))
      expect(await client.goaway()).toEqual([ENHANCE_YOUR_CALM, 'too_many_pings'])
    })

    test('of empty data', async () => {
      const { port } = await listen()
      const client = new RawHttp2(port)
      client.write(headers(1, callFields(range.path)))
      client.write(...Array.from({ length: 5_000 }, () => frame(TYPE.data, 0, 1)))
      await client.find(() => false)
      expect(client.isClosed).toBe(true)
    })

    test('of acknowledgements that the client does not take', async () => {
      const { port } = await listen({ writeStallMsMax: 200 })
      const client = new RawHttp2(port)
      client.socket.pause()
      const pings = Buffer.concat(
        Array.from({ length: 20_000 }, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8))),
      )
      for (let n = 0; n < 20 && !client.socket.destroyed; n++) client.write(pings)
      await expect.poll(() => served?.http.inspect().connections).toBe(0)
    })
  })

  describe('windows', () => {
    test('that overflow', async () => {
      const { port } = await listen()
      const client = new RawHttp2(port)
      client.write(windowUpdate(0, 2 ** 31 - 1), windowUpdate(0, 2 ** 31 - 1))
      expect((await client.goaway())?.[0]).toBe(FLOW_CONTROL_ERROR)
    })

    test('that stay shut, on one stream', async () => {
      const { port, http, node } = await listen({ writeStallMsMax: 200 })
      node.put(key, Buffer.alloc(100 * KiB))
      const client = new RawHttp2(port, settings([SETTING.initialWindowSize, 0]))
      client.write(call(1, range.path, getRequest))
      await expect.poll(() => http.inspect().answerBytes).toBeGreaterThan(100 * KiB)
      expect(await client.resetCode(1)).toBe(ENHANCE_YOUR_CALM)
      await expect.poll(() => http.inspect().answerBytes).toBe(0)
      client.socket.destroy()
    })

    test('are open, but the client takes nothing', async () => {
      const { port, http, node } = await listen({ writeStallMsMax: 200 })
      node.put(key, Buffer.alloc(1 * MiB))
      const client = new RawHttp2(port, settings([SETTING.initialWindowSize, 2 ** 31 - 1]))
      await client.find(({ type }) => type === TYPE.settings)
      client.socket.pause()
      client.write(
        windowUpdate(0, 2 ** 30),
        ...streams(20).map((stream) => call(stream, range.path, getRequest)),
      )
      await expect.poll(() => http.inspect().answerBytes).toBeGreaterThan(1 * MiB)
      await expect.poll(() => http.inspect().connections).toBe(0)
      expect(http.inspect().answerBytes).toBe(0)
    })
  })

  describe('half a request', () => {
    test('is dropped if no more of it arrives', async () => {
      const { port, http } = await listen({ writeStallMsMax: 200 })
      const client = new RawHttp2(port)
      const half = message(Buffer.alloc(100 * KiB)).subarray(0, 10 * KiB)
      client.write(call(1, range.path, getRequest))
      await client.find(isEndOfFirst)
      client.write(headers(3, callFields(put.path)), frame(TYPE.data, 0, 3, half))
      await expect.poll(() => http.inspect().bodyBytes).toBeGreaterThan(8 * KiB)
      expect(await client.resetCode(3)).toBe(ENHANCE_YOUR_CALM)
      expect(http.inspect().bodyBytes).toBe(0)
      client.socket.destroy()
    })

    test('takes no more memory in small frames than in large ones', async () => {
      const { port, http } = await listen()
      const client = new RawHttp2(port)
      client.write(call(1, range.path, getRequest))
      await client.find(isEndOfFirst)
      const half = message(Buffer.alloc(100 * KiB)).subarray(0, 8 * KiB)
      client.write(headers(3, callFields(put.path)))
      client.write(...Array.from(half, (byte) => frame(TYPE.data, 0, 3, Buffer.from([byte]))))
      await expect.poll(() => http.inspect().bodyBytes).toBeGreaterThan(6 * KiB)
      expect(http.inspect().bodyBytes).toBeLessThanOrEqual(16 * KiB)
      client.socket.destroy()
    })

    test('of many clients is refused beyond the budget of all', async () => {
      const { port, http } = await listen({ bodiesBytesMax: 64 * KiB })
      const client = new RawHttp2(port)
      client.write(call(1, range.path, getRequest))
      await client.find(isEndOfFirst)
      const half = message(Buffer.alloc(100 * KiB)).subarray(0, 10 * KiB)
      for (const stream of streams(10).slice(1))
        client.write(headers(stream, callFields(put.path)), frame(TYPE.data, 0, stream, half))
      await client.find(
        ({ type, stream, flags }) => stream > 1 && type === TYPE.headers && (flags & END_STREAM) !== 0,
      )
      expect(http.inspect().bodyBytes).toBeLessThanOrEqual(64 * KiB)
      client.socket.destroy()
    })

    test('may announce no more than a message may have', async () => {
      const { port } = await listen()
      const session = openSession(port)
      const head = Buffer.from([0, 0, 0x20, 0, 1])
      const stream = session.request({
        ':method': 'POST',
        ':path': put.path,
        'content-type': 'application/grpc',
      })
      stream.on('error', () => {}).write(head)
      const answer = await new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve))
      expect(answer).toMatchObject({
        'grpc-status': String(GRPC.resourceExhausted),
        'grpc-message': 'grpc: received message larger than max (2097153 vs. 2097152)',
      })
      session.destroy()
    })
  })
}
