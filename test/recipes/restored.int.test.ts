// Recipes in a cluster that has the keys of another one, without their leases, because an import has restored them.

import { expect, test } from 'vitest'
import { type Client, startCluster } from '../../src/index.ts'
import {
  barrier,
  campaign,
  counter,
  doubleBarrier,
  leaderOf,
  lock,
  queue,
  rateLimiter,
  registry,
  saga,
  semaphore,
  topic,
} from '../../src/recipes/index.ts'

const WITHIN = { waitMs: 5_000, ttlMs: 2_000 }
const LIMIT = { limit: 1, windowMs: 2_000 }

/** Recipes in use: held, taken, or with a step in flight. */
async function use(kv: Client): Promise<void> {
  await lock(kv, 'a', WITHIN)
  await semaphore(kv, 'a', 1).acquire(WITHIN)
  await campaign(kv, 'a', { ...WITHIN, value: 'old leader' })
  await registry(kv, 'a').register({ url: 'old' })
  await doubleBarrier(kv, 'a', 1).enter(WITHIN)
  await counter(kv, 'a').add(1, { once: 'order' })
  await barrier(kv, 'leased').raise({ lease: (await kv.session()).lease })
  await barrier(kv, 'plain').raise()
  await rateLimiter(kv, 'a', LIMIT).take()
  const jobs = queue(kv, 'a')
  await jobs.push('held')
  await jobs.pop()
  await jobs.push('delayed', { delayMs: 60_000 })
  await topic(kv, 'a', { ageMs: 60_000 }).publish('old')
  const running = Promise.withResolvers<void>()
  const run = () => {
    running.resolve()
    return new Promise(() => {})
  }
  void saga(kv, 'a', [{ name: 'first', run }])
    .run('1', null)
    .catch(() => undefined)
  await running.promise
}

test('what had a lease blocks nobody in a cluster that an import has restored', async () => {
  const records: {
    readonly key: Uint8Array
    readonly value: Uint8Array
    readonly lease: string | undefined
  }[] = []
  {
    await using old = await startCluster({ nodes: 1 })
    const kv = old.client()
    await use(kv)
    for await (const { keyBytes: key, value, lease } of kv.list()) records.push({ key, value, lease })
  }
  await using cluster = await startCluster({ nodes: 1 })
  const kv = cluster.client()
  for (const { key, value } of records) await kv.put(key, value)

  const held = await lock(kv, 'a', WITHIN)
  const leases = records.map(({ lease }) => lease)
  expect(leases).not.toContain((await kv.get(held.key))?.lease)
  expect(await held.release()).toBe(true)
  await (await lock(kv, 'a', WITHIN)).release()
  await (await semaphore(kv, 'a', 1).acquire(WITHIN)).release()
  expect(await leaderOf(kv, 'a')).toBeUndefined()
  await (await campaign(kv, 'a', WITHIN)).release()
  expect(await registry(kv, 'a').list()).toEqual([])
  await (await doubleBarrier(kv, 'a', 1).enter(WITHIN)).leave({ waitMs: 5_000 })
  expect(await counter(kv, 'a').add(1, { once: 'order' })).toBe(2)
  expect(await barrier(kv, 'plain').isRaised()).toBe(true)
  await barrier(kv, 'leased').wait({ waitMs: 0 })
  expect(await barrier(kv, 'leased').raise()).toBe(true)
  expect(await barrier(kv, 'leased').lower()).toBe(true)
  expect(await rateLimiter(kv, 'a', LIMIT).take()).toMatchObject({ allowed: true })
  const refused = await rateLimiter(kv, 'a', LIMIT).take()
  expect(refused.allowed).toBe(false)
  expect(refused.retryAfterMs).toBeGreaterThan(0)
  const jobs = queue(kv, 'a')
  const items = [await jobs.pop({ waitMs: 5_000 }), await jobs.pop({ waitMs: 5_000 })]
  expect(items.map((item) => item?.text())).toEqual(['held', 'delayed'])
  const messages = topic(kv, 'a', { ageMs: 60_000 })
  await messages.publish('new')
  // A message without its lease stays until it is one too many.
  const texts: string[] = []
  for await (const message of messages.subscribe({ from: 'oldest' }))
    if (texts.push(message.text()) === 2) break
  expect(texts).toEqual(['old', 'new'])
  expect(await saga(kv, 'a', [{ name: 'first', run: () => 'done' }]).resume()).toMatchObject([
    { id: '1', status: 'completed' },
  ])
}, 60_000)
