// A store in memory with the client's interface, on the virtual clock of the test: timers fire one after another
// without real waiting. It has revisions, history, leases, transactions and watches, but no faults: a test adds those
// to a client (with-call.ts, unsure-client.ts).

import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import { afterAll, expect, onTestFinished, vi } from 'vitest'
import {
  AbortedError,
  type CallOptions,
  type Client,
  CompactedError,
  type KvRecord,
  PreconditionFailedError,
  QuorateError,
  type Txn,
  type TxnComparison,
  type TxnOperation,
  type TxnOperationResult,
  UnavailableError,
  type WatchBatch,
  type WatchEvent,
  type WatchOptions,
} from '../../src/client/index.ts'
import { LeaseSessions } from '../../src/client/lease-sessions.ts'

/** Time of one way between client and store. */
const WAY_MS = 1
const ELECTION_MS = 1_500
const REQUEST_BYTES_MAX = 2_500_000

interface Lease {
  ttlMs: number
  expiresAt: number
  timer: NodeJS.Timeout
  readonly keys: Set<string>
}

interface Range {
  readonly key?: string | Uint8Array | undefined
  readonly prefix?: string | Uint8Array | undefined
  readonly start?: string | Uint8Array | undefined
  readonly end?: string | Uint8Array | undefined
}

interface ReadCall extends CallOptions, Range {
  readonly revision?: number | undefined
  readonly limit?: number | undefined
  readonly keysOnly?: boolean | undefined
  readonly ttlMs?: number | undefined
  readonly lease?: string | undefined
  readonly ifAbsent?: boolean | undefined
  readonly onAnswer?: ((answer: { revision: number }) => void) | undefined
}

const nameOf = (key: string | Uint8Array): string => Buffer.from(key).toString('latin1')

function containment({ key, prefix, start = '', end }: Range): (name: string) => boolean {
  const [first, last] = [nameOf(key ?? prefix ?? start), end === undefined ? undefined : nameOf(end)]
  if (key !== undefined) return (name) => name === first
  if (prefix !== undefined) return (name) => name.startsWith(first)
  return (name) => name >= first && (last === undefined || name < last)
}

/** The bytes of the values that a transaction puts. */
const bytesOf = ({ success = [], failure = [] }: Txn): number =>
  [...success, ...failure].reduce((sum, operation) => {
    if ('txn' in operation) return sum + bytesOf(operation.txn)
    return sum + ('put' in operation ? Buffer.byteLength(operation.put.value) : 0)
  }, 0)

const compactedError = (revision: number) =>
  new CompactedError(
    'compacted',
    { code: 'compacted', written: 'no' },
    { compactRevision: revision, resumeFrom: revision + 1 },
  )

const leaseNotFound = () =>
  new QuorateError('there is no such lease', { code: 'lease_not_found', written: 'no', status: 404 })

export class VirtualCluster {
  readonly #versions = new Map<string, { readonly revision: number; readonly record?: KvRecord }[]>()
  readonly #batches: WatchBatch[] = []
  readonly #leases = new Map<string, Lease>()
  readonly #clients: VirtualClient[] = []
  readonly wakes = new Set<() => void>()
  revision = 1
  compacted = 0
  rangeKeysMax = 10_000
  /** During an outage calls wait, as those of the client library do. */
  isDown = false
  #leaseId = 100

  /** One node, whose crash is an outage. */
  readonly nodes = [
    {
      name: 'n1',
      running: true,
      stop: async () => {
        this.isDown = true
      },
      crash: async () => {
        this.isDown = true
      },
      start: async () => {
        this.isDown = false
      },
    },
  ]

  /** The leader whose crash is an outage of the store until its successor is elected. */
  async waitForLeader() {
    return {
      crash: async () => {
        this.isDown = true
        setTimeout(() => {
          this.isDown = false
        }, ELECTION_MS)
      },
      start: async () => {},
    }
  }

