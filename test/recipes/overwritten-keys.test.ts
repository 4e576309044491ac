// A waiter resumes when a key before it is overwritten without its lease, by an import for example (RECIPE-33). An
// instance of a service is listed again when it registers again.

import { expect, vi } from 'vitest'
import { lock, queue, registry, semaphore } from '../../src/recipes/index.ts'
import { it, kv, newClient, sleep } from './simulated-test.ts'

/** 'hangs': not settled after ten minutes. */
const within = (waits: Promise<unknown>) =>
  Promise.race([waits.then(() => 'resumes'), sleep(600_000).then(() => 'hangs')])

it('a client that waits for a lock gets it when the key of its holder has lost its lease', async () => {
  const holder = await lock(kv, 'l')
  const end = new AbortController()
  const waits = lock(newClient(), 'l', { signal: end.signal })
  waits.catch(() => {})
  await sleep(1_000)
  await kv.put(holder.key, 'restored')
  await sleep(1_000)
  expect(holder.signal.aborted).toBe(true)
  await holder.release()
  // Nobody holds it now, and everybody who comes queues behind the one that does not wake.
  const later = lock(newClient(), 'l', { signal: end.signal })
  later.catch(() => {})
  const ends = await within(Promise.race([waits, later]))
  end.abort()
  expect(ends).toBe('resumes')
})

it('those that wait for a lock get it although the key of one that waits has lost its lease', async () => {
  const holder = await lock(kv, 'm')
  const end = new AbortController()
  const first = lock(newClient(), 'm', { signal: end.signal })
  first.catch(() => {})
  await sleep(1_000)
  const second = lock(newClient(), 'm', { signal: end.signal })
  second.catch(() => {})
  await sleep(1_000)
  for await (const { keyBytes } of kv.list({ prefix: 'lock/m/' }))
    if (!Buffer.from(keyBytes).equals(holder.key)) {
      await kv.put(keyBytes, 'restored')
      break
    }
  await holder.release()
  const ends = await within(Promise.race([first, second]))
  end.abort()
  expect(ends).toBe('resumes')
})

it('a client that waits for a semaphore gets it then', async () => {
  const second = await semaphore(kv, 's2', 2).acquire()
  const third = await semaphore(kv, 's2', 2).acquire()
  const end = new AbortController()
  const waits = semaphore(newClient(), 's2', 2).acquire({ signal: end.signal })
  waits.catch(() => {})
  await sleep(1_000)
  await kv.put(second.key, 'restored')
  await second.release()
  const ends = await within(waits)
  end.abort()
  await third.release()
  expect(ends).toBe('resumes')
})

it('a consumer that waits gets an item whose hold has lost its lease', async () => {
  const own = queue(kv, 'q')
  await own.push('x')
  await own.pop()
  const end = new AbortController()
  const waits = queue(newClient(), 'q').pop({ waitMs: Number.POSITIVE_INFINITY, signal: end.signal })
  waits.catch(() => {})
  await sleep(1_000)
  for await (const { keyBytes } of kv.list({ prefix: 'queue/q/hold/' })) await kv.put(keyBytes, 'restored')
  const ends = await within(waits)
  end.abort()
  expect(ends).toBe('resumes')
})

it('an instance whose key was overwritten is listed again when its process registers again', async () => {
  const instance = { id: 'a', url: 'http://10.0.0.1' }
  const warned = vi.spyOn(process, 'emitWarning')
  const registration = await registry(kv, 'api').register(instance)
  await kv.put('service/api/a', JSON.stringify({ url: 'http://10.0.0.2' }))
  expect(await registry(kv, 'api').list()).toEqual([])
  const warning = expect.stringContaining('"service/api/a"')
  expect(warned).toHaveBeenCalledWith(warning, 'QuorateWarning')
  await registration.close()
  await registry(kv, 'api').register(instance)
  expect(await registry(kv, 'api').list()).toMatchObject([instance])
})
