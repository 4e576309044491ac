// Progress on request names the revision that all watches of the stream have reached.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { WatchResponse } from '../../../src/etcd/messages/watch.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { asRevision } from '../../../src/operations/forms/index.ts'
import { PROGRESS_MS_MAX } from '../../../src/operations/watch.ts'
import { InboundBudget } from '../../../src/server/api/budget.ts'
import { WatchBuffers } from '../../../src/server/api/watch.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import { watch } from '../../../src/server/etcd/watch/stream.ts'
import { decodeWatch } from '../../../src/server/etcd/watch/watch.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'
import type { EventsMessage, WatchSink } from '../../../src/server/node/watch/index.ts'
import { connectionWith } from '../clients/lone-connection.ts'

const missing = (): never => {
  throw new Error('no request')
}
const MiB = 1024 * 1024

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A stream with a watch of a node at revision 3, which has sent events up to `sent.upTo`. */
async function openStream() {
  const node = { revision: asRevision(3) }
  const sent = { upTo: asRevision(3) }
  let looks = 0
  const responses: WatchResponse[] = []
  let sink: WatchSink | undefined
  const watchBuffers = new WatchBuffers(httpLimits)
  const call = {
    api: { node, watchBuffers, limits: httpLimits },
    client: { connection: connectionWith(new InboundBudget(MiB)) },
    execute: async (_: unknown, { openSink }: { readonly openSink: () => WatchSink }) => {
      sink = openSink()
      const sentUpTo = () => {
        looks++
        return sent.upTo
      }
      return { watch: { sentUpTo, cancel() {} }, head: { revision: node.revision } }
    },
    header: (revision: number) => ({ clusterId: 1n, memberId: 1n, revision, raftTerm: 1 }),
    nextDeadline: () => 0,
  } as unknown as EtcdCall
  const stream = watch.open(call, {
    ...{ send() {}, waitingBytes: 0, drained: async () => {}, end() {} },
    sendBytes: (bytes, taken) => {
      responses.push(WatchResponse.decode(bytes))
      taken?.()
    },
  })
  const createWatch = (from = 0) =>
    stream.request(RPC.watch.request.fromJson({ create_request: { key: 'YQ==', start_revision: from } }))
  const cancelWatch = (id: number) =>
    stream.request(RPC.watch.request.fromJson({ cancel_request: { watch_id: id } }))
  createWatch()
  await vi.advanceTimersByTimeAsync(0)
  const sendEvents = (revision: number) => {
    node.revision = asRevision(revision)
    sink?.events({ revision, in: () => new Uint8Array() } as unknown as EventsMessage)
  }
  const requestProgress = () => stream.request(RPC.watch.request.fromJson({ progress_request: {} }))
  return {
    sent,
    sendEvents,
    requestProgress,
    createWatch,
    cancelWatch,
    looks: () => looks,
    revisions: () => responses.map((each) => each.header?.revision),
  }
}

test('progress that waits for a watch is not below the events that this watch then receives', async () => {
  const { sent, sendEvents, requestProgress, revisions } = await openStream()
  sendEvents(4)
  requestProgress()
  sendEvents(5)
  expect(revisions()).toEqual([3, 4, 5])
  sent.upTo = asRevision(4)
  await vi.advanceTimersByTimeAsync(100)
  expect(revisions()).toEqual([3, 4, 5])
  sent.upTo = asRevision(5)
  await vi.advanceTimersByTimeAsync(100)
  expect(revisions()).toEqual([3, 4, 5, 5])
})

test('a watch has progress in time for Kubernetes, if it asks for it', () => {
  const createRequest = (progressNotify: boolean) =>
    RPC.watch.request.fromJson({ create_request: { key: 'YQ==', progress_notify: progressNotify } })
      .createRequest
  const intervals = [true, false].map(
    (asks) => decodeWatch(createRequest(asks) ?? missing(), httpLimits.etcdProgressMs).progressMs,
  )
  expect(intervals).toEqual([5_000, PROGRESS_MS_MAX])
})

test('a watch of the future has the progress of the store', async () => {
  const { sent, requestProgress, revisions } = await openStream()
  sent.upTo = asRevision(499)
  requestProgress()
  expect(revisions()).toEqual([3, 3])
})

test('requests of one chunk look at the watches once, and again after a watch is added', async () => {
  const { looks, requestProgress, createWatch, revisions } = await openStream()
  for (let at = 0; at < 1_000; at++) requestProgress()
  expect(looks()).toBe(1)
  expect(revisions()).toHaveLength(1_001)
  createWatch()
  requestProgress()
  expect(revisions()).toHaveLength(1_001)
  await vi.advanceTimersByTimeAsync(100)
  expect(revisions()).toHaveLength(1_003)
})

test('a request for progress has no response while a watch begins later, and without watches', async () => {
  const { sent, sendEvents, createWatch, cancelWatch, requestProgress, revisions } = await openStream()
  createWatch(5)
  await vi.advanceTimersByTimeAsync(0)
  requestProgress()
  await vi.advanceTimersByTimeAsync(100)
  expect(revisions()).toEqual([3, 3])
  sendEvents(5)
  sent.upTo = asRevision(5)
  requestProgress()
  expect(revisions()).toEqual([3, 3, 5, 5])
  for (const id of [0, 1]) cancelWatch(id)
  await vi.advanceTimersByTimeAsync(0)
  requestProgress()
  await vi.advanceTimersByTimeAsync(100)
  expect(revisions()).toEqual([3, 3, 5, 5, 5, 5])
})
