// Transactions case by case: every comparison at its border, and every limit at its last allowed value and at the next
// one. An operation sees the effects of those before it. store.prop.test.ts draws whole logs.

import { describe, expect, test } from 'vitest'
import { rejectionText } from '../../src/kv/rejections.ts'
import { TXN_OPERATIONS_MAX, txnFault, txnPlaces, txnRanges } from '../../src/kv/txn.ts'
import type { Command } from '../../src/kv/types.ts'
import type { KeyRange, KvSettings, LeaseId, Where } from '../../src/operations/forms/index.ts'
import { TXN_DEPTH_MAX } from '../../src/operations/forms/transactions.ts'
import type { KvComparison, KvTxn, KvTxnOperation } from '../../src/operations/index.ts'
import { onlyReads, wantsPrev } from '../../src/operations/index.ts'
import { ask, deleteOf, MemoryStore, putOf, rev, utf8 } from './store.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const ALL: KeyRange = { start: utf8(''), end: undefined }

const txnOf = (txn: Partial<KvTxn>): KvTxn => ({ compare: [], success: [], failure: [], ...txn })
const put = (name: string, value = ''): KvTxnOperation => ({
  ...{ kind: 'put', key: utf8(name), value: utf8(value), prev: false },
})
const get = (place: Where | string): KvTxnOperation => ({
  ...{ kind: 'get', where: typeof place === 'string' ? { key: utf8(place) } : place },
  ...{ limit: undefined, keysOnly: false, count: true, countOnly: false },
})
const remove = (place: Where | string): KvTxnOperation => ({
  ...{ kind: 'delete', where: typeof place === 'string' ? { key: utf8(place) } : place, prev: false },
})
const nested = (txn: Partial<KvTxn>): KvTxnOperation => ({ kind: 'txn', txn: txnOf(txn) })

const done = (store: MemoryStore, txn: Partial<KvTxn>) =>
  store.apply(ask({ kind: 'txn', txn: txnOf(txn) })).outcome

