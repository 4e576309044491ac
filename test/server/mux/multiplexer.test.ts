// Multiplexed connections over sockets in memory: the test decides when a client takes what it is sent, and time passes
// as the test says.

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Api } from '../../../src/server/api/api.ts'
import { FREE_BYTES } from '../../../src/server/api/budget.ts'
import { ConnectionTable } from '../../../src/server/clients/connection-table.ts'
import { type HttpLimits, httpLimits } from '../../../src/server/listener/limits.ts'
import { Multiplexer } from '../../../src/server/mux/multiplexer.ts'
import { CALL_BYTES } from '../../../src/server/mux/mux-call.ts'
import { Metrics } from '../../../src/server/node/observe/metrics.ts'
import { record, spans, stopRecording } from '../../tracing/recorded-spans.ts'
import { FakeNode } from '../http/fake-node.ts'
import { CANCEL, CHANGES, GET, PUT, pack, WATCH } from './mux-client.ts'

const UPGRADE = {
  method: 'GET',
  url: '/v1/connect',
  headers: {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'MDEyMzQ1Njc4OWFiY2RlZg==',
    'sec-websocket-protocol': 'quorate.v1',
  },
}

interface FrameForm {
  readonly opcode?: number
  readonly fin?: boolean
}

const TRACE = 11
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const [CONTINUATION, BINARY, PING] = [0, 2, 9]

