// The stream of keep-alives holds a bounded number of requests.

import { expect, test, vi } from 'vitest'
import type { GrpcError } from '../../../src/etcd/status.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import { leaseKeepAlive } from '../../../src/server/etcd/services/lease-keep-alive.ts'

test('a client that sends far more requests than are renewed ends its stream', () => {
  const end = vi.fn<(error?: GrpcError) => void>()
  const responses = {
    send() {},
    sendBytes() {},
    waitingBytes: 0,
    drained: () => new Promise<void>(() => {}),
    end,
  }
  // No renewal begins in this turn.
  const stream = leaseKeepAlive.open({ isOver: true } as EtcdCall, responses)
  for (let at = 0; at < 10_000; at++) stream.request({ id: 7n })
  expect(end).not.toHaveBeenCalled()
  stream.request({ id: 7n })
  expect(end.mock.calls[0]?.[0]?.message).toBe('etcdserver: too many requests')
})
