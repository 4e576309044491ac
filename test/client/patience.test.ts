// A call uses the time that it has: in virtual time, without sockets.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Call, perform } from '../../src/client/call.ts'
import { Endpoints } from '../../src/client/endpoints.ts'
import type { Exchanged } from '../../src/client/transport/http-transport.ts'
import { problem } from './fake-node.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const BUSY = 'http://127.0.0.1:1'
const CALL = {
  method: 'PUT',
  path: '/v1/kv/a',
  headers: {},
  body: undefined,
  stream: false,
  signal: undefined,
}

/** How long before its end a call asks for the last time if every try ends like this. */
async function lastTryBeforeEnd(
  call: Pick<Call, 'kind' | 'timeoutMs' | 'unreachableAfterMs'>,
  each: Exchanged,
) {
  const startedAt = performance.now()
  const tries: number[] = []
  const exchange = () => {
    tries.push(performance.now() - startedAt)
    const result = Promise.resolve(each)
    return { result, isConnected: () => false, heardAt: () => 0, lookupMs: () => 0, cancel: () => {} }
  }
  const context = {
    onAnswer: () => undefined,
    onFailure: () => {},
    mayHedge: () => true,
    onClose: () => () => {},
  }
  const endpoints = new Endpoints(['http://127.0.0.1:1', 'http://127.0.0.1:2'])
  const ended = perform({ ...CALL, ...call, startedAt }, { endpoints, transport: { exchange }, ...context })
  const settled = ended.catch((error: unknown) => error)
  await vi.advanceTimersByTimeAsync(call.timeoutMs)
  expect(await settled).toMatchObject({ written: 'no' })
  // Usually about 45; the pauses are random.
  expect(tries.length).toBeLessThan(300)
  return Math.min(call.timeoutMs, call.unreachableAfterMs) - Math.max(...tries)
}

const { status, body } = problem(503, 'no_leader', 'an election is under way')
const refused = { kind: 'answered', status, headers: {}, body: Buffer.from(JSON.stringify(body)) } as const
const unreachable = {
  kind: 'failed',
  connected: false,
  timedOut: false,
  cause: new Error('refused'),
} as const

test('a write that is refused for the moment is tried until less than a quarter of a second is left', async () => {
  for (let round = 0; round < 20; round++) {
    const call = { kind: 'keyed', timeoutMs: 5_000, unreachableAfterMs: 5_000 } as const
    const left = await lastTryBeforeEnd(call, refused)
    expect(left).toBeLessThan(250)
    expect(left).toBeGreaterThanOrEqual(100)
  }
})

test('a read until nothing is left', async () => {
  for (let round = 0; round < 20; round++) {
    const call = { kind: 'read', timeoutMs: 5_000, unreachableAfterMs: 5_000 } as const
    expect(await lastTryBeforeEnd(call, refused)).toBeLessThan(50)
  }
})

test('while no node listens, a call tries until unreachableAfterMs is over', async () => {
  for (let round = 0; round < 20; round++) {
    const call = { kind: 'read', timeoutMs: 5_000, unreachableAfterMs: 500 } as const
    const left = await lastTryBeforeEnd(call, unreachable)
    expect(left).toBeLessThan(50)
    expect(left).toBeGreaterThanOrEqual(0)
  }
})

test('a node is not asked before its Retry-After, also when another fails meanwhile', async () => {
  const retry_after_ms = 2_000
  const { status, body } = problem(429, 'overloaded', 'too many', { retry_after_ms })
  const overloaded = {
    kind: 'answered',
    status,
    headers: {},
    body: Buffer.from(JSON.stringify(body)),
  } as const
  const startedAt = performance.now()
  const asked: [string, number][] = []
  const exchange = (endpoint: { readonly url: string }) => {
    const atMs = performance.now() - startedAt
    asked.push([endpoint.url, atMs])
    const isBusy = endpoint.url === BUSY
    // The other node is silent for a while, and then its connection is cut.
    const cut = new Promise<Exchanged>((resolve) =>
      setTimeout(() => resolve({ ...unreachable, connected: true }), 1_100),
    )
    const result = isBusy ? Promise.resolve(overloaded) : cut
    return { result, isConnected: () => true, heardAt: () => 0, lookupMs: () => 0, cancel: () => {} }
  }
  const context = {
    onAnswer: () => undefined,
    onFailure: () => {},
    mayHedge: () => true,
    onClose: () => () => {},
  }
  const call = { ...CALL, kind: 'read', timeoutMs: 8_000, unreachableAfterMs: 8_000, startedAt } as const
  const endpoints = new Endpoints([BUSY, 'http://127.0.0.1:2'], () => 0)
  const settled = perform(call, { endpoints, transport: { exchange }, ...context }).catch(
    (error: unknown) => error,
  )
  await vi.advanceTimersByTimeAsync(call.timeoutMs + 1_100)
  expect(await settled).toMatchObject({ code: 'overloaded', written: 'no' })
  const times = asked.flatMap(([url, atMs]) => (url === BUSY ? [atMs] : []))
  expect(times.length).toBeGreaterThanOrEqual(3)
  expect(asked.length - times.length).toBeGreaterThanOrEqual(5)
  for (const [n, atMs] of times.slice(1).entries())
    expect(atMs - (times[n] ?? 0)).toBeGreaterThanOrEqual(retry_after_ms - 1)
})
