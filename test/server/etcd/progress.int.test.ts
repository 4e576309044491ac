// Progress of watches through gRPC: at intervals, and on request, as Kubernetes relies on it.

import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { WatchResponse } from '../../../src/etcd/messages/watch.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { runs } from '../../runs.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve, start } from '../http/served.ts'
import { frame, openSession } from './grpc-call.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** A stream of watches, with all responses that have arrived. */
function openWatches(port: number) {
  const stream = openSession(port).request({
    ...{ ':method': 'POST', ':path': RPC.watch.path },
    ...{ 'content-type': 'application/grpc', te: 'trailers' },
  })
  stream.on('error', () => {})
  onTestFinished(() => stream.close())
  const responses: WatchResponse[] = []
  let unread = Buffer.alloc(0)
  stream.on('data', (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk])
    while (unread.length >= 5 && unread.length >= 5 + unread.readUInt32BE(1)) {
      const end = 5 + unread.readUInt32BE(1)
      responses.push(WatchResponse.decode(unread.subarray(5, end)))
      unread = unread.subarray(end)
    }
  })
  const request = (json: object): void =>
    void stream.write(frame(RPC.watch.request.encode(RPC.watch.request.fromJson(json))))
  return {
    responses,
    watch: (key: string, options: object = {}) =>
      request({ create_request: { key: base64(key), ...options } }),
    requestProgress: () => request({ progress_request: {} }),
  }
}

const isProgress = ({ created, canceled, events }: WatchResponse): boolean =>
  !created && !canceled && events.length === 0

test('a watch that requests progress receives it at the interval of the node, again and again', async () => {
  const { port, node } = await serve({ limits: { etcdProgressMs: 100 } })
  const { responses, watch } = openWatches(port)
  watch('a', { watch_id: '1', progress_notify: true })
  watch('a', { watch_id: '2' })
  const notified = () => responses.filter(isProgress).map(({ watchId }) => watchId)
  await expect.poll(() => notified().length).toBeGreaterThan(2)
  node.put('b', '1')
  await expect.poll(() => responses.filter(isProgress).at(-1)?.header?.revision).toBe(node.revision)
  expect(new Set(notified())).toEqual(new Set([1]))
})

const START_MAX = 9

const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ kind: fc.constant('progress' as const) }),
  fc.record({
    kind: fc.constant('watch' as const),
    key: fc.constantFrom('a', 'b'),
    from: fc.integer({ min: 0, max: START_MAX }),
  }),
  fc.record({ kind: fc.constant('turn' as const) }),
)

test('progress on request is of all watches: no event up to its revision follows it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const node = new FakeNode()
      const { port, close } = await start({ node })
      const { responses, watch, requestProgress } = openWatches(port)
      watch('a')
      for (const each of steps) {
        if (each.kind === 'put') node.put(each.key, '1')
        else if (each.kind === 'progress') requestProgress()
        else if (each.kind === 'watch') watch(each.key, { start_revision: String(each.from) })
        else await new Promise((resolve) => setImmediate(resolve))
      }
      // While one of the watches begins in the future, there is no progress of all.
      while (node.revision < START_MAX) node.put('c', '1')
      const { revision } = node
      requestProgress()
      const newest = () => responses.findLast(({ watchId }) => watchId === -1)?.header?.revision ?? 0
      await expect.poll(newest).toBe(revision)
      let reached = 0
      for (const { watchId, events, header, created } of responses) {
        // A watch that is created later begins anew: it may read history.
        if (created) reached = 0
        if (watchId === -1) reached = header?.revision ?? 0
        for (const { kv } of events) expect(kv?.modRevision).toBeGreaterThan(reached)
      }
      await close()
    }),
    { numRuns: runs(60) },
  )
})