describe('is accepted, and not with one more', () => {
  const compared: KvComparison = { where: { key: utf8('k') }, target: 'version', op: '=', to: 0 }
  const most = (count: number) => Array.from({ length: count }, () => get('k'))
  const fault = (txn: Partial<KvTxn>) => {
    const outcome = done(new MemoryStore(), txn)
    return outcome.kind === 'refused' ? outcome.code : outcome.kind
  }
  const isCounted = (txn: (count: number) => Partial<KvTxn>, within = 0) => {
    expect(fault(txn(TXN_OPERATIONS_MAX - within))).toBe('txn')
    expect(fault(txn(TXN_OPERATIONS_MAX - within + 1))).toBe('too_many_operations')
  }

  test('a number of comparisons, with those of nested transactions', () => {
    const comparisons = (count: number) => Array.from({ length: count }, () => compared)
    isCounted((count) => ({ compare: comparisons(count) }))
    isCounted((count) => ({ compare: [compared], success: [nested({ compare: comparisons(count) })] }), 1)
    isCounted((count) => ({ compare: comparisons(count), failure: [nested({ compare: [compared] })] }), 1)
  })

  test('a number of operations of each branch, with those of nested transactions', () => {
    isCounted((count) => ({ success: most(count) }))
    isCounted((count) => ({ failure: most(count) }))
    isCounted((count) => ({ success: [nested({ success: most(count) })] }), 1)
    isCounted((count) => ({ success: [nested({ success: most(1), failure: most(count) })] }), 2)
    expect(fault({ success: most(TXN_OPERATIONS_MAX), failure: most(TXN_OPERATIONS_MAX) })).toBe('txn')
  })

  test('a depth, in either branch', () => {
    const deep = (branch: 'success' | 'failure', depth: number): Partial<KvTxn> =>
      depth === 1 ? {} : { success: [get('k')], [branch]: [get('k'), nested(deep(branch, depth - 1))] }
    for (const branch of ['success', 'failure'] as const) {
      expect(fault(deep(branch, TXN_DEPTH_MAX))).toBe('txn')
      // It is refused before it is proposed.
      expect(txnFault(txnOf(deep(branch, TXN_DEPTH_MAX)))).toBe(undefined)
      expect(txnFault(txnOf(deep(branch, TXN_DEPTH_MAX + 1)))).toBe('too-deep')
    }
  })

  test('keys and values as long as allowed', () => {
    const store = (settings: Partial<KvSettings>) => new MemoryStore(settings)
    expect(done(store({ valueBytesMax: 3 }), { success: [put('k', '123')] })).toMatchObject({ kind: 'txn' })
    expect(done(store({ valueBytesMax: 3 }), { success: [put('k', '1234')] })).toMatchObject({
      code: 'value_too_large',
      numbers: [4, 3],
    })
    expect(done(store({ keyBytesMax: 3 }), { success: [put('123')] })).toMatchObject({ kind: 'txn' })
    expect(done(store({ keyBytesMax: 3 }), { success: [put('1234')] })).toMatchObject({
      code: 'key_too_long',
    })
  })

  test('a range of so many keys, wherever it stands', () => {
    const store = new MemoryStore({ rangeKeysMax: 2 })
    for (const name of ['a', 'b']) store.apply(ask(putOf(name, '')))
    const all: KvComparison = { where: ALL, target: 'version', op: '=', to: 1 }
    const each: Partial<KvTxn>[] = [
      { success: [get(ALL)] },
      { compare: [all] },
      { failure: [nested({ success: [get(ALL)] })] },
    ]
    for (const txn of each) expect(done(store, txn)).toMatchObject({ kind: 'txn' })
    store.apply(ask(putOf('c', '')))
    for (const txn of [...each, { success: [remove(ALL)] }])
      expect(done(store, txn)).toMatchObject({ code: 'range_too_large', numbers: [2, 4 * 2 ** 20] })
    expect(store.state.keys).toBe(3)
  })

  test('a range with keys of so many bytes', () => {
    const range: Command = { kind: 'delete-range', range: ALL }
    const ofBytes = (...names: string[]) => {
      const store = new MemoryStore({ rangeBytesMax: 8 })
      for (const name of names) store.apply(ask(putOf(name, '')))
      return store
    }
    const counted: KvTxnOperation = {
      kind: 'get',
      where: ALL,
      limit: undefined,
      keysOnly: false,
      count: false,
      countOnly: true,
    }
    for (const txn of [{ success: [counted] }, { success: [remove(ALL)] }]) {
      expect(done(ofBytes('1234', '5678'), txn)).toMatchObject({ kind: 'txn' })
      expect(done(ofBytes('1234', '56789'), txn)).toMatchObject({ reason: 'range-too-large' })
    }
    expect(ofBytes('1234', '5678').apply(ask(range)).outcome).toMatchObject({ deleted: 2 })
    const { outcome } = ofBytes('1234', '56789').apply(ask(range))
    expect(outcome).toMatchObject({ kind: 'refused', code: 'range_too_large', numbers: [10_000, 8] })
    expect(outcome.kind === 'refused' && rejectionText(outcome)).toBe(
      'the ranges have more than 10000 keys (range_keys_max), or 8 bytes of keys (range_bytes_max)',
    )
  })

  test('so many bytes that it answers or compares', () => {
    const store = (rangeBytesMax: number) => {
      const filled = new MemoryStore({ rangeBytesMax })
      filled.apply(ask(putOf('a', '1234')))
      return filled
    }
    const compare: KvComparison[] = [{ where: ALL, target: 'value', op: '=', to: utf8('1234') }]
    expect(done(store(5), { success: [get(ALL)] })).toMatchObject({ kind: 'txn' })
    expect(done(store(4), { success: [get(ALL)] })).toMatchObject({
      code: 'range_too_large',
      numbers: [5, 4],
    })
    expect(done(store(4), { compare })).toMatchObject({ kind: 'txn' })
    expect(done(store(3), { compare })).toMatchObject({ code: 'range_too_large', numbers: [4, 3] })
    const compareKey: KvComparison = { where: { key: utf8('a') }, target: 'value', op: '>', to: utf8('1') }
    expect(done(store(3), { compare: [compareKey] })).toMatchObject({
      code: 'range_too_large',
      numbers: [4, 3],
    })
    // Only comparisons that read values count.
    const others: KvComparison[] = [
      { where: ALL, target: 'version', op: '=', to: 1 },
      { where: { key: utf8('a') }, target: 'value', op: '!=', to: utf8('12345') },
    ]
    expect(done(store(3), { compare: others })).toMatchObject({ kind: 'txn', succeeded: true })
    expect(
      done(store(3), {
        compare: [{ where: { key: utf8('a') }, target: 'value', op: '=', to: utf8('123') }],
      }),
    ).toMatchObject({ kind: 'txn', succeeded: false })
  })

  test('what the store has room for, after all that it frees', () => {
    const TWO = { start: utf8('a'), end: utf8('c') }
    // The store has ten bytes: a takes 4, and b takes 5.
    const full = () => {
      const store = new MemoryStore({ storeBytesMax: 10 })
      store.apply(ask(putOf('a', '123')))
      store.apply(ask(putOf('b', '1234')))
      return store
    }
    const outcomes: [readonly KvTxnOperation[], string][] = [
      [[put('c')], 'txn'],
      [[put('c', '1')], 'storage_full'],
      [[get('a'), put('c', '1')], 'storage_full'],
      // Each key is freed once.
      [[remove('a'), put('c', '1234')], 'txn'],
      [[remove('a'), put('c', '12345')], 'storage_full'],
      [[remove('a'), remove(TWO), put('c', '123456789')], 'txn'],
      [[remove('a'), remove(TWO), put('c', '1234567890')], 'storage_full'],
      [[put('a', '1234')], 'txn'],
      [[put('a', '12345')], 'storage_full'],
      [[put('a', '123456'), nested({ success: [put('b', '1')] })], 'txn'],
      [[get('a'), put('a', '12345678'), put('b', '1')], 'storage_full'],
    ]
    for (const [success, kind] of outcomes) {
      const store = full()
      const outcome = done(store, { success })
      expect([success, outcome.kind === 'refused' ? outcome.code : outcome.kind]).toEqual([success, kind])
      const bytes = store.list(undefined).reduce((sum, { key, value }) => sum + key.length + value.length, 0)
      expect(store.state.storeBytes).toBe(bytes)
    }
  })

  test('what makes a store that is too large no larger', () => {
    const store = new MemoryStore({ storeBytesMax: 10 })
    store.apply(ask(putOf('a', '123456789')))
    store.apply(ask({ kind: 'settings', settings: { storeBytesMax: 5 } }))
    expect(done(store, { success: [put('a', 'abcdefghi')] })).toMatchObject({ kind: 'txn' })
    expect(done(store, { success: [put('a', 'abcdefgh')] })).toMatchObject({ kind: 'txn' })
    expect(done(store, { success: [put('a', 'abcdefghi')] })).toMatchObject({
      code: 'storage_full',
      numbers: [5, 0],
    })
  })
})

