// The heaviest request of each kind, with what the store must hold before.

import { setTimeout as sleep } from 'node:timers/promises'

export interface Sizes {
  /** Keys of a range, or of a lease. */
  readonly keys: number
  /** Bytes of these keys together. */
  readonly keyBytes: number
  /** Bytes of records in one answer. */
  readonly answerBytes: number
}

export interface HeavyRequest {
  readonly name: string
  /** Returns a function that sends the request, and waits until it has taken effect everywhere. */
  prepare(store: TestStore, sizes: Sizes): Promise<() => Promise<void>>
}

interface PutOptions {
  readonly value?: string
  readonly ttl?: string
  readonly lease?: string
}

/** The store under test, through one node. */
export class TestStore {
  readonly #urls: readonly [string, ...string[]]
  readonly #watches: AbortController[] = []
  /** The header of all requests, once rights are checked. */
  authorization: string | undefined

  constructor(urls: readonly [string, ...string[]]) {
    this.#urls = urls
  }

  /** The node that gets the requests. */
  get url(): string {
    return this.#urls[0]
  }

  get #headers(): Record<string, string> {
    return this.authorization === undefined ? {} : { authorization: this.authorization }
  }

  /**
   * Repeats a request that an overloaded node refuses: nothing was written. `mayFail`: statuses that are no error of
   * the benchmark.
   */
  async call(method: string, path: string, body?: unknown, mayFail: readonly number[] = []): Promise<string> {
    const headers = this.#headers
    const json = { headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) }
    const url =
      path === '/metrics'
        ? this.#urls[0] + path
        : `${this.#urls[0]}${path}${path.includes('?') ? '&' : '?'}timeout=30s`
    const response = await fetch(url, { method, headers, ...(body !== undefined && json) })
    const text = await response.text()
    if (response.ok || mayFail.includes(response.status)) return text
    if (response.status !== 429)
      throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 200)}`)
    await sleep(1_000 * Number(response.headers.get('retry-after')))
    return this.call(method, path, body, mayFail)
  }

  txn(success: readonly object[], compare: readonly object[] = [], path = '/v1/txn'): Promise<string> {
    return this.call('POST', path, { compare, success, failure: [] })
  }

  /** Puts keys, a batch or transaction at a time. */
  async put(keys: readonly string[], { value = '', ttl, lease }: PutOptions = {}): Promise<void> {
    const bytes = (keys[0]?.length ?? 0) + JSON.stringify(value).length + 80
    const count = Math.max(1, Math.min(1000, Math.floor(1_400_000 / bytes)))
    for (let at = 0; at < keys.length; at += count) {
      const changes = keys.slice(at, at + count).map((key) => ({ put: { key, value, ttl, lease } }))
      await this.call('POST', '/v1/changes', { changes })
    }
  }

  async grant(ttl: string): Promise<string> {
    const { lease, id } = JSON.parse(await this.call('POST', '/v1/leases', { ttl }))
    return lease ?? id
  }

  /** Opens a watch at every node. Its events are read and dropped. */
  async watch(query: string): Promise<void> {
    for (const url of this.#urls) {
      const controller = new AbortController()
      this.#watches.push(controller)
      const response = await fetch(`${url}/v1/watch?${query}`, {
        headers: this.#headers,
        signal: controller.signal,
      })
      void drop(response)
    }
  }

  endWatches(): void {
    for (const watch of this.#watches.splice(0)) watch.abort()
  }

  /** Deletes everything that a request has left. */
  async clear(): Promise<void> {
    this.endWatches()
    for (let left = true; left; ) {
      const { kvs } = JSON.parse(await this.call('GET', '/v1/kv?prefix=&limit=5000&keys_only=true'))
      left = kvs.length > 0
      const changes = kvs.slice(0, 1000).map(({ key }: { key: string }) => ({ delete: { key } }))
      if (left) await this.call('POST', '/v1/changes', { changes })
    }
  }

  async term(): Promise<number> {
    const response = await fetch(`${this.#urls[0]}/v1/kv/nothing?consistency=stale`, {
      headers: this.#headers,
    })
    await response.text()
    return Number(response.headers.get('kv-term'))
  }

  /** Waits until what was written is applied and durable everywhere, and history is compacted. */
  async settle(): Promise<void> {
    await sleep(2_000)
  }
}

async function drop({ body }: Response): Promise<void> {
  try {
    for await (const _ of body ?? []);
  } catch {
    // The watch was ended.
  }
}

