// A transaction that compares one key and changes it is proposed as a change of that key, which may share an entry. It
// means the same as the transaction in the log, but for the number of keys that the log may read. The log takes the
// same transaction with another comparison that holds.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ApiError, asRevision, type LeaseId } from '../../../src/operations/forms/index.ts'
import type { KvTxn, KvTxnOperation, KvTxnOperationResult } from '../../../src/operations/index.ts'
import type { ApiAnswer } from '../../../src/server/api/answer.ts'
import { runs } from '../../runs.ts'
import { FakeNode } from '../http/fake-node.ts'
import { executed } from './executed.ts'

const SETTINGS = { keyBytesMax: 8, valueBytesMax: 4 }
const LEASES = ['7', '8'] as readonly string[] as readonly LeaseId[]
/** Granted by nobody. */
const NO_LEASE = '9' as string as LeaseId

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const key = fc.constantFrom('a', 'b', 'c/1', 'c/2', 'c/3', 'ninebytes').map(bytes)
const value = fc.constantFrom('', '1', '1234', '12345').map(bytes)
const number = fc.oneof(fc.nat(20), fc.constantFrom(0, Number.MAX_SAFE_INTEGER))
const lease = fc.constantFrom<({ readonly id: LeaseId } | { readonly ttlMs: number } | undefined)[]>(
  ...[undefined, undefined, ...[...LEASES, NO_LEASE].map((id) => ({ id })), { ttlMs: 60_000 }],
)
const rarely = fc.nat(9).map((drawn) => drawn === 0)
const where = fc.oneof(
  fc.record({ key }),
  fc.constantFrom({ start: bytes('c/'), end: bytes('c0') }, { start: bytes(''), end: undefined }),
)

const put = fc.record({ kind: fc.constant('put' as const), key, value, prev: rarely, lease })
const deletion = fc.record({ kind: fc.constant('delete' as const), where, prev: rarely })
const get = fc.record({
  kind: fc.constant('get' as const),
  where,
  limit: fc.option(fc.nat(3), { nil: undefined }),
  ...{ keysOnly: fc.boolean(), count: fc.boolean(), countOnly: rarely },
  revision: fc.option(fc.nat(30).map(asRevision), { nil: undefined, freq: 4 }),
})
const inner = (operation: fc.Arbitrary<KvTxnOperation>) =>
  fc.array(operation, { maxLength: 2 }).map((failure) => ({
    kind: 'txn' as const,
    txn: { compare: [], success: failure, failure: [] },
  }))
const comparison = fc.record({
  where,
  op: fc.constantFrom('=' as const, '=' as const, '=' as const, '!=' as const, '<' as const, '>' as const),
  target: fc.constantFrom('mod_revision', 'mod_revision', 'version', 'create_revision'),
  to: number,
})

/** Most of them compare and change the same key, and many compare with the revision that it has. */
const request = fc.record({
  txn: fc.record({
    compare: fc.tuple(comparison),
    success: fc.oneof(
      { weight: 6, arbitrary: fc.tuple(fc.oneof(put, put, deletion)) },
      { weight: 1, arbitrary: fc.array(fc.oneof(put, deletion, get), { maxLength: 2 }) },
    ),
    failure: fc.oneof(
      { weight: 2, arbitrary: fc.constant([]) },
      { weight: 4, arbitrary: fc.array(fc.oneof(get, get, inner(get)), { maxLength: 2 }) },
      { weight: 1, arbitrary: fc.tuple(put) },
    ),
  }),
  comparesCurrent: fc.boolean(),
  changesCompared: fc.nat(9).map((drawn) => drawn > 0),
})

type Drawn = typeof request extends fc.Arbitrary<infer T> ? T : never

async function txnOf({ txn, comparesCurrent, changesCompared }: Drawn, node: FakeNode): Promise<KvTxn> {
  let [comparison] = txn.compare
  const { success } = txn
  const [change] = success
  if (changesCompared && change !== undefined) {
    const compared = change.kind === 'put' ? { key: change.key } : change.where
    comparison = { ...comparison, where: compared }
  }
  if (comparesCurrent && 'key' in comparison.where) {
    const to = await revisionOf(node, comparison.where.key)
    comparison = { ...comparison, op: '=', target: 'mod_revision', to }
  }
  return { ...txn, compare: [comparison] }
}

const revisionOf = (node: FakeNode, of: Uint8Array): Promise<number> =>
  new Promise((resolve, reject) =>
    node.get(of, (error, row) => (error === undefined ? resolve(row?.modRevision ?? 0) : reject(error))),
  )

