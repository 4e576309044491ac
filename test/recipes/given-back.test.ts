// However a call of a recipe ends, it gives back what it has taken: timers, listeners of the caller's signal, watches,
// leases and keys. Each one ends many times on a client and a signal that stay.

import { getEventListeners } from 'node:events'
import { expect } from 'vitest'
import {
  barrier,
  cache,
  campaign,
  config,
  counter,
  followLeader,
  lock,
  queue,
  registry,
  runAsLeader,
  saga,
  semaphore,
  topic,
} from '../../src/recipes/index.ts'
import { countTimers, it, kv, sleep } from './simulated-test.ts'

async function leaseIds(): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of kv.leases()) ids.push(id)
  return ids
}

const TTL_MS = 60_000
const HOUR_MS = 3_600_000
/** The lease of a hold outlives its key here. */
const SHORT = { visibilityMs: 1_000 }
/** Fires `ms` later. Its timer is that of the test. */
function firesIn(ms: number): AbortSignal {
  const end = new AbortController()
  setTimeout(() => end.abort(), ms)
  return end.signal
}
const fails = (waits: Promise<unknown>) => expect(waits).rejects.toThrow()

type Unit = (name: string, signal: AbortSignal) => Promise<unknown>
const units: Readonly<Record<string, Unit>> = {
  'a lock that is released': async (name, signal) =>
    (await lock(kv, name, { ttlMs: TTL_MS, waitMs: HOUR_MS, signal })).release(),
  'a lock whose lease is revoked': async (name, signal) => {
    const held = await lock(kv, name, { ttlMs: TTL_MS, signal })
    await kv.delete(held.key)
    await expect.poll(() => held.signal.aborted).toBe(true)
    await held.release()
  },
  'a lock that is not taken in time': async (name, signal) => {
    const held = await lock(kv, name, { ttlMs: TTL_MS })
    await fails(lock(kv, name, { ttlMs: TTL_MS, waitMs: 50, signal }))
    await held.release()
  },
  'a permit that is waited for in vain': async (name) => {
    const held = await semaphore(kv, name, 1).acquire({ ttlMs: TTL_MS })
    await fails(semaphore(kv, name, 1).acquire({ ttlMs: TTL_MS, waitMs: HOUR_MS, signal: firesIn(50) }))
    await held.release()
  },
  'a body of a leader that throws': (name, signal) =>
    fails(
      runAsLeader(
        kv,
        name,
        () => {
          throw new Error('mine')
        },
        { ttlMs: TTL_MS, signal },
      ),
    ),
  'a candidate that gives up': async (name) => {
    const lead = await campaign(kv, name, { ttlMs: TTL_MS })
    await fails(runAsLeader(kv, name, () => {}, { ttlMs: TTL_MS, signal: firesIn(50) }))
    await lead.release()
  },
  'a follower that leaves its loop': async (name, signal) => {
    for await (const _ of followLeader(kv, name, { signal, timeoutMs: HOUR_MS })) break
  },
  'a barrier that is passed': async (name, signal) => {
    await barrier(kv, name).raise({ signal })
    const waiting = barrier(kv, name).wait({ waitMs: HOUR_MS, signal })
    await sleep(10)
    await barrier(kv, name).lower({ signal })
    await waiting
  },
  'a barrier that is not passed in time': async (name, signal) => {
    await barrier(kv, name).raise()
    await fails(barrier(kv, name).wait({ waitMs: 50, signal }))
    await barrier(kv, name).lower()
  },
  'an item that is waited for and acknowledged': async (name, signal) => {
    const popping = queue(kv, name, SHORT).pop({ waitMs: HOUR_MS, signal })
    await sleep(10)
    await queue(kv, name).push('x', { signal })
    const item = await popping
    await item?.extend({ signal })
    await item?.ack({ signal })
  },
  'an item that does not come in time': (name, signal) => queue(kv, name).pop({ waitMs: 50, signal }),
  'an item that is waited for in vain': (name) =>
    fails(queue(kv, name).pop({ waitMs: HOUR_MS, signal: firesIn(50) })),
  'a consumer that ends': async (name) => {
    await queue(kv, name).push('x')
    const handled: string[] = []
    const consuming = queue(kv, name, SHORT).consume((item) => handled.push(item.text()), {
      signal: firesIn(100),
    })
    await consuming
    expect(handled).toEqual(['x'])
  },
  'a subscription that is left': async (name, signal) => {
    const own = topic(kv, name)
    await own.publish('x', { signal })
    for await (const _ of own.subscribe({ from: 'oldest', signal })) break
    for await (const _ of own.subscribe({ from: 'oldest', group: 'g', ttlMs: TTL_MS, signal })) break
    await own.forgetGroup('g')
  },
  'a subscription that is aborted': (name) =>
    fails(
      topic(kv, name)
        .subscribe({ signal: firesIn(50) })
        .next(),
    ),
  'an instance that is updated and closed': async (name, signal) => {
    const instance = await registry(kv, name).register({ url: 'u', ttlMs: TTL_MS, signal })
    await instance.update({ weight: 2 }, { signal })
    await instance.close({ signal })
  },
  'a resolver that is closed': async (name, signal) => {
    const resolver = registry(kv, name).resolver({ confirmMs: HOUR_MS })
    await resolver.resolve({ signal, timeoutMs: HOUR_MS })
    await resolver.close()
  },
  'a watch of instances that is left': async (name, signal) => {
    for await (const _ of registry(kv, name).watch({ signal, timeoutMs: HOUR_MS })) break
  },
  'a cache that is closed, and its calls': async (name, signal) => {
    const values = cache(kv, { prefix: name })
    await values.get('a', undefined, { signal, timeoutMs: HOUR_MS })
    await values.get('a', undefined, { signal, timeoutMs: HOUR_MS })
    await values.close()
  },
  'a configuration that is closed': async (name, signal) => {
    const options = { validate: () => 1, confirmMs: HOUR_MS, timeoutMs: HOUR_MS, signal }
    await (await config(kv, { key: name, ...options })).close()
  },
  'a configuration without a good value': (name, signal) =>
    fails(
      config(kv, { key: name, validate: () => Promise.reject(new Error('bad')), signal, onError: () => {} }),
    ),
  'a saga, and one that is undone': async (name, signal) => {
    const steps = (isGood: boolean) => [
      { name: 'a', run: () => 1, compensate: () => {} },
      {
        name: 'b',
        run: () => {
          if (!isGood) throw new Error('mine')
        },
      },
    ]
    await saga(kv, name, steps(true), { ttlMs: TTL_MS }).run('good', null, { signal })
    await saga(kv, name, steps(false), { ttlMs: TTL_MS }).run('bad', null, { signal })
    await saga(kv, name, steps(true)).forget('good', { signal })
    await saga(kv, name, steps(true)).forget('bad', { signal })
  },
  'a process that stands by for sagas': (name) =>
    saga(kv, name, [{ name: 'a', run: () => 1 }]).keepResuming({ signal: firesIn(50) }),
  'a counter': (name, signal) => counter(kv, name).add(1, { signal }),
}

it.each(Object.entries(units))('%s leaves nothing behind', async (name, unit) => {
  const end = new AbortController()
  const leases = await leaseIds()
  const timers = countTimers()
  for (let n = 0; n < 5; n++) await unit(`${name} ${n}`, end.signal)
  // Aborted calls end a moment later.
  await sleep(2_000)
  expect(getEventListeners(end.signal, 'abort')).toEqual([])
  expect(await leaseIds()).toEqual(leases)
  // An open watch has a timer, too.
  expect(timers()).toBe(0)
})
