// A store with many keys and leases, as a node serves it over HTTP: reads of keys, ranges and leases, transactions, and
// puts and deletes. Keys and values are text.

import { compareKeys } from '../../src/operations/forms/places.ts'
import { answer, problem, type SentRequest } from './fake-node.ts'

interface Stored {
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly lease: string | undefined
}

/** The place of a read, as JSON or a query names it. */
interface Place {
  readonly key?: string
  readonly prefix?: string
  readonly start?: string
  readonly end?: string
}

interface Get extends Place {
  readonly limit?: number
  readonly keys_only?: boolean
  readonly count?: boolean
  readonly count_only?: boolean
}

interface Put {
  readonly key: string
  readonly value?: string
  readonly lease?: string
}

interface Comparison extends Place {
  readonly target?: 'version' | 'create_revision' | 'mod_revision'
  readonly to?: number
  readonly exists?: boolean
}

interface Operation {
  readonly get?: Get
  readonly put?: Put
  readonly delete?: Place
  readonly txn?: Txn
}

interface Txn {
  readonly compare?: readonly Comparison[]
  readonly success?: readonly Operation[]
  readonly failure?: readonly Operation[]
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export class FakeKeys {
  revision = 1
  readonly leases = new Map<string, { readonly ttlMs: number; readonly endsAt: number }>()
  /** Keys that one transaction may read. */
  txnReadsMax = 10_000
  readonly #keys = new Map<string, Stored>()

  put(key: string, value = '', lease?: string): Stored {
    this.revision++
    const before = this.#keys.get(key)
    const stored = {
      ...{ value, lease, modRevision: this.revision, version: (before?.version ?? 0) + 1 },
      createRevision: before?.createRevision ?? this.revision,
    }
    this.#keys.set(key, stored)
    return stored
  }

  delete(key: string): void {
    if (this.#keys.delete(key)) this.revision++
  }

  get(key: string): Stored | undefined {
    return this.#keys.get(key)
  }

  serve({ method, path, body }: SentRequest): Response {
    const { pathname, searchParams: query } = new URL(path, 'http://n1')
    const headers = { 'kv-consistency': query.get('consistency') ?? 'linearizable', 'kv-staleness-ms': '7' }
    if (pathname === '/v1/txn') return this.#txn(body, headers)
    if (pathname === '/v1/leases') return answer(this.#listLeases(query), headers)
    const [, lease] = /^\/v1\/leases\/(\d+)$/.exec(pathname) ?? []
    if (lease !== undefined) return this.#showLease(lease, headers)
    const [, name] = /^\/v1\/kv\/(.+)$/.exec(pathname) ?? []
    const key = name === undefined ? undefined : decodeURIComponent(name)
    if (pathname === '/v1/kv')
      return answer({ ...this.#read(readQuery(query)), revision: this.revision }, headers)
    if (key === undefined) return problem('not_found', 404)
    if (method !== 'GET') return problem('method_not_allowed', 405)
    const stored = this.#keys.get(key)
    return stored === undefined ? problem('not_found', 404) : answer(recordOf(key, stored), headers)
  }

  #txn(body: string, headers: Record<string, string>): Response {
    const txn = JSON.parse(body) as Txn
    const operations = (this.#holdsAll(txn) ? txn.success : txn.failure) ?? []
    const read = operations.flatMap(({ get }) => (get === undefined ? [] : this.#found(get)))
    if (read.length > this.txnReadsMax) return problem('range_too_large', 413)
    const result = this.#applyAll(txn)
    return answer({ revision: this.revision, ...result }, headers)
  }

  #holdsAll({ compare = [] }: Txn): boolean {
    return compare.every((each) => this.#holds(each))
  }

  #applyAll(txn: Txn): object {
    const succeeded = this.#holdsAll(txn)
    const operations = (succeeded ? txn.success : txn.failure) ?? []
    return { succeeded, results: operations.map((each) => this.#apply(each)) }
  }

  #holds({ key = '', target, to = 0, exists }: Comparison): boolean {
    const stored = this.#keys.get(key)
    if (exists !== undefined) return exists === (stored !== undefined)
    const { modRevision = 0, createRevision = 0, version = 0 } = stored ?? {}
    const facts = { mod_revision: modRevision, create_revision: createRevision, version }
    return target !== undefined && facts[target] === to
  }

  #apply({ get, put, delete: place, txn }: Operation): object {
    if (txn !== undefined) return { txn: this.#applyAll(txn) }
    if (get !== undefined) return { get: this.#read(get) }
    if (put !== undefined) {
      const { createRevision, modRevision, version } = this.put(put.key, put.value, put.lease)
      return { put: { create_revision: createRevision, mod_revision: modRevision, version } }
    }
    const keys = this.#found(place ?? {}).map(([key]) => key)
    for (const key of keys) this.delete(key)
    return { delete: { deleted: keys.length } }
  }

  #found({ key, prefix, start, end }: Place): (readonly [string, Stored])[] {
    const isIn = (each: string): boolean => {
      if (key !== undefined) return each === key
      if (prefix !== undefined) return each.startsWith(prefix)
      return (
        compareKeys(bytes(each), bytes(start ?? '')) >= 0 &&
        (end === undefined || compareKeys(bytes(each), bytes(end)) < 0)
      )
    }
    return [...this.#keys].filter(([each]) => isIn(each)).sort(([a], [b]) => compareKeys(bytes(a), bytes(b)))
  }

  #read(get: Get): object {
    const found = this.#found(get)
    const counted = get.count === true || get.count_only === true ? { count: found.length } : {}
    if (get.count_only === true) return { kvs: [], more: false, ...counted }
    const page = found.slice(0, get.limit)
    const kvs = page.map(([key, stored]) => recordOf(key, stored, get.keys_only))
    const more = page.length < found.length
    return { kvs, more, ...(more && { next: page.at(-1)?.[0] }), ...counted }
  }

  #alive(): (readonly [string, { readonly ttlMs: number; readonly endsAt: number }])[] {
    return [...this.leases].filter(([, { endsAt }]) => endsAt > Date.now())
  }

  #listLeases(query: URLSearchParams): object {
    const after = BigInt(query.get('after') ?? 0)
    const found = this.#alive()
      .filter(([id]) => BigInt(id) > after)
      .sort(([a], [b]) => (BigInt(a) < BigInt(b) ? -1 : 1))
    const limit = Number(query.get('limit') ?? found.length)
    return {
      leases: found.slice(0, limit).map(([id, { ttlMs, endsAt }]) => leaseOf(id, ttlMs, endsAt)),
      ...{ more: found.length > limit, revision: this.revision },
    }
  }

  #showLease(id: string, headers: Record<string, string>): Response {
    const found = this.#alive().find(([each]) => each === id)?.[1]
    if (found === undefined) return problem('lease_not_found', 404)
    const keys = this.#found({}).flatMap(([key, { lease }]) => (lease === id ? [key] : []))
    return answer({ ...leaseOf(id, found.ttlMs, found.endsAt), keys }, headers)
  }
}

const leaseOf = (id: string, ttlMs: number, endsAt: number): object => ({
  ...{ id, granted_ttl_ms: ttlMs, remaining_ttl_ms: endsAt - Date.now() },
})

function recordOf(key: string, stored: Stored, isKeyOnly = false): object {
  const { value, createRevision, modRevision, version, lease } = stored
  return {
    ...{ key, create_revision: createRevision, mod_revision: modRevision, version },
    ...(isKeyOnly ? {} : { value }),
    ...(lease === undefined ? {} : { lease }),
  }
}

function readQuery(query: URLSearchParams): Get {
  const text = (name: string): string | undefined => query.get(name) ?? undefined
  const [prefix, start, end, limit] = ['prefix', 'start', 'end', 'limit'].map(text)
  return {
    ...(prefix !== undefined && { prefix }),
    ...(start !== undefined && { start }),
    ...(end !== undefined && { end }),
    ...(limit !== undefined && { limit: Number(limit) }),
    ...{ keys_only: query.has('keys_only'), count: query.has('count'), count_only: query.has('count_only') },
  }
}
