// Locks and elections through the services that etcd has for clients without its package `concurrency`.

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC } from '../../../src/etcd/status.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import type { Request } from '../../../src/kv/index.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { AS_BOB, AS_ROOT, BOB_HASH, nodeWithUsers, permit } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'

async function open(node = new FakeNode()) {
  const { port } = await serve({ node })
  const connect = () => {
    const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
    onTestFinished(() => client.close())
    return client
  }
  const client = connect()
  const grant = async (id: bigint) => (await client.unary(RPC.leaseGrant, { id, ttl: 60 })).id
  const keys = async () => {
    const all = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) }
    const { kvs } = await client.unary(RPC.range, all)
    return kvs.map(({ key }) => Buffer.from(key).toString())
  }
  return { client, connect, grant, keys, node }
}

const name = Buffer.from('n')
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()

/** Ends when the server has looked for older keys, and waits. */
const waiting = (node: FakeNode, count: number): Promise<unknown> =>
  vi.waitUntil(() => node.watches.counts().open === count, { timeout: 10_000 })

test('locks are held one after the other, in the order of their requests', async () => {
  const { client, grant, keys, node } = await open()
  const order: number[] = []
  const lock = async (id: number) => {
    const { key } = await client.unary(RPC.lock, { name, lease: await grant(BigInt(id)) })
    order.push(id)
    return key
  }
  const first = await lock(16)
  expect(text(first)).toBe('n/10')
  const second = lock(17)
  await waiting(node, 1)
  const third = lock(18)
  await waiting(node, 2)
  expect(order).toEqual([16])
  // The same lease holds it already.
  expect(text((await client.unary(RPC.lock, { name, lease: 16n })).key)).toBe('n/10')
  await client.unary(RPC.unlock, { key: first })
  const secondKey = await second
  expect(order).toEqual([16, 17])
  await client.unary(RPC.unlock, { key: secondKey })
  await client.unary(RPC.unlock, { key: await third })
  expect(order).toEqual([16, 17, 18])
  expect(await keys()).toEqual([])
  await expect(client.unary(RPC.lock, { name, lease: 99n })).rejects.toMatchObject(ETCD_ERRORS.leaseNotFound)
})

test('a client that goes while it waits leaves no key behind', async () => {
  const { client, connect, grant, keys, node } = await open()
  await client.unary(RPC.lock, { name, lease: await grant(1n) })
  const lease = await grant(2n)
  const atRest = () =>
    vi.waitFor(
      async () => {
        expect([await keys(), node.watches.counts().open]).toEqual([['n/1'], 0])
        // Clients without a lease had one of their own, which is gone too.
        expect((await client.unary(RPC.leaseLeases, {})).leases.map(({ id }) => id)).toEqual([1n, 2n])
      },
      { timeout: 10_000 },
    )
  await expect(client.unary(RPC.lock, { name, lease }, { timeoutMs: 300 })).rejects.toThrow()
  await atRest()
  const [leaving, gone] = [connect(), connect()]
  const ended = Promise.allSettled([
    leaving.unary(RPC.lock, { name }),
    gone.unary(RPC.campaign, { name, value: name }),
  ])
  await waiting(node, 2)
  leaving.close()
  gone.close()
  expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  await atRest()
})

test('a client whose lease ends while it waits does not receive the lock', async () => {
  const { client, grant, node } = await open()
  const { key } = await client.unary(RPC.lock, { name, lease: await grant(1n) })
  const second = client.unary(RPC.lock, { name, lease: await grant(2n) })
  const refused = expect(second).rejects.toMatchObject({
    code: GRPC.unknown,
    message: 'mutex: session is expired',
  })
  await waiting(node, 1)
  await client.unary(RPC.leaseRevoke, { id: 2n })
  await client.unary(RPC.unlock, { key })
  await refused
})

test('a client whose lease ends before older keys are looked for does not receive the lock', async () => {
  const { client, grant, node } = await open()
  const lease = await grant(2n)
  const reading = vi.spyOn(node, 'read')
  reading.mockImplementationOnce((options, done) => {
    node.apply({ kind: 'revoke', id: '2' as LeaseId })
    return node.read(options, done)
  })
  await expect(client.unary(RPC.lock, { name, lease })).rejects.toThrow('mutex: session is expired')
})

