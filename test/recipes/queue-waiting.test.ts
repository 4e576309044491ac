// Many processes that wait for the items of one queue, in a time that the test makes pass: so how often they try
// depends on no machine.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { stream } from '../../jepsen-lite/workload/random.ts'
import {
  AbortedError,
  type AnswerInfo,
  type KvRecord,
  type TxnComparison,
  type TxnOperation,
  type TxnOperationResult,
  type Watch,
  type WatchBatch,
  type WatchEvent,
} from '../../src/client/index.ts'
import { type QueueClient, queue } from '../../src/recipes/queue.ts'

const draw = stream(1, 0, 0)
const { random } = Math
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  // A mock would keep every call.
  Math.random = draw
})
afterEach(() => {
  Math.random = random
  vi.useRealTimers()
})

const nameOf = (bytes: string | Uint8Array = '') => Buffer.from(bytes).toString('latin1')

/** One way takes from 1 to 3 ms. */
const way = () => new Promise<void>((resolve) => setTimeout(resolve, 1 + 2 * draw()))

/** What a queue needs of a store, in memory: no lease ends in this time. */
class Store {
  readonly #records = new Map<string, KvRecord>()
  readonly #batches: WatchBatch[] = []
  readonly #wakes = new Set<() => void>()
  #revision = 1
  /** Transactions that compare: items taken, tried to take, or acknowledged. */
  compared = 0

