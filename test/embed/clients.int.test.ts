// Clients of an embedded cluster beside the ends of its nodes, over HTTP and over multiplexed connections.
// test/client/operations.int.test.ts has their operations.

import { getEventListeners } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client } from '../../src/client/index.ts'
import type { EmbeddedClientOptions } from '../../src/embed/types.ts'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 2 })
})
afterAll(() => cluster.close())

/** A client that has made enough calls for multiplexed connections, unless it uses none. */
async function warmClient(options: EmbeddedClientOptions): Promise<Client> {
  const client = cluster.client(options)
  for (let n = 0; n < 40; n++) await client.get('warm')
  return client
}

describe.each(['http', 'auto'] as const)('over %s', (transport) => {
  test('a node that does not run is left for another one', async () => {
    const [first] = cluster.nodes
    const client = await warmClient({ transport, timeoutMs: 30_000 })
    await client.put('kept', '1')
    await first?.stop()
    expect((await client.get('kept', { consistency: 'stale' }))?.text()).toBe('1')
    await first?.start()
    expect((await client.get('kept'))?.text()).toBe('1')
  })

  test.each([Number.POSITIVE_INFINITY, 2 ** 31])('a call may have a timeout of %s ms', async (timeoutMs) => {
    const client = await warmClient({ transport, timeoutMs })
    const { id } = await client.grantLease({ ttlMs: 60_000 })
    for (const { url } of cluster.nodes) {
      const one = await warmClient({ transport, timeoutMs, endpoints: [url], discover: false })
      expect(await one.keepLeaseAlive(id)).toEqual({ ttlMs: 60_000 })
    }
  })

  test('times to live and transactions have limits', async () => {
    const client = await warmClient({ transport })
    for (const ttlMs of [1, 999, 1e15, 1e300])
      await expect(client.put('t', '1', { ttlMs })).rejects.toThrow(/^put: ttlMs must be .* from 1,000 /)
    await client.put('t', '1', { ttlMs: 2500.5 })
    const { lease = '' } = (await client.get('t')) ?? {}
    expect((await client.lease(lease))?.grantedTtlMs).toBe(2501)
    const value = 'x'.repeat(0.95 * 2 ** 20)
    const success = [{ put: { key: 'x', value } }, { put: { key: 'y', value } }]
    await expect(client.txn({ success })).rejects.toMatchObject({ code: 'request_too_large', written: 'no' })
  })

  test('every way out of a call gives back what it took', async () => {
    const [, second] = cluster.nodes
    const kv = await warmClient({ transport, callsMax: 4, timeoutMs: 60_000 })
    const { signal } = new AbortController()
    const code = (call: Promise<unknown>) =>
      call.then(
        () => 'done',
        (error: { code: string }) => error.code,
      )
    const all = (calls: number, call: (n: number) => Promise<unknown>) =>
      Promise.all(Array.from({ length: calls }, (_, n) => code(call(n))))
    const expectRest = async () => {
      // A session may be opened in the background.
      await expect.poll(() => kv[inspect]()).toEqual({ calls: 0, permits: 0, requests: 0, probes: 0 })
      expect(getEventListeners(signal, 'abort')).toEqual([])
    }
    expect(new Set(await all(40, (n) => kv.put(`w${n}`, '1', { signal })))).toEqual(new Set(['done']))
    expect(new Set(await all(40, (n) => kv.get(`w${n}`, { signal })))).toEqual(new Set(['done']))
    await expectRest()
    const refused = await all(40, (n) => kv.put(`w${n}`, '1', { signal, ifAbsent: true }))
    expect(new Set(refused)).toEqual(new Set(['precondition_failed']))
    await expectRest()
    await second?.stop()
    const late = await all(8, (n) => kv.put(`w${n}`, '2', { signal, timeoutMs: 30 }))
    expect(late).not.toContain('done')
    await expectRest()
    for (let round = 0; round < 5; round++) {
      const abort = new AbortController()
      const aborted = all(8, (n) => kv.put(`w${n}`, '3', { signal: abort.signal }))
      setImmediate(() => abort.abort())
      expect(new Set(await aborted)).toEqual(new Set(['aborted']))
      expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    }
    await expectRest()
    await second?.start()
    expect(new Set(await all(8, (n) => kv.put(`w${n}`, '4', { signal })))).toEqual(new Set(['done']))
    await expectRest()
  })

  test('leases that have ended are missing', async () => {
    const kv = await warmClient({ transport, timeoutMs: 30_000 })
    const [{ id: live }, { id: ended }] = [
      await kv.grantLease({ ttlMs: 60_000 }),
      await kv.grantLease({ ttlMs: 60_000 }),
    ]
    await kv.revokeLease(ended)
    const [kept, missing] = [
      { id: live, ttlMs: 60_000 },
      { id: ended, ttlMs: undefined },
    ]
    expect(await kv.keepLeasesAlive([live])).toEqual([kept])
    expect(await kv.keepLeasesAlive([ended])).toEqual([missing])
    expect(await kv.keepLeasesAlive([ended, live, ended])).toEqual([missing, kept, missing])
    await expect(kv.keepLeaseAlive(ended)).rejects.toMatchObject({ code: 'lease_not_found' })
    await expect(kv.session({ lease: ended })).rejects.toMatchObject({ code: 'lease_not_found' })
    await using session = await kv.session({ lease: live })
    expect(session.lease).toBe(live)
  })

  test('a client that is closed gives up what is in flight', async () => {
    const [, second] = cluster.nodes
    const client = await warmClient({ transport })
    await client.put('kept', '1')
    await second?.stop()
    const outcome = expect(client.put('without-majority', '1', { timeoutMs: 60_000 })).rejects
    await client.close()
    await outcome.toMatchObject({ code: 'closed' })
    await second?.start()
  })
})
