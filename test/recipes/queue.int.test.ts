import { describe, expect, test, vi } from 'vitest'
import { type ListOptions, type Txn, type TxnResult, UnavailableError } from '../../src/client/index.ts'
import { type Queue, queue } from '../../src/recipes/queue.ts'
import type { QueueEntry, QueueItem } from '../../src/recipes/queue-item.ts'
import { it, itWithAnySeed, kv, loseLeader, newClient, sleep, suspend } from './simulated-test.ts'
import { unsure } from './unsure-client.ts'
import { withCall } from './with-call.ts'

let queues = 0

const newName = () => `q${++queues}`

async function textsOf(from: Queue, count: number): Promise<string[]> {
  const texts: string[] = []
  for (let n = 0; n < count; n++) texts.push((await from.pop())?.text() ?? 'nothing')
  return texts
}

async function taken(from: Queue): Promise<QueueItem> {
  const item = await from.pop({ waitMs: 30_000 })
  if (item === undefined) throw new Error('the queue is empty')
  return item
}

const puts = ({ success = [] }: Txn, part: string): boolean =>
  success.some((each) => {
    if ('txn' in each) return puts(each.txn, part)
    return 'put' in each && Buffer.from(each.put.key).includes(part)
  })

/** The result for a client that has sent its transaction twice. */
const repeated = ({ results, ...rest }: TxnResult): TxnResult => ({
  ...rest,
  results: results.map((each) => {
    if (each.txn !== undefined) return { txn: repeated(each.txn) }
    return each.get === undefined ? each : { get: { omitted: true } }
  }),
})

async function lettersOf(from: Queue) {
  const letters: QueueEntry[] = []
  for await (const letter of from.dead.list()) letters.push(letter)
  return letters
}

/** Resolves when no key of the queue is left. */
async function expectEmpty(name: string): Promise<void> {
  expect(await queue(kv, name).len()).toEqual({ ready: 0, held: 0, dead: 0 })
  expect(await kv.count({ prefix: `queue/${name}/` })).toBe(0)
}

