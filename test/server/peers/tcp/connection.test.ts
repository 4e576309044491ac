// One connection alone, with a bare socket at its other end: its pings, its queue, and the reasons of its end.

import { createServer } from 'node:net'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { asReplicaId } from '../../../../src/raft/types.ts'
import { LINK_LIMITS, type LinkLimits, newCounters } from '../../../../src/server/peers/index.ts'
import { Connection } from '../../../../src/server/peers/tcp/connection.ts'
import { CODE } from '../../../../src/server/peers/tcp/link-codec.ts'
import type { Frame } from '../../../../src/server/peers/wires.ts'
import { frame, RawPeer } from './test-nodes.ts'

afterEach(() => void vi.useRealTimers())

async function connected({ limits = {} as Partial<LinkLimits>, asks = true, isKnown = true } = {}) {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
  const server = createServer({ pauseOnConnect: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not bound')
  const calls = new Promise<ConstructorParameters<typeof Connection>[0]>((resolve) =>
    server.once('connection', resolve),
  )
  const other = await RawPeer.to(`127.0.0.1:${address.port}`)
  const socket = await calls
  onTestFinished(() => void socket.destroy())
  const counters = newCounters()
  const connection = new Connection(socket, { ...LINK_LIMITS, ...limits }, counters, asks)
  const heard: Frame[] = []
  const ended: string[] = []
  const owner = {
    frame: (each: Frame) => void heard.push(each),
    closed: (why: string) => void ended.push(why),
  }
  if (isKnown) connection.established(asReplicaId('2'), asReplicaId('1'), owner)
  connection.ownedBy(owner)
  return { connection, socket, other, counters, heard, ended }
}

/** Runs turns of the event loop until `reached`. */
async function until(reached: () => boolean): Promise<void> {
  while (!reached()) await new Promise(setImmediate)
}

/** Runs enough turns of the event loop for bytes to travel through the kernel and back. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate)
}

const TICK_MS = LINK_LIMITS.silenceMs / 3
const written = (number: number): Frame => ({ type: 'snapshot-written', number })

test('it says where the other side is, and that it is open until it is not', async () => {
  const { connection, other, counters, ended } = await connected()
  expect(connection.remote).toBe(`127.0.0.1:${other.socket.localPort}`)
  expect([connection.closed, counters.connectionsOpened]).toEqual([false, 1])
  connection.close('enough')
  connection.close('again')
  expect([connection.closed, ended, connection.send(written(1))]).toEqual([true, ['enough'], false])
  expect([connection.queuedFrames, connection.queuedBytes]).toEqual([0, 0])
  await other.closed()
})

test.each(['ends', 'resets', 'is cut here'])(
  'why it is over is said once: the other side %s',
  async (how) => {
    const { connection, socket, other, ended } = await connected()
    if (how === 'ends') other.socket.end()
    else if (how === 'resets') other.socket.resetAndDestroy()
    else socket.destroy()
    await until(() => ended.length > 0)
    await turns()
    const reasons = {
      ends: 'the other side closed it',
      resets: 'read ECONNRESET',
      'is cut here': 'it was cut',
    }
    expect(ended).toEqual([reasons[how as keyof typeof reasons]])
    expect([connection.closed, vi.getTimerCount()]).toEqual([true, 0])
  },
)

test('the side that dialled asks for a sign of life at each third of the silence, and gives up after a whole one', async () => {
  const { connection, other, ended } = await connected()
  connection.send(written(1))
  expect((await other.next())?.body.left).toBe(8)
  for (let tick = 0; tick < 3; tick++) {
    vi.advanceTimersByTime(TICK_MS - 1)
    expect(ended).toEqual([])
    vi.advanceTimersByTime(1)
    const ping = await other.next()
    expect([ping?.type, ping?.body.left]).toEqual([CODE.ping, 0])
  }
  vi.advanceTimersByTime(TICK_MS - 1)
  expect(ended).toEqual([])
  vi.advanceTimersByTime(1)
  expect(ended).toEqual([`no sign of life for ${LINK_LIMITS.silenceMs} ms`])
})

test('any byte is a sign of life', async () => {
  const { other, counters, ended } = await connected()
  let received = 0
  for (let tick = 0; tick < 8; tick++) {
    vi.advanceTimersByTime(TICK_MS)
    const bytes = frame(CODE.pong)
    other.socket.write(bytes)
    received += bytes.length
    await until(() => counters.bytesReceived === received)
  }
  expect(ended).toEqual([])
})

test('the side that was called answers a ping, and says unasked that something has come, once', async () => {
  const { other, counters } = await connected({ asks: false })
  const heartbeat = frame(CODE['snapshot-staged'])
  const received = async (bytes: Buffer): Promise<void> => {
    const before = counters.bytesReceived
    other.socket.write(bytes)
    await until(() => counters.bytesReceived === before + bytes.length)
  }
  // No frame has arrived, so none is sent.
  vi.advanceTimersByTime(TICK_MS)
  await turns()
  expect(counters.bytesSent).toBe(0)
  await received(heartbeat)
  vi.advanceTimersByTime(TICK_MS)
  expect((await other.next())?.type).toBe(CODE.pong)
  const said = counters.bytesSent
  vi.advanceTimersByTime(TICK_MS)
  await turns()
  expect(counters.bytesSent).toBe(said)
  await received(frame(CODE.ping))
  expect((await other.next())?.type).toBe(CODE.pong)
  // That pong covers all frames received before.
  vi.advanceTimersByTime(TICK_MS)
  await turns()
  expect(counters.bytesSent).toBe(2 * said)
})

test('a caller without an identity receives nothing unasked', async () => {
  const { other, counters, heard } = await connected({ asks: false, isKnown: false })
  other.socket.write(frame(CODE.ping))
  await until(() => heard.length > 0)
  expect(heard).toEqual([{ type: 'unknown', code: CODE.ping }])
  vi.advanceTimersByTime(TICK_MS)
  await turns()
  expect(counters.bytesSent).toBe(0)
})

test('while it is on hold nothing is handed on or asked, and after a whole silence it is given up', async () => {
  const { connection, socket, other, counters, heard, ended } = await connected()
  vi.advanceTimersByTime(2 * TICK_MS)
  await turns()
  connection.hold()
  expect(socket.isPaused()).toBe(true)
  other.say({ type: 'snapshot-written', number: 1 })
  other.say({ type: 'snapshot-written', number: 2 })
  const before = counters.bytesSent
  vi.advanceTimersByTime(3 * TICK_MS)
  await turns()
  expect([heard, ended, counters.bytesSent]).toEqual([[], [], before])
  connection.release()
  expect(socket.isPaused()).toBe(false)
  await until(() => heard.length === 2)
  expect(heard).toEqual([written(1), written(2)])
  vi.advanceTimersByTime(3 * TICK_MS)
  expect(ended).toEqual([])
  connection.hold()
  vi.advanceTimersByTime(4 * TICK_MS)
  expect(ended).toHaveLength(1)
})

test('who puts it on hold as it hears a frame hears the next one only when it is released', async () => {
  const { connection, socket, other, heard } = await connected()
  const holder = {
    frame: (each: Frame) => {
      heard.push(each)
      connection.hold()
    },
    closed: () => {},
  }
  connection.established(asReplicaId('2'), asReplicaId('1'), holder)
  const three = [0, 1, 2].map((number) => frame(CODE['snapshot-written'], (out) => out.uint64(number)))
  other.socket.write(Buffer.concat(three))
  for (let count = 1; count <= 3; count++) {
    await until(() => heard.length === count)
    await turns()
    expect(heard).toHaveLength(count)
    // Its sender waits as well.
    expect(socket.isPaused()).toBe(true)
    connection.release()
  }
  expect(heard).toEqual([0, 1, 2].map(written))
  expect(socket.isPaused()).toBe(false)
})

test('what waits is bounded in frames and in bytes, but one frame may always wait, and none is longer than it may be', async () => {
  const bytes = 13 + 8
  for (const [limits, count] of [
    [{ queueMessagesMax: 3 }, 3],
    [{ queueBytesMax: 2 * bytes }, 2],
    [{ queueBytesMax: 3 * bytes - 1 }, 2],
    [{ queueBytesMax: 1 }, 1],
  ] as const) {
    const { connection, other, counters } = await connected({ limits })
    const sent = [1, 2, 3, 4].map((number) => connection.send(written(number)))
    expect(sent).toEqual([1, 2, 3, 4].map((number) => number <= count))
    expect([connection.queuedFrames, connection.queuedBytes]).toEqual([count, count * bytes])
    for (let number = 1; number <= count; number++) {
      const next = await other.next()
      expect([next?.type, next?.body.uint64()]).toEqual([CODE['snapshot-written'], number])
    }
    await until(() => connection.queuedFrames === 0)
    expect([connection.queuedBytes, counters.bytesSent]).toEqual([0, count * bytes])
  }
  const { connection } = await connected({ limits: { frameBytesMax: 30 } })
  const chunk = (length: number): Frame => ({
    type: 'snapshot-chunk',
    number: 1,
    bytes: Buffer.alloc(length),
  })
  expect(connection.send(chunk(30 - bytes))).toBe(true)
  expect(() => connection.send(chunk(31 - bytes))).toThrow('a frame of 31 bytes cannot be sent')
})

test('frames that have left do not count while later ones wait, however many they are', async () => {
  const { connection, other } = await connected({ limits: { queueMessagesMax: 10 } })
  for (let number = 0; number < 20; number++) {
    expect(connection.send(written(number))).toBe(true)
    expect((await other.next())?.body.uint64()).toBe(number)
    await until(() => connection.queuedFrames === 0)
  }
  other.socket.pause()
  // More than the kernel takes.
  const bytes = Buffer.alloc(12 * 1024 * 1024)
  connection.send({ type: 'snapshot-chunk', number: 20, bytes })
  await turns()
  expect([connection.queuedFrames, connection.send(written(21))]).toEqual([1, true])
  other.socket.resume()
  expect((await other.next())?.body.uint64()).toBe(20)
  expect((await other.next())?.body.uint64()).toBe(21)
  await until(() => connection.queuedFrames === 0)
})

test('more than the socket takes at once leaves in order, and is counted when it has left', async () => {
  const { connection, other, counters } = await connected()
  const COUNT = 40
  for (let number = 0; number < COUNT; number++)
    connection.send({ type: 'snapshot-chunk', number, bytes: Buffer.alloc(100_000, number) })
  for (let number = 0; number < COUNT; number++) {
    const next = await other.next()
    expect(next?.body.uint64()).toBe(number)
    const bytes = next?.body.rest() ?? Buffer.alloc(0)
    expect(Buffer.alloc(100_000, number).equals(bytes)).toBe(true)
  }
  await until(() => connection.queuedFrames === 0)
  expect([connection.queuedBytes, counters.bytesSent]).toEqual([0, COUNT * (13 + 8 + 100_000)])
})

test('what was sent before it is closed still leaves', async () => {
  const { connection, other } = await connected()
  connection.send(written(5))
  connection.close('enough')
  expect((await other.next())?.body.uint64()).toBe(5)
  await other.closed()
})

test('a frame that cannot be read ends it', async () => {
  const unknown = await connected({ isKnown: false })
  unknown.other.socket.write(frame(CODE.hello, (out) => out.uint32(1)))
  await until(() => unknown.ended.length > 0)
  expect(unknown.ended).toEqual(['it sent something that is not a peer'])
  const known = await connected()
  const bytes = frame(CODE['snapshot-staged'])
  bytes.writeUInt8(bytes.readUInt8(4) ^ 1, 4)
  known.other.socket.write(Buffer.concat([bytes, frame(CODE['snapshot-staged'])]))
  await until(() => known.ended.length > 0)
  expect([known.ended, known.heard]).toEqual([['it sent a frame whose checksum does not hold'], []])
})

test('long frames are read once it is known who talks', async () => {
  const { helloBytesMax } = LINK_LIMITS
  const long = frame(CODE['snapshot-chunk'], (out) => {
    out.uint64(1)
    out.bytes(Buffer.alloc(helloBytesMax))
  })
  const unknown = await connected({ isKnown: false })
  unknown.other.socket.write(long)
  await until(() => unknown.ended.length > 0)
  expect(unknown.ended[0]).toMatch(/^it sent a frame of \d+ bytes$/)
  const known = await connected()
  known.other.socket.write(long)
  await until(() => known.heard.length > 0)
  expect(known.heard).toMatchObject([{ type: 'snapshot-chunk', number: 1 }])
})

test('one that is drained lets all leave, tells its owner nothing, and calls back when both sides have ended', async () => {
  const { connection, other, ended } = await connected()
  let drained = 0
  for (let number = 0; number < 20; number++)
    connection.send({ type: 'snapshot-chunk', number, bytes: Buffer.alloc(100_000) })
  connection.drain(() => drained++)
  for (let number = 0; number < 20; number++) expect((await other.next())?.body.uint64()).toBe(number)
  await other.closed()
  await until(() => drained > 0)
  expect([drained, ended, connection.closed, vi.getTimerCount()]).toEqual([1, [], true, 0])
  connection.drain(() => drained++)
  expect(drained).toBe(2)
})

test('one whose other side does not end is given up after a while', async () => {
  const { connection, other, ended } = await connected()
  // The other side receives the end, and keeps its own side open.
  other.socket.allowHalfOpen = true
  let drained = 0
  connection.drain(() => drained++)
  vi.advanceTimersByTime(LINK_LIMITS.drainMs - 1)
  connection.send(written(1))
  await turns()
  expect([drained, connection.closed]).toEqual([0, false])
  vi.advanceTimersByTime(1)
  expect(connection.closed).toBe(true)
  await until(() => drained > 0)
  expect(ended).toEqual([])
})
