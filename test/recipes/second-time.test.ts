// Recipes that are begun again after their end, whose store changes in the middle of a call, or answers late.

import { describe, expect } from 'vitest'
import { type Client, CompactedError, type Txn } from '../../src/client/index.ts'
import {
  barrier,
  cache,
  config,
  followLeader,
  queue,
  type Resolver,
  rateLimiter,
  registry,
  topic,
} from '../../src/recipes/index.ts'
import { noLeader } from './client-errors.ts'
import { it, kv, sleep } from './simulated-test.ts'
import { withCall } from './with-call.ts'

const compacted = () =>
  new CompactedError('compacted', { code: 'compacted', written: 'no' }, { compactRevision: 1, resumeFrom: 2 })

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (let n = 0; !(await isTrue()); n++) {
    if (n > 10_000) throw new Error(`waits for ${isTrue}`)
    await sleep(5)
  }
}

describe('a resolver', () => {
  const balanced = { strategy: 'least-connections', failedMs: 5_000, confirmMs: 100 } as const
  const ids = async (resolver: Resolver, count: number) => {
    const found: string[] = []
    for (let n = 0; n < count; n++) found.push((await resolver.resolve())?.id ?? 'none')
    return found
  }

  it('keeps connections and failures when its instances change', async () => {
    const service = registry(kv, 'changing')
    const [a, b] = [
      await service.register({ id: 'a', url: 'a' }),
      await service.register({ id: 'b', url: 'b' }),
    ]
    await using resolver = service.resolver(balanced)
    const first = await resolver.resolve()
    const other = first?.id === 'a' ? 'b' : 'a'
    await b.update({ weight: 1, meta: { changed: true } })
    const c = await service.register({ id: 'c', url: 'c' })
    await until(() => resolver.instances.length === 3)
    // The first one still has its connection.
    expect((await ids(resolver, 2)).toSorted()).toEqual([other, 'c'].toSorted())
    for (const each of [a, b, c]) await each.close()
  })

  it('counts the end of a connection once, however often it is reported', async () => {
    const service = registry(kv, 'ends')
    const [a, b] = [
      await service.register({ id: 'a', url: 'a' }),
      await service.register({ id: 'b', url: 'b' }),
    ]
    await using resolver = service.resolver(balanced)
    const first = await resolver.resolve()
    for (let n = 0; n < 3; n++) first?.release()
    first?.failed()
    await sleep(5_001)
    // Both have no connection, so they get the same number of the next ones.
    const next = await ids(resolver, 6)
    expect(next.filter((id) => id === 'a')).toHaveLength(3)
    for (const each of [a, b]) await each.close()
  })

  it('gives back the connection of an instance that has failed, and uses it again after its time', async () => {
    const service = registry(kv, 'fails')
    const [a, b] = [
      await service.register({ id: 'a', url: 'a' }),
      await service.register({ id: 'b', url: 'b' }),
    ]
    await using resolver = service.resolver(balanced)
    for (let round = 0; round < 3; round++) {
      const failed = await resolver.resolve()
      failed?.failed()
      const others = [await resolver.resolve(), await resolver.resolve()]
      expect(others.map((each) => each?.id)).not.toContain(failed?.id)
      await sleep(5_001)
      // It has no connection, and the other one has two.
      const again = [await resolver.resolve(), await resolver.resolve()]
      expect(again.map((each) => each?.id)).toEqual([failed?.id, failed?.id])
      for (const each of [...others, ...again]) each?.release()
    }
    for (const each of [a, b]) await each.close()
  })
})

describe('a barrier', () => {
  /** A client that acts once before its first change. */
  const actingBefore = (act: () => Promise<unknown>): Client => {
    let isFirst = true
    return withCall(kv, 'txn', async (txn: Txn, options) => {
      if (isFirst && (txn.compare ?? []).length > 0) {
        isFirst = false
        await act()
      }
      return kv.txn(txn, options)
    })
  }

  it('is raised by one of two, also if both have seen it lowered', async () => {
    const own = barrier(
      actingBefore(() => barrier(kv, 'raised').raise()),
      'raised',
    )
    expect(await own.raise()).toBe(false)
    expect(await barrier(kv, 'raised').lower()).toBe(true)
  })

  it('is not lowered by one that has seen another raise of it', async () => {
    await barrier(kv, 'again').raise()
    const again = async () => {
      await barrier(kv, 'again').lower()
      await barrier(kv, 'again').raise({ lease: (await kv.session()).lease })
    }
    // It lowers the newest one, after it has looked again.
    const changes: number[] = []
    const counted = actingBefore(again)
    const own = barrier(
      withCall(counted, 'txn', async (txn, options) => {
        const result = await counted.txn(txn, options)
        if ((txn.compare ?? []).length > 0) changes.push(Number(result.succeeded))
        return result
      }),
      'again',
    )
    expect(await own.lower()).toBe(true)
    expect(changes).toEqual([0, 1])
  })
})