describe('a queue', () => {
  it('gives an item to one consumer, until it is acknowledged', async () => {
    const name = newName()
    const [one, other] = [queue(kv, name), queue(newClient(), name)]
    const id = await one.push('work')
    const item = await taken(other)
    expect(item).toMatchObject({ id, attempts: 1, priority: 0 })
    expect(item.text()).toBe('work')
    expect(await one.pop()).toBeUndefined()
    expect(await one.len()).toEqual({ ready: 0, held: 1, dead: 0 })
    await item.ack()
    await expectEmpty(name)
  })

  it('takes higher priorities first, and within one in the order of their pushes, from whichever client', async () => {
    const name = newName()
    const pushers = [queue(kv, name), queue(newClient(), name), queue(newClient(), name)]
    for (let n = 0; n < 9; n++) await pushers[n % 3]?.push(`low ${n}`)
    await pushers[1]?.push('high', { priority: 7 })
    const own = queue(kv, name)
    expect(await textsOf(own, 11)).toEqual([
      'high',
      ...Array.from({ length: 9 }, (_, n) => `low ${n}`),
      'nothing',
    ])
  })

  it('holds bytes and text of any kind, under any name', async () => {
    const bytes = new Uint8Array([0, 0xff, 0x2f])
    const names = ['a', 'a/ready', 'a%2Fready', bytes]
    for (const [at, name] of names.entries()) await queue(kv, name).push(`${at}`)
    for (const [at, name] of names.entries()) {
      expect(await queue(kv, name).len()).toEqual({ ready: 1, held: 0, dead: 0 })
      const item = await taken(queue(kv, name))
      expect(item.text()).toBe(String(at))
      await item.ack()
    }
    await queue(kv, bytes).push(bytes)
    expect((await taken(queue(kv, bytes))).value).toEqual(bytes)
    await queue(kv, bytes).push('{"a":1}')
    expect((await taken(queue(kv, bytes))).json()).toEqual({ a: 1 })
  })

  it('has values as JSON', async () => {
    const own = queue<{ readonly to: string }>(kv, newName())
    await own.pushJson({ to: 'Ann' }, { priority: 1 })
    expect((await own.peek())?.json().to).toBe('Ann')
    const item = await own.pop()
    expect(item?.json()).toEqual({ to: 'Ann' })
    await item?.ack()
    await expect(own.pushJson((() => {}) as never)).rejects.toThrow(
      'pushJson: value must be JSON, not function',
    )
  })

  it('counts the time of an item from the last extension, whichever is answered last', async () => {
    const name = newName()
    const answers: PromiseWithResolvers<void>[] = []
    const slow = withCall(kv, 'txn', async (txn, options) => {
      const result = await kv.txn(txn, options)
      if (puts(txn, '/hold/') && !puts(txn, '/item/')) await answers.shift()?.promise
      return result
    })
    await queue(kv, name).push('x')
    const item = await taken(queue(slow, name, { visibilityMs: 3_000 }))
    const [one, other] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    answers.push(one, other)
    const first = item.extend()
    await sleep(2_000)
    const second = item.extend()
    other.resolve()
    await second
    one.resolve()
    await first
    await sleep(2_000)
    expect(item.signal.aborted).toBe(false)
    await item.ack()
  })

  it('signals the loss of an item within a second after the machine was suspended', async () => {
    const own = queue(kv, newName(), { visibilityMs: 3_600_000 })
    await own.push('x')
    const { signal } = await taken(own)
    suspend(3_600_000)
    await sleep(1_001)
    expect(signal.reason).toMatchObject({ code: 'item_lost' })
  })

  it('wakes a consumer that waits', async () => {
    const name = newName()
    const waiting = queue(newClient(), name).pop({ waitMs: Number.POSITIVE_INFINITY })
    await sleep(50)
    await queue(kv, name).push('at last')
    expect((await waiting)?.text()).toBe('at last')
  })

  it('looks once more when the time to wait is over: its watch may be at a node that has stopped', async () => {
    const name = newName()
    const deaf = withCall(kv, 'watch', ({ signal }) => {
      pushed ??= queue(kv, name).push('once')
      return kv.watch({ prefix: 'nothing/', signal })
    })
    let pushed: Promise<string> | undefined
    expect((await queue(deaf, name).pop({ waitMs: 1_000 }))?.text()).toBe('once')
    await pushed
  })

  it('ends the wait with its time, or its signal, and leaves nothing behind', async () => {
    const name = newName()
    const own = queue(kv, name)
    expect(await own.pop({ waitMs: 20 })).toBeUndefined()
    const end = new AbortController()
    const waiting = own.pop({ waitMs: Number.POSITIVE_INFINITY, signal: end.signal })
    end.abort()
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
    await own.push('x')
    expect((await own.pop())?.text()).toBe('x')
  })

  it('gives an item back whose consumer has died, and refuses the late acknowledgement', async () => {
    const name = newName()
    const dying = await (async () => {
      const own = queue(newClient(), name, { visibilityMs: 1_000 })
      await own.push('work')
      return taken(own)
    })()
    // The other consumer waits: the end of the lease wakes it.
    const item = await taken(queue(kv, name))
    expect(item).toMatchObject({ id: dying.id, attempts: 2, error: 'it was not acknowledged in time' })
    expect(item.token).toBeGreaterThan(dying.token)
    await expect(dying.ack()).rejects.toMatchObject({ code: 'item_lost', written: 'no' })
    expect(dying.signal.aborted).toBe(true)
    await item.ack()
    await expectEmpty(name)
  })

  it('keeps an item that is extended', async () => {
    const name = newName()
    const own = queue(kv, name, { visibilityMs: 1_000 })
    await own.push('long')
    const item = await taken(own)
    for (let n = 0; n < 5; n++) {
      await sleep(400)
      await item.extend()
    }
    expect(item.signal.aborted).toBe(false)
    expect(await own.pop()).toBeUndefined()
    await item.ack()
    await expectEmpty(name)
  })

  it('gives an item back at once, or after a delay, with the reason', async () => {
    const name = newName()
    const own = queue(kv, name)
    await own.push('again')
    await (await taken(own)).nack({ error: 'busy' })
    const second = await taken(own)
    expect(second).toMatchObject({ attempts: 2, error: 'busy' })
    await second.nack({ delayMs: 1_000, error: 'still busy' })
    expect(await own.pop()).toBeUndefined()
    expect(await own.len()).toEqual({ ready: 0, held: 1, dead: 0 })
    const third = await taken(own)
    expect(third).toMatchObject({ attempts: 3, error: 'still busy' })
    await third.ack()
    await expect(third.ack()).rejects.toMatchObject({ code: 'item_lost' })
    await expectEmpty(name)
  })

  it('delays an item', async () => {
    const name = newName()
    const own = queue(kv, name)
    await own.push('later', { delayMs: 1_000 })
    expect(await own.pop()).toBeUndefined()
    const item = await taken(own)
    expect(item).toMatchObject({ attempts: 1, error: undefined })
    await item.ack()
    await expectEmpty(name)
  })

  it('makes a dead letter of an item after its last attempt, and puts it back when asked', async () => {
    const name = newName()
    const own = queue(kv, name, { attemptsMax: 2, visibilityMs: 1_000 })
    const id = await own.push('poison', { priority: 3 })
    await (await taken(own)).nack({ error: 'first' })
    await (await taken(own)).nack({ error: 'second' })
    expect(await own.len()).toEqual({ ready: 0, held: 0, dead: 1 })
    const [letter] = await lettersOf(own)
    expect(letter).toMatchObject({ id, attempts: 2, error: 'second', priority: 3 })
    expect(await own.dead.requeue('another')).toBe(0)
    expect(await own.dead.requeue()).toBe(1)
    // This happens also without a call of the consumer.
    expect((await taken(own)).attempts).toBe(1)
    expect((await taken(own)).attempts).toBe(2)
    expect(await own.pop({ waitMs: 3_000 })).toBeUndefined()
    expect(await own.len()).toEqual({ ready: 0, held: 0, dead: 1 })
    expect(await own.dead.delete(id)).toBe(true)
    expect(await own.dead.delete(id)).toBe(false)
    await expectEmpty(name)
  })

  it('finds an item whose hold has just ended, however recently it has looked', async () => {
    const name = newName()
    const [one, other] = [queue(kv, name), queue(newClient(), name)]
    const id = await one.push('x')
    await taken(one)
    for (let n = 0; n < 3; n++) {
      expect(await other.pop()).toBeUndefined()
      const hold = await kv.get(`queue/${name}/hold/${id}`)
      await kv.revokeLease(hold?.lease ?? '')
      expect((await other.pop())?.attempts).toBe(n + 2)
    }
  })

  it('gives an item whose hold ends between its two reads to a consumer that waits', async () => {
    const name = newName()
    const id = await queue(kv, name).push('x')
    await taken(queue(kv, name))
    let hasEnded = false
    async function* afterEnd(options: ListOptions) {
      hasEnded = true
      const hold = await kv.get(`queue/${name}/hold/${id}`)
      await kv.revokeLease(hold?.lease ?? '')
      yield* kv.list(options)
    }
    const reading = withCall(kv, 'list', (options = {}) => {
      const isOfItems = Buffer.from(options.prefix ?? '').includes('/item/')
      return isOfItems && !hasEnded ? afterEnd(options) : kv.list(options)
    })
    const begun = performance.now()
    expect((await queue(reading, name).pop({ waitMs: 60_000 }))?.attempts).toBe(2)
    expect(performance.now() - begun).toBeLessThan(30_000)
  })

  it('shows what would be taken next, also if it was delayed, or its consumer has died', async () => {
    const own = queue(kv, newName(), { visibilityMs: 1_000, attemptsMax: 2 })
    await own.push('of one that has died', { priority: 1 })
    await taken(own)
    await own.push('delayed', { priority: 2, delayMs: 1_000 })
    await own.push('at once')
    expect((await own.peek())?.text()).toBe('at once')
    while ((await own.len()).held > 0) await sleep(5)
    expect(await own.peek()).toMatchObject({ priority: 2, attempts: 0 })
    expect(await own.peek()).toMatchObject({ priority: 2, attempts: 0 })
    await (await taken(own)).ack()
    expect(await own.peek()).toMatchObject({ priority: 1, attempts: 1 })
    // After its last attempt the item is a dead letter.
    await taken(own)
    while ((await own.len()).held > 0) await sleep(5)
    expect((await queue(kv, `q${queues}`, { attemptsMax: 2 }).peek())?.text()).toBe('at once')
  })

  it('goes on to the next item if the answer of a taking comes when the item is done', async () => {
    const name = newName()
    const other = queue(kv, name)
    let isFirst = true
    const store = withCall(kv, 'txn', async (txn, options) => {
      const taken = await kv.txn(txn, options)
      if (txn.compare === undefined || !isFirst) return taken
      isFirst = false
      // In between the hold has ended, and another consumer has taken it.
      for await (const { lease } of kv.list({ prefix: `queue/${name}/hold/` }))
        await kv.revokeLease(lease ?? '')
      await (await other.pop())?.ack()
      return repeated(taken)
    })
    await other.push('first')
    await other.push('second')
    expect((await queue(store, name).pop())?.text()).toBe('second')
  })

  it('does not say that nothing was written when it has taken an item and cannot read its value', async () => {
    const name = newName()
    const cut = new UnavailableError('cut off', { code: 'no_leader', written: 'no' })
    const store = withCall(kv, 'get', () => Promise.reject(cut))
    const twice = withCall(store, 'txn', async (txn, options) => repeated(await kv.txn(txn, options)))
    await queue(kv, name).push('x')
    await expect(queue(twice, name).pop()).rejects.toMatchObject({ written: 'unknown', cause: cut })
    expect(await queue(kv, name).len()).toEqual({ ready: 0, held: 1, dead: 0 })
  })

  it('has no limit to its length: neither of items that wait, nor of those that are held', async () => {
    const store = newClient({ timeoutMs: 30_000 })
    await store.changeSettings({ range_keys_max: 3 })
    const own = queue(store, 'long', { visibilityMs: 60_000 })
    const texts = Array.from({ length: 5 }, (_, n) => String(n))
    for (const text of texts) await own.push(text)
    expect(await own.len()).toEqual({ ready: 5, held: 0, dead: 0 })
    expect((await own.peek())?.text()).toBe('0')
    expect(await textsOf(own, 3)).toEqual(texts.slice(0, 3))
    // Another process reads items whose hold has ended.
    expect(await textsOf(queue(newClient({ timeoutMs: 30_000 }), 'long'), 3)).toEqual(['3', '4', 'nothing'])
    expect(await own.len()).toEqual({ ready: 0, held: 5, dead: 0 })
  })

  it('refuses what is no option', async () => {
    const own = queue(kv, newName())
    expect(() => queue(kv, 'x', { visibilityMs: 10 })).toThrow(/visibilityMs must be .* from 1,000 on/)
    await expect(own.push('x', { priority: 1_000 })).rejects.toThrow(
      /priority must be a whole number from 0 to 999/,
    )
    await expect(own.push('x', { delayMs: 5 })).rejects.toThrow(/delayMs/)
    await expect(own.push(7 as never)).rejects.toThrow(/value must be/)
    await expect(own.pop({ wait: 5 } as never)).rejects.toThrow(/no option "wait"/)
    await expect(own.consume(() => {}, {} as never)).rejects.toThrow(/signal/)
    expect(() => queue(kv, '')).toThrow(/name must not be empty/)
  })
})

