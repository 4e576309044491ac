// Recipes in a cluster that has the keys of another one, because an import or a restore has brought them. An import
// leaves out what had a lease, and with --leased it makes plain keys of that. A restore keeps leases.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeBackup } from '../../src/backup/file.ts'
import { restoreFile } from '../../src/backup/restore.ts'
import { Client, type KvRecord, startCluster } from '../../src/index.ts'
import {
  barrier,
  campaign,
  counter,
  LockNotTakenError,
  leaderOf,
  lock,
  queue,
  rateLimiter,
  registry,
  saga,
  semaphore,
  topic,
} from '../../src/recipes/index.ts'
import { startNode } from '../../src/server/start/start-node.ts'

const WITHIN = { waitMs: 5_000, ttlMs: 60_000 }
const LIMIT = { limit: 1, windowMs: 60_000 }

/** Recipes in use: held, taken, or with a step in flight. */
async function use(kv: Client): Promise<void> {
  await lock(kv, 'a', WITHIN)
  await semaphore(kv, 'a', 1).acquire(WITHIN)
  await campaign(kv, 'a', { ...WITHIN, value: 'old leader' })
  await registry(kv, 'a').register({ url: 'old' })
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

const records: KvRecord[] = []
const top = mkdtempSync(join(tmpdir(), 'quorate-restored-'))
const backup = join(top, 'store.backup')
afterAll(() => rmSync(top, { recursive: true, force: true }))
beforeAll(async () => {
  await using old = await startCluster({ nodes: 1 })
  const kv = old.client()
  await use(kv)
  for await (const record of kv.list()) records.push(record)
  await writeBackup(backup, kv.backup())
})

test('a restored cluster has what was held until its lease ends, and then the recipes continue', async () => {
  const node = { dir: join(top, 'n1'), name: 'n1', peer: '', url: '' }
  await restoreFile(backup, node, { bump: 1_000_000 })
  const HOST = { host: '127.0.0.1', port: 0 }
  const running = await startNode({
    ...{ name: 'n1', dataDir: node.dir, listen: HOST, peerListen: HOST, diskReserveBytes: 0 },
    founding: { kind: 'existing' },
  })
  try {
    await using kv = new Client({ endpoints: [running.url] })
    const now = { ...WITHIN, waitMs: 0 }
    await expect(lock(kv, 'a', now)).rejects.toThrow(LockNotTakenError)
    await expect(semaphore(kv, 'a', 1).acquire(now)).rejects.toThrow(LockNotTakenError)
    expect((await leaderOf(kv, 'a'))?.text()).toBe('old leader')
    expect(await registry(kv, 'a').list()).toMatchObject([{ url: 'old' }])
    // Counted once, also over the restore.
    expect(await counter(kv, 'a').add(1, { once: 'order' })).toBe(1)
    expect(await barrier(kv, 'leased').isRaised()).toBe(true)
    expect(await barrier(kv, 'plain').isRaised()).toBe(true)
    expect(await rateLimiter(kv, 'a', LIMIT).take()).toMatchObject({ allowed: false })
    const jobs = queue(kv, 'a')
    expect(await jobs.len()).toEqual({ ready: 0, held: 2, dead: 0 })
    const steps = [{ name: 'first', run: () => 'done' }]
    expect(await saga(kv, 'a', steps).resume()).toEqual([])

    for (const lease of new Set(
      records.flatMap(({ key, lease }) => (key.startsWith('topic/') ? [] : (lease ?? []))),
    ))
      await kv.revokeLease(lease)

    const held = await lock(kv, 'a', now)
    expect(held.token).toBeGreaterThan(1_000_000)
    await held.release()
    await (await campaign(kv, 'a', now)).release()
    expect(await registry(kv, 'a').list()).toEqual([])
    expect(await barrier(kv, 'leased').isRaised()).toBe(false)
    expect(await rateLimiter(kv, 'a', LIMIT).take()).toMatchObject({ allowed: true })
    const items = [await jobs.pop(), await jobs.pop()]
    expect(items.map((item) => [item?.text(), item?.attempts])).toEqual([
      ['held', 2],
      ['delayed', 1],
    ])
    expect(await textsUpToNew(kv)).toEqual(['old', 'new'])
    expect(await saga(kv, 'a', steps).resume()).toMatchObject([{ id: '1', status: 'completed' }])
  } finally {
    await running.stop()
  }
})

test.each([
  { title: 'what had a lease blocks nobody in a cluster that an import has restored', isLeased: true },
  { title: 'recipes continue without what had a lease, which an import leaves out', isLeased: false },
])(
  '$title',
  async ({ isLeased }) => {
    await using cluster = await startCluster({ nodes: 1 })
    const kv = cluster.client()
    for (const { keyBytes, value, lease } of records)
      if (lease === undefined || isLeased) await kv.put(keyBytes, value)

    const held = await lock(kv, 'a', WITHIN)
    const leases = records.map(({ lease }) => lease)
    expect(leases).not.toContain((await kv.get(held.key))?.lease)
    expect(await held.release()).toBe(true)
    await (await lock(kv, 'a', WITHIN)).release()
    await (await semaphore(kv, 'a', 1).acquire(WITHIN)).release()
    expect(await leaderOf(kv, 'a')).toBeUndefined()
    await (await campaign(kv, 'a', WITHIN)).release()
    expect(await registry(kv, 'a').list()).toEqual([])
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
    // A message without its lease stays until it is one too many.
    expect(await textsUpToNew(kv)).toEqual(isLeased ? ['old', 'new'] : ['new'])
    expect(await saga(kv, 'a', [{ name: 'first', run: () => 'done' }]).resume()).toMatchObject([
      { id: '1', status: 'completed' },
    ])
  },
  60_000,
)

/** Publishes a message, and receives all up to it. */
async function textsUpToNew(kv: Client): Promise<string[]> {
  const messages = topic(kv, 'a', { ageMs: 60_000 })
  await messages.publish('new')
  const texts: string[] = []
  for await (const message of messages.subscribe({ from: 'oldest' })) {
    texts.push(message.text())
    if (message.text() === 'new') break
  }
  return texts
}