test('a holder that asks again and does not wait keeps its lock', async () => {
  const { client, connect, grant, keys, node } = await open()
  const lease = await grant(1n)
  await client.unary(RPC.lock, { name, lease })
  const leaving = connect()
  let hasGone = false
  const read = node.read.bind(node)
  vi.spyOn(node, 'read').mockImplementation((options, done) => {
    // The first is that of the key which is there, the next one looks for older keys.
    if (hasGone || options.consistency === 'stale') return read(options, done)
    leaving.close()
    return () => {
      hasGone = true
      done({ ok: false, problem: { code: 'cancelled', detail: 'the client has gone', written: 'no' } })
    }
  })
  await expect(leaving.unary(RPC.lock, { name, lease })).rejects.toThrow()
  await vi.waitUntil(() => hasGone, { timeout: 10_000 })
  // Changes are made in their order.
  await client.unary(RPC.put, { key: name, value: name })
  expect(await keys()).toEqual(['n', 'n/1'])
})

test('a key that its client has made before goes, too, when a client waits for it and gives up', async () => {
  const { client, grant, keys } = await open()
  await client.unary(RPC.campaign, { name, lease: await grant(1n), value: name })
  const lease = await grant(2n)
  for (const rpc of [RPC.campaign, RPC.lock]) {
    await client.unary(RPC.put, { key: Buffer.from('n/2'), value: name, lease })
    await expect(client.unary<object, object>(rpc, { name, lease }, { timeoutMs: 300 })).rejects.toThrow()
    await vi.waitFor(async () => expect(await keys()).toEqual(['n/1']), { timeout: 10_000 })
  }
})

test('a candidate without a lease removes a key that nobody holds, as in etcd', async () => {
  const { client, keys } = await open()
  await client.unary(RPC.put, { key: Buffer.from('n/3'), value: name })
  const campaign = client.unary(RPC.campaign, { name, lease: 3n, value: Buffer.from('other') })
  await expect(campaign).rejects.toMatchObject(ETCD_ERRORS.leaseNotFound)
  expect(await keys()).toEqual([])
})

test('leaders follow each other, and are observed with their values', async () => {
  const { client, grant, node } = await open()
  const noLeader = client.unary(RPC.leader, { name })
  await expect(noLeader).rejects.toMatchObject({ code: GRPC.unknown, message: 'election: no leader' })
  const observed = client.serverStream(RPC.observe, { name })[Symbol.asyncIterator]()
  const next = async () => text((await observed.next()).value?.kv?.value)
  const one = observed.next()
  await waiting(node, 1)
  const campaign = async (id: bigint, value: string) =>
    client.unary(RPC.campaign, { name, lease: await grant(id), value: Buffer.from(value) })
  const { leader } = await campaign(1n, 'one')
  expect(leader).toMatchObject({ lease: 1n, rev: node.revision })
  expect([text(leader?.name), text(leader?.key)]).toEqual(['n', 'n/1'])
  expect(text((await one).value?.kv?.value)).toBe('one')
  if (leader === undefined) throw new Error('a campaign is answered with the key of the leader')
  await client.unary(RPC.proclaim, { leader, value: Buffer.from('uno') })
  expect(await next()).toBe('uno')
  const second = campaign(2n, 'two')
  await waiting(node, 2)
  expect(text((await client.unary(RPC.leader, { name })).kv?.value)).toBe('uno')
  await client.unary(RPC.resign, { leader })
  await second
  expect(await next()).toBe('two')
  const late = client.unary(RPC.proclaim, { leader, value: name })
  await expect(late).rejects.toMatchObject({ code: GRPC.unknown, message: 'election: not leader' })
  await expect(client.unary(RPC.resign, {})).rejects.toThrow('"leader" field must be provided')
  await observed.return?.()
  await waiting(node, 0)
})

test('who may not write under a name can neither lock nor campaign there', async () => {
  const { client } = await open(nodeWithUsers())
  const asBob = { metadata: { authorization: AS_BOB.Authorization } }
  const refused = [
    client.unary(RPC.lock, { name }, asBob),
    client.unary(RPC.campaign, { name }, asBob),
    client.unary(RPC.leader, { name }, asBob),
    client.unary(RPC.unlock, { key: Buffer.from('n/1') }, asBob),
  ]
  await Promise.all(
    refused.map((each) => expect(each).rejects.toMatchObject({ code: GRPC.permissionDenied })),
  )
  const { key } = await client.unary(RPC.lock, { name: Buffer.from('app/lock') }, asBob)
  expect(text(key)).toMatch(/^app\/lock\/[0-9a-f]+$/)
})