  readonly client: QueueClient = {
    count: async (place = {}) => {
      await way()
      const count = this.#under(nameOf(place.prefix)).length
      await way()
      return count
    },
    get: async (key) => {
      await way()
      const found = this.#records.get(nameOf(key))
      await way()
      return found
    },
    list: (options = {}) => this.#list(nameOf(options.prefix), options.limit, options.onAnswer),
    txn: async ({ compare = [], success = [] }) => {
      await way()
      if (compare.length > 0) this.compared += 1
      const succeeded = compare.every((each) => this.#holds(each))
      const results = succeeded ? this.#done(success) : []
      const revision = this.#revision
      await way()
      return { succeeded, revision, results }
    },
    watch: (options) => watchOf(this.#changes(nameOf(options.start), nameOf(options.end), options)),
  }

  #under(prefix: string): KvRecord[] {
    const names = [...this.#records.keys()].filter((name) => name.startsWith(prefix)).toSorted()
    return names.flatMap((name) => this.#records.get(name) ?? [])
  }

  async *#list(prefix: string, limit = Number.POSITIVE_INFINITY, onAnswer?: (answer: AnswerInfo) => void) {
    await way()
    const found = this.#under(prefix).slice(0, limit)
    const revision = this.#revision
    await way()
    onAnswer?.({ revision, node: undefined, consistency: undefined, stalenessMs: undefined })
    yield* found
  }

  #holds(comparison: TxnComparison): boolean {
    const key = 'key' in comparison ? comparison.key : undefined
    const revision = 'to' in comparison ? comparison.to : 0
    return (this.#records.get(nameOf(key))?.modRevision ?? 0) === revision
  }

  #done(operations: readonly TxnOperation[]): TxnOperationResult[] {
    const revision = this.#revision + 1
    const events: WatchEvent[] = []
    const results = operations.map((each): TxnOperationResult => {
      if ('put' in each) {
        const kv = recordOf(nameOf(each.put.key), Buffer.from(each.put.value), revision)
        this.#records.set(kv.key, kv)
        events.push({ type: 'put', key: kv.key, keyBytes: kv.keyBytes, kv })
        return { put: { createRevision: revision, modRevision: revision, version: 1 } }
      }
      if ('txn' in each) throw new Error('a queue needs no transactions in transactions')
      const place = 'get' in each ? each.get : each.delete
      const found = this.#records.get(nameOf('key' in place ? place.key : undefined))
      if ('delete' in each) {
        if (found === undefined) return { delete: { deleted: 0 } }
        this.#records.delete(found.key)
        events.push({ type: 'delete', key: found.key, keyBytes: found.keyBytes, modRevision: revision })
        return { delete: { deleted: 1 } }
      }
      const kvs = found === undefined ? [] : [found]
      return { get: { kvs, more: false, count: kvs.length } }
    })
    if (events.length === 0) return results
    this.#revision = revision
    this.#batches.push({ revision, events })
    for (const wake of this.#wakes) wake()
    return results
  }

  async *#changes(
    start: string,
    end: string,
    { fromRevision = 0, signal }: { fromRevision?: number | undefined; signal?: AbortSignal | undefined },
  ): AsyncGenerator<WatchBatch, undefined, undefined> {
    await way()
    for (let at = 0; ; at++) {
      while (at >= this.#batches.length && signal?.aborted !== true) await this.#change(signal)
      if (signal?.aborted === true) throw new AbortedError('aborted', { code: 'aborted', written: 'no' })
      const batch = this.#batches[at]
      if (batch === undefined || batch.revision < fromRevision) continue
      const events = batch.events.filter(({ key }) => key >= start && key < end)
      if (events.length === 0) continue
      await way()
      yield { revision: batch.revision, events }
    }
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakes.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#wakes.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }
}

function recordOf(key: string, value: Buffer, revision: number): KvRecord {
  return {
    ...{ key, keyBytes: Buffer.from(key, 'latin1'), value, lease: undefined },
    ...{ createRevision: revision, modRevision: revision, version: 1 },
    text: () => value.toString(),
    json: () => JSON.parse(value.toString()),
  }
}

function watchOf(changes: AsyncGenerator<WatchBatch, undefined, undefined>): Watch {
  const end = async () => {
    await changes.return(undefined)
  }
  return {
    ready: Promise.resolve(0),
    revision: 0,
    next: () => changes.next(),
    return: () => changes.return(undefined),
    close: end,
    [Symbol.asyncIterator]() {
      return this
    },
    [Symbol.asyncDispose]: end,
  }
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Makes time pass until it has ended. */
async function passed<T>(work: Promise<T>): Promise<T> {
  let isOver = false
  const over = work.finally(() => {
    isOver = true
  })
  over.catch(() => undefined)
  while (!isOver) await vi.advanceTimersByTimeAsync(1)
  return over
}

it('gives an item whose signal does not fire any more once it is acknowledged, or given back', async () => {
  const own = queue(new Store().client, 'q', { visibilityMs: 30_000 })
  for (const text of ['a', 'b', 'c']) await passed(own.push(text))
  const [done, back, kept] = [await passed(own.pop()), await passed(own.pop()), await passed(own.pop())]
  await vi.advanceTimersByTimeAsync(10_000)
  await passed(kept?.extend() ?? Promise.reject(new Error('there are three')))
  await passed(done?.ack() ?? Promise.reject(new Error('there are three')))
  await passed(back?.nack() ?? Promise.reject(new Error('there are three')))
  await vi.advanceTimersByTimeAsync(29_000)
  expect([done, back, kept].map((item) => item?.signal.aborted)).toEqual([false, false, false])
  await vi.advanceTimersByTimeAsync(60_000)
  expect([done, back, kept].map((item) => item?.signal.aborted)).toEqual([false, false, true])
})

it('does not make all that wait try for one item', async () => {
  const store = new Store()
  const own = queue(store.client, 'q')
  const end = new AbortController()
  let done = 0
  const handler = () => {
    done += 1
  }
  const waiting = Array.from({ length: 12 }, () =>
    queue(store.client, 'q').consume(handler, { signal: end.signal, onError: () => {} }),
  )
  await passed(
    (async () => {
      for (let n = 0; n < 40; n++) {
        await own.push(String(n))
        for (let left = 1; left > 0; ) {
          const { ready, held } = await own.len()
          left = ready + held
        }
      }
    })(),
  )
  end.abort()
  await passed(Promise.all(waiting))
  expect(done).toBe(40)
  // Taking and acknowledging are 80. If each of twelve tried for each, it would be 520.
  expect(store.compared).toBeLessThan(260)
})

it('keeps nothing of calls that have waited in vain, while others wait on', async () => {
  const own = queue(new Store().client, 'q')
  const end = new AbortController()
  const waiting = own.consume(() => {}, { signal: end.signal })
  const waitInVain = async (times: number) => {
    for (let n = 0; n < times; n++)
      await passed(Promise.all(Array.from({ length: 100 }, () => own.pop({ waitMs: 20 }))))
    for (let n = 0; n < 3; n++) {
      await vi.advanceTimersByTimeAsync(1)
      collect()
    }
    return process.memoryUsage().heapUsed
  }
  await waitInVain(20)
  const before = await waitInVain(20)
  const after = await waitInVain(60)
  end.abort()
  await passed(waiting)
  // Each of 6,000 that were kept would be more than 1,000.
  expect((after - before) / 6_000).toBeLessThan(700)
})
