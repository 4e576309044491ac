// Rows of leases case by case: their ranges, what is no row of a lease, ids that are taken, limits. store.prop.test.ts
// draws whole logs.

import { describe, expect, test } from 'vitest'
import { decodeState, encodeState, initialState } from '../../src/kv/codec/state.ts'
import { MalformedBytesError, UnknownKindError } from '../../src/kv/errors.ts'
import {
  attachedKey,
  attachmentRange,
  decodeLease,
  leaseKey,
  leaseOfKey,
  leasesAfter,
} from '../../src/kv/leases.ts'
import { type Command, TABLE_ATTACHMENTS, TABLE_LEASES } from '../../src/kv/types.ts'
import { type KvSettings, type LeaseId, type PutLease, TTL_MS_MIN } from '../../src/operations/forms/index.ts'
import { ask, hex, MemoryStore, putOf, utf8 } from './store.ts'

const LAST = String(2n ** 64n - 1n)
const IDS = [
  '1',
  '255',
  '256',
  '9007199254740993',
  String(2n ** 63n),
  String(2n ** 64n - 2n),
  LAST,
] as LeaseId[]

const put = (name: string, lease?: PutLease): Command => ({ ...putOf(name, ''), ...(lease && { lease }) })
const grant = (id?: LeaseId): Command => ({ kind: 'grant', id, ttlMs: TTL_MS_MIN })

const keysOf = (store: MemoryStore, table: number): Uint8Array[] =>
  [...store.rows.keys()].map((name) => Buffer.from(name, 'hex')).filter((key) => key[0] === table)

const within = (key: Uint8Array, { gte, lt }: { gte: Uint8Array; lt: Uint8Array }): boolean =>
  hex(key) >= hex(gte) && hex(key) < hex(lt)

describe('the range', () => {
  const store = new MemoryStore()
  for (const id of IDS) {
    store.apply(ask(grant(id)))
    for (const name of ['a', '\xff']) store.apply(ask(put(`${id}${name}`, { id })))
  }

  test('of the keys of a lease has them and no others, also of the last id', () => {
    for (const id of IDS) {
      const found = keysOf(store, TABLE_ATTACHMENTS).filter((key) => within(key, attachmentRange(id)))
      const names = found.map((key) => Buffer.from(attachedKey(key)).toString()).sort()
      expect(names).toEqual([`${id}a`, `${id}\xff`])
    }
  })

  test('of the leases after another one has those with higher ids', () => {
    const behind = (id: LeaseId | undefined) =>
      keysOf(store, TABLE_LEASES)
        .filter((key) => within(key, leasesAfter(id)))
        .map(leaseOfKey)
        .sort((a, b) => IDS.indexOf(a) - IDS.indexOf(b))
    expect(behind(undefined)).toEqual(IDS)
    for (const [at, id] of IDS.entries()) expect(behind(id)).toEqual(IDS.slice(at + 1))
  })
})

test('what is no row of a lease is refused', () => {
  const [key] = IDS.map(leaseKey) as [Uint8Array]
  const attached = Uint8Array.of(TABLE_ATTACHMENTS, ...key.subarray(1), 0x61)
  expect([leaseOfKey(key), Buffer.from(attachedKey(attached)).toString()]).toEqual(['1', 'a'])
  for (const other of [
    attached,
    Uint8Array.of(...key, 0),
    Uint8Array.of(TABLE_ATTACHMENTS, ...key.subarray(1)),
  ])
    expect(() => leaseOfKey(other)).toThrow(MalformedBytesError)
  for (const other of [key, attached.subarray(0, -1), Uint8Array.of(TABLE_LEASES, ...attached.subarray(1))])
    expect(() => attachedKey(other)).toThrow(MalformedBytesError)

  const store = new MemoryStore()
  store.apply(ask(grant('1' as LeaseId)))
  const row = store.rows.get(hex(key)) ?? new Uint8Array()
  expect(decodeLease(row)).toMatchObject({ owned: false, ttlMs: TTL_MS_MIN, keys: 0 })
  expect(() => decodeLease(Uint8Array.of(8, ...row.subarray(1)))).toThrow(UnknownKindError)
  // A beginning of keys that it does not have.
  expect(() => decodeLease(Uint8Array.of(...row, 0))).toThrow(MalformedBytesError)
  expect(() => decodeLease(row.subarray(1))).toThrow('the row of a lease')
})

test('an id that a client has taken is not chosen again', () => {
  const first = new MemoryStore().apply(ask(grant())).outcome
  if (first.kind !== 'granted') throw new Error('it is not granted')
  const store = new MemoryStore()
  store.apply(ask(grant(first.lease)))
  const chosen = [store.apply(ask(grant())).outcome, store.apply(ask(grant())).outcome].map((outcome) =>
    outcome.kind === 'granted' ? outcome.lease : outcome,
  )
  expect(new Set([first.lease, ...chosen]).size).toBe(3)
  expect(store.state.leases.count).toBe(3)
})

test('no two clusters choose the same ids, and a cluster remembers where its ids are', () => {
  const clusters = ['1', '2', LAST].map((id) => ({ store: new MemoryStore(), id }))
  const ids = clusters.flatMap(({ store, id }) => {
    store.state = initialState({}, id)
    return Array.from({ length: 50 }, () => {
      store.state = decodeState(encodeState(store.state))
      const { outcome } = store.apply(ask(grant()))
      return outcome.kind === 'granted' ? outcome.lease : ''
    })
  })
  expect(new Set(ids).size).toBe(ids.length)
})