describe('consume', () => {
  it('runs up to its concurrency at a time, acknowledges, and ends with its signal', async () => {
    const name = newName()
    const own = queue(kv, name)
    for (let n = 0; n < 12; n++) await own.push(String(n))
    const end = new AbortController()
    let [running, most, done] = [0, 0, 0]
    const seen = new Set<string>()
    const all = Promise.withResolvers<void>()
    await own.consume(
      async (item) => {
        most = Math.max(most, ++running)
        seen.add(item.text())
        if (running === 4) all.resolve()
        await all.promise
        running -= 1
        if (++done === 12) end.abort()
      },
      { concurrency: 4, signal: end.signal },
    )
    expect(seen.size).toBe(12)
    expect(most).toBe(4)
    await expectEmpty(name)
  })

  it('takes each item once, however many handlers it runs at a time', async () => {
    const [name, items] = [newName(), 200]
    const texts = Array.from({ length: items }, (_, n) => String(n))
    await Promise.all(texts.map((text) => queue(kv, name).push(text)))
    let refused = 0
    const store = withCall(kv, 'txn', async (txn, options) => {
      const result = await kv.txn(txn, options)
      if (!result.succeeded) refused += 1
      return result
    })
    const end = new AbortController()
    const done = new Set<string>()
    const handler = (item: QueueItem) => {
      done.add(item.text())
      if (done.size === items) end.abort()
    }
    await queue(store, name).consume(handler, { signal: end.signal, concurrency: 100 })
    expect(done.size).toBe(items)
    // A rejected attempt to take an item has cost a log entry and a request.
    expect(refused).toBe(0)
    await expectEmpty(name)
  })

  it('asks for a new item no more often when many handlers of a process wait for one', async () => {
    const name = newName()
    const asked: string[] = []
    const noted =
      <Args extends unknown[], T>(what: string, act: (...args: Args) => T) =>
      (...args: Args): T => {
        asked.push(what)
        return act(...args)
      }
    let store = withCall(
      kv,
      'txn',
      noted('txn', (...args) => kv.txn(...args)),
    )
    store = withCall(
      store,
      'list',
      noted('list', (...args) => kv.list(...args)),
    )
    store = withCall(
      store,
      'count',
      noted('count', (...args) => kv.count(...args)),
    )
    const watching = Promise.withResolvers<void>()
    store = withCall(
      store,
      'watch',
      noted('watch', (options) => {
        watching.resolve()
        return kv.watch(options)
      }),
    )
    const end = new AbortController()
    const handler = () => end.abort()
    const consuming = queue(store, name).consume(handler, { signal: end.signal, concurrency: 50 })
    await watching.promise
    await queue(kv, name).push('x')
    await consuming
    expect(await queue(kv, name).len()).toEqual({ ready: 0, held: 0, dead: 0 })
    expect(asked.length, asked.join(' ')).toBeLessThan(25)
  })

  it('takes nothing more once its signal has fired', async () => {
    const name = newName()
    for (let n = 0; n < 8; n++) await queue(kv, name).push(String(n))
    const end = new AbortController()
    // The signal fires while all workers look for an item.
    const store = withCall(kv, 'list', (options) => {
      end.abort()
      return kv.list(options)
    })
    await queue(store, name).consume(() => {}, { signal: end.signal, concurrency: 4 })
    expect(await queue(kv, name).len()).toEqual({ ready: 8, held: 0, dead: 0 })
  })

  it('gives back what a handler has thrown at, says so, and goes on', async () => {
    const name = newName()
    const own = queue(kv, name, { attemptsMax: 2 })
    await own.push('bad')
    await own.push('good')
    const end = new AbortController()
    const errors: string[] = []
    let handled = 0
    await own.consume(
      (item) => {
        if (++handled === 3) end.abort()
        if (item.text() === 'bad') throw new Error('cannot')
      },
      {
        signal: end.signal,
        retryDelayMs: 0,
        onError: (error, item) => errors.push(`${item?.text()}: ${String(error)}`),
      },
    )
    expect(errors).toEqual(['bad: Error: cannot', 'bad: Error: cannot'])
    expect(await own.len()).toEqual({ ready: 0, held: 0, dead: 1 })
    expect(await lettersOf(own)).toMatchObject([{ error: 'cannot', attempts: 2 }])
  })

  it('keeps an item back for as long as it is told to when its handler has thrown', async () => {
    const name = newName()
    const own = queue(kv, name)
    const id = await own.push('a')
    const end = new AbortController()
    const options = { signal: end.signal, retryDelayMs: 3_600_000, onError: () => end.abort() }
    await own.consume(() => Promise.reject(new Error('not now')), options)
    const lease = (await kv.get(`queue/${name}/hold/${id}`))?.lease ?? ''
    expect((await kv.lease(lease))?.grantedTtlMs).toBe(3_600_000)
  })

  it('gives back an item at once whatever its handler has thrown', async () => {
    const own = queue(kv, newName(), { attemptsMax: 1 })
    await own.push('long')
    await own.push('strange')
    const end = new AbortController()
    const errors: unknown[] = []
    await own.consume(
      (item) => {
        if (item.text() === 'strange') end.abort()
        throw item.text() === 'long' ? new Error('x'.repeat(2 ** 21)) : Object.create(null)
      },
      { signal: end.signal, onError: (error) => errors.push(error) },
    )
    expect(errors).toHaveLength(2)
    expect(await own.len()).toEqual({ ready: 0, held: 0, dead: 2 })
  })

  it('renews the hold of an item no more often than before once a renewal has failed', async () => {
    const name = newName()
    const renewedAt: number[] = []
    const faulty = withCall(kv, 'txn', async (txn, options) => {
      const [only, ...others] = txn.success ?? []
      const isRenewal = others.length === 0 && only !== undefined && 'put' in only
      if (isRenewal && renewedAt.push(performance.now()) === 1) throw new Error('unreachable')
      return kv.txn(txn, options)
    })
    await queue(kv, name).push('a')
    const end = new AbortController()
    await queue(faulty, name, { visibilityMs: 1_000 }).consume(
      async () => {
        await expect.poll(() => renewedAt.length).toBeGreaterThan(2)
        end.abort()
      },
      { signal: end.signal },
    )
    const [, again = 0, next = 0] = renewedAt
    expect(next - again).toBeGreaterThan(300)
  })

  it('holds an item for as long as its handler runs', async () => {
    const name = newName()
    const own = queue(kv, name, { visibilityMs: 1_000 })
    await own.push('long')
    const end = new AbortController()
    await own.consume(
      async (item) => {
        await sleep(2_500)
        expect(item.signal.aborted).toBe(false)
        end.abort()
      },
      { signal: end.signal },
    )
    await expectEmpty(name)
  })
})