describe('a queue', () => {
  it('has its exact order again after consumers have competed', async () => {
    const jobs = queue(kv, 'order')
    const rival = queue(kv, 'order')
    let races = 8
    const losing = withCall(kv, 'txn', async (txn: Txn, options) => {
      if (races > 0 && (txn.compare ?? []).length === 2) {
        races -= 1
        await (await rival.pop())?.ack()
      }
      return kv.txn(txn, options)
    })
    for (let n = 0; n < 60; n++) await jobs.push(String(n))
    const own = queue(losing, 'order')
    for (let n = 0; n < 44; n++) await (await own.pop())?.ack()
    expect(races).toBe(0)
    await (async () => {
      for (let item = await rival.pop(); item !== undefined; item = await rival.pop()) await item.ack()
    })()
    for (let n = 0; n < 12; n++) await jobs.push(String(n))
    const texts: (string | undefined)[] = []
    for (let n = 0; n < 12; n++) texts.push((await own.pop())?.text())
    expect(texts).toEqual(Array.from({ length: 12 }, (_, n) => String(n)))
  })

  it('an item that is acknowledged while it is extended is not lost later', async () => {
    const jobs = queue(kv, 'extended', { visibilityMs: 2_000 })
    await jobs.push('x')
    const goOn = Promise.withResolvers<void>()
    const late = withCall(kv, 'txn', async (txn: Txn, options) => {
      const result = await kv.txn(txn, options)
      const isExtension = txn.success?.length === 1 && (txn.compare ?? []).length === 1
      if (isExtension && txn.success?.some((each) => 'put' in each)) await goOn.promise
      return result
    })
    const item = await queue(late, 'extended', { visibilityMs: 2_000 }).pop()
    const extending = item?.extend()
    await sleep(10)
    await item?.ack()
    goOn.resolve()
    await extending
    expect(item?.leftMs).toBe(0)
    await sleep(10_000)
    expect(item?.signal.aborted).toBe(false)
  })

  it('counts the dead letters that a call has put back, not those that another one has', async () => {
    const jobs = queue(kv, 'letters', { attemptsMax: 1 })
    for (let n = 0; n < 4; n++) {
      await jobs.push(String(n))
      await (await jobs.pop())?.nack()
    }
    const counts = await Promise.all([jobs.dead.requeue(), queue(kv, 'letters').dead.requeue()])
    expect(counts[0] + counts[1]).toBe(4)
    expect(await jobs.len()).toEqual({ ready: 4, held: 0, dead: 0 })
  })
})

describe('a configuration', () => {
  it('forgets that the store was unreachable when it is read again, each time, although nothing has changed', async () => {
    await kv.put('recovers', '1')
    let isDown = false
    const store = withCall(kv, 'txn', (txn, options) =>
      isDown ? Promise.reject(new Error('unreachable')) : kv.txn(txn, options),
    )
    const codes: string[] = []
    const live = await config(store, {
      key: 'recovers',
      validate: Number,
      confirmMs: 100,
      onError: ({ code }) => codes.push(String(code)),
    })
    for (let round = 1; round <= 3; round++) {
      isDown = true
      await until(() => live.error !== undefined)
      isDown = false
      await until(() => live.error === undefined)
      expect(codes).toHaveLength(round)
    }
    await live.close()
  })

  it('counts its age from before a read that is answered late', async () => {
    await kv.put('late', '1')
    const slow = withCall(kv, 'txn', async (txn, options) => {
      const result = await kv.txn(txn, options)
      await sleep(3_000)
      return result
    })
    const live = await config(slow, { key: 'late', validate: Number })
    expect(live.confirmedMsAgo).toBeGreaterThanOrEqual(3_000)
    await live.close()
  })
})