test('before cluster version 2 a lease is full, also of the keys that a transaction gives it', () => {
  const id = '1' as LeaseId
  const give = (names: string, settings: Partial<KvSettings>, clusterVersion = 1) => {
    const store = new MemoryStore({ clusterVersion, ...settings })
    store.apply(ask(grant(id)))
    const success = [...names].map((name) => ({
      ...{ kind: 'put' as const, key: utf8(name.repeat(1000)), value: utf8(''), prev: false },
      lease: { id },
    }))
    const { outcome } = store.apply(ask({ kind: 'txn', txn: { compare: [], success, failure: [] } }))
    const attached = keysOf(store, TABLE_ATTACHMENTS).length
    return [outcome.kind === 'refused' ? outcome.code : outcome.kind, attached]
  }
  expect(give('abc', { rangeKeysMax: 3 })).toEqual(['txn', 3])
  expect(give('abcd', { rangeKeysMax: 3 })).toEqual(['range_too_large', 0])
  expect(give('abc', { rangeBytesMax: 3000 })).toEqual(['txn', 3])
  expect(give('abc', { rangeBytesMax: 2999 })).toEqual(['range_too_large', 0])
  expect(give('abcd', { rangeKeysMax: 3, rangeBytesMax: 1 }, 2)).toEqual(['txn', 4])
})

test('a lease whose row does not count its keys does not end: the node stops', () => {
  const id = '1' as LeaseId
  const store = new MemoryStore()
  store.apply(ask(grant(id)))
  store.apply(ask(put('a', { id })))
  const row = store.rows.get(hex(leaseKey(id))) ?? new Uint8Array()
  store.apply(ask(put('b', { id })))
  store.rows.set(hex(leaseKey(id)), row)
  expect(() => store.apply(ask({ kind: 'revoke', id }))).toThrow('lease 1 has 1 keys, and 2 were found')
})

describe('as many leases as there may be', () => {
  const full = () => {
    const store = new MemoryStore({ leasesMax: 2 })
    for (const name of ['a', 'b']) store.apply(ask(put(name, { ttlMs: TTL_MS_MIN })))
    return store
  }
  const codeOf = (store: MemoryStore, command: Command) => {
    const { outcome } = store.apply(ask(command))
    return outcome.kind === 'refused' ? outcome.code : outcome.kind
  }

  test('no more are made', () => {
    expect(codeOf(full(), grant())).toBe('storage_full')
    expect(codeOf(full(), put('c', { ttlMs: TTL_MS_MIN }))).toBe('storage_full')
  })

  test('one takes the place of that of the same key, also in a transaction', () => {
    const store = full()
    expect(codeOf(store, put('a', { ttlMs: TTL_MS_MIN }))).toBe('put')
    const both = ['a', 'b'].map((name) => ({
      ...{ kind: 'put' as const, key: utf8(name), value: utf8(''), prev: false },
      lease: { ttlMs: TTL_MS_MIN },
    }))
    expect(codeOf(store, { kind: 'txn', txn: { compare: [], success: both, failure: [] } })).toBe('txn')
    expect([store.state.leases.count, keysOf(store, TABLE_LEASES).length]).toEqual([2, 2])
  })

  test('none takes the place of one that was granted, and stays when its key has another', () => {
    const store = new MemoryStore({ leasesMax: 2 })
    for (const id of ['1', '2'] as LeaseId[]) store.apply(ask(grant(id)))
    store.apply(ask(put('a', { id: '1' as LeaseId })))
    expect(codeOf(store, put('a', { ttlMs: TTL_MS_MIN }))).toBe('storage_full')
    expect(store.state.leases.count).toBe(2)
  })

  test('after the limit was lowered, what makes no more of them goes on', () => {
    const store = full()
    store.apply(ask({ kind: 'settings', settings: { leasesMax: 1 } }))
    expect(codeOf(store, put('a', { ttlMs: TTL_MS_MIN }))).toBe('put')
    expect(codeOf(store, put('a'))).toBe('put')
    expect(store.state.leases.count).toBe(1)
    expect(codeOf(store, put('a', { ttlMs: TTL_MS_MIN }))).toBe('storage_full')
  })
})

test('a put under the lease that its key has already leaves the key attached', () => {
  const store = new MemoryStore()
  const id = '1' as LeaseId
  store.apply(ask(grant(id)), 1)
  for (let time = 2; time < 5; time++) store.apply(ask(put('a', { id })), time)
  expect(keysOf(store, TABLE_ATTACHMENTS)).toHaveLength(1)
  expect(store.apply(ask({ kind: 'revoke', id }), 5).outcome).toMatchObject({ kind: 'revoked', deleted: 1 })
  expect(keysOf(store, TABLE_ATTACHMENTS)).toEqual([])
})

test('a lease that was renewed is not ended by an expiry that was proposed before, whenever it was renewed', () => {
  const id = '1' as LeaseId
  const deadlineOf = (store: MemoryStore) =>
    decodeLease(store.rows.get(hex(leaseKey(id))) ?? new Uint8Array()).deadlineMs
  for (const renewedAt of [5, 6, 60_000])
    for (const settings of [{}, { leaseCheckpointMs: 100 }]) {
      const store = new MemoryStore()
      store.apply(ask(grant(id)), 5)
      store.apply(ask(put('a', { id })), 5)
      const expire: Command = { kind: 'expire', leases: [{ id, deadlineMs: deadlineOf(store) }] }
      store.apply(ask({ kind: 'settings', settings }), 5)
      store.apply(ask({ kind: 'renew', ids: [id] }), renewedAt)
      expect(store.apply(ask(expire), renewedAt).outcome).toMatchObject({ leases: 0, deleted: 0 })
      expect(store.get('a')?.lease).toBe(id)
    }
})
