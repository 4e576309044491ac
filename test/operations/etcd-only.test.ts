// Parts of requests that only etcd's API says: the other wires refuse to encode them, as they would lose them.

import { expect, test } from 'vitest'
import { batch } from '../../src/operations/batch.ts'
import { compact } from '../../src/operations/compact.ts'
import { ApiError, asRevision, type KeptParts } from '../../src/operations/forms/index.ts'
import { put } from '../../src/operations/put.ts'
import { txn } from '../../src/operations/txn.ts'

const encodings = (kept: KeptParts): readonly (() => unknown)[] => {
  const [key, value] = [Uint8Array.of(1), new Uint8Array()]
  const command = { kind: 'put', key, value, condition: undefined, prev: false, ...kept } as const
  const single = { ...command, idempotency: undefined }
  const many = { kind: 'batch', commands: [command], idempotency: undefined } as const
  const nested = {
    compare: [],
    success: [{ kind: 'put', key, value, prev: false, ...kept } as const],
    failure: [],
  }
  const transaction = { kind: 'txn', txn: nested, idempotency: undefined, freshness: {} } as const
  return [
    () => put.http.encode(single),
    () => put.mux.encode(1, 1, single),
    () => batch.http.encode(many),
    () => batch.mux.encode(1, 1, many),
    () => txn.http.encode(transaction),
    () => txn.mux.encode(1, 1, transaction),
  ]
}

test('the revision of a single get in a transaction is refused too', () => {
  const get = { kind: 'get', where: { key: Uint8Array.of(1) }, limit: undefined, keysOnly: false } as const
  const past = { ...get, count: false, countOnly: false, revision: asRevision(3) }
  const nested = { compare: [], success: [past], failure: [] }
  const transaction = { kind: 'txn', txn: nested, idempotency: undefined, freshness: {} } as const
  for (const encode of [() => txn.http.encode(transaction), () => txn.mux.encode(1, 1, transaction)])
    expect(encode).toThrow('the revision of a get in a transaction cannot be sent on this connection')
})

test('HTTP and the multiplexed connection refuse what they cannot say', () => {
  for (const encode of encodings({})) expect(encode).not.toThrow()
  for (const kept of [{ keepsValue: true }, { keepsLease: true }] as const)
    for (const encode of encodings(kept)) {
      expect(encode).toThrow(ApiError)
      expect(encode).toThrow('a put that keeps the value or the lease of its key cannot be sent')
    }
})

test('a compaction that must go forward is refused too', () => {
  const forward = {
    kind: 'compact',
    revision: asRevision(3),
    onlyForward: true,
    idempotency: undefined,
  } as const
  for (const encode of [() => compact.http.encode(forward), () => compact.mux.encode(1, 1, forward)])
    expect(encode).toThrow('a compaction that must go forward cannot be sent on this connection')
})
