// Connections on which nobody is known: which of them are closed, and when. Sockets are those of a table; time is
// virtual.

import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { InboundBudget } from '../../../src/server/api/budget.ts'
import type { ClientConnection } from '../../../src/server/clients/client-connection.ts'
import { ConnectionTable } from '../../../src/server/clients/connection-table.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
})

class FakeSocket extends EventEmitter {
  readonly remoteAddress: string
  destroyed = false
  readonly writableLength = 0
  readonly bytesRead = 0

  constructor(remoteAddress: string) {
    super()
    this.remoteAddress = remoteAddress
  }

  destroy(): void {
    this.destroyed = true
    setImmediate(() => this.emit('close'))
  }
}

const WAITS = { nothing: 'nothing', client: 'client', node: 'node' } as const

function opened(connectionsMax = 8) {
  const handshakes = { size: 0, closeOldest: () => false }
  const connections = new ConnectionTable({
    api: { inbound: new InboundBudget(1e9), inboundOfUnauthenticated: new InboundBudget(1e9) },
    limits: { ...httpLimits, connectionsMax },
    served: 'all',
    handshakes: () => handshakes,
  })
  const of = new Map<FakeSocket | undefined, ClientConnection>()
  connections.open()
  onTestFinished(async () => {
    connections.cut()
    await connections.closed()
  })
  /** Returns undefined if there is no room. */
  const connect = (address: string, waits: keyof typeof WAITS = 'client') => {
    if (!connections.makeRoom()) return undefined
    const socket = new FakeSocket(address)
    const connection = connections.add(socket as unknown as Socket)
    connection.serveBy({ quietSince: 0, waitsFor: () => WAITS[waits] })
    of.set(socket, connection)
    return socket
  }
  const known = (socket: FakeSocket | undefined): void => of.get(socket)?.identified()
  const heads = (socket: FakeSocket | undefined, bytes: number): void => void of.get(socket)?.holdHead(bytes)
  return { connections, connect, known, heads, handshakes, of }
}

test('users find room however many connections others open, and keep theirs', () => {
  const { connect, known, connections } = opened(8)
  const user = connect('10.0.0.1')
  known(user)
  for (let round = 0; round < 100; round++) connect('10.0.0.66')
  const late = connect('10.0.0.2')
  known(late)
  for (let round = 0; round < 100; round++) connect('10.0.0.66')
  expect([user?.destroyed, late?.destroyed, connections.size]).toEqual([false, false, 8])
})

test('a network with many unidentified connections displaces its own, the oldest first, and not those of another one', () => {
  const { connect } = opened(4)
  const [first, second, other, third] = [
    ...[connect('2001:db8:0:1::1'), connect('2001:db8::1:0:0:0:2')],
    ...[connect('10.0.0.1'), connect('2001:0db8:0:1:ffff::3')],
  ]
  const gone = () => [first, second, other, third].map((socket) => socket?.destroyed)
  connect('2001:db8:0:1::4')
  expect(gone()).toEqual([true, false, false, false])
  connect('2001:db8:0:1::5')
  expect(gone()).toEqual([true, true, false, false])
  connect('10.0.0.2')
  expect(gone()).toEqual([true, true, false, true])
})

test('the network with most bytes of heads loses its oldest connections, and no one with a small head', () => {
  const { connections, connect, known, heads } = opened(20)
  const KiB = 1024
  const { unidentifiedHeadBytesMax } = httpLimits
  const user = connect('10.0.0.66')
  known(user)
  heads(user, unidentifiedHeadBytesMax)
  const [first, small, served] = [connect('10.0.0.66', 'node'), connect('10.0.0.66'), connect('10.0.0.66')]
  const others = [connect('10.0.0.1'), connect('10.0.0.2'), connect('10.0.0.2')]
  for (const other of others) heads(other, unidentifiedHeadBytesMax / 4)
  heads(small, KiB)
  heads(first, unidentifiedHeadBytesMax / 4 + KiB)
  const gone = () => [user, small, first, served, ...others].map((socket) => socket?.destroyed)
  expect(gone()).not.toContain(true)
  // It grows beyond that of the two.
  heads(served, unidentifiedHeadBytesMax / 2)
  expect(gone()).toEqual([false, false, false, true, false, false, false])
  heads(first, unidentifiedHeadBytesMax)
  expect(gone()).toEqual([false, false, true, true, false, false, false])
  expect(connections.unidentifiedHeadBytes).toBe((3 * unidentifiedHeadBytesMax) / 4 - 3 * KiB)
  known(others[0])
  heads(others[1], 0)
  expect(connections.unidentifiedHeadBytes).toBe(unidentifiedHeadBytesMax / 4 - KiB)
  others[2]?.destroy()
  expect([connections.unidentifiedClosedTotal, connections.unidentified]).toEqual([2, 3])
})

test('a large head closes as many connections as it needs bytes', () => {
  const { connections, connect, heads } = opened(100)
  const KiB = 1024
  const { unidentifiedHeadBytesMax } = httpLimits
  const small = Array.from({ length: 64 }, () => connect('10.0.0.66'))
  for (const each of small) heads(each, unidentifiedHeadBytesMax / 64 + KiB)
  const large = connect('10.0.0.66')
  heads(large, unidentifiedHeadBytesMax / 4 + KiB)
  expect(small.map((socket) => socket?.destroyed)).toEqual(small.map((_, at) => at < 16))
  expect([large?.destroyed, connections.unidentifiedHeadBytes]).toEqual([false, unidentifiedHeadBytesMax])
})

