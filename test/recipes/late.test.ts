// A process may stand still between an answer and the code that waits for it: it is stopped, or its machine sleeps. No
// recipe hands over what may have ended meanwhile (RECIPE-37).

import { describe, expect } from 'vitest'
import type { Client, Txn } from '../../src/client/index.ts'
import {
  cache,
  campaign,
  ItemLostError,
  lock,
  type QueueItem,
  queue,
  registry,
  runAsLeader,
  rwLock,
  saga,
  semaphore,
  topic,
} from '../../src/recipes/index.ts'
import { noLeader, unknownOutcome } from './client-errors.ts'
import { it, kv, sleep, suspend } from './simulated-test.ts'
import { withCall } from './with-call.ts'

const TTL_MS = 2_000

/** A client that sleeps once for longer than a lease lives, when the chosen transaction has been answered. */
function sleepsAfter(isChosen: (txn: Txn, at: number) => boolean): { readonly kv: Client; slept: boolean } {
  let at = 0
  const state = {
    slept: false,
    kv: withCall(kv, 'txn', async (txn, options) => {
      const result = await kv.txn(txn, options)
      if (state.slept || !isChosen(txn, at++)) return result
      state.slept = true
      suspend(TTL_MS + 100)
      return result
    }),
  }
  return state
}

/** The last transaction before a lock is held: it compares the position of its own key. */
const confirms = ({ compare = [], success = [] }: Txn): boolean =>
  compare.length === 2 && success.some((each) => 'get' in each)

const options = { ttlMs: TTL_MS }
const HOLDERS = {
  lock: (own: Client) => lock(own, 'late', options),
  rwLock: (own: Client) => rwLock(own, 'late').write(options),
  semaphore: (own: Client) => semaphore(own, 'late', 1).acquire(options),
  campaign: (own: Client) => campaign(own, 'late', options),
}

it.each(Object.entries(HOLDERS))('%s is held when it is handed over', async (_, take) => {
  const late = sleepsAfter(confirms)
  const held = await take(late.kv)
  expect(late.slept).toBe(true)
  expect(held.leftMs).toBeGreaterThan(0)
  expect(held.signal.aborted).toBe(false)
  await held.release()
})

it('a body of a leader, a step of a saga and a message of a group begin with a lease that lives', async () => {
  const signals: boolean[] = []
  const leading = sleepsAfter(confirms)
  await runAsLeader(leading.kv, 'late', ({ signal }) => signals.push(signal.aborted), options)
  const stepping = sleepsAfter(confirms)
  const run = ({ signal }: { readonly signal: AbortSignal }) => signals.push(signal.aborted)
  await saga(stepping.kv, 'late', [{ name: 'a', run }], options).run('1', null)
  await topic(kv, 'late').publish('x')
  const reading = sleepsAfter(confirms)
  const group = { group: 'g', from: 'oldest', ...options } as const
  for await (const message of topic(reading.kv, 'late').subscribe(group)) {
    await message.ack()
    break
  }
  expect([leading.slept, stepping.slept, reading.slept]).toEqual([true, true, true])
  expect(signals).toEqual([false, false])
})

it('an instance is registered when register returns', async () => {
  const late = sleepsAfter(() => true)
  const registration = await registry(late.kv, 'late').register({ url: 'u', ...options })
  expect([late.slept, registration.isRegistered]).toEqual([true, true])
  await registration.close()
})

it('a value of a near cache is no older than its bound when it is handed over', async () => {
  await kv.put('late/a', '1')
  let isLate = true
  const late = withCall(kv, 'get', async (key, call) => {
    const record = await kv.get(key, call)
    if (isLate) {
      isLate = false
      await kv.put('late/a', '2')
      suspend(60_000)
    }
    return record
  })
  const values = cache(late, { prefix: 'late/', ttlMs: 30_000 })
  expect((await values.get('a'))?.text()).toBe('2')
  await values.close()
})

