// Leases against a second, simple implementation: two maps.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRequest, requestKind } from '../../src/kv/codec/request.ts'
import { decodeState, encodeState } from '../../src/kv/codec/state.ts'
import { attachedKey, decodeLease, leaseOfKey } from '../../src/kv/leases.ts'
import { type Command, type Outcome, TABLE_ATTACHMENTS, TABLE_LEASES } from '../../src/kv/types.ts'
import { type LeaseId, type PutLease, TTL_MS_MAX, TTL_MS_MIN } from '../../src/operations/forms/index.ts'
import type { KvTxnOperation } from '../../src/operations/index.ts'
import { expectEqual } from '../expect-equal.ts'
import { runs } from '../runs.ts'
import { ask, bodyOf, hex, MemoryStore, utf8 } from './store.ts'

/** A lease by number: one of three ids that clients choose, or one of those that exist. */
type Ref = number
interface Put {
  readonly key: string
  readonly lease: { readonly ref: Ref } | { readonly ttlMs: number } | undefined
}
type Step =
  | ({ readonly kind: 'put' } & Put)
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'batch' | 'txn'; readonly puts: readonly Put[]; readonly deleted: string | undefined }
  | { readonly kind: 'delete-range'; readonly end: string | undefined }
  | { readonly kind: 'grant'; readonly ref: Ref | undefined; readonly ttlMs: number }
  | { readonly kind: 'renew'; readonly refs: readonly Ref[] }
  | { readonly kind: 'revoke'; readonly ref: Ref }
  | { readonly kind: 'expire'; readonly refs: readonly { readonly ref: Ref; readonly off: number }[] }

const key = fc.constantFrom('a', 'ab', 'a\0', 'b', 'c')
const ref = fc.nat(7)
const ttlMs = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: TTL_MS_MIN, max: 3000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, TTL_MS_MIN - 1, TTL_MS_MAX, TTL_MS_MAX + 1) },
)
const lease = fc.option(fc.oneof(fc.record({ ref }), fc.record({ ttlMs })), { nil: undefined, freq: 3 })
const put = fc.record({ key, lease })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('put' as const), key, lease }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('batch' as const, 'txn' as const),
      puts: fc.uniqueArray(put, { maxLength: 3, selector: ({ key }) => key }),
      deleted: fc.option(key, { nil: undefined }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('delete-range' as const),
      end: fc.option(key, { nil: undefined }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('grant' as const),
      ref: fc.option(fc.nat(2), { nil: undefined }),
      ttlMs,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('renew' as const), refs: fc.array(ref, { maxLength: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('revoke' as const), ref }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('expire' as const),
      refs: fc.array(fc.record({ ref, off: fc.constantFrom(0, 0, 0, 1, -1) }), { maxLength: 3 }),
    }),
  },
)
const log = fc.record({
  settings: fc.record({
    leaseCheckpointMs: fc.integer({ min: 100, max: 5000 }),
    leasesMax: fc.integer({ min: 0, max: 3 }),
    rangeKeysMax: fc.integer({ min: 1, max: 3 }),
    rangeBytesMax: fc.integer({ min: 1, max: 6 }),
  }),
  steps: fc.array(fc.record({ step, elapsedMs: fc.nat(2000) }), { maxLength: 30 }),
})

interface ModelLease {
  readonly ttlMs: number
  deadlineMs: number
  readonly owned: boolean
}

interface LogSettings {
  readonly leaseCheckpointMs: number
  readonly leasesMax: number
  readonly rangeKeysMax: number
  readonly rangeBytesMax: number
}

const bytesOf = (names: readonly string[]): number => names.reduce((sum, name) => sum + name.length, 0)

class Model {
  revision = 1
  now = 0
  readonly leases = new Map<string, ModelLease>()
  readonly keys = new Map<string, string | undefined>()
  readonly #settings

  constructor(settings: LogSettings) {
    this.#settings = settings
  }

  /** Ids that a step names. They always include the three that clients choose. */
  id(ref: Ref): LeaseId {
    const ids = ['7', '9007199254740993', '18446744073709551615', ...[...this.leases.keys()].sort()]
    return ids[ref % ids.length] as LeaseId
  }

  keysOf(id: string): string[] {
    return [...this.keys].filter(([, lease]) => lease === id).map(([name]) => name)
  }

