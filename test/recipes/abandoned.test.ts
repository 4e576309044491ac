// A client that gives up, or releases, while its node is silent blocks nobody for the life of its lease: the lease is
// revoked as soon as the node answers. This holds for every recipe with a session.

import { expect } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import {
  campaign,
  lock,
  registry,
  runAsLeader,
  rwLock,
  saga,
  semaphore,
  topic,
} from '../../src/recipes/index.ts'
import { countTimers, it, newClient, node, kv as other, sleep } from './simulated-test.ts'

const TTL_MS = 3_600_000

interface Scene {
  readonly name: string
  /** Fires while the node is silent. */
  readonly signal: AbortSignal
}

/** Resolves when the client has a key in the store. The function that it returns resolves when the client has ended. */
type Begin = (kv: Client, scene: Scene) => Promise<() => Promise<unknown>>

const holding =
  (take: (kv: Client, name: string) => Promise<{ release(): Promise<boolean> }>): Begin =>
  async (kv, { name }) => {
    const held = await take(kv, name)
    return () => held.release()
  }

/** Waits behind another client, which releases: the outage begins before or after the waiter learns that. */
const waiting =
  (
    take: (kv: Client, name: string, signal?: AbortSignal) => Promise<{ release(): Promise<boolean> }>,
  ): Begin =>
  async (kv, { name, signal }) => {
    const first = await take(other, name)
    const waits = take(kv, name, signal).catch(() => {})
    await sleep(100)
    await first.release()
    return async () => (await waits)?.release()
  }

const begins: Readonly<Record<string, Begin>> = {
  'a holder of a lock': holding((kv, name) => lock(kv, name, { ttlMs: TTL_MS })),
  'a waiter for a lock': async (kv, { name, signal }) => {
    await lock(other, name, { ttlMs: TTL_MS })
    const waits = lock(kv, name, { ttlMs: TTL_MS, signal })
    await sleep(100)
    return () => expect(waits).rejects.toThrow()
  },
  'a waiter for a lock until its time is over': async (kv, { name }) => {
    await lock(other, name, { ttlMs: TTL_MS })
    const waits = lock(kv, name, { ttlMs: TTL_MS, waitMs: 1_000 })
    await sleep(100)
    return () => expect(waits).rejects.toThrow()
  },
  'a writer': waiting((kv, name, signal) => rwLock(kv, name).write({ ttlMs: TTL_MS, signal })),
  'a holder of a permit': holding((kv, name) => semaphore(kv, name, 1).acquire({ ttlMs: TTL_MS })),
  'a candidate': waiting((kv, name, signal) => campaign(kv, name, { ttlMs: TTL_MS, signal })),
  'a leader whose body has ended': async (kv, { name, signal }) => {
    const options = { ttlMs: TTL_MS, signal, onError: () => {} }
    const led = Promise.withResolvers<void>()
    const running = runAsLeader(
      kv,
      name,
      async (lead) => {
        led.resolve()
        await new Promise((resolve) => lead.signal.addEventListener('abort', resolve))
      },
      options,
    )
    await led.promise
    return () => running
  },
  'a member of a group': async (kv, { name, signal }) => {
    await topic(other, name).publish('x')
    const messages = topic(kv, name).subscribe({ group: 'g', from: 'oldest', ttlMs: TTL_MS, signal })
    await messages.next()
    return () => messages.return()
  },
  'an instance': async (kv, { name }) => {
    const registration = await registry(kv, name).register({ url: 'u', ttlMs: TTL_MS })
    return () => registration.close()
  },
  'a process that runs a saga': async (kv, { name, signal }) => {
    const runs = Promise.withResolvers<void>()
    const step = {
      name: 'a',
      run: async (context: { readonly signal: AbortSignal }) => {
        runs.resolve()
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve))
      },
    }
    const running = saga(kv, name, [step], { ttlMs: TTL_MS }).run('1', null, { signal })
    await runs.promise
    return () => running.catch(() => {})
  },
  'a session of the application': async (kv, { name }) => {
    const session = await kv.session({ ttlMs: TTL_MS })
    await session.put(name, 'x')
    return () => session.close()
  },
}

async function leaseCount(): Promise<number> {
  let count = 0
  for await (const _ of other.leases()) count += 1
  return count
}

it.each(Object.entries(begins))(
  '%s that ends while its node is silent leaves no lease',
  async (name, begin) => {
    const kv = newClient({ timeoutMs: 1_500 })
    const giveUp = new AbortController()
    const end = await begin(kv, { name, signal: giveUp.signal })
    const before = await leaseCount()
    node().pause()
    await sleep(100)
    giveUp.abort()
    await end()
    await sleep(10_000)
    node().resume()
    await sleep(10_000)
    expect(await leaseCount()).toBe(before - 1)
    await kv.close()
  },
)

it('release after release: the second one resolves to true when the lock is free', async () => {
  const kv = newClient({ timeoutMs: 500 })
  const held = await lock(kv, 'twice', { ttlMs: TTL_MS })
  node().pause()
  expect(await held.release()).toBe(false)
  const again = held.release({ timeoutMs: 20_000 })
  await sleep(5_000)
  node().resume()
  expect(await again).toBe(true)
  const next = await lock(other, 'twice', { waitMs: 0 })
  expect(await held.release()).toBe(true)
  // It is the lock of another client now.
  next.throwIfLost()
  await next.release()
  expect(await other.count({ prefix: 'lock/twice/' })).toBe(0)
  await kv.close()
})

it('a client that is closed tries no more: the lease ends by itself', async () => {
  const timers = countTimers()
  const kv = newClient({ timeoutMs: 500 })
  const held = await lock(kv, 'closed', { ttlMs: 20_000 })
  node().pause()
  expect(await held.release()).toBe(false)
  await kv.close()
  await sleep(100)
  expect(timers()).toBe(0)
  node().resume()
  expect(await held.release()).toBe(false)
  await expect.poll(() => other.count({ prefix: 'lock/closed/' })).toBe(0)
})