test('a key that is put is neither put nor deleted again, whichever branches that would take', () => {
  const outcome = (...success: KvTxnOperation[]) => {
    const found = done(new MemoryStore(), { success })
    return found.kind === 'refused' ? found.code : found.kind
  }
  for (const second of [put('a'), remove('a'), remove(ALL)])
    for (const deep of [second, nested({ success: [second] }), nested({ failure: [second] })]) {
      expect(outcome(put('a'), deep)).toBe('duplicate_key')
      expect(outcome(deep, put('a'))).toBe('duplicate_key')
      expect(outcome(nested({ failure: [put('a')] }), deep)).toBe('duplicate_key')
    }
  expect(outcome(remove('a'), remove(ALL), nested({ success: [put('a')], failure: [put('a')] }))).toBe(
    'duplicate_key',
  )
  expect(outcome(nested({ success: [put('a')], failure: [remove(ALL)] }), put('b'))).toBe('duplicate_key')
  expect(outcome(nested({ success: [put('a')], failure: [remove('a'), put('b')] }), put('c'))).toBe('txn')
})

test('leases are compared as numbers, and none is 0', () => {
  const ids = [undefined, '7', '9', '10', '9223372036854775807'] as (LeaseId | undefined)[]
  for (const [held, id] of ids.entries()) {
    const store = new MemoryStore()
    if (id !== undefined) store.apply(ask({ kind: 'grant', id, ttlMs: 1000 }))
    store.apply(ask({ ...putOf('a', ''), ...(id !== undefined && { lease: { id } }) }))
    for (const [other, to] of ids.entries()) {
      const where = { key: utf8('a') }
      const holds = (['<', '=', '>', '!='] as const).filter((op) => {
        const outcome = done(store, { compare: [{ where, target: 'lease', op, to }] })
        return outcome.kind === 'txn' && outcome.succeeded
      })
      expect(holds).toEqual(held === other ? ['='] : [held < other ? '<' : '>', '!='])
    }
  }
})