test('a call of which the store refuses the key or the value leaves no lease', async () => {
  const { client } = await open(new FakeNode({ keyBytesMax: 100, valueBytesMax: 100 }))
  const long = Buffer.alloc(101, 'n')
  await expect(client.unary(RPC.lock, { name: long })).rejects.toThrow()
  await expect(client.unary(RPC.campaign, { name, value: long })).rejects.toThrow()
  expect((await client.unary(RPC.leaseLeases, {})).leases).toEqual([])
})

test.each([
  ['of the grant', 1],
  ['of the key', 2],
])('a call that does not receive the answer %s leaves neither a lease nor a key', async (_, lostAnswer) => {
  const { client, keys, node } = await open()
  const propose = node.propose.bind(node)
  let answers = 0
  vi.spyOn(node, 'propose').mockImplementation((request, timeoutMs, done) =>
    propose(request, timeoutMs, (result) => {
      const problem = { code: 'outcome_unknown', detail: 'no answer in time', written: 'unknown' } as const
      done(++answers === lostAnswer ? { ok: false, problem } : result)
    }),
  )
  await expect(client.unary(RPC.lock, { name })).rejects.toThrow()
  // Changes are made in their order.
  await client.unary(RPC.put, { key: name, value: name })
  expect(await keys()).toEqual(['n'])
  expect((await client.unary(RPC.leaseLeases, {})).leases).toEqual([])
})

describe('a user whose right ends while his call waits', () => {
  type AuthChange = Extract<Request['command'], { readonly kind: 'auth' }>['change']
  const endings: readonly (readonly [string, AuthChange])[] = [
    ['has another role', { kind: 'put-role', name: 'app', permissions: [] }],
    ['has no role', { kind: 'put-user', name: 'bob', passwordHash: undefined, roles: [] }],
    ['has a new password', { kind: 'put-user', name: 'bob', passwordHash: BOB_HASH, roles: undefined }],
    ['is deleted', { kind: 'delete-user', name: 'bob' }],
  ]
  const bobs = Buffer.from('app/lock')
  const [asBob, asRoot] = [AS_BOB, AS_ROOT].map(({ Authorization }) => ({
    metadata: { authorization: Authorization },
  }))

  test.each(endings)('leaves neither a lease nor a key: %s', async (_, change) => {
    const node = nodeWithUsers()
    const { client } = await open(node)
    const keys = () => node.records().map(({ key }) => Buffer.from(key).toString())
    const leases = async () => (await client.unary(RPC.leaseLeases, {}, asRoot)).leases.map(({ id }) => id)
    await client.unary(RPC.leaseGrant, { id: 1n, ttl: 60 }, asRoot)
    await client.unary(RPC.lock, { name: bobs, lease: 1n }, asRoot)
    await client.unary(RPC.leaseGrant, { id: 2n, ttl: 60 }, asBob)
    const calls = [
      client.unary(RPC.lock, { name: bobs }, asBob),
      client.unary(RPC.campaign, { name: bobs, value: bobs }, asBob),
      client.unary(RPC.lock, { name: bobs, lease: 2n }, asBob),
    ]
    const ended = Promise.all(calls.map((call) => expect(call).rejects.toThrow()))
    await waiting(node, 3)
    expect(keys()).toHaveLength(4)
    node.apply({ kind: 'auth', ifRevision: undefined, change })
    await ended
    expect(keys()).toEqual(['app/lock/1'])
    expect(await leases()).toEqual([1n, 2n])
  })

  test('does not hold what he may no longer give back', async () => {
    const node = nodeWithUsers()
    const { client } = await open(node)
    await client.unary(RPC.leaseGrant, { id: 1n, ttl: 60 }, asRoot)
    const { key } = await client.unary(RPC.lock, { name: bobs, lease: 1n }, asRoot)
    const call = client.unary(RPC.lock, { name: bobs }, asBob)
    const refused = expect(call).rejects.toMatchObject({ code: GRPC.permissionDenied })
    await waiting(node, 1)
    permit(node, { access: 'read', range: { start: Buffer.from('app/'), end: Buffer.from('app0') } })
    await client.unary(RPC.unlock, { key }, asRoot)
    await refused
    expect(node.records()).toEqual([])
    expect((await client.unary(RPC.leaseLeases, {}, asRoot)).leases).toHaveLength(1)
  })
})
