// Large answers share the time of a turn of the event loop, however many they are, and count until they are sent.

import { PassThrough } from 'node:stream'
import { expect, onTestFinished, test, vi } from 'vitest'
import { OutboundBudget, PIECE_BYTES, writeChunked } from '../../../src/server/api/budget.ts'
import type { Call } from '../../../src/server/api/call.ts'
import { Ranges } from '../../../src/server/api/ranges.ts'
import { encodeBody, type HttpResponse } from '../../../src/server/connections/messages.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))
const PARTS = 40

/** A body with so many parts, and what is done for each. */
function* body(parts: number, work: () => void): Iterable<string> {
  for (let part = 0; part < parts; part++) {
    work()
    yield 'x'.repeat(64 * 1024)
  }
}

/** A clock that stands still, but for the work that is done. */
function clockOfWork() {
  let now = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  onTestFinished(() => void vi.restoreAllMocks())
  let done = 0
  return {
    work() {
      now += 1
      done++
    },
    /** Work since the last call. */
    taken() {
      const taken = done
      done = 0
      return taken
    },
  }
}

const responseOf = (parts: Iterable<string>) => ({
  ...{ status: 200, headers: [], body: { parts }, revision: undefined },
})
const WAITING = { isAbandoned: () => false }

function encodeParts(outbound: OutboundBudget, parts: Iterable<string>, done: (sent: HttpResponse) => void) {
  encodeBody(responseOf(parts), WAITING, outbound, done, (error) => expect.unreachable(String(error)))
}

test.each([1, 8, 32])('%i large bodies that are encoded at once share the time of a turn', async (count) => {
  const outbound = new OutboundBudget(0)
  const { work, taken } = clockOfWork()
  const done: HttpResponse[] = []
  for (let i = 0; i < count; i++)
    encodeParts(outbound, body(PARTS, work), (encoded) => {
      // Its writer counts it.
      done.push(encoded)
    })
  const perTurn = [taken()]
  while (done.length < count) {
    await nextTurn()
    perTurn.push(taken())
    if (done.length === 0) expect(outbound.bytes).toBeGreaterThan(0)
  }
  expect(Math.max(...perTurn)).toBe(5)
  // No turn is wasted.
  expect(perTurn.length).toBeLessThanOrEqual((count * PARTS) / 5 + 2)
  expect(outbound.bytes).toBe(0)
})

test('a small body is encoded at once, and during a large one it waits for a few parts of it', async () => {
  const outbound = new OutboundBudget(0)
  const { work } = clockOfWork()
  const done: string[] = []
  encodeParts(outbound, ['a'], () => done.push('first'))
  expect(done).toEqual(['first'])
  encodeParts(outbound, body(PARTS, work), () => done.push('large'))
  encodeParts(outbound, ['b'], () => done.push('small'))
  await vi.waitFor(() => expect(done).toEqual(['first', 'small', 'large']))
})

test('a body that cannot be encoded fails, and is no longer counted', async () => {
  const outbound = new OutboundBudget(0)
  const { work } = clockOfWork()
  const failed = vi.fn()
  function* broken() {
    yield* body(PARTS, work)
    throw new Error('broken')
  }
  encodeBody(responseOf(broken()), WAITING, outbound, () => expect.unreachable(), failed)
  expect(outbound.bytes).toBeGreaterThan(0)
  await vi.waitFor(() => expect(failed).toHaveBeenCalledOnce())
  expect(outbound.bytes).toBe(0)
})

test('a body is not encoded to its end when its client has gone', async () => {
  const outbound = new OutboundBudget(0)
  const { work, taken } = clockOfWork()
  const failed = vi.fn()
  let isGone = false
  const call = { isAbandoned: () => isGone }
  encodeBody(responseOf(body(PARTS, work)), call, outbound, () => expect.unreachable(), failed)
  expect(taken()).toBe(5)
  isGone = true
  await vi.waitFor(() => expect(failed).toHaveBeenCalledOnce())
  expect([taken(), outbound.bytes]).toEqual([0, 0])
})

test('answers that are written at once share the time of a turn', async () => {
  const outbound = new OutboundBudget(0)
  const { work, taken } = clockOfWork()
  let sent = 0
  for (let i = 0; i < 16; i++) {
    const to = new PassThrough({ highWaterMark: 2 ** 30 })
    to.on('data', () => work())
    writeChunked(to, [Buffer.alloc(32 * PIECE_BYTES)], outbound, () => sent++)
  }
  let longest = 0
  while (sent < 16) {
    await nextTurn()
    longest = Math.max(longest, taken())
  }
  // The first piece of each is written at once.
  expect(longest).toBeLessThanOrEqual(16 + 2 * 5)
  expect(outbound.bytes).toBe(0)
})

test('ranges that are read from memory share the time of a turn', async () => {
  const { work, taken } = clockOfWork()
  const slice = { length: 1 }
  const scan = () => ({
    left: 10,
    next(_: unknown, done: (error: undefined, rows: unknown, more: boolean) => void) {
      work()
      done(undefined, [slice], --this.left > 0)
    },
    finish: (done: () => void) => done(),
    close() {},
  })
  const node = {
    auth: { enabled: false },
    read: (_: unknown, done: (granted: unknown) => void) => void done({ ok: true, value: {} }),
  } as never
  const ranges = new Ranges(node, httpLimits, new OutboundBudget(1))
  const call: Call = { deadline: Number.POSITIVE_INFINITY, expansion: 1, isAbandoned: () => false }
  const counts: number[] = []
  const count = async (instant: Parameters<Parameters<Ranges['readInstant']>[2]>[0]) => {
    const opened = instant.open(scan as never)
    counts.push(await ranges.count(instant, opened as never))
  }
  for (let i = 0; i < 32; i++) ranges.readInstant(call, {}, count, () => expect.unreachable())
  let longest = 0
  while (counts.length < 32) {
    longest = Math.max(longest, taken())
    await nextTurn()
  }
  // Between two looks the time may begin twice. Each of two steps may exceed it.
  expect(longest).toBeLessThanOrEqual(2 * 5 + httpLimits.slicesMax)
  expect(counts).toEqual(Array.from({ length: 32 }, () => 10))
})
