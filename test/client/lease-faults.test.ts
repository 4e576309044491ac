// Sessions through the client and scripted nodes: callers that give up while the lease is granted, and silent nodes.

import { expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { clientOf, failure, fake, freezeTime, until } from './with-fakes.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }

/** A node that does not answer the first request for a lease. */
async function lateNode() {
  const node = await fake()
  node.fault = ({ method }) => {
    if (method === 'DELETE') return { status: 200, body: { deleted: 0, revision: node.revision } }
    return grants().length === 1 ? 'hang' : { status: 200, body: { id: '9', ttl_ms: 10_000 } }
  }
  const grants = () => node.asked.filter(({ method }) => method === 'POST')
  const revoked = () => node.asked.filter(({ method }) => method === 'DELETE').map(({ target }) => target)
  return { node, grants, revoked }
}

test('a session that is aborted while its lease is granted leaves no lease', async () => {
  const { node, grants, revoked } = await lateNode()
  const kv = clientOf([node])
  const end = new AbortController()
  const opening = failure(kv.session({ signal: end.signal }))
  await until(() => grants().length === 1)
  end.abort()
  expect(await opening).toMatchObject({ code: 'aborted', written: 'unknown' })
  await until(() => kv[inspect]().calls === 0)
  // The answer to the repeated request names the lease that the first one has granted, or will never grant.
  const [first, second] = grants()
  expect([second?.body, second?.headers['idempotency-key']]).toEqual([
    first?.body,
    first?.headers['idempotency-key'],
  ])
  expect([grants().length, revoked()]).toEqual([2, ['/v1/leases/9']])
  expect(kv[inspect]()).toEqual(AT_REST)
})

test('nor does one whose lease is not granted in time', async () => {
  const { node, grants, revoked } = await lateNode()
  freezeTime()
  const kv = clientOf([node])
  const opening = failure(kv.session({ timeoutMs: 1_000 }))
  await until(() => grants().length === 1)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(await opening).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
  await until(() => kv[inspect]().calls === 0)
  expect(revoked()).toEqual(['/v1/leases/9'])
})

test('of a session whose lease was certainly not granted nothing is revoked', async () => {
  const { node, grants, revoked } = await lateNode()
  const kv = clientOf([node])
  const signal = AbortSignal.abort()
  expect(await failure(kv.session({ signal }))).toMatchObject({ code: 'aborted', written: 'no' })
  await kv.revokeLease('5')
  expect([grants().length, revoked()]).toEqual([0, ['/v1/leases/5']])
})

test('a keep-alive that a node does not answer is asked of another one, however many other calls have second copies', async () => {
  const nodes = [await fake('n1'), await fake('n2')]
  let keepAlives = 0
  for (const node of nodes) {
    node.fault = ({ target, body }) => {
      if (target === '/v1/leases') return { status: 200, body: { id: '9', ttl_ms: 10_000 } }
      // The first keep-alive goes to a node that is silent, and no node answers a get.
      if (target !== '/v1/leases/keepalive' || ++keepAlives === 1) return 'hang'
      const { ids } = JSON.parse(String(body)) as { ids: string[] }
      return { status: 200, body: { leases: ids.map((id) => ({ id, ttl_ms: 10_000 })) } }
    }
  }
  const gets = () => nodes.flatMap(({ asked }) => asked.filter(({ method }) => method === 'GET')).length
  freezeTime()
  const kv = clientOf(nodes)
  const session = await kv.session({ ttlMs: 10_000 })
  const calls = Array.from({ length: 8 }, () => kv.get('k', { timeoutMs: 60_000 }))
  const ended = Promise.allSettled(calls)
  await until(() => gets() === 8)
  await vi.advanceTimersByTimeAsync(2_000)
  await until(() => gets() === 12)
  await vi.advanceTimersByTimeAsync(1_400)
  await until(() => keepAlives === 1)
  await vi.advanceTimersByTimeAsync(1_000)
  await until(() => keepAlives === 2)
  await until(() => session.leftMs > 8_000)
  await kv.close()
  await ended
})

test('the time-out of a call that keeps many leases alive is that of all its requests together', async () => {
  const node = await fake()
  const keptOf = ({ body }: { readonly body: Buffer }) =>
    (JSON.parse(body.toString()).ids as string[]).map((id) => ({ id, ttl_ms: 10_000 }))
  const requests = () => node.asked.filter(({ target }) => target === '/v1/leases/keepalive')
  node.fault = (seen) => {
    if (seen.target !== '/v1/leases/keepalive') return undefined
    if (requests().length === 1) vi.advanceTimersByTime(600)
    return { status: 200, body: { leases: keptOf(seen) } }
  }
  freezeTime()
  const kv = clientOf([node])
  const ids = Array.from({ length: 1_500 }, (_, at) => `${at + 1}`)
  expect(await kv.keepLeasesAlive(ids, { timeoutMs: 1_000 })).toHaveLength(1_500)
  const [first = 0, second = 0] = requests().map(({ timeoutMs }) => timeoutMs)
  expect([requests().length, first > 900, second <= 400]).toEqual([2, true, true])
})

test('keep-alives wait behind no other call, so a session lives while its client has all permits in use', async () => {
  const node = await fake()
  let keepAlives = 0
  node.fault = ({ target }) => {
    if (target === '/v1/leases') return { status: 200, body: { id: '9', ttl_ms: 10_000 } }
    if (target !== '/v1/leases/keepalive') return 'hang'
    keepAlives += 1
    return { status: 200, body: { leases: [{ id: '9', ttl_ms: 10_000 }] } }
  }
  freezeTime()
  const kv = clientOf([node], { callsMax: 1, timeoutMs: 60_000 })
  const session = await kv.session()
  const others = ['a', 'b'].map((key) => failure(kv.get(key)))
  for (let third = 1; third <= 6; third++) {
    vi.advanceTimersByTime(3_400)
    await until(() => keepAlives === third)
    await until(() => kv[inspect]().calls === 2)
  }
  expect(session.signal.aborted).toBe(false)
  expect(kv[inspect]()).toMatchObject({ calls: 2, permits: 2, requests: 1 })
  await kv.close()
  await Promise.all(others)
})
