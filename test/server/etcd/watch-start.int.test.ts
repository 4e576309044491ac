// The reads with which watches begin. Only a watch that names its first revision begins without a majority, at a node
// whose state is fresh, and only as long as rights are not checked.

import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GRPC } from '../../../src/etcd/status.ts'
import type { ReadRequirements } from '../../../src/server/node/read/reads.ts'
import { AS_ROOT, nodeWithUsers } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { callGrpc, frame, openSession } from './grpc-call.ts'

/** `start`: its first revision; 0: the next one. */
const create = (start = '0') =>
  frame(
    RPC.watch.request.encode(
      RPC.watch.request.fromJson({ create_request: { key: 'YQ==', start_revision: start } }),
    ),
  )

const consistencies = ({ asked }: FakeNode) => asked.map(({ options }) => options?.consistency)

test.each([
  ['a first revision', '1', new FakeNode(), {}, 'stale'],
  ['no revision', undefined, new FakeNode(), {}, 'linearizable'],
  ['a first revision, where rights are checked', '1', nodeWithUsers(), AS_ROOT, 'linearizable'],
] as const)(
  'a watch of etcd with %s',
  async (_, start, node, {
    Authorization: authorization = undefined,
  }: {
    readonly Authorization?: string
  }, consistency) => {
    const { port } = await serve({ node })
    const hasBegun = ({ length }: { readonly length: number }) => length > 0
    const metadata = { authorization }
    const answer = await callGrpc(openSession(port), RPC.watch.path, create(start), metadata, hasBegun)
    expect(answer.messages.map((message) => RPC.watch.response.decode(message))).toMatchObject([
      { created: true, canceled: false },
    ])
    expect(consistencies(node)).toEqual([consistency])
  },
)

test('a watch over HTTP with a first revision begins after a linearizable read', async () => {
  const node = new FakeNode()
  const { port } = await serve({ node })
  const leaving = new AbortController()
  const { status } = await fetch(`http://127.0.0.1:${port}/v1/watch?key=a&from=1`, { signal: leaving.signal })
  leaving.abort()
  expect(status).toBe(200)
  expect(consistencies(node)).toEqual(['linearizable'])
})

test('a watch that ends before those that were requested before it have begun is created at first', async () => {
  const node = new FakeNode()
  for (let at = 0; at < 5; at++) node.put('a', String(at))
  const read = node.read.bind(node)
  const withMajority: (() => void)[] = []
  node.read = (requirements, done) => {
    const begin = () => read(requirements, done)
    if (requirements.consistency !== 'linearizable') return begin()
    withMajority.push(begin)
    return () => {}
  }
  const open = node.watch.bind(node)
  node.watch = (request, sink) => {
    const opened = open(request, sink)
    // It has begun, and reads nothing before the next turn of the event loop.
    if (request.from !== undefined)
      queueMicrotask(() => node.apply({ kind: 'compact', revision: node.revision }))
    return opened
  }
  const { port } = await serve({ node })
  const both = Buffer.concat([create(), create('3')])
  const hasEnded = ({ length }: { readonly length: number }) => length === 3
  const answer = callGrpc(openSession(port), RPC.watch.path, both, {}, hasEnded)
  await expect.poll(() => node.watches.counts().compactedTotal).toBe(1)
  for (const begin of withMajority) begin()
  expect((await answer).messages.map((message) => RPC.watch.response.decode(message))).toMatchObject([
    { watchId: 0, created: true, canceled: false },
    { watchId: 1, created: true, canceled: false },
    { watchId: 1, created: false, canceled: true, compactRevision: 6 },
  ])
})

test('the read of a majority ends with the client of its watch, also after a node was too stale', async () => {
  const node = new FakeNode()
  const read = node.read.bind(node)
  node.read = (requirements, done) => {
    if (requirements.consistency === 'linearizable') return read(requirements, done)
    setImmediate(done, { ok: false, problem: { code: 'too_stale', detail: '', written: 'no' } })
    return () => {}
  }
  node.hold = () => {}
  const { port } = await serve({ node })
  const stream = openSession(port).request({
    ...{ ':method': 'POST', ':path': RPC.watch.path, 'content-type': 'application/grpc' },
  })
  stream.on('error', () => {})
  stream.write(create('1'))
  await expect.poll(() => node.openReads).toBe(1)
  stream.close()
  await expect.poll(() => node.openReads).toBe(0)
})

test('a node whose state is stale refuses a watch with a first revision if it has no leader', async () => {
  const node = new FakeNode()
  const read: ReadRequirements[] = []
  node.read = (requirements, done) => {
    read.push(requirements)
    const code = requirements.consistency === 'stale' ? 'too_stale' : 'no_leader'
    done({ ok: false, problem: { code, detail: '', written: 'no' } })
    return () => {}
  }
  const { port } = await serve({ node })
  const answer = await callGrpc(openSession(port), RPC.watch.path, create('1'))
  expect(answer.status).toBe(GRPC.unavailable)
  expect(read).toMatchObject([
    { consistency: 'stale', maxStalenessMs: 1_000 },
    { consistency: 'linearizable' },
  ])
})
