// Room that a call holds: it is given back however the call ends, and none is taken after its end. The time that each
// of its operations has.

import { expect, test, vi } from 'vitest'
import { OutboundBudget } from '../../../src/server/api/budget.ts'
import { callTimes, EtcdCall, type EtcdCaller } from '../../../src/server/etcd/call.ts'
import type { EtcdApi } from '../../../src/server/etcd/etcd-api.ts'

function begin(bytesMax = 1_000, times = callTimes(performance.now(), undefined)) {
  const outbound = new OutboundBudget(bytesMax)
  const call = new EtcdCall(
    { api: { outbound } } as unknown as EtcdApi,
    {} as EtcdCaller,
    'grpc KV/Range',
    times,
  )
  return { call, outbound }
}

test('a response that is read for nobody takes no room, however its client has gone', () => {
  for (const endings of [[], ['sent'], ['sent', 'more']] as const) {
    const { call, outbound } = begin()
    call.hold(600)
    expect(outbound.bytes).toBe(600)
    // The transport counts what it has sent.
    if (endings.length > 0) call.releaseRoom()
    if (endings.length > 1) call.hold(300)
    call.abandon()
    expect(outbound.bytes).toBe(0)
    for (let at = 0; at < 3; at++) expect(() => call.hold(600)).toThrow('the client has gone')
    expect(outbound.bytes).toBe(0)
  }
})

test('a wait for room ends with the response, and takes none afterwards', async () => {
  const { call, outbound } = begin()
  const others = outbound.reserve()
  others.grow(900)
  await call.holdInTurn(50)
  const held = call.holdInTurn(600)
  // Its client has taken too long for the rows that are read ahead, and still takes what was sent.
  call.releaseRoom()
  others.release()
  await expect(held).rejects.toThrow('context canceled')
  call.abandon()
  expect([outbound.bytes, outbound.waiting]).toEqual([0, 0])
})

test.each([
  ['a stream of yesterday', 86_400_000, undefined, 7_000],
  ['a stream of a minute ago whose client waits for a day', 60_000, 86_400_000, 7_000],
  ['a stream of a minute ago whose client waits for 3 s more', 60_000, 63_000, 3_000],
  ['a call whose client waits for a minute', 0, 60_000, 7_000],
])(
  'an operation of %s has its own time, and none beyond that of its client',
  (_, ageMs, statedMs, atMost) => {
    const now = performance.now()
    const { call } = begin(1_000, callTimes(now - ageMs, statedMs))
    expect(call.nextDeadline() - now).toBeGreaterThan(atMost / 2)
    expect(call.nextDeadline()).toBeLessThanOrEqual(performance.now() + atMost)
    // The end of a lease does not depend on a client.
    expect(call.cleanUpDeadline() - now).toBeGreaterThan(3_500)
  },
)

test.each([1, 86_400_000, 2 ** 31 - 2, 2 ** 31 + 10_000, 99_999_999 * 3_600_000])(
  'a call whose client waits for %i ms is not late before',
  (statedMs) => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout')
    const { call } = begin(1_000, callTimes(performance.now(), statedMs))
    const stop = call.whenLate(() => {})
    // Node.js runs a longer timer at once.
    for (const [, ms = 0] of setTimer.mock.calls) expect(ms).toBeLessThan(2 ** 31)
    stop()
    setTimer.mockRestore()
  },
)