describe('under faults', () => {
  itWithAnySeed('loses no item, acknowledges none twice, and is empty in the end', async () => {
    const name = newName()
    const options = { visibilityMs: 1_000, attemptsMax: 1_000 }
    const pushed = new Set<string>()
    const mayBePushed = new Set<string>()
    const delivered = new Map<string, number>()
    const acknowledged = new Map<string, number>()
    const clients = Array.from({ length: 6 }, () => unsure(newClient({ timeoutMs: 10_000 }), 0.1))

    const produce = async (at: number) => {
      const own = queue(clients[at]?.kv ?? kv, name, options)
      for (let n = 0; n < 25; n++) {
        const text = `${at}-${n}`
        const delayMs = Math.random() < 0.1 ? 1_000 : 0
        try {
          await own.push(text, { priority: Math.floor(Math.random() * 3), delayMs })
          pushed.add(text)
        } catch {
          mayBePushed.add(text)
        }
      }
    }
    const end = new AbortController()
    const work = async (at: number) => {
      const own = queue(clients[at]?.kv ?? kv, name, options)
      while (!end.signal.aborted) {
        try {
          const item = await own.pop({ waitMs: 200 })
          if (item === undefined) continue
          const text = item.text()
          delivered.set(text, (delivered.get(text) ?? 0) + 1)
          const what = Math.random()
          if (what < 0.1) continue // It dies.
          if (what < 0.2) {
            await item.nack(Math.random() < 0.5 ? {} : { delayMs: 1_000 })
            continue
          }
          await item.ack()
          acknowledged.set(item.id, (acknowledged.get(item.id) ?? 0) + 1)
        } catch {
          // The outcome was unknown.
          await sleep(1)
        }
      }
    }
    const workers = [0, 1, 2, 3, 4, 5].map(work)
    const producers = [0, 1, 2].map(produce)
    await sleep(50)
    loseLeader()
    await Promise.all(producers)
    for (const client of clients) client.isOn = false
    const own = queue(kv, name, options)
    await expect.poll(() => own.len()).toMatchObject({ ready: 0, held: 0 })
    end.abort()
    await Promise.all(workers)
    expect(clients.reduce((sum, { eaten }) => sum + eaten, 0)).toBeGreaterThan(0)
    expect([...pushed].filter((text) => !delivered.has(text))).toEqual([])
    expect([...delivered.keys()].filter((text) => !pushed.has(text) && !mayBePushed.has(text))).toEqual([])
    expect([...acknowledged].filter(([, times]) => times > 1)).toEqual([])
    await expectEmpty(name)
  })
})

