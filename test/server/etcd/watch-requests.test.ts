// A stream of watches holds a bounded number of requests that are not answered.

import { expect, test, vi } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import type { GrpcError } from '../../../src/etcd/status.ts'
import { ApiError, asRevision } from '../../../src/operations/forms/index.ts'
import { FREE_BYTES, InboundBudget } from '../../../src/server/api/budget.ts'
import { WatchBuffers } from '../../../src/server/api/watch.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import { watch } from '../../../src/server/etcd/watch/stream.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'
import { connectionWith } from '../clients/lone-connection.ts'

const MiB = 1024 * 1024

function open(bytesMax = 128 * MiB) {
  const end = vi.fn<(error?: GrpcError) => void>()
  const sent: Uint8Array[] = []
  const sendBytes = (bytes: Uint8Array): void => void sent.push(bytes)
  const responses = { send() {}, sendBytes, waitingBytes: 0, drained: async () => {}, end }
  const watchBuffers = new WatchBuffers(httpLimits)
  const inbound = new InboundBudget(bytesMax)
  let fail: (error: Error) => void = () => {}
  const call = {
    api: {
      node: { revision: asRevision(1) },
      watchBuffers,
      limits: httpLimits,
      toApiError: (error: Error) => error,
    },
    client: { connection: connectionWith(inbound) },
    // No answer comes.
    execute: () => new Promise((_, reject) => (fail = reject)),
    header: () => undefined,
    nextDeadline: () => 0,
  } as unknown as EtcdCall
  const responsesSent = () => sent.map((bytes) => RPC.watch.response.decode(bytes))
  const stream = watch.open(call, responses)
  return { stream, end, inbound, responsesSent, fail: (error: Error) => fail(error) }
}

const create = (key: string, watchId = 0) =>
  RPC.watch.request.fromJson({
    create_request: { key: Buffer.from(key).toString('base64'), watch_id: watchId },
  })

test('a client that requests watches without end while there is no leader ends its stream', () => {
  const { stream, end } = open()
  const request = create('a')
  for (let at = 0; at < 1_000; at++) stream.request(request)
  // A transport reads no more.
  expect(stream.isBusy).toBe(true)
  for (let at = 1_000; at < 10_000; at++) stream.request(request)
  expect(end).not.toHaveBeenCalled()
  stream.request(request)
  expect(end.mock.calls[0]?.[0]?.message).toBe('etcdserver: too many requests')
})

test('watches with long keys are refused beyond the budget of requests, which they give back', async () => {
  const { stream, inbound, responsesSent } = open(10_000)
  stream.request(create('k'.repeat(4_000), 1))
  // A watch keeps its key twice.
  const { bytes } = inbound
  expect(bytes).toBe(512 + 2 * 4_000 - FREE_BYTES)
  stream.request(create('k'.repeat(4_000), 2))
  expect(inbound.bytes).toBe(bytes)
  stream.request(RPC.watch.request.fromJson({ cancel_request: { watch_id: 1 } }))
  expect(inbound.bytes).toBe(0)
  stream.request(create('k'.repeat(4_000), 3))
  expect(inbound.bytes).toBe(bytes)
  stream.closed()
  expect(inbound.bytes).toBe(0)
  expect(responsesSent()).toEqual([])
})

test('the end of a watch that the client has cancelled leaves a later one of the same id alone', async () => {
  const { stream, inbound, responsesSent, fail } = open()
  stream.request(create('k'.repeat(4_000), 7))
  const failFirst = fail
  stream.request(RPC.watch.request.fromJson({ cancel_request: { watch_id: 7 } }))
  failFirst(new ApiError('internal', 'it could not begin'))
  stream.request(create('k'.repeat(4_000), 7))
  const { bytes } = inbound
  await new Promise(setImmediate)
  expect(inbound.bytes).toBe(bytes)
  expect(responsesSent()).toMatchObject([
    { watchId: 7, created: true },
    { watchId: 7, canceled: true },
  ])
})

test('a watch that is refused leaves its id to the next one', async () => {
  const { stream, responsesSent, fail } = open()
  for (let at = 0; at < 2; at++) {
    stream.request(create('a'))
    fail(new ApiError('permission_denied', 'not this key'))
    await new Promise(setImmediate)
  }
  stream.request(create('b'))
  stream.request(RPC.watch.request.fromJson({ cancel_request: { watch_id: 0 } }))
  fail(new ApiError('internal', 'it could not begin'))
  await new Promise(setImmediate)
  expect(responsesSent()).toMatchObject([
    { watchId: -1, created: true, canceled: true },
    { watchId: -1, created: true, canceled: true },
    { watchId: 0, created: true },
    { watchId: 0, canceled: true },
  ])
})