it('a loader runs again when its key is gone again', async () => {
  await using values = cache(kv, { prefix: 'loaded/' })
  for (let n = 1; n <= 3; n++) {
    expect((await values.get('a', () => `loaded ${n}`))?.text()).toBe(`loaded ${n}`)
    await kv.delete('loaded/a')
    await until(async () => (await values.get('a')) === undefined)
  }
})

it('a loader that has failed runs again', async () => {
  await using values = cache(kv, { prefix: 'failed/' })
  const fail = () => Promise.reject(new Error('mine'))
  await expect(values.get('a', fail)).rejects.toThrow('mine')
  expect((await values.get('a', () => 'loaded'))?.text()).toBe('loaded')
})

it('a stream yields nothing twice when its watch is broken and nothing has changed', async () => {
  let breaks = 6
  const failing = withCall(kv, 'watch', (options) => {
    if (breaks-- > 0) throw breaks % 2 === 0 ? noLeader() : compacted()
    return kv.watch(options)
  })
  const end = new AbortController()
  const seen: number[] = []
  const watching = (async () => {
    for await (const instances of registry(failing, 'twice').watch({ signal: end.signal }))
      seen.push(instances.length)
  })()
  const leaders: (string | undefined)[] = []
  const following = (async () => {
    for await (const leader of followLeader(failing, 'twice', { signal: end.signal }))
      leaders.push(leader?.text())
  })()
  await sleep(10_000)
  expect([seen, leaders]).toEqual([[0], [undefined]])
  end.abort()
  await Promise.allSettled([watching, following])
})

it('a topic is trimmed again and again by one publisher, also after a failure', async () => {
  let isFailing = true
  const store = withCall(kv, 'count', (options) => {
    if (isFailing) throw noLeader()
    return kv.count(options)
  })
  const own = topic(store, 'trimmed', { messagesMax: 4, onError: () => {} })
  for (let n = 0; n < 12; n++) await own.publish('x')
  isFailing = false
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 12; n++) await own.publish('x')
    expect(await kv.count({ prefix: 'topic/trimmed/message/' })).toBeLessThanOrEqual(8)
  }
})

it('a window of a rate limiter ends, and so does the next one', async () => {
  const limiter = rateLimiter(kv, 'windows', { limit: 2, windowMs: 1_000 })
  for (let round = 0; round < 3; round++) {
    expect((await limiter.take(2)).allowed).toBe(true)
    const refused = await limiter.take()
    expect(refused).toMatchObject({ allowed: false, remaining: 0 })
    expect(refused.retryAfterMs).toBeGreaterThan(0)
    await sleep(refused.retryAfterMs + 5)
  }
})

it('a window of a rate limiter begins with its first take, and no later one makes it longer', async () => {
  const limiter = rateLimiter(kv, 'steady', { limit: 4, windowMs: 1_000 })
  for (let round = 0; round < 3; round++) {
    expect(await limiter.take()).toMatchObject({ allowed: true, remaining: 3 })
    await sleep(600)
    expect(await limiter.take()).toMatchObject({ allowed: true, remaining: 2 })
    await sleep(600)
  }
})

describe('an instance whose lease lives, although its session was lost', () => {
  it('is registered again by its own process, also if the first attempt fails: no other one has replaced it', async () => {
    let isLost = false
    let failures = 1
    const problems: unknown[] = []
    const losing = withCall(kv, 'session', async (options) => {
      const session = await kv.session(options)
      if (isLost) return session
      // All its keep-alives arrive, and their answers are lost.
      const get = (target: typeof session, member: PropertyKey) =>
        member === 'leftMs' && isLost ? 0 : Reflect.get(target, member, target)
      return new Proxy<typeof session>(session, { get })
    })
    const own = withCall(losing, 'txn', async (txn: Txn, options) => {
      const isPut = txn.success?.some((operation) => 'put' in operation) === true
      if (isLost && isPut && failures-- > 0) throw noLeader()
      return kv.txn(txn, options)
    })
    const onProblem = (error: unknown) => void problems.push(error)
    const registration = await registry(own, 'own').register({ id: 'a', url: 'u', ttlMs: 3_000, onProblem })
    const leaseOf = async () => (await kv.list({ prefix: 'service/own/' }).next()).value?.lease
    const before = await leaseOf()
    isLost = true
    await until(async () => (await leaseOf()) !== before)
    expect(registration.isRegistered).toBe(true)
    expect(problems).toMatchObject([{ code: 'registration_lost' }, { code: 'no_leader' }])
    await registration.close()
  })
})