/** Keys with a common prefix, all of them together of about so many bytes. */
export function keysOf(prefix: string, { keys, keyBytes }: Sizes): string[] {
  const length = Math.min(4096, Math.floor(keyBytes / keys) - 1)
  return Array.from({ length: keys }, (_, at) =>
    `${prefix}${String(at).padStart(6, '0')}`.padEnd(length, 'y'),
  )
}

const shortKeys = (prefix: string, { keys }: Sizes): string[] =>
  Array.from({ length: keys }, (_, at) => `${prefix}${String(at).padStart(6, '0')}`)

const deletesRange: (store: TestStore) => () => Promise<void> = (store) => async () => {
  await store.call('DELETE', '/v1/kv?prefix=b')
}

export const HEAVY_REQUESTS: readonly HeavyRequest[] = [
  {
    name: 'delete of a range',
    async prepare(store, sizes) {
      await store.put(keysOf('b', sizes))
      return deletesRange(store)
    },
  },
  {
    name: 'delete of a range, a lease for each key',
    async prepare(store, sizes) {
      await store.put(keysOf('b', sizes), { ttl: '1h' })
      return deletesRange(store)
    },
  },
  {
    name: 'delete of a range, 5 watches with prev on each node',
    async prepare(store, sizes) {
      await store.put(keysOf('b', sizes), { ttl: '1h' })
      for (let at = 0; at < 5; at++) await store.watch(`start=b00000${at}&end=c&prev=true`)
      return deletesRange(store)
    },
  },
  {
    name: 'delete of a range of short keys, 5 watches with prev on each node',
    async prepare(store, sizes) {
      await store.put(shortKeys('b', sizes))
      for (let at = 0; at < 5; at++) await store.watch(`start=b00000${at}&end=c&prev=true`)
      return deletesRange(store)
    },
  },
  {
    name: 'transaction: delete of a range with prev',
    async prepare(store, sizes) {
      await store.put(keysOf('b', sizes), { ttl: '1h' })
      return async () => {
        await store.txn([{ put: { key: 'z', value: '' } }, { delete: { prefix: 'b', prev: true } }])
      }
    },
  },
  {
    name: 'transaction: delete with prev of values that JSON escapes',
    async prepare(store, { keys, answerBytes }) {
      const count = Math.min(keys, 1000)
      const value = '\u0001'.repeat(Math.floor(answerBytes / count) - 8)
      await store.put(shortKeys('b', { keys: count, keyBytes: 0, answerBytes }), { value })
      return async () => {
        await store.txn([{ put: { key: 'z', value: '' } }, { delete: { prefix: 'b', prev: true } }])
      }
    },
  },
  {
    name: 'transaction: 127 puts, and a get of a range',
    async prepare(store, sizes) {
      await store.put(keysOf('b', sizes))
      const puts = Array.from({ length: 127 }, (_, at) => ({ put: { key: `z${at}`, value: '' } }))
      return async () => {
        await store.txn([...puts, { get: { prefix: 'b', keys_only: true } }])
      }
    },
  },
  {
    name: 'transaction: comparison of the values of a range',
    async prepare(store, sizes) {
      await store.put(shortKeys('b', sizes), {
        value: 'v'.repeat(Math.floor(sizes.answerBytes / sizes.keys)),
      })
      return async () => {
        const compare = [{ prefix: 'b', target: 'value', op: '!=', to: 'w' }]
        await store.txn([{ put: { key: 'z', value: '' } }], compare)
      }
    },
  },
  {
    name: 'transaction without changes: 384 ranges, after a delete of a range',
    async prepare(store, sizes) {
      await store.put(keysOf('b', sizes))
      const range = { prefix: 'b', limit: 1, keys_only: true }
      const gets = Array.from({ length: 128 }, () => ({ get: range }))
      const compare = Array.from({ length: 128 }, () => ({ prefix: 'b', target: 'version', op: '>', to: 0 }))
      return async () => {
        await store.call('DELETE', '/v1/kv?prefix=b')
        // It may read more than the time allows, and is refused then.
        await store.call(
          'POST',
          '/v1/txn?consistency=stale',
          { compare, success: gets, failure: gets },
          [429],
        )
      }
    },
  },
  {
    name: 'get of a range, after a delete of a range',
    async prepare(store, sizes) {
      await store.put(keysOf('b', sizes), { ttl: '1h' })
      return async () => {
        await store.call('DELETE', '/v1/kv?prefix=b')
        const reads = Array.from({ length: 32 }, () =>
          store.call('GET', '/v1/kv?prefix=a&limit=1&consistency=stale'),
        )
        await Promise.all(reads)
      }
    },
  },
  {
    name: 'revocation of a lease',
    async prepare(store, sizes) {
      const lease = await store.grant('1h')
      await store.put(keysOf('b', sizes), { lease })
      return async () => {
        await store.call('DELETE', `/v1/leases/${lease}`)
      }
    },
  },
  {
    name: 'end of a lease',
    async prepare(store, sizes) {
      const lease = await store.grant('20s')
      await store.put(keysOf('b', sizes), { lease })
      return async () => {
        for (let left = 300; left > 0; left--) {
          const { kvs } = JSON.parse(await store.call('GET', '/v1/kv?prefix=b&limit=1'))
          if (kvs.length === 0) return
          await sleep(100)
        }
      }
    },
  },
  {
    name: 'end of leases, one for each key',
    async prepare(store, sizes) {
      await store.put(keysOf('b', sizes), { ttl: '20s' })
      return async () => {
        for (let left = 300; left > 0; left--) {
          const { kvs } = JSON.parse(await store.call('GET', '/v1/kv?prefix=b&limit=1'))
          if (kvs.length === 0) return
          await sleep(100)
        }
      }
    },
  },
  {
    name: 'keys of a lease, list of leases, status, metrics',
    async prepare(store, sizes) {
      const lease = await store.grant('1h')
      await store.put(keysOf('b', sizes), { lease })
      return async () => {
        await store.call('GET', `/v1/leases/${lease}?keys=true`)
        await store.call('GET', '/v1/leases?limit=10000')
        await store.call('GET', '/v1/status')
        await store.call('GET', '/metrics')
      }
    },
  },
  {
    name: 'compaction of history',
    async prepare(store, sizes) {
      await store.put(keysOf('b', sizes), { ttl: '1h' })
      await store.call('DELETE', '/v1/kv?prefix=b')
      return async () => {
        const { revision } = JSON.parse(await store.call('GET', '/v1/kv?prefix=b&limit=1'))
        await store.call('POST', '/v1/compact', { revision })
      }
    },
  },
  {
    name: '32 batches of 1,000 puts with leases at once',
    async prepare(store) {
      return async () => {
        const batches = Array.from({ length: 32 }, (_, batch) =>
          store.call('POST', '/v1/changes', {
            changes: Array.from({ length: 1000 }, (_, at) => ({
              put: { key: `b${batch}-${at}`, value: 'v', ttl: '1h' },
            })),
          }),
        )
        await Promise.all(batches)
      }
    },
  },
  {
    name: 'batch of 1,000 puts of long keys, a lease for each',
    prepare: async (store) => async () => {
      const changes = Array.from({ length: 1000 }, (_, at) => ({
        put: { key: `b${at}`.padEnd(1300, 'y'), value: '', ttl: '1h' },
      }))
      await store.call('POST', '/v1/changes', { changes })
    },
  },
  {
    name: 'transaction: a put, and 20 gets with limit 1 of ranges of 1,000 keys',
    async prepare(store) {
      for (let at = 0; at < 20; at++)
        await store.put(shortKeys(`b${at}/`, { keys: 1000, keyBytes: 0, answerBytes: 0 }))
      const gets = Array.from({ length: 20 }, (_, at) => ({ get: { prefix: `b${at}/`, limit: 1 } }))
      return async () => {
        await store.txn([{ put: { key: 'z', value: '' } }, ...gets])
      }
    },
  },
  {
    name: '64 batches of 1,000 puts that are refused at once',
    async prepare(store) {
      const changes = Array.from({ length: 1000 }, (_, at) => ({
        put: { key: `b${at}`, value: '', if_none_match: '*' },
      }))
      await store.call('POST', '/v1/changes', { changes })
      return async () => {
        await Promise.all(Array.from({ length: 64 }, () => store.call('POST', '/v1/changes', { changes })))
      }
    },
  },
  {
    name: '64 puts with prev of values of 1 MiB at once',
    async prepare(store) {
      const keys = Array.from({ length: 64 }, (_, at) => `b${at}`)
      await Promise.all(keys.map((key) => store.call('PUT', `/v1/kv/${key}`, 'v'.repeat(2 ** 20 - 2))))
      return async () => {
        // The answers to more of them have no room.
        const puts = keys.map((key) => store.call('PUT', `/v1/kv/${key}?prev=true`, 'x', [429]))
        await Promise.all(puts)
      }
    },
  },
  {
    name: 'page of 10,000 records, with a count',
    async prepare(store, sizes) {
      await store.put(shortKeys('b', { ...sizes, keys: 20_000 }), { value: 'v'.repeat(100) })
      return async () => {
        await store.call('GET', '/v1/kv?prefix=b&limit=10000&count=true')
      }
    },
  },
]
