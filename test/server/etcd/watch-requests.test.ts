// A stream of watches holds a bounded number of requests that are not answered.

import { expect, test, vi } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import type { GrpcError } from '../../../src/etcd/status.ts'
import { asRevision } from '../../../src/operations/forms/index.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import { watch } from '../../../src/server/etcd/watch/stream.ts'

test('a client that requests watches without end while there is no leader ends its stream', () => {
  const end = vi.fn<(error?: GrpcError) => void>()
  const responses = { send() {}, sendBytes() {}, waitingBytes: 0, drained: async () => {}, end }
  const watchBuffers = { forget() {}, remove() {} }
  const call = {
    api: { node: { revision: asRevision(1) }, watchBuffers },
    // No answer comes.
    execute: () => new Promise(() => {}),
    nextDeadline: () => 0,
  } as unknown as EtcdCall
  const stream = watch.open(call, responses)
  const request = RPC.watch.request.fromJson({ create_request: { key: 'YQ==' } })
  for (let at = 0; at < 10_000; at++) stream.request(request)
  expect(end).not.toHaveBeenCalled()
  stream.request(request)
  expect(end.mock.calls[0]?.[0]?.message).toBe('etcdserver: too many requests')
})
