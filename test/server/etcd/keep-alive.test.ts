// The stream of keep-alives holds a bounded number of requests.

import { expect, test, vi } from 'vitest'
import type { GrpcError } from '../../../src/etcd/status.ts'
import { InboundBudget } from '../../../src/server/api/budget.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import { leaseKeepAlive } from '../../../src/server/etcd/services/lease-keep-alive.ts'
import { connectionWith } from '../clients/lone-connection.ts'

function open(bytesMax: number) {
  const end = vi.fn<(error?: GrpcError) => void>()
  const responses = {
    send() {},
    sendBytes() {},
    waitingBytes: 0,
    drained: () => new Promise<void>(() => {}),
    end,
  }
  const inbound = new InboundBudget(bytesMax)
  // No renewal begins in this turn.
  const client = { connection: connectionWith(inbound) }
  const call = { isOver: true, client } as unknown as EtcdCall
  return { stream: leaseKeepAlive.open(call, responses), end, inbound }
}

const TOO_MANY = 'etcdserver: too many requests'

test('no more are read while a thousand requests wait, and a client that sends far more ends its stream', () => {
  const { stream, end } = open(64 * 1024 * 1024)
  for (let at = 0; at < 999; at++) stream.request({ id: 7n })
  expect(stream.isBusy).toBe(false)
  stream.request({ id: 7n })
  expect(stream.isBusy).toBe(true)
  for (let at = 1_000; at < 20_000; at++) stream.request({ id: 7n })
  expect(end).not.toHaveBeenCalled()
  stream.request({ id: 7n })
  expect(end.mock.calls[0]?.[0]?.message).toBe(TOO_MANY)
})

test('the requests of all streams count as those of other calls, until they are answered or the stream ends', () => {
  const { stream, end, inbound } = open(10_000)
  for (let at = 0; at < 200; at++) stream.request({ id: 7n })
  expect(inbound.bytes).toBeGreaterThan(5_000)
  expect(end).not.toHaveBeenCalled()
  for (let at = 0; at < 200; at++) stream.request({ id: 7n })
  expect(end.mock.calls[0]?.[0]?.message).toBe(TOO_MANY)
  stream.closed()
  expect(inbound.bytes).toBe(0)
})