describe('a put that keeps parts of its key', () => {
  const keep = (name: string): KvTxnOperation => ({ ...put(name), keepsValue: true }) as KvTxnOperation

  test('needs the key before the transaction: otherwise nothing of it is done', () => {
    const store = new MemoryStore()
    store.apply(ask(putOf('a', 'value')))
    for (const success of [[put('b'), keep('c')], [nested({ success: [keep('c')] })]])
      expect(done(store, { success })).toMatchObject({ reason: 'no-such-key' })
    expect(store.get('b')).toBe(undefined)
    expect(done(store, { success: [keep('a'), get('a')], failure: [keep('c')] })).toMatchObject({
      results: [{ version: 2 }, { found: { records: [{ value: utf8('value'), version: 2 }] } }],
    })
  })

  test('counts with the value that it keeps', () => {
    const store = (settings: Partial<KvSettings>) => {
      const made = new MemoryStore(settings)
      made.apply(ask(putOf('a', '1234')))
      return made
    }
    // The key is counted as it was, and as the put may leave it.
    expect(done(store({ rangeBytesMax: 10 }), { success: [keep('a'), get('a')] }).kind).toBe('txn')
    expect(done(store({ rangeBytesMax: 9 }), { success: [keep('a'), get('a')] })).toMatchObject({
      reason: 'records-too-large',
    })
    expect(done(store({ storeBytesMax: 6 }), { success: [keep('a'), put('b')] }).kind).toBe('txn')
    expect(done(store({ storeBytesMax: 5 }), { success: [keep('a'), put('b')] })).toMatchObject({
      reason: 'store-full',
    })
  })
})

