// Which connections are cut, and when, in time that stands still.

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  type ConnectionOwner,
  Connections,
  endGently,
  LINGER_MS,
} from '../../../src/server/http/connections.ts'
import { httpLimits } from '../../../src/server/http/limits.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** The observable state of a connection. `length` counts the bytes that its client has not taken. */
class Shown extends Duplex implements ConnectionOwner {
  waiting: ReturnType<ConnectionOwner['waitsFor']> = 'nothing'
  quietSince = 0
  bytesRead = 0
  bytesWritten = 0
  length = 0

  waitsFor(): ReturnType<ConnectionOwner['waitsFor']> {
    return this.waiting
  }

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done()
  }

  get socket(): Socket {
    Object.defineProperty(this, 'writableLength', { configurable: true, get: () => this.length })
    // No other property of a socket is used.
    return this as unknown as Socket
  }
}

const turn = (): Promise<void> => new Promise((resolve) => process.nextTick(() => setImmediate(resolve)))

function setUp(limits: Partial<typeof httpLimits> = {}) {
  const connections = new Connections({
    ...httpLimits,
    writeStallMsMax: 10_000,
    closeStallMsMax: 1000,
    ...limits,
  })
  const add = (shown: Partial<Pick<Shown, 'waiting' | 'quietSince' | 'length'>> = {}): Shown => {
    const one = Object.assign(new Shown(), shown)
    connections.watch(one.socket, one)
    return one
  }
  return { connections, add }
}

test('a client that takes nothing of its answer for so long is cut, one that takes a little is not', async () => {
  const { connections, add } = setUp()
  connections.open()
  const [stalled, slow, idle] = [add({ length: 5 }), add({ length: 5 }), add()]
  for (let second = 1; second <= 30; second++) {
    // Bytes that it sends do not prove that it takes its answers.
    stalled.bytesRead++
    if (second % 9 === 0) slow.bytesWritten++
    vi.advanceTimersByTime(1000)
    expect([second, stalled.destroyed]).toEqual([second, second > 10])
  }
  await turn()
  expect([slow.destroyed, idle.destroyed, connections.size, connections.stalledTotal]).toEqual([
    false,
    false,
    2,
    1,
  ])
})

test('time begins when there is something to take, and anew with each answer', () => {
  const { connections, add } = setUp()
  connections.open()
  const client = add()
  vi.advanceTimersByTime(60_000)
  for (let answer = 0; answer < 3; answer++) {
    client.length = 5
    vi.advanceTimersByTime(9000)
    client.length = 0
    vi.advanceTimersByTime(1000)
  }
  expect(client.destroyed).toBe(false)
  client.length = 5
  vi.advanceTimersByTime(12_000)
  expect(client.destroyed).toBe(true)
})

test('a short limit is looked at often enough', () => {
  const { connections, add } = setUp({ writeStallMsMax: 100 })
  connections.open()
  const client = add({ length: 5 })
  vi.advanceTimersByTime(99)
  expect(client.destroyed).toBe(false)
  vi.advanceTimersByTime(51)
  expect(client.destroyed).toBe(true)
})

test('before closing nobody waits for a client that has asked nothing, or not all; when closing, not for long', () => {
  const { connections, add } = setUp()
  connections.open()
  const [half, sending, asked, idle] = [
    add({ waiting: 'client' }),
    add({ waiting: 'client' }),
    add({ waiting: 'node' }),
    add(),
  ]
  vi.advanceTimersByTime(600_000)
  expect([half.destroyed, idle.destroyed]).toEqual([false, false])
  connections.closing()
  for (let ms = 0; ms < 5000; ms += 10) {
    sending.bytesRead++
    vi.advanceTimersByTime(10)
    if (ms === 900) expect(half.destroyed).toBe(false)
  }
  expect([half, sending, asked, idle].map(({ destroyed }) => destroyed)).toEqual([true, false, false, true])
  expect(connections.stalledTotal).toBe(2)
})

test('the one that has been idle for longest makes room, and none that is not idle', async () => {
  const { connections, add } = setUp({ connectionsMax: 4 })
  connections.open()
  const busy = add({ waiting: 'node', quietSince: 1 })
  const [newer, oldest] = [add({ quietSince: 7 }), add({ quietSince: 3 })]
  expect(connections.makeRoom()).toBe(true)
  expect([newer, oldest].map(({ destroyed }) => destroyed)).toEqual([false, false])
  const half = add({ waiting: 'client', quietSince: 2 })
  expect(connections.makeRoom()).toBe(true)
  expect([busy, half, newer, oldest].map(({ destroyed }) => destroyed)).toEqual([false, false, false, true])
  // Removed at once, so that the requested number finds room.
  expect(connections.size).toBe(3)
  add({ waiting: 'node' })
  expect([connections.makeRoom(), newer.destroyed]).toEqual([true, true])
  add({ waiting: 'node' })
  expect([connections.makeRoom(), connections.size]).toEqual([false, 4])
  await turn()
  expect(connections.size).toBe(4)
})

test('a connection that changes its lane is one connection, whose new owner is asked', () => {
  const { connections, add } = setUp({ connectionsMax: 1 })
  const first = add({ waiting: 'node' })
  expect(connections.makeRoom()).toBe(false)
  connections.watch(first.socket, { waitsFor: () => 'nothing', quietSince: 0 })
  expect(connections.size).toBe(1)
  expect([connections.makeRoom(), first.destroyed]).toEqual([true, true])
})

test('it is closed when all are, and forgets those that break', async () => {
  const { connections, add } = setUp()
  connections.open()
  const [broken, one, other] = [add(), add(), add()]
  broken.destroy(new Error('ECONNRESET'))
  await turn()
  expect(connections.size).toBe(2)
  let closed = false
  void connections.closed().then(() => {
    closed = true
  })
  one.destroy()
  await turn()
  expect([closed, other.destroyed]).toEqual([false, false])
  connections.cut()
  expect(other.destroyed).toBe(true)
  await turn()
  expect([closed, connections.size, vi.getTimerCount()]).toEqual([true, 0, 0])
})

test('a connection that ends gently says its last words, drops what still comes, and is cut if its client goes on', async () => {
  const [left, stays] = [new Shown(), new Shown()]
  const said: string[] = []
  stays._write = (chunk, _, done) => {
    said.push(String(chunk))
    done()
  }
  endGently(left)
  endGently(stays, 'that is all')
  await turn()
  expect([said, stays.writableEnded, stays.isPaused(), stays.readableFlowing]).toEqual([
    ['that is all'],
    true,
    false,
    true,
  ])
  left.destroy()
  await turn()
  expect(vi.getTimerCount()).toBe(1)
  vi.advanceTimersByTime(LINGER_MS - 1)
  expect(stays.destroyed).toBe(false)
  vi.advanceTimersByTime(1)
  expect(stays.destroyed).toBe(true)
  await turn()
  // It has ended already.
  endGently(stays, 'again')
  expect([said, vi.getTimerCount()]).toEqual([['that is all'], 0])
})
