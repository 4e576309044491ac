// Flows of the recipes and of the client's calls, which run on any cluster. Keys begin with the name of the flow.

import { expect } from 'vitest'
import type { Client, TxnResult } from '../../src/client/index.ts'
import {
  barrier,
  cache,
  campaign,
  config,
  counter,
  followLeader,
  type HeldLock,
  leaderOf,
  lock,
  queue,
  rateLimiter,
  registry,
  runAsLeader,
  rwLock,
  saga,
  semaphore,
  topic,
} from '../../src/recipes/index.ts'

type Flow = (kv: Client, name: string) => Promise<void>

async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = []
  for await (const each of all) collected.push(each)
  return collected
}

const leaseIds = async (kv: Client) => (await collect(kv.leases())).map(({ id }) => id)

const keysUnder = (kv: Client, prefix: string) => () => kv.count({ prefix })

/** Gives each waiting client its turn, in the order of the tokens. */
async function takeTurns(take: () => Promise<HeldLock>, kv: Client, prefix: string): Promise<void> {
  const tokens: number[] = []
  const first = await take()
  const waiting = [1, 2, 3].map(async () => {
    const held = await take()
    tokens.push(held.token)
    await held.put('guarded', String(held.token))
    await held.release()
  })
  await expect.poll(keysUnder(kv, prefix)).toBe(4)
  expect(tokens).toEqual([])
  await first.release()
  await Promise.all(waiting)
  expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
  expect(tokens[0]).toBeGreaterThan(first.token)
  await expect(first.put('late', 'x')).rejects.toMatchObject({ code: 'lock_lost' })
  expect(await kv.get('late')).toBeUndefined()
  expect(await keysUnder(kv, prefix)()).toBe(0)
}