  /** The reason to refuse puts that are made together. */
  refusal(
    puts: readonly { readonly key: string; readonly lease: PutLease | undefined }[],
  ): string | undefined {
    const attached = new Map<string, string[]>()
    let made = 0
    for (const { key, lease } of puts) {
      if (lease === undefined) continue
      const before = this.keys.get(key)
      if ('ttlMs' in lease) {
        if (!isTtl(lease.ttlMs)) return 'bad_request'
        if (!(before !== undefined && this.leases.get(before)?.owned)) made++
        if (made > 0 && this.leases.size + made > this.#settings.leasesMax) return 'storage_full'
        continue
      }
      const known = this.leases.get(lease.id)
      if (known === undefined) return 'lease_not_found'
      if (before === lease.id) continue
      if (known.owned) return 'bad_request'
      const now = [...(attached.get(lease.id) ?? this.keysOf(lease.id)), key]
      attached.set(lease.id, now)
      if (this.areTooMany(now)) return 'range_too_large'
    }
    return undefined
  }

  /** `own`: returns the id of a lease that the put creates. */
  put(key: string, lease: PutLease | undefined, own: () => string): void {
    const before = this.keys.get(key)
    const id = lease === undefined ? undefined : 'id' in lease ? lease.id : own()
    if (lease !== undefined && 'ttlMs' in lease) this.add(id ?? '', lease.ttlMs, true)
    this.keys.set(key, id)
    this.#endOwned(before, id)
  }

  remove(key: string): boolean {
    const before = this.keys.get(key)
    const isThere = this.keys.delete(key)
    this.#endOwned(before, undefined)
    return isThere
  }

  #endOwned(before: string | undefined, now: string | undefined): void {
    if (before !== undefined && before !== now && this.leases.get(before)?.owned) this.leases.delete(before)
  }

