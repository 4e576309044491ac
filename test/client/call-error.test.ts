// The text of an error: which endpoints were tried, what happened there, and which time has really passed.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { formatError } from '../../src/cli/error-message.ts'
import type { HttpOutcome } from '../../src/client/transport/http-transport.ts'
import {
  CUT,
  errorOf,
  type Fate,
  inVirtualTime,
  notSent,
  OFF,
  RECORD,
  refusal,
  SILENT,
  scripted,
} from './scripted-transport.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const REFUSED = notSent(Object.assign(new Error(''), { code: 'ECONNREFUSED' }))
const GREETED: HttpOutcome = {
  kind: 'not-sent',
  cause: new Error('not HTTP'),
  reached: true,
  timedOut: false,
  greeting: 'SSH-2.0',
}
const slowly = (afterMs: number, outcome = REFUSED): Fate => ({ outcome, afterMs })
const url = (at: number) => `http://127.0.0.1:${at + 1}`
const order = (transport: { readonly sent: readonly { readonly at: number }[] }) =>
  transport.sent.map(({ at }) => at)

/** As the command has it: nobody waits long for a cluster that does not run. */
const COMMAND = { timeoutMs: 5_000, unreachableAfterMs: 500 }

describe('an endpoint that can serve the call is tried', () => {
  test.each<[string, Fate]>([
    ['refuse it late, as on a busy machine', slowly(300)],
    ['are off', OFF],
  ])('although those before %s', async (_, fate) => {
    for (const live of [1, 2, 4]) {
      const { kv, transport } = scripted(live + 1, (at) => (at === live ? RECORD : fate), COMMAND)
      await inVirtualTime(kv.get('k'))
      expect(order(transport)).toEqual(Array.from({ length: live + 1 }, (_, at) => at))
    }
  })

  test('although the half second is over before the first one is tried a second time', async () => {
    const { kv, transport } = scripted(3, () => slowly(400), COMMAND)
    const error = await errorOf(kv.get('k'))
    expect(error.message).toBe(`cannot connect to ${url(0)}, ${url(1)}, ${url(2)}: connection refused`)
    expect(order(transport)).toEqual([0, 1, 2])
  })
})

test('endpoints that are all off cost half a second, however many there are', async () => {
  for (const count of [1, 3, 9]) {
    const { kv, transport } = scripted(count, () => OFF, COMMAND)
    const startedAt = performance.now()
    const error = await errorOf(kv.get('k'))
    expect(Math.round(performance.now() - startedAt)).toBe(500)
    expect(error.message).toMatch(/^cannot connect to .*: no answer$/)
    expect(new Set(order(transport)).size).toBe(count)
  }
})

test('only endpoints that were tried are named as unreachable, and the advice is to give more time', async () => {
  const { kv, transport } = scripted(4, () => slowly(200), { timeoutMs: 402, unreachableAfterMs: 402 })
  const error = await errorOf(kv.get('k'))
  expect(order(transport)).toEqual([0, 1])
  expect(error).toMatchObject({ code: 'unreachable', written: 'no' })
  expect(error.message).toBe(
    `cannot connect to ${url(0)}, ${url(1)}: connection refused; there was no time to try ${url(2)}, ${url(3)}`,
  )
  const text = formatError(error, { kind: 'read' }, 'local cluster')
  expect(text).toMatch(/; give the command more time with --timeout$/)
  expect(text).not.toContain('cluster start')
})

test('each endpoint is named with its own reason', async () => {
  const fates: readonly Fate[] = [REFUSED, OFF, REFUSED]
  const { kv } = scripted(3, (at) => fates[at] ?? OFF, COMMAND)
  const { message } = await errorOf(kv.get('k'))
  expect(message).toBe(`cannot connect to ${url(0)}, ${url(2)} (connection refused), ${url(1)} (no answer)`)
})

test('a program that is no node is named alone if nothing else was tried, also when its answer is late', async () => {
  for (const fate of [GREETED, slowly(600, GREETED)]) {
    const { message } = await errorOf(scripted(1, () => fate, COMMAND).kv.get('k'))
    expect(message).toBe(`${url(0)}: what listens there does not speak HTTP (it sent "SSH-2.0")`)
  }
  const both = scripted(2, (at) => (at === 0 ? GREETED : REFUSED), COMMAND)
  expect((await errorOf(both.kv.get('k'))).message).toBe(
    `cannot connect to ${url(1)}: connection refused; ${url(0)}: what listens there does not speak HTTP (it sent "SSH-2.0")`,
  )
})

describe('an unknown outcome names a time limit only if that has passed', () => {
  const member = { name: 'n4', replicaId: '4', peer: '127.0.0.1:1', url: 'http://127.0.0.1:1' }
  const UNTIL = 'sent, but no node said within 59 s what became of it'

  test('a change that must not be sent twice, whose connection is cut after a second', async () => {
    const { kv } = scripted(1, () => slowly(1_000, CUT), { timeoutMs: 59_000 })
    const error = await errorOf(kv.addMember(member))
    expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    expect(error.message).toBe(`sent, but no node said what became of it (${url(0)}: cut)`)
  })

  test('a node that wants a longer pause than there is time', async () => {
    const later = refusal(503, 'overloaded', { retry_after_ms: 100_000 })
    const { kv, transport } = scripted(1, (_, nth) => (nth === 0 ? CUT : later), { timeoutMs: 59_000 })
    const error = await errorOf(kv.put('k', 'v'))
    expect(transport.sent).toHaveLength(2)
    expect(error.written).toBe('unknown')
    expect(error.message).toMatch(/^sent, but no node said what became of it /)
  })

  test('a node that stays silent to the end', async () => {
    const { kv } = scripted(1, () => SILENT, { timeoutMs: 59_000 })
    expect((await errorOf(kv.addMember(member))).message.startsWith(UNTIL)).toBe(true)
  })

  test.each([
    ['to the end of the time for its first write', () => slowly(3_000, CUT)],
    ['until it is refused', (_: number, nth: number) => (nth === 0 ? CUT : refusal(400, 'key_too_long'))],
  ])('the command says once that the outcome is unknown: %s', async (_, script) => {
    const { kv } = scripted(1, script, { timeoutMs: 59_000 })
    const text = formatError(await errorOf(kv.put('k', 'v')), { kind: 'write' }, 'user')
    expect(text.match(/unknown/g)).toHaveLength(1)
  })
})
