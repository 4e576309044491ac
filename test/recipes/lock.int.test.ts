// Locks on a real cluster.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Client, OutcomeUnknownError } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { LockLostError, LockNotTakenError, lock } from '../../src/recipes/index.ts'

let cluster: EmbeddedCluster
let kv: Client

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  kv = cluster.client({ timeoutMs: 30_000 })
})

afterAll(async () => {
  expect(await kv.count({ prefix: 'lock/' })).toBe(0)
  const leases = []
  for await (const lease of kv.leases()) leases.push(lease)
  expect(leases).toEqual([])
  await cluster.close()
})

test('clients get a lock in the order of their keys, with rising tokens', async () => {
  const order: number[] = []
  const first = await lock(kv, 'a/b')
  const waiting = [1, 2, 3].map(async () => {
    await using held = await lock(kv, 'a/b')
    order.push(held.token)
    await held.put('resource', String(held.token))
  })
  await expect.poll(() => kv.count({ prefix: 'lock/a%2Fb/' })).toBe(4)
  expect(order).toEqual([])
  await first.release()
  await Promise.all(waiting)
  expect(order).toHaveLength(3)
  expect(order).toEqual(order.toSorted((a, b) => a - b))
  expect(order[0]).toBeGreaterThan(first.token)
})

test('a client that gives up after waitMs leaves no key behind', async () => {
  await using _held = await lock(kv, 'busy')
  await expect(lock(kv, 'busy', { waitMs: 300 })).rejects.toThrow(LockNotTakenError)
  expect(await kv.count({ prefix: 'lock/busy/' })).toBe(1)
})

test('a holder whose key is gone writes nothing', async () => {
  const held = await lock(kv, 'lost')
  await kv.delete(held.key)
  await expect(held.put('guarded', 'x')).rejects.toThrow(LockLostError)
  expect(await kv.get('guarded')).toBeUndefined()
  await held.release()
})

test('a key whose creation has an unknown outcome is adopted', async () => {
  let eaten = 0
  const eatsFirst: Pick<Client, 'session' | 'txn' | 'watch'> = {
    session: (options) => kv.session(options),
    watch: (options) => kv.watch(options),
    txn: async (txn, options) => {
      const result = await kv.txn(txn, options)
      if (eaten++ > 0) return result
      throw new OutcomeUnknownError('the answer was lost', { code: 'outcome_unknown', written: 'unknown' })
    },
  }
  const held = await lock(eatsFirst, 'unknown', { waitMs: 10_000 })
  expect(eaten).toBeGreaterThan(1)
  expect(await kv.count({ prefix: 'lock/unknown/' })).toBe(1)
  expect((await kv.get(held.key))?.createRevision).toBe(held.token)
  await held.release()
})
