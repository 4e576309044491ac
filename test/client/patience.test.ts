// A call uses the time that it has: in virtual time, without sockets.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Call, perform } from '../../src/client/call.ts'
import { Endpoints } from '../../src/client/endpoints.ts'
import type { Exchanged } from '../../src/client/exchange.ts'
import { problem } from './fake-node.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const CALL = {
  method: 'PUT',
  path: '/v1/kv/a',
  headers: {},
  body: undefined,
  stream: false,
  signal: undefined,
}

/** How long before its end a call asked for the last time, when every try ends like this. */
async function lastTryBeforeEnd(
  call: Pick<Call, 'kind' | 'timeoutMs' | 'unreachableAfterMs'>,
  each: Exchanged,
) {
  const startedAt = performance.now()
  const tries: number[] = []
  const exchange = () => {
    tries.push(performance.now() - startedAt)
    return { result: Promise.resolve(each), isConnected: () => false, cancel: () => {} }
  }
  const context = { onAnswer: () => undefined, onFailure: () => {}, onClose: () => () => {} }
  const endpoints = new Endpoints(['http://127.0.0.1:1', 'http://127.0.0.1:2'])
  const ended = perform({ ...CALL, ...call, startedAt }, { endpoints, transport: { exchange }, ...context })
  const settled = ended.catch((error: unknown) => error)
  await vi.advanceTimersByTimeAsync(call.timeoutMs)
  expect(await settled).toMatchObject({ written: 'no' })
  expect(tries.length).toBeLessThan(100)
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

test('a write that is refused in passing is tried until less than a quarter of a second is left', async () => {
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

test('nobody who listens is waited for as long as was asked', async () => {
  for (let round = 0; round < 20; round++) {
    const call = { kind: 'read', timeoutMs: 5_000, unreachableAfterMs: 500 } as const
    const left = await lastTryBeforeEnd(call, unreachable)
    expect(left).toBeLessThan(50)
    expect(left).toBeGreaterThanOrEqual(0)
  }
})