function newNode(): FakeNode {
  const node = new FakeNode(SETTINGS)
  for (const id of LEASES) node.apply({ kind: 'grant', id, ttlMs: 60_000 })
  return node
}

const ask = (node: FakeNode, txn: KvTxn): Promise<ApiAnswer> =>
  executed(node, { kind: 'txn', txn, idempotency: undefined, freshness: {} })

const proposed = (node: FakeNode): readonly (string | undefined)[] =>
  node.asked.flatMap(({ request }) => request?.command.kind ?? [])

/** No change is of this key. */
const HOLDS: KvTxn['compare'][number] = {
  ...{ where: { key: bytes('none') }, op: '=', target: 'version', to: 0 },
}

/** The answer as a caller has it. */
function shown(answer: ApiAnswer): object {
  if (answer instanceof ApiError) {
    const { code, revision } = answer
    return { code, revision }
  }
  if (answer.kind !== 'txn') expect.fail(answer.kind)
  const { result, head } = answer
  return {
    revision: result.revision,
    succeeded: result.succeeded,
    results: result.results.map(shownResult),
    head,
  }
}

function shownResult(result: KvTxnOperationResult): object {
  if (result.kind === 'txn') return { ...result, results: result.results.map(shownResult) }
  if (result.kind !== 'get') return result
  const records = result.found?.records.map(
    ({ key, value, createRevision, modRevision, version, lease }) => ({
      ...{ key, value, createRevision, modRevision, version, lease },
    }),
  )
  return { ...result, found: { ...result.found, records } }
}

test('a transaction that changes the key it compares means the same as in the log', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 30 }), async (drawn) => {
      const [node, log] = [newNode(), newNode()]
      for (const each of drawn) {
        const txn = await txnOf(each, node)
        const answer = await ask(node, txn)
        const expected = await ask(log, { ...txn, compare: [...txn.compare, HOLDS] })
        expect(shown(answer)).toEqual(shown(expected))
        expect(node.revision).toBe(log.revision)
      }
      await node.scansClosed()
    }),
    { numRuns: runs(2_000) },
  )
})

const A = bytes('a')
/** The transaction with which Kubernetes updates an object. */
const update = (to: number): KvTxn => ({
  compare: [{ where: { key: A }, op: '=', target: 'mod_revision', to }],
  success: [{ kind: 'put', key: A, value: bytes('new'), prev: false }],
  failure: [
    {
      ...{ kind: 'get', where: { key: A }, limit: undefined },
      ...{ keysOnly: false, count: false, countOnly: false },
    },
  ],
})

const rowOf = (text: string, revision: number, version: number, createRevision = revision): object => ({
  ...{ key: A, value: bytes(text), lease: undefined },
  ...{ createRevision, modRevision: revision, version },
})
const OLD = rowOf('old', 2, 1)

/** The comparison, the change after the put has failed, and then: the proposals, the rows found, the revision. */
test.each([
  ['the revision of the key', 2, undefined, ['put'], undefined, 3],
  ['another revision', 1, undefined, ['put'], [OLD], 2],
  ['absence of a key that exists', 0, undefined, ['put'], [OLD], 2],
  ['another revision, of a key that changes again', 1, 'put', ['put'], [rowOf('else', 3, 2, 2)], 3],
  ['another revision, of a key that is deleted', 1, 'delete', ['put'], [], 3],
  ['absence, of a key that is deleted', 0, 'delete', ['put', 'txn'], undefined, 4],
  ['a revision that the key reaches', 3, 'put', ['put', 'txn'], undefined, 4],
] as const)('an update that compares with %s', async (_, to, change, kinds, records, revision) => {
  const node = newNode()
  node.put('a', 'old')
  let requests = 0
  node.hold = (release) => {
    // The first request is the proposal.
    if (++requests === 2 && change === 'put') node.put('a', 'else')
    if (requests === 2 && change === 'delete')
      node.apply({ kind: 'delete', key: A, condition: undefined, prev: false })
    release()
  }
  const answer = await ask(node, update(to))
  if (answer instanceof ApiError || answer.kind !== 'txn') expect.fail()
  expect(proposed(node)).toEqual(kinds)
  expect(answer.head).toEqual({ replayed: false })
  expect(answer.result.revision).toBe(revision)
  expect(answer.result.succeeded).toBe(records === undefined)
  const [result] = answer.result.results
  if (records !== undefined)
    expect(result).toMatchObject({ kind: 'get', found: { records, more: false, count: undefined } })
  await node.scansClosed()
  expect(node.openReads).toBe(0)
})
