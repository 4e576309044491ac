// A client without a wire gets what a client over HTTP gets.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import { startCluster } from '../../src/index.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 2 })
})
afterAll(() => cluster.close())

const BYTES = Uint8Array.of(0, 0xff, 0x80)

/** What a client gets: a value, or the facts of an error. Revisions count from the first one of the case. */
async function outcomes(client: Client, prefix: string): Promise<readonly unknown[]> {
  const key = (name: string): string => `${prefix}${name}`
  const { revision: first } = await client.put(key('first'), 'x')
  const lease = await client.grantLease({ ttlMs: 60_000 })
  const calls: (() => Promise<unknown>)[] = [
    () => client.put(key('a'), BYTES),
    () => client.put(key('a'), '2', { ifRevision: first }),
    () => client.put(key('a'), '2', { ifAbsent: true }),
    () => client.put(key('b'), '1', { ifAbsent: true, ttlMs: 60_000 }),
    () => client.put(key('c'), '1', { lease: '1' }),
    () => client.get(key('a')),
    () => client.get(key('none')),
    () => client.get(key('a'), { revision: first }),
    () => client.get(key('a'), { revision: first + 1_000 }),
    () => client.get(key('a'), { consistency: 'stale', maxStalenessMs: 60_000 }),
    () => all(client.list({ prefix })),
    () => all(client.list({ prefix, order: 'desc', keysOnly: true })),
    () => client.count({ prefix }),
    () => Promise.all(['d', 'e', 'f'].map((name) => client.put(key(name), name))),
    () =>
      client.txn({
        compare: [{ key: key('d'), target: 'value', op: '=', to: 'd' }],
        success: [{ put: { key: key('g'), value: BYTES } }, { get: { prefix } }],
        failure: [],
      }),
    () => client.txn({ success: [{ get: { key: key('g') } }] }),
    () => client.delete(key('d')),
    () => client.delete(key('d')),
    () => client.keepLeaseAlive(lease.id),
    () => client.deleteRange({ prefix: key('e') }),
    () => client.put('x'.repeat(5_000), ''),
    () => client.put(key('large'), new Uint8Array(2 ** 21)),
  ]
  const results: unknown[] = []
  for (const call of calls) results.push(relative(await call().catch(factsOf), first, lease.id, prefix))
  return results
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const factsOf = ({ code, written, message }: Error & { code?: string; written?: string }) => ({
  ...{ code, written, message: message.replace(/^http:\S+: /, '') },
})

/** The value as text, with revisions from `first`, without the names of this client's keys. */
const relative = (value: unknown, first: number, lease: string, prefix: string): string =>
  JSON.stringify([value], (name, field) => {
    if (/revision/i.test(name) && typeof field === 'number') return field - first
    if (name === 'remainingTtlMs' || name === 'keyBytes' || name === 'message') return undefined
    return name === 'lease' && field !== undefined && field !== lease ? 'its own' : field
  }).replaceAll(prefix, '')

/** Operations on keys that came over HTTP, on all nodes. */
async function requestsOverHttp(): Promise<number> {
  const texts = await Promise.all(
    cluster.endpoints.map(async (url) => (await fetch(`${url}/metrics`)).text()),
  )
  const counts = texts
    .join('\n')
    .matchAll(/^quorate_http_requests_total\{operation="(?:put|get|delete|batch)".*\} (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

test('every operation has the same outcome as over HTTP', async () => {
  const inProcess = cluster.client({ transport: 'inprocess' })
  const http = cluster.client({ transport: 'http' })
  const before = await requestsOverHttp()
  const ours = await outcomes(inProcess, 'p/')
  expect(await requestsOverHttp()).toBe(before)
  const theirs = await outcomes(http, 'h/')
  expect(await requestsOverHttp()).toBeGreaterThan(before)
  for (const [at, result] of ours.entries()) expect([at, result]).toEqual([at, theirs[at]])
  expect(ours.length).toBe(theirs.length)
})

test('a watch of such a client sees its changes', async () => {
  const client = cluster.client({ transport: 'inprocess' })
  const watch = client.watch({ prefix: 'w/' })
  await watch.ready
  await client.put('w/1', 'seen')
  for await (const { events } of watch) {
    expect(events.map(({ type }) => type)).toEqual(['put'])
    break
  }
})

test('a change survives the end of one node, and a client that is closed gives up', async () => {
  const client = cluster.client({ transport: 'inprocess' })
  await client.put('kept', '1')
  const [, second] = cluster.nodes
  await second?.stop()
  const pending = client.put('without-majority', '1', { timeoutMs: 60_000 })
  const outcome = expect(pending).rejects.toMatchObject({ code: 'closed' })
  await client.close()
  await outcome
  await second?.start()
  await cluster.waitForLeader()
  const next = cluster.client({ transport: 'inprocess' })
  expect((await next.get('kept'))?.text()).toBe('1')
})