export const FLOWS: Readonly<Record<string, Flow>> = {
  lock: (kv, name) => takeTurns(() => lock(kv, name), kv, `lock/${name}/`),

  async 'lock whose lease is revoked'(kv, name) {
    const held = await lock(kv, name)
    const next = lock(kv, name)
    const { lease } = (await kv.get(held.key)) ?? {}
    await kv.revokeLease(lease ?? '')
    const second = await next
    expect(second.token).toBeGreaterThan(held.token)
    await expect(held.put('late', 'x')).rejects.toMatchObject({ code: 'lock_lost' })
    await second.release()
  },

  async leader(kv, name) {
    const first = await campaign(kv, name, { value: 'one' })
    expect((await leaderOf(kv, name))?.text()).toBe('one')
    const led: string[] = []
    const second = runAsLeader(kv, name, ({ put }) => put(`${name}/led`, 'two').then(() => led.push('two')))
    await expect.poll(keysUnder(kv, `election/${name}/`)).toBe(2)
    expect(led).toEqual([])
    const end = new AbortController()
    const seen: (string | undefined)[] = []
    for await (const leader of followLeader(kv, name, { signal: end.signal })) {
      seen.push(leader?.text())
      if (seen.length === 1) await first.release()
      else break
    }
    await second
    expect(led).toEqual(['two'])
    expect(seen[0]).toBe('one')
  },

  async 'rw-lock'(kv, name) {
    const shared = rwLock(kv, name)
    const readers = await Promise.all([shared.read(), shared.read()])
    let isWritten = false
    const writer = shared.write().then((held) => {
      isWritten = true
      return held
    })
    await expect.poll(keysUnder(kv, `rwlock/${name}/`)).toBe(3)
    expect(isWritten).toBe(false)
    for (const reader of readers) await reader.release()
    await (await writer).release()
  },

  async semaphore(kv, name) {
    const permits = semaphore(kv, name, 2)
    const [one, two] = await Promise.all([permits.acquire(), permits.acquire()])
    await expect(permits.acquire({ waitMs: 0 })).rejects.toMatchObject({ code: 'lock_not_taken' })
    const third = permits.acquire()
    await one.release()
    await (await third).release()
    await two.release()
  },

  async queue(kv, name) {
    const own = queue(kv, name)
    for (const text of ['a', 'b', 'c']) await own.push(text)
    const item = await own.pop()
    expect(item?.text()).toBe('a')
    expect(await own.len()).toEqual({ ready: 2, held: 1, dead: 0 })
    await item?.nack()
    const texts: string[] = []
    for (let next = await own.pop(); next !== undefined; next = await own.pop()) {
      texts.push(next.text())
      await next.ack()
    }
    expect(texts.toSorted()).toEqual(['a', 'b', 'c'])
    expect(await own.len()).toEqual({ ready: 0, held: 0, dead: 0 })
  },

  async registry(kv, name) {
    const own = registry(kv, name)
    const instance = await own.register({ id: 'a/1', url: 'http://a:1', weight: 2, meta: { zone: 'x' } })
    expect(await own.list()).toEqual([{ id: 'a/1', url: 'http://a:1', weight: 2, meta: { zone: 'x' } }])
    await instance.update({ weight: 5 })
    const seen: number[] = []
    for await (const instances of own.watch()) {
      seen.push(instances.length)
      if (instances.length === 0) break
      await instance.close()
    }
    expect(seen.at(0)).toBe(1)
    expect(await own.list()).toEqual([])
  },

  async barrier(kv, name) {
    const gate = barrier(kv, name)
    expect(await gate.raise()).toBe(true)
    expect(await gate.raise()).toBe(false)
    await expect(gate.wait({ waitMs: 0 })).rejects.toMatchObject({ code: 'barrier_not_passed' })
    const waiting = [gate.wait(), gate.wait()]
    await gate.lower()
    await Promise.all(waiting)
  },

  async counter(kv, name) {
    const hits = counter(kv, name)
    await Promise.all([1, 2, 3, 4].map(() => hits.add(2)))
    expect(await hits.add(5, { once: 'order/1' })).toBe(13)
    expect(await hits.add(5, { once: 'order/1' })).toBe(13)
    expect(await hits.get()).toBe(13)
  },

  async 'rate limiter'(kv, name) {
    const own = rateLimiter(kv, name, { limit: 3, windowMs: 60_000 })
    const results = [await own.take(), await own.take(2), await own.take()]
    expect(results.map(({ allowed }) => allowed)).toEqual([true, true, false])
    expect(results.at(-1)).toMatchObject({ remaining: 0 })
  },

  async config(kv, name) {
    await kv.put(name, '{"port":1}')
    await using live = await config(kv, {
      key: name,
      validate: (value) => (value as { port: number }).port,
    })
    expect(live.current).toBe(1)
    const changed = new Promise((resolve) => live.onChange((...values) => resolve(values)))
    await kv.put(name, '{"port":2}')
    expect(await changed).toEqual([2, 1])
  },

  async cache(kv, name) {
    await kv.put(`${name}/a`, '1')
    await using own = cache(kv, { prefix: `${name}/` })
    await expect.poll(() => own.statistics.isWatching).toBe(true)
    expect((await own.get('a'))?.text()).toBe('1')
    await kv.put(`${name}/a`, '2')
    await expect.poll(async () => (await own.get('a'))?.text()).toBe('2')
    const before = own.statistics.hits
    expect((await own.get('a'))?.text()).toBe('2')
    expect(own.statistics.hits).toBe(before + 1)
  },

  async saga(kv, name) {
    const log: string[] = []
    const note = (what: string) => () => void log.push(what)
    const own = saga<number>(kv, name, [
      { name: 'a', run: note('a'), compensate: note('undo a') },
      { name: 'b', run: () => Promise.reject(new Error('cannot')) },
    ])
    expect(await own.run('1', 1)).toMatchObject({ status: 'compensated', failure: { step: 'b' } })
    expect(log).toEqual(['a', 'undo a'])
    expect(await own.get('1')).toMatchObject({ status: 'compensated' })
  },

  async topic(kv, name) {
    const own = topic(kv, name, { ageMs: 60_000 })
    const published = []
    for (const text of ['x', 'y']) published.push(await own.publish(text))
    const texts: string[] = []
    for await (const message of own.subscribe({ from: 'oldest', group: 'g' })) {
      texts.push(message.text())
      await message.ack()
      if (texts.length === 2) break
    }
    expect(texts).toEqual(['x', 'y'])
    expect(await own.position('g')).toBe(published[1])
  },

  async transact(kv, name) {
    await kv.put(`${name}/a`, '10')
    const moved = await Promise.all(
      [1, 2, 3].map(() =>
        kv.transact(async (tx) => {
          const a = Number((await tx.get(`${name}/a`))?.text())
          const b = Number((await tx.get(`${name}/b`))?.text() ?? 0)
          tx.put(`${name}/a`, String(a - 1))
          tx.put(`${name}/b`, String(b + 1))
          return a + b
        }),
      ),
    )
    expect(moved).toEqual([10, 10, 10])
    expect((await kv.get(`${name}/b`))?.text()).toBe('3')
  },

  async mirror(kv, name) {
    await kv.put(`${name}/a`, '1')
    const seen: (string | undefined)[] = []
    for await (const view of kv.mirror({ prefix: `${name}/` })) {
      seen.push(view.get(`${name}/a`)?.text())
      if (seen.at(-1) === '2') break
      await kv.put(`${name}/a`, '2')
    }
    expect(seen.at(0)).toBe('1')
  },
}