it('ends with its client, and fails because of it', async () => {
  const client = newClient()
  const own = queue(client, newName())
  const consuming = own.consume(() => {}, { signal: new AbortController().signal, onError: () => {} })
  await client.close()
  await expect(consuming).rejects.toMatchObject({ code: 'closed' })
})

it('waits for the handlers under way when its client is closed', async () => {
  const client = newClient()
  const own = queue(client, newName())
  await own.push('x')
  let isDone = false
  const handler = async () => {
    await client.close()
    await sleep(20)
    isDone = true
  }
  const options = { signal: new AbortController().signal, concurrency: 3, onError: () => {} }
  await expect(own.consume(handler, options)).rejects.toMatchObject({ code: 'closed' })
  expect(isDone).toBe(true)
})

it('leaves out and reports keys that no queue has written', async () => {
  const name = newName()
  const keys = ['item/0', 'hold/0', 'dead/0', 'ready/0'].map((key) => `queue/${name}/${key}`)
  for (const key of keys) await kv.put(key, 'of an import')
  const warned = vi.spyOn(process, 'emitWarning')
  const own = queue(kv, name)
  const id = await own.push('gone')
  await kv.put(`queue/${name}/item/${id}`, '{"attempts":0,"error":{}}')
  await own.push('work')
  expect((await own.peek())?.text()).toBe('work')
  const item = await own.pop()
  expect(item?.text()).toBe('work')
  await item?.ack()
  expect(await own.pop()).toBeUndefined()
  for await (const { id } of own.dead.list()) expect.fail(id)
  expect(await own.dead.requeue()).toBe(0)
  expect(await own.dead.requeue('0')).toBe(0)
  for (const key of keys) expect((await kv.get(key))?.text()).toBe('of an import')
  const reported = keys.slice(0, 3).map((key) => [expect.stringContaining(key), 'QuorateWarning'])
  expect(warned.mock.calls).toEqual(expect.arrayContaining(reported))
  expect(warned).toHaveBeenCalledTimes(4)
})