describe('a get at a revision', () => {
  const at = (revision: number, place: Where | string, more: Partial<KvTxnOperation> = {}): KvTxnOperation =>
    ({ ...get(place), revision: rev(revision), ...more }) as KvTxnOperation
  /** Revisions: a=1 at 2, b=1 at 3, a=2 at 4, a deleted at 5. */
  const store = (settings?: Partial<KvSettings>) => {
    const made = new MemoryStore(settings)
    for (const command of [putOf('a', '1'), putOf('b', '1'), putOf('a', '2'), deleteOf('a')])
      made.apply(ask(command))
    return made
  }
  const records = (success: readonly KvTxnOperation[], made = store()) => {
    const outcome = done(made, { success })
    if (outcome.kind !== 'txn') return outcome
    return outcome.results.map((result) =>
      result.kind === 'get'
        ? result.found?.records.map(
            ({ key, value, modRevision }) => `${text(key)}=${text(value)}@${modRevision}`,
          )
        : result.kind,
    )
  }

  test('has what the store had then, whatever the operations before have changed', () => {
    expect(
      records([at(2, ALL), at(3, ALL), at(4, ALL), at(5, ALL), at(4, 'a'), at(5, 'a'), at(1, ALL)]),
    ).toEqual([...[['a=1@2'], ['a=1@2', 'b=1@3'], ['a=2@4', 'b=1@3'], ['b=1@3'], ['a=2@4'], [], []]])
    expect(records([put('c'), remove('b'), at(5, ALL), get(ALL)])).toEqual([
      ...['put', 'delete', ['b=1@3'], ['c=@6']],
    ])
    const counted = done(store(), { success: [put('c'), at(4, ALL, { limit: 1, keysOnly: true })] })
    expect(counted).toMatchObject({
      results: [{}, { found: { records: [{ key: utf8('a'), value: utf8('') }], more: true, count: 2 } }],
    })
  })

  test('says whether its limit has left out records, counted or not', () => {
    for (const count of [false, true])
      for (const [limit, more] of [
        [1, true],
        [2, false],
        [3, false],
      ] as const) {
        const outcome = done(store(), { success: [put('c'), at(4, ALL, { limit, count })] })
        const [, got] = outcome.kind === 'txn' ? outcome.results : []
        expect(got?.kind === 'get' && got.found).toMatchObject({ more, count: count ? 2 : undefined })
        expect(got?.kind === 'get' && got.found?.records).toHaveLength(Math.min(limit, 2))
      }
  })

  test('refuses the whole transaction where the store cannot be read', () => {
    const made = store()
    expect(records([put('c'), at(6, 'a')], made)).toMatchObject({
      reason: 'future-revision',
      numbers: [6, 5],
    })
    made.apply(ask({ kind: 'compact', revision: rev(4) }))
    expect(records([put('c'), at(3, 'a')], made)).toMatchObject({ reason: 'compacted', numbers: [3, 4] })
    expect(made.get('c')).toBe(undefined)
    expect(records([put('c'), at(4, 'a')], made)).toEqual(['put', ['a=2@4']])
    // Only what is done is judged, in the order of the operations.
    expect(done(made, { failure: [at(3, 'a')], success: [put('d')] }).kind).toBe('txn')
    expect(records([at(3, 'a'), put('')], made)).toMatchObject({ reason: 'compacted' })
    expect(records([put(''), at(3, 'a')], made)).toMatchObject({ reason: 'empty-key' })
  })

  test('counts its keys with those of the ranges, and its records with their values', () => {
    expect(records([put('c'), at(4, ALL)], store({ rangeKeysMax: 2 }))).toHaveLength(2)
    expect(records([put('c'), at(4, ALL)], store({ rangeKeysMax: 1 }))).toMatchObject({
      reason: 'range-too-large',
    })
    for (const keysOnly of [false, true]) {
      expect(records([put('c'), at(4, ALL, { keysOnly })], store({ rangeBytesMax: 4 }))).toHaveLength(2)
      expect(records([put('c'), at(4, ALL, { keysOnly })], store({ rangeBytesMax: 3 }))).toMatchObject({
        reason: 'records-too-large',
      })
    }
    expect(records([put('c'), at(4, ALL, { countOnly: true })], store({ rangeBytesMax: 3 }))).toHaveLength(2)
  })
})

test('a transaction requests records before, whichever branch has the operation that does', () => {
  const before = (operation: KvTxnOperation): KvTxnOperation =>
    ({ ...operation, prev: true }) as KvTxnOperation
  for (const operation of [put('a'), remove('a'), remove(ALL)])
    for (const branch of ['success', 'failure'] as const) {
      const branches = (...operations: KvTxnOperation[]) =>
        txnOf({ success: [get('b')], [branch]: operations })
      const deep = (...operations: KvTxnOperation[]) =>
        branches(put('c'), { kind: 'txn', txn: branches(...operations) })
      for (const txn of [branches, deep]) {
        expect(wantsPrev(txn(operation))).toBe(false)
        expect(wantsPrev(txn(get('b'), before(operation)))).toBe(true)
      }
    }
})

test('what a transaction names, and whether it only reads', () => {
  const range = { start: utf8('r'), end: utf8('s') }
  const txn = txnOf({
    compare: [{ where: range, target: 'version', op: '=', to: 1 }],
    success: [get('g'), nested({ failure: [remove(range)] })],
    failure: [put('p')],
  })
  expect(txnPlaces(txn)).toEqual([range, { key: utf8('g') }, range, { key: utf8('p') }])
  expect(txnRanges(txn)).toEqual([range, range])
  expect(onlyReads(txnOf({ success: [get('a')], failure: [nested({ success: [get('b')] })] }))).toBe(true)
  for (const change of [put('a'), remove('a'), nested({ failure: [put('a')] })]) {
    expect(onlyReads(txnOf({ success: [get('a'), change] }))).toBe(false)
    expect(onlyReads(txnOf({ failure: [change, get('a')] }))).toBe(false)
  }
})