  client({ timeoutMs = 30_000 }: { readonly timeoutMs?: number } = {}): Client {
    const client = new VirtualClient(this, timeoutMs)
    this.#clients.push(client)
    return client as unknown as Client
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close()
    for (const { timer } of this.#leases.values()) clearTimeout(timer)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  records(range: Range, at = this.revision): KvRecord[] {
    if (at < this.compacted) throw compactedError(this.compacted)
    const names =
      range.key === undefined
        ? [...this.#versions.keys()].filter(containment(range)).toSorted()
        : [nameOf(range.key)]
    return names.flatMap(
      (name) => this.#versions.get(name)?.findLast(({ revision }) => revision <= at)?.record ?? [],
    )
  }

  batchesFrom(revision: number): WatchBatch[] {
    if (revision <= this.compacted) throw compactedError(this.compacted)
    // The batch of revision 2 is the first one, and each later revision has one.
    return this.#batches.slice(Math.max(0, revision - 2))
  }

  apply(txn: Txn): { succeeded: boolean; results: TxnOperationResult[]; revision: number } {
    this.#checkLeases(txn)
    const revision = this.revision + 1
    const events: WatchEvent[] = []
    const outcome = this.#apply(txn, revision, events)
    this.#commit(revision, events)
    return { ...outcome, revision: this.revision }
  }

  grant(ttlMs: number): { id: string; ttlMs: number } {
    const id = String(this.#leaseId++)
    const lease = { ttlMs, expiresAt: performance.now() + ttlMs, keys: new Set<string>() }
    this.#leases.set(id, { ...lease, timer: setTimeout(() => this.revoke(id), ttlMs) })
    return { id, ttlMs }
  }

  keepAlive(id: string): { id: string; ttlMs: number | undefined } {
    const lease = this.#leases.get(id)
    if (lease === undefined) return { id, ttlMs: undefined }
    clearTimeout(lease.timer)
    lease.expiresAt = performance.now() + lease.ttlMs
    lease.timer = setTimeout(() => this.revoke(id), lease.ttlMs)
    return { id, ttlMs: lease.ttlMs }
  }

  revoke(id: string): void {
    const lease = this.#leases.get(id)
    if (lease === undefined) throw leaseNotFound()
    clearTimeout(lease.timer)
    this.#leases.delete(id)
    const revision = this.revision + 1
    const events: WatchEvent[] = []
    for (const name of lease.keys) this.#set(name, undefined, revision, events)
    this.#commit(revision, events)
  }

  lease(id: string): { id: string; grantedTtlMs: number; remainingTtlMs: number } | undefined {
    const lease = this.#leases.get(id)
    return (
      lease && {
        ...{ id, grantedTtlMs: lease.ttlMs },
        remainingTtlMs: Math.round(lease.expiresAt - performance.now()),
      }
    )
  }

  get leaseIds(): string[] {
    return [...this.#leases.keys()]
  }

  #checkLeases({ success = [], failure = [] }: Txn): void {
    for (const operation of [...success, ...failure]) {
      if ('txn' in operation) this.#checkLeases(operation.txn)
      if ('put' in operation && operation.put.lease !== undefined && !this.#leases.has(operation.put.lease))
        throw leaseNotFound()
    }
  }

  #apply(txn: Txn, revision: number, events: WatchEvent[]) {
    const succeeded = (txn.compare ?? []).every((comparison) => this.#holds(comparison, revision))
    const operations = (succeeded ? txn.success : txn.failure) ?? []
    return { succeeded, results: operations.map((operation) => this.#operate(operation, revision, events)) }
  }

  #operate(operation: TxnOperation, revision: number, events: WatchEvent[]): TxnOperationResult {
    if ('txn' in operation) return { txn: { ...this.#apply(operation.txn, revision, events), revision } }
    if ('put' in operation) {
      const { key, value, lease, ttlMs } = operation.put
      const attached = ttlMs === undefined ? lease : this.grant(ttlMs).id
      const before = this.records({ key }, revision)[0]
      const record = recordOf(nameOf(key), Buffer.from(value), attached, revision, before)
      this.#set(nameOf(key), record, revision, events)
      const { createRevision, modRevision, version } = record
      return { put: { createRevision, modRevision, version } }
    }
    if ('delete' in operation) {
      const found = this.records(operation.delete, revision)
      for (const { keyBytes } of found) this.#set(nameOf(keyBytes), undefined, revision, events)
      return { delete: { deleted: found.length } }
    }
    const { limit, keysOnly, countOnly, ...range } = operation.get
    const found = this.records(range, revision)
    if (limit === undefined && countOnly !== true && found.length > this.rangeKeysMax)
      throw new QuorateError('too many keys', { code: 'range_too_large', written: 'no', status: 400 })
    const kvs =
      countOnly === true ? [] : found.slice(0, limit).map((each) => (keysOnly ? withoutValue(each) : each))
    return { get: { kvs, more: found.length > kvs.length, count: found.length } }
  }

  #holds(comparison: TxnComparison, revision: number): boolean {
    if ('exists' in comparison) return this.records(comparison, revision).length > 0 === comparison.exists
    const found: (KvRecord | undefined)[] = this.records(comparison, revision)
    if ('key' in comparison && found.length === 0) found.push(undefined)
    return found.every((record) => {
      const actual = comparedValue(comparison.target, record)
      if (actual === undefined) return false
      const expected = comparison.target === 'value' ? nameOf(comparison.to) : comparison.to
      if (comparison.op === '=') return actual === expected
      if (comparison.op === '!=') return actual !== expected
      return comparison.op === '<' ? actual < expected : actual > expected
    })
  }

  #set(name: string, record: KvRecord | undefined, revision: number, events: WatchEvent[]): void {
    const versions = this.#versions.get(name) ?? []
    const before = versions.at(-1)?.record
    if (before?.lease !== undefined) this.#leases.get(before.lease)?.keys.delete(name)
    if (record?.lease !== undefined) this.#leases.get(record.lease)?.keys.add(name)
    this.#versions.set(name, [...versions, record === undefined ? { revision } : { revision, record }])
    const keyBytes = Buffer.from(name, 'latin1')
    const key = keyBytes.toString()
    events.push(
      record === undefined
        ? { type: 'delete', key, keyBytes, modRevision: revision }
        : { type: 'put', key, keyBytes, kv: record },
    )
  }

  #commit(revision: number, events: WatchEvent[]): void {
    if (events.length === 0) return
    this.revision = revision
    this.#batches.push({ revision, events })
    for (const wake of [...this.wakes]) wake()
  }
}

function comparedValue(target: string, record: KvRecord | undefined): string | number | undefined {
  if (target === 'value') return record && nameOf(record.value)
  if (target === 'lease') return record?.lease ?? '0'
  if (target === 'version') return record?.version ?? 0
  return (target.startsWith('create') ? record?.createRevision : record?.modRevision) ?? 0
}

function recordOf(
  name: string,
  value: Buffer,
  lease: string | undefined,
  revision: number,
  before: KvRecord | undefined,
): KvRecord {
  const keyBytes = Buffer.from(name, 'latin1')
  return {
    ...{ key: keyBytes.toString(), keyBytes: new Uint8Array(keyBytes), value: new Uint8Array(value), lease },
    ...{ createRevision: before?.createRevision ?? revision, modRevision: revision },
    version: (before?.version ?? 0) + 1,
    text: () => value.toString(),
    json: () => JSON.parse(value.toString()),
  }
}

const withoutValue = (record: KvRecord): KvRecord => ({ ...record, value: new Uint8Array() })

/** The calls of `Client` that recipes and their tests make. */
class VirtualClient {
  readonly #store: VirtualCluster
  readonly #timeoutMs: number
  readonly #end = new AbortController()
  readonly #sessions: LeaseSessions

  constructor(store: VirtualCluster, timeoutMs: number) {
    this.#store = store
    this.#timeoutMs = timeoutMs
    this.#sessions = new LeaseSessions({
      grantLease: ({ ttlMs }, call) => this.#call(call, () => store.grant(ttlMs) as never),
      keepLeasesAlive: (ids, call) => this.#call(call, () => ids.map((id) => store.keepAlive(id)) as never),
      revokeLease: (id, call) => this.revokeLease(id, call) as never,
      put: (key, value, options) => this.put(key, value, options as ReadCall) as never,
      whenClosed: (end) => {
        this.#end.signal.addEventListener('abort', end)
        if (this.#end.signal.aborted) end()
        return () => this.#end.signal.removeEventListener('abort', end)
      },
    })
  }

  async #call<T>(call: CallOptions | undefined, run: () => T): Promise<T> {
    this.#check(call?.signal)
    const begunAt = performance.now()
    do {
      await way()
      if (performance.now() - begunAt > (call?.timeoutMs ?? this.#timeoutMs))
        throw new UnavailableError('no node answers', { code: 'timeout', written: 'no' })
      this.#check(call?.signal)
    } while (this.#store.isDown)
    const result = run()
    await way()
    this.#check(call?.signal, 'unknown')
    return result
  }

  #check(signal: AbortSignal | undefined, written: 'no' | 'unknown' = 'no'): void {
    if (this.#end.signal.aborted) throw new AbortedError('the client is closed', { code: 'closed', written })
    if (signal?.aborted === true)
      throw new AbortedError('aborted', { code: 'aborted', written, cause: signal.reason })
  }

  get = (key: string | Uint8Array, options: ReadCall = {}) =>
    this.#call(options, () => {
      const [record] = this.#store.records({ key }, options.revision)
      options.onAnswer?.({ revision: this.#store.revision })
      return record
    })

  put = (key: string | Uint8Array, value: string | Uint8Array, options: ReadCall = {}) => {
    const { lease, ttlMs } = options
    const bytes = Buffer.from(value)
    return this.#call(options, () => {
      const compare = options.ifAbsent === true ? [{ key, exists: false }] : []
      const { succeeded, results, revision } = this.#store.apply({
        compare,
        success: [{ put: { key, value: bytes, lease, ttlMs } }],
      })
      if (!succeeded)
        throw new PreconditionFailedError('exists', { code: 'precondition_failed', written: 'no' }, null)
      return { revision, ...results[0]?.put }
    })
  }

  delete = (key: string | Uint8Array, options?: CallOptions) =>
    this.#call(options, () => this.#store.apply({ success: [{ delete: { key } }] }))

  deleteRange = (range: ReadCall) =>
    this.#call(range, () => this.#store.apply({ success: [{ delete: { prefix: range.prefix ?? '' } }] }))

  count = (options: ReadCall) =>
    this.#call(options, () => {
      options.onAnswer?.({ revision: this.#store.revision })
      return this.#store.records(options, options.revision).length
    })

  async *list(options: ReadCall = {}) {
    const found = await this.#call(options, () => {
      options.onAnswer?.({ revision: options.revision ?? this.#store.revision })
      return this.#store.records(options, options.revision).slice(0, options.limit)
    })
    for (const record of found) yield options.keysOnly === true ? withoutValue(record) : record
  }

  txn = async (txn: Txn, options?: CallOptions) => {
    if (bytesOf(txn) > REQUEST_BYTES_MAX) {
      const details = { code: 'request_too_large', written: 'no', status: 413 } as const
      throw new QuorateError('the request is too large', details)
    }
    return this.#call(options, () => this.#store.apply(txn))
  }

  async transact<T>(body: (tx: object) => Promise<T>, options?: CallOptions): Promise<T> {
    for (;;) {
      const compare: TxnComparison[] = []
      const success: TxnOperation[] = []
      const result = await body({
        get: async (key: string | Uint8Array) => {
          const record = await this.get(key, options)
          compare.push({ key, target: 'modRevision', op: '=', to: record?.modRevision ?? 0 })
          return record
        },
        put: (key: string, value: string, put: object = {}) => success.push({ put: { key, value, ...put } }),
      })
      if (success.length === 0 || (await this.txn({ compare, success }, options)).succeeded) return result
    }
  }

  watch(options: WatchOptions) {
    const end = anyOf(this.#end.signal, options.signal)
    const from = options.fromRevision ?? this.#store.revision + 1
    const begun = this.#call(options, () => undefined)
    const batches = this.#batches(options, from, end, begun)
    const ready = begun.then(() => this.#check(options.signal))
    // Callers that only iterate do not wait for it.
    ready.catch(() => undefined)
    return {
      ready,
      revision: this.#store.revision,
      next: () => batches.next(),
      return: () => batches.return(undefined),
      close: async () => void (await batches.return(undefined)),
      [Symbol.asyncIterator]: () => batches,
    }
  }

  /** A watch that has begun lasts through an outage. */
  async *#batches(options: WatchOptions, from: number, end: AbortSignal, begun: Promise<void>) {
    await begun
    const isWatched = containment(options)
    for (let next = from; ; ) {
      this.#check(options.signal)
      const [batch] = this.#store.batchesFrom(next)
      if (batch === undefined) {
        await this.#change(end)
        continue
      }
      next = batch.revision + 1
      const events = batch.events.filter(
        ({ type, keyBytes }) => isWatched(nameOf(keyBytes)) && (options.only ?? type) === type,
      )
      if (events.length === 0) continue
      do await way()
      while (this.#store.isDown && !end.aborted)
      this.#check(options.signal)
      yield { revision: batch.revision, events }
    }
  }

  #change(end: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#store.wakes.delete(wake)
        end.removeEventListener('abort', wake)
        resolve()
      }
      this.#store.wakes.add(wake)
      end.addEventListener('abort', wake)
    })
  }

  async session(options: { readonly signal?: AbortSignal } = {}) {
    this.#check(options.signal)
    return this.#sessions.begin(options)
  }

  grantLease = (lease: { readonly ttlMs: number }) => this.#call({}, () => this.#store.grant(lease.ttlMs))

  revokeLease = (id: string, options?: CallOptions) => this.#call(options, () => this.#store.revoke(id))

  lease = (id: string, options?: CallOptions) => this.#call(options, () => this.#store.lease(id))

  async *leases() {
    yield* await this.#call({}, () => this.#store.leaseIds.map((id) => this.#store.lease(id)))
  }

  compact = (revision: number) =>
    this.#call({}, () => {
      this.#store.compacted = revision
    })

  changeSettings = (settings: { readonly range_keys_max?: number }) =>
    this.#call({}, () => {
      this.#store.rangeKeysMax = settings.range_keys_max ?? this.#store.rangeKeysMax
    })

  async close(): Promise<void> {
    this.#end.abort()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

const anyOf = (first: AbortSignal, second: AbortSignal | undefined) =>
  second === undefined ? first : AbortSignal.any([first, second])

/** One way takes virtual time, so that calls overlap. */
const way = () => new Promise<void>((resolve) => setTimeout(resolve, WAY_MS))

/** A pause in virtual time. */
export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** The machine is suspended for so long: no timer runs, and `performance.now()` stands still. */
export function suspend(ms: number): void {
  const uptime = vi.spyOn(os, 'uptime').mockReturnValue(os.uptime() + ms / 1_000)
  syncBuiltinESMExports()
  onTestFinished(() => {
    uptime.mockRestore()
    syncBuiltinESMExports()
  })
}

/** Checks that no key is left below the prefixes, and waits until no lease is. */
export async function nothingLeft(kv: Client, prefixes: readonly string[]): Promise<void> {
  for (const prefix of prefixes) expect(await kv.count({ prefix })).toBe(0)
  // A lease whose grant had no response may be left: it expires.
  while ((await kv.leases().next()).done !== true) await sleep(50)
}

/** Makes timers virtual for the whole file, and returns a cluster on them. */
export function virtualCluster(): VirtualCluster {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  let isRunning = true
  // vitest's own tick mode waits a real millisecond before each timer.
  const tick = () => {
    if (!isRunning) return
    vi.advanceTimersToNextTimer()
    setImmediate(tick)
  }
  tick()
  const cluster = new VirtualCluster()
  afterAll(async () => {
    await cluster.close()
    isRunning = false
    vi.useRealTimers()
  })
  return cluster
}
