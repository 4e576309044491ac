import { describe, expect } from 'vitest'
import { counter } from '../../src/recipes/counter.ts'
import { rateLimiter } from '../../src/recipes/rate-limiter.ts'
import { it, loseLeader, newClient, sleep } from './simulated-test.ts'

describe('a counter', () => {
  it('is 0 at first, and counts up and down', async () => {
    const hits = counter(newClient(), 'hits')
    expect(await hits.get()).toBe(0)
    expect(await hits.add()).toBe(1)
    expect(await hits.add(10)).toBe(11)
    expect(await hits.add(-12)).toBe(-1)
    expect(await hits.get()).toBe(-1)
  })

  it('counts each add of many clients once, also while the leader dies', async () => {
    const counters = Array.from({ length: 4 }, () => counter(newClient({ timeoutMs: 30_000 }), 'busy'))
    const added = counters.map(async (each) => {
      for (let n = 0; n < 15; n++) await each.add(2)
    })
    await sleep(20)
    loseLeader()
    await Promise.all(added)
    expect(await counters[0]?.get()).toBe(4 * 15 * 2)
  })

  it('counts an add once that is repeated with the same text, in any process', async () => {
    const kv = newClient()
    const one = counter(kv, 'once')
    const other = counter(newClient(), 'once')
    expect(await one.add(5, { once: 'order/1%' })).toBe(5)
    await one.add(1)
    expect(await other.add(5, { once: 'order/1%' })).toBe(5)
    expect(await other.add(5, { once: 'order/2' })).toBe(11)
  })

  it('remembers an add for as long as it is told to', async () => {
    const own = counter(newClient(), 'short')
    expect(await own.add(1, { once: 'a', onceMs: 1_000 })).toBe(1)
    await expect.poll(() => own.add(1, { once: 'a', onceMs: 1_000 })).toBe(2)
  })

  it('refuses what JavaScript cannot hold exactly, and stays as it was', async () => {
    const big = counter(newClient(), 'big')
    await big.add(Number.MAX_SAFE_INTEGER)
    await expect(big.add(1)).rejects.toThrow(RangeError)
    expect(await big.get()).toBe(Number.MAX_SAFE_INTEGER)
    await expect(big.add(0.5)).rejects.toThrow(/whole number/)
    await expect(big.add(1, { onec: 'x' } as object)).rejects.toThrow(/did you mean once/)
  })

  it('refuses a value that is no counter, naming the key', async () => {
    const kv = newClient()
    await kv.put('counter/strange/value', 'many')
    await expect(counter(kv, 'strange').add(1)).rejects.toThrow(/counter\/strange\/value/)
  })

  it('has a place of its own under any name', async () => {
    const kv = newClient()
    const names = ['a', 'a/value', 'a%2Fvalue', new Uint8Array([0xff, 0x2f, 0]), 'once/x/value', ' ']
    for (const [at, name] of names.entries()) await counter(kv, name).add(at + 1)
    for (const [at, name] of names.entries()) expect(await counter(kv, name).get()).toBe(at + 1)
    await counter(kv, 'a').add(1, { once: 'value' })
    expect(await counter(kv, 'a/once').get()).toBe(0)
    expect(() => counter(kv, '')).toThrow(/name must not be empty/)
  })
})

describe('a rate limiter', () => {
  it('allows up to its limit for all clients together, and says when to come again', async () => {
    const options = { limit: 5, windowMs: 60_000 }
    const limiters = [1, 2, 3].map(() => rateLimiter(newClient(), 'mail', options))
    const taken = await Promise.all([...limiters, ...limiters, ...limiters].map((each) => each.take()))
    expect(taken.filter(({ allowed }) => allowed)).toHaveLength(5)
    for (const { allowed, remaining, retryAfterMs } of taken) {
      if (allowed) continue
      expect(remaining).toBe(0)
      expect(retryAfterMs).toBeGreaterThan(0)
      expect(retryAfterMs).toBeLessThanOrEqual(60_000)
    }
  })

  it('takes all or nothing', async () => {
    const limiter = rateLimiter(newClient(), 'all', { limit: 3, windowMs: 60_000 })
    expect(await limiter.take(2)).toEqual({ allowed: true, remaining: 1, retryAfterMs: 0 })
    expect(await limiter.take(2)).toMatchObject({ allowed: false, remaining: 1 })
    expect(await limiter.take(1)).toMatchObject({ allowed: true, remaining: 0 })
    await expect(limiter.take(4)).rejects.toThrow(/more than the limit of 3/)
  })

  it('begins a new window when the cluster has ended the one before', async () => {
    const kv = newClient()
    const limiter = rateLimiter(kv, 'short', { limit: 1, windowMs: 1_000 })
    const watch = kv.watch({ key: 'limit/short/used', only: 'delete' })
    await watch.ready
    expect((await limiter.take()).allowed).toBe(true)
    expect((await limiter.take()).allowed).toBe(false)
    for await (const { events } of watch) {
      expect(events).toHaveLength(1)
      break
    }
    expect((await limiter.take()).allowed).toBe(true)
  })

  it('keeps its window when something is taken in it', async () => {
    const kv = newClient()
    const limiter = rateLimiter(kv, 'kept', { limit: 9, windowMs: 60_000 })
    await limiter.take()
    const lease = (await kv.get('limit/kept/used'))?.lease
    await limiter.take()
    expect(lease).toBeDefined()
    expect((await kv.get('limit/kept/used'))?.lease).toBe(lease)
  })

  it.each([
    [{ limit: 0, windowMs: 1_000 }, /limit/],
    [{ limit: 1, windowMs: 999 }, /windowMs must be a number of milliseconds from 1,000 on/],
    [{ limit: 1 }, /windowMs/],
  ])('refuses %o', (options, message) => {
    expect(() => rateLimiter(newClient(), 'x', options as never)).toThrow(message)
  })
})

it('a rate limiter without a limit counts no further than JavaScript can', async () => {
  const limiter = rateLimiter(newClient(), 'endless', {
    limit: Number.POSITIVE_INFINITY,
    windowMs: 60_000,
  })
  for (const n of [Number.MAX_SAFE_INTEGER, 1, Number.POSITIVE_INFINITY, 1])
    expect(await limiter.take(n)).toMatchObject({ allowed: true })
})

it('a rate limiter replaces a value without a lease, and never refuses for it', async () => {
  const kv = newClient()
  await kv.put('limit/strange/used', 'many')
  expect(await rateLimiter(kv, 'strange', { limit: 1, windowMs: 1_000 }).take()).toMatchObject({
    allowed: true,
  })
})