it('delivers items whose values an import writes later, and counts no attempt before', async () => {
  const name = newName()
  for (const text of ['a', 'b']) await queue(kv, name).push(text)
  const values = new Map<Uint8Array, Uint8Array>()
  for await (const { keyBytes, value } of kv.list({ prefix: `queue/${name}/value/` }))
    values.set(keyBytes, value)
  await kv.deleteRange({ prefix: `queue/${name}/value/` })
  const warned = vi.spyOn(process, 'emitWarning')
  const jobs = queue(kv, name, { visibilityMs: 1_000, attemptsMax: 1 })
  for (let n = 0; n < 4; n++) expect(await jobs.pop({ waitMs: 1_000 })).toBeUndefined()
  expect(await jobs.len()).toMatchObject({ dead: 0 })
  expect(warned).toHaveBeenCalledTimes(2)
  expect(warned.mock.calls[0]?.[0]).toContain('an import that still runs may write its value')
  for (const [key, value] of values) await kv.put(key, value)
  const items = [await jobs.pop({ waitMs: 5_000 }), await jobs.pop({ waitMs: 5_000 })]
  expect(items).toMatchObject([{ attempts: 1 }, { attempts: 1 }])
  expect(items.map((item) => item?.text()).toSorted()).toEqual(['a', 'b'])
  for (const item of items) await item?.ack()
})

test('reports a thousand foreign keys at most, once each', async () => {
  // A copy of the module: the other tests expect that the process has reported nothing yet.
  const copy = '../../src/recipes/foreign-keys.ts?copy'
  const { reportForeignKey }: typeof import('../../src/recipes/foreign-keys.ts') = await import(copy)
  const keys = Array.from({ length: 1_500 }, (_, n) => `k${n}`)
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  for (const key of [...keys, ...keys]) reportForeignKey('queue', key)
  const messages = warned.mock.calls.map(([message]) => String(message))
  warned.mockRestore()
  expect(messages).toHaveLength(1_000)
  expect(messages[0]).toContain('"k0"')
  expect(messages.at(-1)).toContain('no more are reported')
})
