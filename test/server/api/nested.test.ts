// Rules of a change that also count inside transactions, in each branch and at each depth.

import { expect, test } from 'vitest'
import type { Idempotency, LeaseId, PutLease } from '../../../src/operations/forms/index.ts'
import { ApiError } from '../../../src/operations/forms/index.ts'
import type { KvTxn, KvTxnOperation, Operation } from '../../../src/operations/index.ts'
import type { ApiAnswer } from '../../../src/server/api/answer.ts'
import { Api } from '../../../src/server/api/api.ts'
import { execute } from '../../../src/server/api/execute.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import { FakeNode } from '../http/fake-node.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)

const EMPTY: KvTxn = { compare: [], success: [], failure: [] }

/** The operation in a branch, or in both of two transactions. */
const PLACES: Readonly<Record<string, (operation: KvTxnOperation) => KvTxn>> = {
  'the first branch': (operation) => ({ ...EMPTY, success: [operation] }),
  'the other branch': (operation) => ({ ...EMPTY, failure: [operation] }),
  'the first branch of a nested one': (operation) => ({
    ...EMPTY,
    success: [{ kind: 'txn', txn: { ...EMPTY, success: [operation] } }],
  }),
  'the other branch of a nested one': (operation) => ({
    ...EMPTY,
    failure: [{ kind: 'txn', txn: { ...EMPTY, failure: [operation] } }],
  }),
  'the third level': (operation) => ({
    ...EMPTY,
    failure: [
      { kind: 'txn', txn: { ...EMPTY, success: [{ kind: 'txn', txn: { ...EMPTY, failure: [operation] } }] } },
    ],
  }),
}

const txnOf = (txn: KvTxn, idempotency?: Idempotency): Operation => ({
  kind: 'txn',
  txn,
  idempotency,
  freshness: {},
})

async function executed(node: FakeNode, operation: Operation): Promise<ApiAnswer> {
  const api = new Api({ node, limits: apiLimits, version: '', failed: (error) => expect.fail(error.message) })
  const deadline = performance.now() + 60_000
  const call = { deadline, expansion: 1, isAbandoned: () => false }
  return new Promise((resolve) => execute(api, operation, call, resolve))
}

const codeOf = (result: ApiAnswer): string => (result instanceof ApiError ? result.code : result.kind)

/** All times to live anywhere in it. */
function ttlsIn(value: unknown): number[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return []
  return Object.entries(value).flatMap(([name, each]) =>
    name === 'ttlMs' && typeof each === 'number' ? [each] : ttlsIn(each),
  )
}

const put = (lease: PutLease) =>
  ({ kind: 'put', key: bytes('a'), value: bytes('1'), prev: false, lease, condition: undefined }) as const

test.each<[string, (ttlMs: number) => Operation]>([
  ['put', (ttlMs) => ({ ...put({ ttlMs }), idempotency: undefined })],
  ['grant', (ttlMs) => ({ kind: 'grant', id: '5' as LeaseId, ttlMs, idempotency: undefined })],
  ['batch', (ttlMs) => ({ kind: 'batch', commands: [put({ ttlMs })], idempotency: undefined })],
  ...Object.entries(PLACES).map(
    ([place, within]) =>
      [place, (ttlMs: number) => txnOf(within(put({ ttlMs })))] as [string, (ttlMs: number) => Operation],
  ),
])('no time to live is shorter than an election may take: %s', async (_, operation) => {
  const node = new FakeNode()
  for (const [requested, made] of [
    [1, 2_000],
    [1_999, 2_000],
    [2_001, 2_001],
  ] as const) {
    expect(codeOf(await executed(new FakeNode(), operation(requested)))).toBe(operation(requested).kind)
    await executed(node, operation(requested))
    expect(ttlsIn(node.asked.at(-1)?.request?.command)).toEqual([made])
  }
})

const WITH_PREV: readonly KvTxnOperation[] = [
  { kind: 'put', key: bytes('a'), value: bytes('1'), prev: true, lease: undefined },
  { kind: 'delete', where: { key: bytes('a') }, prev: true },
]

test.each(Object.entries(PLACES))('values are not remembered for a repeat: %s', async (_, within) => {
  for (const operation of WITH_PREV) {
    const token = { token: 'token', since: undefined }
    const node = new FakeNode()
    expect(codeOf(await executed(node, txnOf(within(operation), token)))).toBe('bad_request')
    expect(node.asked).toEqual([])
    expect(codeOf(await executed(node, txnOf(within(operation))))).toBe('txn')
  }
})