describe('an item of a queue', () => {
  /** The transaction that takes an item. */
  const takes = ({ success = [] }: Txn): boolean => success.some((each) => 'txn' in each)
  const visibility = { visibilityMs: TTL_MS }

  it('is held when pop returns it', async () => {
    await queue(kv, 'pop').push('x')
    const late = sleepsAfter(takes)
    const jobs = queue(late.kv, 'pop', visibility)
    expect(await jobs.pop()).toBeUndefined()
    expect(late.slept).toBe(true)
    const item = await jobs.pop({ waitMs: 60_000 })
    expect(item?.attempts).toBe(2)
    expect(item?.leftMs).toBeGreaterThan(0)
    await item?.ack()
  })

  it('is given to no handler when it may be lost: that is reported, and it is delivered again', async () => {
    await queue(kv, 'consume').push('x')
    const late = sleepsAfter(takes)
    const end = new AbortController()
    const handled: number[] = []
    const errors: [unknown, number | undefined][] = []
    await queue(late.kv, 'consume', visibility).consume(
      ({ attempts, signal }) => {
        expect(signal.aborted).toBe(false)
        handled.push(attempts)
        end.abort()
      },
      { signal: end.signal, onError: (error, item) => errors.push([error, item?.attempts]) },
    )
    expect(handled).toEqual([2])
    expect(errors).toEqual([[expect.any(ItemLostError), 1]])
    expect(await queue(kv, 'consume').len()).toEqual({ ready: 0, held: 0, dead: 0 })
  })

  const keyText = ({ key }: { readonly key: string | Uint8Array }) => Buffer.from(key).toString()
  /** The transaction that acknowledges an item: it removes its value. */
  const acknowledges = ({ success = [] }: Txn): boolean =>
    success.some(
      (each) => 'delete' in each && 'key' in each.delete && keyText(each.delete).includes('/value/'),
    )
  const givesBack = ({ compare = [], success = [] }: Txn): boolean =>
    compare.length === 1 && success.some((each) => 'put' in each && keyText(each.put).includes('/item/'))

  interface Consumed {
    readonly attempts: readonly number[]
    readonly errors: readonly unknown[]
  }

  /** Consumes until `ends` handlers have run; `answer` replaces the answers of the chosen transactions. */
  async function consumed(
    name: string,
    ends: number,
    isChosen: (txn: Txn) => boolean,
    answer: (apply: () => ReturnType<Client['txn']>, at: number) => ReturnType<Client['txn']>,
    handler: (item: QueueItem) => unknown = () => {},
  ): Promise<Consumed> {
    await queue(kv, name).push('x')
    let at = 0
    const own = withCall(kv, 'txn', (txn, call) =>
      isChosen(txn) ? answer(() => kv.txn(txn, call), at++) : kv.txn(txn, call),
    )
    const end = new AbortController()
    const attempts: number[] = []
    const errors: unknown[] = []
    await queue(own, name, { visibilityMs: 20_000 }).consume(
      (item) => {
        attempts.push(item.attempts)
        if (attempts.length === ends) end.abort()
        return handler(item)
      },
      { signal: end.signal, retryDelayMs: 0, onError: (error) => errors.push(error) },
    )
    return { attempts, errors }
  }

  it('is acknowledged again while it is held, whatever became of the attempts before', async () => {
    const lost = await consumed('not applied', 1, acknowledges, async (apply, at) => {
      if (at === 0) throw unknownOutcome()
      await sleep(2_000)
      if (at < 4) throw noLeader()
      return apply()
    })
    const applied = await consumed('applied', 1, acknowledges, async (apply, at) => {
      const result = await apply()
      if (at < 2) throw unknownOutcome()
      return result
    })
    expect([lost, applied]).toEqual(Array.from({ length: 2 }, () => ({ attempts: [1], errors: [] })))
    for (const name of ['not applied', 'applied'])
      expect(await queue(kv, name).len()).toEqual({ ready: 0, held: 0, dead: 0 })
  })

  it('that could not be acknowledged while it was held is reported once, and delivered again', async () => {
    let runs = 0
    const answer = async (apply: () => ReturnType<Client['txn']>) => {
      if (runs > 1) return apply()
      await sleep(3_000)
      throw noLeader()
    }
    const { attempts, errors } = await consumed('too late', 2, acknowledges, answer, () => {
      runs += 1
    })
    expect(attempts).toEqual([1, 2])
    expect(errors).toMatchObject([{ code: 'no_leader' }])
  })

  it('is acknowledged again with pauses', async () => {
    let tries = 0
    let runs = 0
    const answer = async (apply: () => ReturnType<Client['txn']>) => {
      if (runs > 1) return apply()
      tries += 1
      throw noLeader()
    }
    await consumed('pauses', 2, acknowledges, answer, () => {
      runs += 1
    })
    // The item is held for 20 s.
    expect(tries).toBeGreaterThan(5)
    expect(tries).toBeLessThan(60)
  })

  it('that another consumer has removed is lost, although an attempt to acknowledge it is unknown', async () => {
    const name = 'taken over'
    const { errors } = await consumed(name, 1, acknowledges, async (apply, at) => {
      if (at > 0) return apply()
      // The hold ends, and another consumer does the work.
      await sleep(21_000)
      await (await queue(kv, name).pop())?.ack()
      throw unknownOutcome()
    })
    expect(errors).toMatchObject([{ written: 'unknown' }])
  })

  it('is given back once, whatever became of the attempts before', async () => {
    const fails = ({ attempts }: QueueItem) => {
      if (attempts === 1) throw new Error('mine')
    }
    const applied = await consumed(
      'given back',
      2,
      givesBack,
      async (apply, at) => {
        const result = await apply()
        if (at === 0) throw unknownOutcome()
        return result
      },
      fails,
    )
    const lost = await consumed(
      'not given back',
      2,
      givesBack,
      async (apply, at) => {
        if (at === 0) throw noLeader()
        return apply()
      },
      fails,
    )
    for (const { attempts, errors } of [applied, lost]) {
      expect(attempts).toEqual([1, 2])
      expect(errors).toMatchObject([{ message: 'mine' }])
    }
  })

  it('of pop can be acknowledged again after an unknown outcome, and then no more', async () => {
    await queue(kv, 'again').push('x')
    let isUnknown = true
    const own = withCall(kv, 'txn', async (txn, call) => {
      const result = await kv.txn(txn, call)
      if (isUnknown && acknowledges(txn)) throw unknownOutcome()
      return result
    })
    const item = await queue(own, 'again').pop()
    await expect(item?.ack()).rejects.toMatchObject({ written: 'unknown' })
    isUnknown = false
    await item?.ack()
    expect(item?.leftMs).toBe(0)
    expect(item?.signal.aborted).toBe(false)
    await expect(item?.ack()).rejects.toThrow('acknowledged or given back already')
    await expect(item?.extend()).rejects.toThrow(ItemLostError)
  })
})
