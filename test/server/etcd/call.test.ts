// Room that a call holds: it is given back however the call ends, and none is taken after its end.

import { expect, test } from 'vitest'
import { OutboundBudget } from '../../../src/server/api/budget.ts'
import { callTimes, EtcdCall, type EtcdCaller } from '../../../src/server/etcd/call.ts'
import type { EtcdApi } from '../../../src/server/etcd/etcd-api.ts'

function begin(bytesMax = 1_000) {
  const outbound = new OutboundBudget(bytesMax)
  const times = callTimes(performance.now(), undefined)
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
