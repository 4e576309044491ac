// Sessions through the client and scripted nodes: callers that give up while the lease is granted, and silent nodes.

import { expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { clientOf, failure, fake, freezeTime, until } from './with-fakes.ts'

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

test('the timeout of a call that keeps many leases alive is that of all its requests together', async () => {
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
