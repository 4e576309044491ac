// A client without sockets: what is particular to it. test/client/operations.int.test.ts has its operations.

import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 2 })
})
afterAll(() => cluster.close())

/** Number of operations on keys that came over HTTP, on all nodes. */
async function operationsOverHttp(): Promise<number> {
  const pages = await Promise.all(
    cluster.endpoints.map(async (url) => (await fetch(`${url}/metrics`)).text()),
  )
  const counts = pages
    .join('\n')
    .matchAll(/^quorate_http_requests_total\{operation="(?:put|get|delete|range)".*\} (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

test('its operations use no socket', async () => {
  const [client, overHttp] = [
    cluster.client({ transport: 'inprocess' }),
    cluster.client({ transport: 'http' }),
  ]
  await client.put('a', '1')
  const before = await operationsOverHttp()
  await client.put('a', '2')
  expect((await client.get('a'))?.text()).toBe('2')
  await client.delete('a')
  expect(await operationsOverHttp()).toBe(before)
  await overHttp.put('a', '3')
  expect(await operationsOverHttp()).toBeGreaterThan(before)
})

test('changes that begin together are few entries of the log, each with its own outcome', async () => {
  const client = cluster.client({ transport: 'inprocess' })
  const putAll = () =>
    Promise.allSettled([
      ...Array.from({ length: 60 }, (_, n) => client.put(`b${n}`, '1')),
      client.put('b0', '2', { ifAbsent: true }),
      client.delete('b1'),
    ])
  const entries = async () => (await client.status()).commitIndex
  await putAll()
  // The session, which batches need, is opened in the background.
  await expect
    .poll(async () => {
      const before = await entries()
      await putAll()
      return (await entries()) - before
    })
    .toBeLessThan(30)
  const outcomes = await putAll()
  expect(outcomes.filter(({ status }) => status === 'rejected')).toMatchObject([
    { reason: { code: 'precondition_failed', current: { version: expect.any(Number) } } },
  ])
  expect(outcomes.at(-1)).toMatchObject({ value: { deleted: 1 } })
})

test('a node that does not run is left for another one', async () => {
  const [first] = cluster.nodes
  const client = cluster.client({ transport: 'inprocess', timeoutMs: 30_000 })
  await client.put('kept', '1')
  await first?.stop()
  expect((await client.get('kept', { consistency: 'stale' }))?.text()).toBe('1')
  await first?.start()
  expect((await client.get('kept'))?.text()).toBe('1')
})

test('a node that stops waits for what is in flight, not for clients that continue to write', async () => {
  const client = cluster.client({ transport: 'inprocess', timeoutMs: 30_000 })
  let isOver = false
  let writes = 0
  const writers = Array.from({ length: 8 }, async (_, at) => {
    for (; !isOver; writes++) await client.put(`w${at}`, 'x')
  })
  await vi.waitUntil(() => writes > 8)
  const leader = await cluster.waitForLeader()
  const begun = performance.now()
  await leader.stop()
  // A node that waits until no change is open ends after 10 s.
  expect(performance.now() - begun).toBeLessThan(8_000)
  isOver = true
  await leader.start()
  await Promise.all(writers)
})

test.each([Number.POSITIVE_INFINITY, 2 ** 31])('a call may have a time-out of %s ms', async (timeoutMs) => {
  const client = cluster.client({ transport: 'inprocess', timeoutMs })
  const { id } = await client.grantLease({ ttlMs: 60_000 })
  for (const { url } of cluster.nodes) {
    const one = cluster.client({ transport: 'inprocess', timeoutMs, endpoints: [url], discover: false })
    expect(await one.keepLeaseAlive(id)).toEqual({ ttlMs: 60_000 })
  }
})

test('times to live and transactions have the limits of the other transports', async () => {
  for (const transport of ['inprocess', 'http'] as const) {
    const client = cluster.client({ transport })
    for (const ttlMs of [1, 999, 1e15, 1e300])
      await expect(client.put('t', '1', { ttlMs })).rejects.toThrow(/^put: ttlMs must be .* from 1,000 /)
    await client.put('t', '1', { ttlMs: 2500.5 })
    const { lease = '' } = (await client.get('t')) ?? {}
    expect((await client.lease(lease))?.grantedTtlMs).toBe(2501)
    const value = 'x'.repeat(0.95 * 2 ** 20)
    const success = [{ put: { key: 'x', value } }, { put: { key: 'y', value } }]
    await expect(client.txn({ success })).rejects.toMatchObject({ code: 'request_too_large', written: 'no' })
  }
})

test('a client that is closed gives up what is in flight', async () => {
  const [, second] = cluster.nodes
  const client = cluster.client({ transport: 'inprocess' })
  await client.put('kept', '1')
  await second?.stop()
  const outcome = expect(client.put('without-majority', '1', { timeoutMs: 60_000 })).rejects
  await client.close()
  await outcome.toMatchObject({ code: 'closed' })
  await second?.start()
})