/** The calls that recipes are made of, where the answers of etcd and of quorate differ in their form. */
export const CALLS: Readonly<Record<string, Flow>> = {
  async 'conditions of one key'(kv, name) {
    const put = await kv.put(name, '1', { ifAbsent: true })
    expect(put).toMatchObject({ version: 1, createRevision: put.revision, modRevision: put.revision })
    await expect(kv.put(name, '2', { ifAbsent: true })).rejects.toMatchObject({
      code: 'precondition_failed',
      written: 'no',
      current: { key: name, modRevision: put.revision },
    })
    const next = await kv.put(name, '2', { ifRevision: put.modRevision })
    expect(next).toMatchObject({ version: 2, createRevision: put.createRevision })
    await expect(kv.delete(name, { ifRevision: put.modRevision })).rejects.toMatchObject({
      current: { modRevision: next.modRevision },
    })
    expect(await kv.delete(name, { ifRevision: next.modRevision })).toMatchObject({ deleted: 1 })
    expect(await kv.delete(name)).toMatchObject({ deleted: 0 })
    await expect(kv.put(name, '3', { ifRevision: 1 })).rejects.toMatchObject({ current: null })
  },

  async ranges(kv, name) {
    const keys = Array.from({ length: 260 }, (_, n) => `${name}/${String(n).padStart(4, '0')}`)
    for (let at = 0; at < keys.length; at += 130)
      await kv.txn({ success: keys.slice(at, at + 100).map((key) => ({ put: { key, value: key } })) })
    const all = { prefix: `${name}/` }
    const listed = async (options: object) =>
      (await collect(kv.list({ ...all, ...options }))).map(({ key, text }) => [key, text()])
    const stored = [...keys.slice(0, 100), ...keys.slice(130, 230)].map((key) => [key, key])
    expect(await listed({})).toEqual(stored)
    expect(await listed({ snapshot: true })).toEqual(stored)
    expect(await listed({ order: 'desc', limit: 2 })).toEqual(stored.slice(-2).toReversed())
    expect(await listed({ keysOnly: true, limit: 1 })).toEqual([[keys[0], '']])
    expect(await kv.count(all)).toBe(200)
    // These ends mean something else to etcd.
    for (const end of ['', '\0']) expect(await kv.count({ start: keys[0] ?? '', end })).toBe(0)
    for (const end of ['', '\0'])
      expect(await kv.deleteRange({ start: keys[0] ?? '', end })).toMatchObject({ deleted: 0 })
    expect(await kv.deleteRange(all)).toMatchObject({ deleted: 200 })
  },

  async transactions(kv, name) {
    const { revision } = await kv.put(`${name}/a`, '1')
    const result: TxnResult = await kv.txn({
      compare: [
        { key: `${name}/a`, target: 'mod_revision', op: '=', to: revision },
        { prefix: `${name}/none`, target: 'version', op: '=', to: 0 },
        { key: `${name}/a`, target: 'lease', op: '=', to: '0' },
      ],
      success: [
        { put: { key: `${name}/a`, value: '2', prev: true } },
        { get: { prefix: `${name}/`, limit: 1, count: true } },
        { txn: { success: [{ delete: { key: `${name}/a2`, prev: true } }] } },
      ],
    })
    expect(result).toMatchObject({
      succeeded: true,
      revision: revision + 1,
      results: [
        {
          put: {
            version: 2,
            createRevision: revision,
            modRevision: revision + 1,
            prev: { key: `${name}/a` },
          },
        },
        { get: { count: 1, more: false, kvs: [{ key: `${name}/a`, version: 2 }] } },
        { txn: { succeeded: true, results: [{ delete: { deleted: 0, prev: [] } }] } },
      ],
    })
    expect(
      await kv.txn({ success: [{ get: { key: `${name}/a` } }] }, { consistency: 'stale' }),
    ).toMatchObject({
      succeeded: true,
    })
  },

  async leases(kv, name) {
    const { id, ttlMs } = await kv.grantLease({ ttlMs: 59_001 })
    expect(ttlMs).toBeLessThanOrEqual(60_000)
    await kv.put(`${name}/own`, '1', { ttlMs: 30_000 })
    await kv.put(`${name}/a`, '1', { lease: id })
    const lease = await kv.lease(id, { keys: true })
    expect(lease?.keys?.map(String)).toEqual([String(Buffer.from(`${name}/a`).join())])
    expect(await leaseIds(kv)).toContain(id)
    expect(await kv.keepLeasesAlive([id, '77'])).toMatchObject([{ id }, { id: '77', ttlMs: undefined }])
    expect(await kv.revokeLease(id)).toMatchObject({ deleted: 1 })
    expect(await kv.lease(id)).toBeUndefined()
    await expect(kv.revokeLease(id)).rejects.toMatchObject({ code: 'lease_not_found', written: 'no' })
    await expect(kv.put(`${name}/a`, '1', { lease: id })).rejects.toMatchObject({ code: 'lease_not_found' })
    const own = (await kv.get(`${name}/own`))?.lease
    await expect(kv.put(`${name}/own`, '1', { ttlMs: 30_000, ifAbsent: true })).rejects.toMatchObject({
      code: 'precondition_failed',
    })
    // The lease of the put that was not made is gone.
    await expect.poll(() => leaseIds(kv)).toEqual(expect.arrayContaining([own]))
  },

  async watches(kv, name) {
    const watch = kv.watch({ prefix: `${name}/`, prev: true })
    const revision = await watch.ready
    await kv.put(`${name}/a`, '1')
    await kv.txn({ success: ['a', 'b'].map((key) => ({ put: { key: `${name}/${key}`, value: '2' } })) })
    await kv.delete(`${name}/a`)
    const taken = async () => (await watch.next()).value
    expect(await taken()).toMatchObject({ revision: revision + 1, events: [{ type: 'put', prev: null }] })
    expect(await taken()).toMatchObject({
      revision: revision + 2,
      events: [{ key: `${name}/a` }, { prev: null }],
    })
    const last = await taken()
    expect(last).toMatchObject({ revision: revision + 3, events: [{ type: 'delete', key: `${name}/a` }] })
    expect(last?.events[0]?.prev?.text()).toBe('2')
    await watch.close()
    const deletes = kv.watch({ prefix: `${name}/`, only: 'delete', fromRevision: revision + 1 })
    expect((await deletes.next()).value).toMatchObject({ revision: revision + 3 })
    await deletes.close()
    const { compactRevision } = await kv.compact(revision + 3)
    const late = kv.watch({ prefix: `${name}/`, fromRevision: revision + 1 })
    await expect(late.next()).rejects.toMatchObject({ code: 'compacted', compactRevision })
    // The delete of this revision would be missing.
    const at = kv.watch({ prefix: `${name}/`, fromRevision: revision + 3 })
    await expect(at.next()).rejects.toMatchObject({ code: 'compacted', resumeFrom: revision + 4 })
    await kv.put(`${name}/c`, '1')
    const next = kv.watch({ prefix: `${name}/`, fromRevision: revision + 4 })
    expect((await next.next()).value).toMatchObject({ revision: revision + 4 })
    await next.close()
    await expect(kv.get(`${name}/a`, { revision: revision + 1 })).rejects.toMatchObject({ code: 'compacted' })
  },

  async 'what etcd does not have'(kv) {
    const refused = {
      code: 'bad_request',
      written: 'no',
      message: expect.stringContaining('etcd cannot do this'),
    }
    await expect(kv.settings()).rejects.toMatchObject(refused)
    await expect(kv.removeMember('n1')).rejects.toMatchObject(refused)
    await expect(kv.get('a', { consistency: 'stale', maxStalenessMs: 5 })).rejects.toMatchObject(refused)
    await expect(collect(kv.backup())).rejects.toMatchObject(refused)
  },
}