test('new users do not displace each other where users are idle, and unidentified connections end few of those', () => {
  const { connect, known } = opened(40)
  const idle = Array.from({ length: 40 }, () => connect('10.0.0.1', 'nothing'))
  for (const user of idle) known(user)
  const fresh = Array.from({ length: 5 }, () => connect('10.0.0.1', 'nothing'))
  expect(fresh.map((socket) => socket?.destroyed)).toEqual(fresh.map(() => false))
  for (let round = 0; round < 100; round++) connect('10.0.0.66')
  expect(idle.filter((socket) => socket?.destroyed)).toHaveLength(5)
})

test('an unidentified connection whose request the node serves goes last', () => {
  const { connect } = opened(2)
  const [served, waiting] = [connect('10.0.0.1', 'node'), connect('10.0.0.1')]
  connect('10.0.0.1', 'node')
  expect([served?.destroyed, waiting?.destroyed]).toEqual([false, true])
  connect('10.0.0.1')
  expect(served?.destroyed).toBe(true)
})

test('an unfinished handshake makes room before an idle user does', () => {
  const { connect, known, handshakes } = opened(2)
  const idle = connect('10.0.0.1', 'nothing')
  known(idle)
  handshakes.size = 1
  let closed = 0
  handshakes.closeOldest = () => ++closed === 1
  known(connect('10.0.0.2'))
  expect([closed, idle?.destroyed]).toEqual([1, false])
  handshakes.size = 0
  known(connect('10.0.0.3'))
  expect([closed, idle?.destroyed]).toEqual([1, true])
})

test('who is full of users that are busy refuses', () => {
  const { connect, known } = opened(2)
  for (const address of ['10.0.0.1', '10.0.0.2']) known(connect(address))
  expect(connect('10.0.0.3')).toBeUndefined()
})

test('an unidentified connection has some seconds for a request, and more where the node lets it wait', () => {
  const { connections, connect, known } = opened()
  const [nothing, half, served, user] = [
    ...[
      connect('10.0.0.1', 'nothing'),
      connect('10.0.0.2'),
      connect('10.0.0.3', 'node'),
      connect('10.0.0.4'),
    ],
  ]
  known(user)
  const gone = () => [nothing, half, served, user].map((socket) => socket?.destroyed)
  vi.advanceTimersByTime(httpLimits.headMs)
  expect(gone()).toEqual([false, false, false, false])
  vi.advanceTimersByTime(1_000)
  expect(gone()).toEqual([true, true, false, false])
  expect([connections.unidentifiedClosedTotal, connections.unidentified]).toEqual([2, 1])
})

test('an unidentified connection may rest, and has the time of a request when it rests no longer', () => {
  const { connections, connect, of } = opened()
  const socket = connect('10.0.0.1', 'nothing')
  let isResting = true
  const owner = { quietSince: 0, waitsFor: () => WAITS.nothing }
  of.get(socket)?.serveBy(Object.defineProperty(owner, 'isResting', { get: () => isResting }))
  for (let round = 0; round < 3; round++) {
    isResting = true
    vi.advanceTimersByTime(100 * httpLimits.headMs)
    isResting = false
    vi.advanceTimersByTime(httpLimits.headMs)
    expect(socket?.destroyed).toBe(false)
  }
  vi.advanceTimersByTime(1_000)
  expect([socket?.destroyed, connections.unidentifiedClosedTotal]).toEqual([true, 1])
})

test('beyond their share, resting connections end: the oldest of the network that has most', () => {
  const { connections, connect, known, of } = opened(80)
  const resting = { quietSince: 0, waitsFor: () => WAITS.nothing, isResting: true }
  const rest = (address: string) => {
    const socket = connect(address)
    of.get(socket)?.serveBy(resting)
    return socket
  }
  const user = rest('10.0.0.66')
  known(user)
  const [own, many] = [rest('10.0.0.1'), Array.from({ length: 20 }, () => rest('10.0.0.66'))]
  const left = () => many.filter((socket) => socket?.destroyed === false)
  // A storm of clients that connect again at the same time: each has the time for its first request.
  vi.advanceTimersByTime(httpLimits.headMs)
  expect(left()).toHaveLength(20)
  vi.advanceTimersByTime(1_000)
  expect([own?.destroyed, user?.destroyed, connections.unidentified]).toEqual([false, false, 10])
  expect(left()).toEqual(many.slice(-9))
  const late = rest('10.0.0.66')
  vi.advanceTimersByTime(2 * httpLimits.headMs)
  expect(left()).toEqual(many.slice(-8))
  expect([late?.destroyed, own?.destroyed, connections.unidentifiedClosedTotal]).toEqual([false, false, 12])
})

test('the time in which the node serves an unidentified connection counts, though it is not closed in it', () => {
  const { connect, of } = opened()
  const socket = connect('10.0.0.1')
  let waits: keyof typeof WAITS = 'node'
  of.get(socket)?.serveBy({ quietSince: 0, waitsFor: () => WAITS[waits] })
  vi.advanceTimersByTime(3 * httpLimits.headMs)
  expect(socket?.destroyed).toBe(false)
  waits = 'nothing'
  vi.advanceTimersByTime(1_000)
  expect(socket?.destroyed).toBe(true)
})

test('a node that stops checks more often, and the protocols of its connections as before', () => {
  const { connections, connect, known, of } = opened()
  const socket = connect('10.0.0.1', 'node')
  known(socket)
  const checks: number[] = []
  const check = (sinceMs: number): void => void checks.push(sinceMs)
  of.get(socket)?.serveBy({ quietSince: 0, waitsFor: () => 'node', check })
  vi.advanceTimersByTime(2_000)
  expect(checks).toEqual([1_000, 1_000])
  connections.closing()
  vi.advanceTimersByTime(990)
  expect(checks).toHaveLength(2)
  vi.advanceTimersByTime(10)
  expect(checks).toEqual([1_000, 1_000, 1_000])
})