  add(id: string, ttlMs: number, owned: boolean): void {
    this.leases.set(id, { ttlMs, deadlineMs: this.now + ttlMs + this.#settings.leaseCheckpointMs, owned })
  }

  renew(id: string): number | undefined {
    const lease = this.leases.get(id)
    if (lease !== undefined)
      lease.deadlineMs = Math.max(
        lease.deadlineMs + 1,
        this.now + lease.ttlMs + this.#settings.leaseCheckpointMs,
      )
    return lease?.ttlMs
  }

  end(id: string): number {
    const keys = this.keysOf(id)
    for (const name of keys) this.keys.delete(name)
    this.leases.delete(id)
    if (keys.length > 0) this.revision++
    return keys.length
  }

  get isFull(): boolean {
    return this.leases.size >= this.#settings.leasesMax
  }

  areTooMany(names: readonly string[]): boolean {
    const { rangeKeysMax } = this.#settings
    return names.length > rangeKeysMax || bytesOf(names) > this.#settings.rangeBytesMax
  }
}

const isTtl = (ms: number): boolean => ms >= 1000 && ms <= 3650 * 24 * 3600 * 1000
const refusedWith = (code: string) => ({ kind: 'refused', code })

/** The step as a command, with the leases that exist now. */
function commandOf(step: Step, model: Model): Command {
  const leaseOf = (given: Put['lease']): PutLease | undefined =>
    given !== undefined && 'ref' in given ? { id: model.id(given.ref) } : given
  const putOf = ({ key, lease }: Put) => ({
    ...{ kind: 'put' as const, key: utf8(key), value: utf8('v'), prev: false as const },
    lease: leaseOf(lease),
  })
  const condition = undefined
  switch (step.kind) {
    case 'put':
      return { ...putOf(step), condition }
    case 'delete':
      return { kind: 'delete', key: utf8(step.key), condition, prev: false }
    case 'batch': {
      const { deleted } = step
      const puts = step.puts.map((each) => ({ ...putOf(each), condition }))
      const last = { kind: 'delete' as const, key: utf8(deleted ?? ''), condition, prev: false as const }
      return { kind: 'batch', commands: deleted === undefined ? puts : [...puts, last] }
    }
    case 'txn': {
      const { deleted } = step
      const puts: KvTxnOperation[] = step.puts.filter(({ key }) => key !== deleted).map(putOf)
      const first: KvTxnOperation[] =
        deleted === undefined ? [] : [{ kind: 'delete', where: { key: utf8(deleted) }, prev: false }]
      return { kind: 'txn', txn: { compare: [], success: [...first, ...puts], failure: [] } }
    }
    case 'delete-range':
      return {
        kind: 'delete-range',
        range: { start: utf8(''), end: step.end === undefined ? undefined : utf8(step.end) },
      }
    case 'grant':
      return {
        kind: 'grant',
        id: step.ref === undefined ? undefined : model.id(step.ref),
        ttlMs: step.ttlMs,
      }
    case 'renew':
      return { kind: 'renew', ids: step.refs.map((each) => model.id(each)) }
    case 'revoke':
      return { kind: 'revoke', id: model.id(step.ref) }
    case 'expire':
      return {
        kind: 'expire',
        leases: step.refs.map(({ ref, off }) => {
          const id = model.id(ref)
          return { id, deadlineMs: (model.leases.get(id)?.deadlineMs ?? 5000) + off }
        }),
      }
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

/** The expected outcome of the command. `outcome`: the actual one, for the ids that the store chose. */
function expected(command: Command, model: Model, store: MemoryStore, outcome: Outcome): object {
  // The store chooses an id that no lease had.
  const own = (key: string) => (): string => store.get(key)?.lease ?? 'none'
  switch (command.kind) {
    case 'put': {
      const name = text(command.key)
      const code = model.refusal([{ key: name, lease: command.lease }])
      if (code !== undefined) return refusedWith(code)
      model.revision++
      model.put(name, command.lease, own(name))
      return { kind: 'put', revision: model.revision }
    }
    case 'delete': {
      const isThere = model.remove(text(command.key))
      if (isThere) model.revision++
      return { kind: 'delete', deleted: isThere ? 1 : 0, revision: model.revision }
    }
    case 'batch':
      if (outcome.kind !== 'batch') throw new Error('not a batch')
      return {
        kind: 'batch',
        outcomes: command.commands.map((each) => {
          if (each.kind === 'put' && each.lease !== undefined && 'ttlMs' in each.lease) {
            // The key may be deleted later in the batch, and its lease with it.
            const isDeleted = command.commands.some(
              (other) => other.kind === 'delete' && text(other.key) === text(each.key),
            )
            if (isDeleted) {
              const name = text(each.key)
              const code = model.refusal([{ key: name, lease: each.lease }])
              if (code !== undefined) return refusedWith(code)
              model.revision++
              model.put(name, each.lease, () => `passing ${name}`)
              return { kind: 'put', revision: model.revision }
            }
          }
          return expected(each, model, store, outcome)
        }),
      }
    case 'txn': {
      const puts = command.txn.success.flatMap((each) =>
        each.kind === 'put' ? [{ key: text(each.key), lease: each.lease }] : [],
      )
      const code = model.refusal(puts)
      if (code !== undefined) return refusedWith(code)
      let isChange = puts.length > 0
      for (const each of command.txn.success)
        if (each.kind === 'delete' && 'key' in each.where)
          isChange = model.remove(text(each.where.key)) || isChange
      for (const { key, lease } of puts) model.put(key, lease, own(key))
      if (isChange) model.revision++
      return { kind: 'txn', succeeded: true, revision: model.revision }
    }
    case 'delete-range': {
      const { end } = command.range
      const names = [...model.keys.keys()].filter(
        (name) => end === undefined || Buffer.compare(utf8(name), end) < 0,
      )
      if (model.areTooMany(names)) return refusedWith('range_too_large')
      for (const name of names) model.remove(name)
      if (names.length > 0) model.revision++
      return { kind: 'delete-range', deleted: names.length, revision: model.revision }
    }
    case 'grant': {
      if (!isTtl(command.ttlMs)) return refusedWith('bad_request')
      if (command.id !== undefined && model.leases.has(command.id)) return refusedWith('lease_exists')
      if (model.isFull) return refusedWith('storage_full')
      const id = command.id ?? (outcome.kind === 'granted' ? outcome.lease : 'none')
      expect(model.leases.has(id)).toBe(false)
      model.add(id, command.ttlMs, false)
      return { kind: 'granted', lease: id, ttlMs: command.ttlMs, revision: model.revision }
    }
    case 'renew':
      return { kind: 'renewed', ttlsMs: command.ids.map((id) => model.renew(id)), revision: model.revision }
    case 'revoke': {
      if (!model.leases.has(command.id)) return refusedWith('lease_not_found')
      const deleted = model.end(command.id)
      return { kind: 'revoked', deleted, revision: model.revision }
    }
    case 'expire': {
      let [leases, deleted] = [0, 0]
      for (const { id, deadlineMs } of command.leases) {
        if (model.leases.get(id)?.deadlineMs !== deadlineMs) continue
        deleted += model.end(id)
        leases++
      }
      return { kind: 'expired', leases, deleted, revision: model.revision }
    }
    default:
      throw new Error(`${command.kind} is not in this model`)
  }
}

/** The rows of both tables. */
function held(store: MemoryStore) {
  const leases = new Map<string, object>()
  const attached: string[] = []
  const prefixes = new Map<string, string>()
  for (const [name, row] of store.rows) {
    const rowKey = Buffer.from(name, 'hex')
    if (rowKey[0] === TABLE_LEASES) {
      const { hasOwner, keyPrefix, ...lease } = decodeLease(row)
      expect(hasOwner).toBe(false)
      prefixes.set(leaseOfKey(rowKey), text(keyPrefix))
      leases.set(leaseOfKey(rowKey), lease)
    }
    if (rowKey[0] === TABLE_ATTACHMENTS)
      attached.push(`${rowKey.readBigUInt64BE(1)} ${text(attachedKey(rowKey))}`)
  }
  return { leases, attached: attached.sort(), prefixes }
}

test('leases and their keys are those of the model', () => {
  fc.assert(
    fc.property(log, ({ settings, steps }) => {
      const store = new MemoryStore(settings)
      const model = new Model(settings)
      for (const { step, elapsedMs } of steps) {
        model.now += elapsedMs
        const command = commandOf(step, model)
        const request = ask(command)
        const { kind, version } = requestKind(request)
        expectEqual(decodeRequest(kind, version, bodyOf(request)), request)
        const { outcome } = store.apply(request, model.now)
        store.state = decodeState(encodeState(store.state))
        expect(outcome).toMatchObject(expected(command, model, store, outcome))
        const { revision, keys, leases: counted } = store.state
        expectEqual([revision, keys, counted.count], [model.revision, model.keys.size, model.leases.size])
        const records = store.list(undefined).map(({ key, lease }) => [text(key), lease] as const)
        expectEqual(new Map(records), model.keys)
        const { leases, attached, prefixes } = held(store)
        for (const [id, prefix] of prefixes) {
          const names = model.keysOf(id)
          expect(names.every((name) => name.startsWith(prefix)) && (names.length > 0 || prefix === '')).toBe(
            true,
          )
        }
        const wanted = [...model.leases].map(
          ([id, lease]) =>
            [id, { ...lease, keys: model.keysOf(id).length, keyBytes: bytesOf(model.keysOf(id)) }] as const,
        )
        expectEqual(leases, new Map(wanted))
        const pairs = [...model.keys]
          .filter(([, id]) => id !== undefined)
          .map(([name, id]) => `${id} ${name}`)
        expectEqual(attached, pairs.sort())
      }
    }),
    { numRuns: runs(1500) },
  )
})

test('a put under the lease that its key has already leaves the key attached', () => {
  const store = new MemoryStore()
  const id = '1' as LeaseId
  const put: Command = {
    ...{ kind: 'put', key: utf8('a'), value: utf8('v'), condition: undefined, prev: false },
    lease: { id },
  }
  store.apply(ask({ kind: 'grant', id, ttlMs: TTL_MS_MIN }), 1)
  for (let time = 2; time < 5; time++) store.apply(ask(put), time)
  const attached = () => [...store.rows.keys()].filter((name) => name.startsWith(`0${TABLE_ATTACHMENTS}`))
  expect(attached()).toHaveLength(1)
  expect(store.apply(ask({ kind: 'revoke', id }), 5).outcome).toMatchObject({ kind: 'revoked', deleted: 1 })
  expect(attached()).toEqual([])
})

test('a repeat of a request with a lease gets the outcome of the first one, and makes no second lease', () => {
  fc.assert(
    fc.property(log, ({ settings, steps }) => {
      const store = new MemoryStore(settings)
      const model = new Model(settings)
      for (const [at, { step, elapsedMs }] of steps.entries()) {
        model.now += elapsedMs
        const command = commandOf(step, model)
        const request = ask(command, { token: `t${at}`, since: undefined })
        const { outcome } = store.apply(request, model.now)
        expected(command, model, store, outcome)
        const rows = () => [...store.rows].map(([name, row]) => `${name} ${hex(row)}`)
        const before = rows()
        expect(store.apply(request, model.now)).toMatchObject({ outcome, replayed: true })
        expectEqual(rows(), before)
      }
    }),
    { numRuns: runs(500) },
  )
})
