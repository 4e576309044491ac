// Replicated settings limit the reads of a transaction. They are checked before it changes anything.

import { expect, test } from 'vitest'
import type { KvComparison, KvTxn, KvTxnOperation } from '../../src/operations/index.ts'
import { ask, MemoryStore, utf8 } from './store.ts'

const MIB = 1 << 20
const LIMIT = 4 * MIB
const all = { start: utf8('k'), end: utf8('l') }
const value = new Uint8Array(MIB)

/** A store with k0 to k4, a mebibyte each. */
function filled(): MemoryStore {
  const store = new MemoryStore()
  for (let n = 0; n < 5; n++) {
    const put = { kind: 'put', key: utf8(`k${n}`), value, condition: undefined, prev: false } as const
    store.apply(ask(put))
  }
  return store
}

const get = (rest: Partial<Extract<KvTxnOperation, { kind: 'get' }>> = {}): KvTxnOperation => ({
  ...{ kind: 'get', where: all, limit: undefined, keysOnly: false, count: false, countOnly: false },
  ...rest,
})
const removed = (prev: boolean, name?: string): KvTxnOperation => ({
  kind: 'delete',
  where: name === undefined ? all : { key: utf8(name) },
  prev,
})
const put = (name: string, bytes: number, prev = false): KvTxnOperation => ({
  kind: 'put',
  key: utf8(name),
  value: new Uint8Array(bytes),
  prev,
})
const compared: KvComparison = { where: all, target: 'value', op: '=', to: value }

const branchOf = (success: readonly KvTxnOperation[], compare: readonly KvComparison[] = []): KvTxn => ({
  ...{ compare, success, failure: [] },
})
const txnOf = (success: readonly KvTxnOperation[], compare?: readonly KvComparison[]): KvTxn =>
  branchOf([put('other', 1), ...success], compare)

/** `other`: with a change, which a refused transaction must not make. */
test.each<[string, KvTxn, number | undefined]>([
  ['all records', txnOf([get()]), 5 * MIB + 10],
  ['as many as fit', txnOf([get({ limit: 3 })]), undefined],
  ['one more', txnOf([get({ limit: 4 })]), 4 * MIB + 8],
  ['in two gets', txnOf([get({ limit: 2 }), get({ limit: 2 })]), 4 * MIB + 8],
  ['in a nested transaction', txnOf([{ kind: 'txn', txn: branchOf([get()]) }]), 5 * MIB + 10],
  ['keys only', txnOf([get({ keysOnly: true })]), undefined],
  ['a count', txnOf([get({ countOnly: true })]), undefined],
  ['the records before a delete', txnOf([removed(true)]), 5 * MIB + 10],
  ['a delete without them', txnOf([removed(false)]), undefined],
  ['the records before puts', txnOf(['k0', 'k1', 'k2', 'k3'].map((name) => put(name, 0, true))), 4 * MIB + 8],
  ['what a delete lets through a limit', txnOf([removed(false, 'k0'), get({ limit: 3 })]), 4 * MIB + 8],
  ['what it has put itself', txnOf([put('k9', 2 * MIB - 10), get({ limit: 3 })]), 5 * MIB - 2],
  ['values of a range that is compared', txnOf([], [compared]), 5 * MIB],
  [
    'values of one that a nested transaction compares',
    txnOf([{ kind: 'txn', txn: branchOf([], [compared]) }]),
    5 * MIB,
  ],
])('%s', (_name, txn, bytes) => {
  const store = filled()
  const { revision } = store.state
  const { outcome } = store.apply(ask({ kind: 'txn', txn }))
  if (bytes === undefined) {
    expect(outcome).toMatchObject({ kind: 'txn', revision: revision + 1 })
    return
  }
  expect(outcome).toMatchObject({ kind: 'refused', code: 'range_too_large', numbers: [bytes, LIMIT] })
  expect(store.state).toMatchObject({ revision, keys: 5 })
})