/** The socket of a client at its node. */
class ClientSocket extends Duplex {
  readonly remoteAddress = '10.0.0.1'
  readonly remotePort = 1
  bytesRead = 0
  /** Whether the client takes what is sent; otherwise the write waits. */
  takes = true
  readonly #received: Buffer[] = []
  #written = 0
  #beingWritten = 0
  #untaken: (() => void) | undefined

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#received.push(chunk)
    this.#written += chunk.length
    this.#beingWritten = chunk.length
    if (this.takes) done()
    else this.#untaken = done
  }

  override _final(done: () => void): void {
    done()
  }

  /** As in Node.js: what waits in the stream is written already. */
  get bytesWritten(): number {
    return this.#written + Math.max(0, this.writableLength - this.#beingWritten)
  }

  get received(): Buffer {
    return Buffer.concat(this.#received)
  }

  /** Takes what waits, and all that follows. */
  takeAll(): void {
    this.takes = true
    const done = this.#untaken
    this.#untaken = undefined
    done?.()
  }

  setTimeout(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  /** Sends a frame of WebSocket. */
  say(content: Buffer, { opcode = BINARY, fin = true }: FrameForm = {}): void {
    const { length } = content
    const size = length < 126 ? [0x80 + length] : [0x80 + 126, length >> 8, length & 0xff]
    // A mask of zeros.
    const frame = Buffer.concat([Buffer.from([(fin ? 0x80 : 0) + opcode, ...size, 0, 0, 0, 0]), content])
    this.bytesRead += frame.length
    this.push(frame)
  }

  ask(...items: readonly (readonly unknown[])[]): void {
    this.say(pack(items))
  }
}

function multiplexed(limits: Partial<HttpLimits> = {}) {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const node = new FakeNode()
  const allLimits = { ...httpLimits, ...limits }
  const api = new Api({
    node,
    limits: allLimits,
    version: '1.2.3',
    failed: (error) => expect.fail(error.message),
  })
  const metrics = new Metrics()
  const multiplexer = new Multiplexer({ api, limits: allLimits, metrics, isClosing: () => false })
  const connections = new ConnectionTable({
    api,
    limits: allLimits,
    served: 'all',
    handshakes: () => undefined,
  })
  connections.open()
  onTestFinished(async () => {
    connections.cut()
    await connections.closed()
  })
  const opened = async (): Promise<ClientSocket> => {
    const socket = new ClientSocket()
    onTestFinished(() => void socket.destroy())
    const connection = connections.add(socket as unknown as Socket)
    connection.identified()
    multiplexer.accept(connection, UPGRADE, Buffer.alloc(0), undefined)
    await turns()
    expect(socket.received.includes('welcome')).toBe(true)
    return socket
  }
  return { node, api, metrics, multiplexer, opened }
}

/** Runs enough turns of the event loop for all that waits for no client. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate)
}

test('a client that takes its answers slowly, so that its pongs are not read, is not cut as silent', async () => {
  const { node, api, multiplexer, opened } = multiplexed({ writeStallMsMax: 10 * httpLimits.muxPingMs })
  const value = Buffer.alloc(1_000_000, 'v')
  node.put('large', value)
  const socket = await opened()
  socket.takes = false
  socket.ask([1, GET, null, 'large'], [2, GET, null, 'large'], [3, GET, null, 'large'])
  await turns()
  expect(socket.isPaused()).toBe(true)
  vi.advanceTimersByTime(3 * httpLimits.muxPingMs)
  expect([socket.destroyed, multiplexer.size]).toEqual([false, 1])
  socket.takeAll()
  // Each fragment leaves after the one before.
  while (api.outbound.bytes > 0) await turns()
  expect(socket.received.length).toBeGreaterThan(3 * value.length)
  expect(socket.isPaused()).toBe(false)
  // From now on it is pinged again.
  vi.advanceTimersByTime(3 * httpLimits.muxPingMs)
  expect(socket.destroyed).toBe(true)
})

test('a client that takes nothing is cut, although it sends pings, whose answers wait', async () => {
  const { node, opened } = multiplexed()
  node.put('large', Buffer.alloc(500_000, 'v'))
  const socket = await opened()
  socket.takes = false
  socket.ask([1, GET, null, 'large'])
  await turns()
  expect(socket.isPaused()).toBe(false)
  for (let ms = 0; ms < httpLimits.writeStallMsMax + 2_000; ms += 1_000) {
    socket.say(Buffer.from('ping'), { opcode: PING })
    await turns()
    vi.advanceTimersByTime(1_000)
  }
  expect(socket.destroyed).toBe(true)
})

test('pings count neither in the message that they interrupt nor in later ones', async () => {
  const { api, opened } = multiplexed({ writeStallMsMax: 1_000 })
  const socket = await opened()
  for (let times = 0; times < 60; times++) {
    socket.say(Buffer.alloc(100), { opcode: PING })
    await new Promise(setImmediate)
  }
  expect(api.inbound.bytes).toBe(0)
  const part = Buffer.alloc(5_000)
  for (const [at, opcode] of [BINARY, CONTINUATION].entries()) {
    socket.say(part, { opcode, fin: false })
    await turns()
    expect(api.inbound.bytes).toBeGreaterThanOrEqual((at + 1) * part.length - FREE_BYTES)
    socket.say(Buffer.alloc(100), { opcode: PING })
    await turns()
  }
  expect(api.inbound.bytes).toBeLessThan(2 * part.length + 100)
  vi.advanceTimersByTime(2_000)
  expect(socket.destroyed).toBe(true)
  await turns()
  expect(api.inbound.bytes).toBe(0)
})

test.each([
  { who: 'is gone', isGone: true, changes: 1, waiting: 2 },
  { who: 'must take its own bytes first', isGone: false, changes: 2, waiting: 3 },
])(
  'a client that $who has no turn when there is room for watches again',
  async ({ isGone, changes, waiting }) => {
    const { node, api, opened } = multiplexed({ watchBuffersBytesMax: 100_000 })
    const watching = async (key: string): Promise<ClientSocket> => {
      const socket = await opened()
      socket.ask([1, WATCH, null, { key }])
      await turns()
      return socket
    }
    const slow = [await watching('a'), await watching('a')]
    for (const socket of slow) socket.takes = false
    // The second change waits until the first one is taken.
    for (let change = 0; change < changes; change++) {
      node.put('a', Buffer.alloc(60_000))
      await turns()
    }
    expect(api.watchBuffers.bytes).toBeGreaterThan(120_000)
    const clients = isGone ? [await watching('b'), await watching('b')] : [await watching('b')]
    node.put('b', 'the value of b')
    await turns()
    expect(node.watches.counts().slow).toBe(waiting)
    if (isGone) clients.shift()?.destroy()
    await turns()
    // The buffers are still half full, so that one client continues.
    slow[0]?.takeAll()
    await turns()
    expect(api.watchBuffers.bytes).toBeGreaterThan(60_000)
    expect(clients[0]?.received.includes('the value of b')).toBe(true)
  },
)

test('the ranges of watches count as long as these are open, and are given back once', async () => {
  const { node, api, opened } = multiplexed()
  const socket = await opened()
  const key = Buffer.alloc(3_000, 'k')
  const ids = [1, 2, 3]
  for (let times = 0; times < 3; times++) {
    socket.ask(...ids.map((id) => [id, WATCH, null, { prefix: key }]))
    await turns()
    expect(node.watches.counts()).toMatchObject({ open: ids.length })
    expect(api.inbound.bytes).toBe(ids.length * (CALL_BYTES + 2 * key.length) - FREE_BYTES)
    socket.ask(...ids.map((id) => [id, CANCEL]))
    await turns()
    expect([node.watches.counts().open, api.inbound.bytes]).toEqual([0, 0])
  }
})

test('what waits for the watch of a client that leaves is given back once', async () => {
  const { node, api, multiplexer, opened } = multiplexed()
  const value = 'v'.repeat(1_000)
  for (let round = 0; round < 2; round++) {
    const socket = await opened()
    socket.ask([1, WATCH, null, { key: 'a' }])
    await turns()
    socket.takes = false
    for (let change = 0; change < 2; change++) {
      node.put('a', value)
      await turns()
    }
    expect(api.watchBuffers.bytes).toBeGreaterThan(2 * value.length)
    socket.destroy()
    await turns()
    expect([multiplexer.size, api.watchBuffers.bytes, api.outbound.bytes]).toEqual([0, 0, 0])
  }
})

test('a trace context counts for the next item alone, and only if that has its id', async () => {
  record()
  onTestFinished(stopRecording)
  const { opened } = multiplexed()
  const socket = await opened()
  const context = (id: number) => [id, TRACE, `00-${TRACE_ID}-b7ad6b7169203331-01`]
  const get = (id: number) => [id, GET, null, 'a']
  socket.ask(context(1), get(1))
  await turns()
  socket.ask(get(1), context(2), get(3), get(2))
  await turns()
  const traces = spans().map(({ name, parentSpanContext }) => [name, parentSpanContext?.traceId])
  expect(traces).toEqual([TRACE_ID, undefined, undefined, undefined].map((parent) => ['mux get', parent]))
})

test('operations whose client is gone are not counted as answered', async () => {
  const { node, metrics, multiplexer, opened } = multiplexed()
  const socket = await opened()
  const held: (() => void)[] = []
  node.hold = (go) => held.push(go)
  socket.ask([1, GET, null, 'a'], [2, PUT, null, 'a', '1'])
  await turns()
  expect([held.length, multiplexer.operations]).toEqual([2, 2])
  socket.destroy()
  await turns()
  for (const go of held) go()
  await turns()
  expect([node.revision, multiplexer.operations]).toEqual([2, 0])
  expect(await metrics.text()).not.toMatch(/^quorate_http_requests_total\{/m)
})

test('a batch that waits for its turn is not made when its client is gone', async () => {
  const { node, api, multiplexer, opened } = multiplexed()
  const steps: (() => void)[] = []
  const socket = await opened()
  vi.spyOn(api.outbound.turns, 'run').mockImplementation((step) => void steps.push(step))
  socket.ask([1, CHANGES, null, [[PUT, 'a', '1']]])
  await turns()
  expect([multiplexer.operations, node.revision]).toEqual([1, 1])
  socket.destroy()
  await turns()
  for (const step of steps.splice(0)) step()
  await turns()
  expect([multiplexer.operations, node.revision, api.inbound.bytes, api.outbound.bytes]).toEqual([0, 1, 0, 0])
})
