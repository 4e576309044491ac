// Watches at a node without a leader. At the text `no leader`, Go's client ends a watch for good (clientv3/watch.go).
// Only a client that asks for that end receives it.

import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GRPC } from '../../../src/etcd/status.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { callGrpc, frame, openSession } from './grpc-call.ts'

const create = frame(
  RPC.watch.request.encode(RPC.watch.request.fromJson({ create_request: { key: 'YQ==' } })),
)

const CLIENTS = [
  ['a client', {}, 'etcdserver: unhealthy cluster'],
  ['a client that requires a leader', { hasleader: 'true' }, 'etcdserver: no leader'],
] as const

test.each(CLIENTS)('%s whose watch is open', async (_, metadata, message) => {
  const { node, port } = await serve()
  const answer = callGrpc(openSession(port), RPC.watch.path, create, metadata)
  await expect.poll(() => node.watches.counts().open).toBe(1)
  node.watches.endEach('no-leader', 'this node has had no leader')
  expect(await answer).toMatchObject({ status: GRPC.unavailable, message })
})

test.each(CLIENTS)('%s whose watch cannot begin', async (_, metadata, message) => {
  const node = new FakeNode()
  const { port } = await serve({ node })
  const problem = { code: 'no_leader', detail: 'there is none', written: 'no' } as const
  node.read = (_request, done) => {
    done({ ok: false, problem })
    return () => {}
  }
  const answer = await callGrpc(openSession(port), RPC.watch.path, create, metadata)
  expect(answer).toMatchObject({ status: GRPC.unavailable, message })
})
