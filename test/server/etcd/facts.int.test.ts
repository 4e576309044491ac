// Facts that are nearly always equal, where they differ: numbers of keys, revisions of transactions, log indexes.

import { describe, expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { asTerm } from '../../../src/raft/types.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { base64, ETCD_WIRES, fromBase64, type Json } from './wires.ts'

/** Keys whose numbers all differ: made, changed and counted. */
function nodeWithKeys(): FakeNode {
  const node = new FakeNode()
  for (const [key, changes] of [
    ['k/1', 3],
    ['k/2', 1],
    ['k/3', 5],
    ['k/4', 2],
  ] as const)
    node.put(key, `${changes} made`)
  for (const [key, changes] of [
    ['k/3', 4],
    ['k/1', 2],
    ['k/4', 1],
  ] as const)
    for (let change = 1; change <= changes; change++) node.put(key, `${change} changed`)
  return node
}

const all = { key: base64('k/'), range_end: base64('k0') }

/** The filters and orders of a range, as etcd defines them. */
const FILTERS: readonly (readonly [
  field: string,
  fact: string,
  isKept: (found: number, bound: number) => boolean,
])[] = [
  ['min_create_revision', 'create_revision', (found, bound) => found >= bound],
  ['max_create_revision', 'create_revision', (found, bound) => found <= bound],
  ['min_mod_revision', 'mod_revision', (found, bound) => found >= bound],
  ['max_mod_revision', 'mod_revision', (found, bound) => found <= bound],
]
const TARGETS = [
  ['VERSION', 'version'],
  ['CREATE', 'create_revision'],
  ['MOD', 'mod_revision'],
] as const

describe.each(ETCD_WIRES)('%s', (_, open) => {
  test('filters and orders are each of its own number', async () => {
    const node = nodeWithKeys()
    const { port } = await serve({ node })
    const call = open(port)
    const rowsOf = async (request: object): Promise<Json[]> =>
      (await call(RPC.range, { ...all, ...request })).responses[0].kvs ?? []
    const rows = await rowsOf({})
    const keysOf = (kept: readonly Json[]) => kept.map(({ key }) => fromBase64(key))
    for (let bound = 1; bound <= node.revision + 1; bound++)
      for (const [field, fact, isKept] of FILTERS) {
        const expected = rows.filter((row) => isKept(Number(row[fact]), bound))
        expect([field, bound, keysOf(await rowsOf({ [field]: bound }))]).toEqual([
          field,
          bound,
          keysOf(expected),
        ])
      }
    for (const [sort_target, fact] of TARGETS) {
      const expected = rows.toSorted((a, b) => Number(b[fact]) - Number(a[fact]))
      const sorted = await rowsOf({ sort_target, sort_order: 'DESCEND' })
      expect([sort_target, keysOf(sorted)]).toEqual([sort_target, keysOf(expected)])
    }
  })

  /** Operations of a transaction. The header of each has the revision after it. */
  const get = { request_range: { key: base64('k/1') } }
  const put = (key: string) => ({ request_put: { key: base64(key) } })
  const removeNothing = { request_delete_range: { key: base64('none') } }
  const remove = { request_delete_range: { key: base64('k/2') } }
  const nested = (...success: object[]) => ({ request_txn: { success } })

  test.each<[string, object[], number[]]>([
    ['reads', [get, get], [0, 0]],
    ['a put between', [get, put('n'), get], [0, 1, 1]],
    ['a deletion of nothing', [removeNothing, get], [0, 0]],
    ['a deletion', [get, remove, get], [0, 1, 1]],
    ['a nested put alone', [get, nested(put('n')), get], [0, 1, 1]],
    ['a nested deletion of nothing', [get, nested(removeNothing), get], [0, 0, 0]],
    ['a put nested twice', [nested(get, nested(put('n'), get)), get], [0, 1, 1, 1]],
  ])('the headers in a transaction with %s', async (__, success, more) => {
    const node = nodeWithKeys()
    const { port } = await serve({ node })
    const before = node.revision
    const { responses } = await open(port)(RPC.txn, { success })
    const revisionsOf = (answers: readonly Json[]): number[] =>
      answers.flatMap(({ response_txn, ...one }) => {
        if (response_txn !== undefined) return revisionsOf(response_txn.responses)
        const [answer] = Object.values<Json>(one)
        return [Number(answer.header.revision)]
      })
    expect(revisionsOf(responses[0].responses)).toEqual(more.map((one) => before + one))
    expect(Number(responses[0].header.revision)).toBe(before + Math.max(...more))
  })

  test('the facts of a node are those of their names', async () => {
    const node = new FakeNode()
    node.put('k', 'v')
    node.appliedIndex = 77
    const { commit: commitIndex, applied: appliedIndex } = node.status().raft
    expect(commitIndex).not.toBe(appliedIndex)
    const { port } = await serve({ node })
    const { responses } = await open(port)(RPC.status, {})
    expect(responses[0]).toMatchObject({
      header: { cluster_id: '4242', member_id: '1', revision: '2', raft_term: '3' },
      ...{ raftIndex: `${commitIndex}`, raftAppliedIndex: '77', raftTerm: '3', leader: '2' },
    })
    expect(responses[0].raftIndex).not.toBe('77')
  })

  test('the header of a response has the revision and the term of its time, and the ids of all times', async () => {
    const node = new FakeNode()
    const { port } = await serve({ node })
    const call = open(port)
    for (const term of [3, 4, 9]) {
      Object.assign(node, { term: asTerm(term) })
      node.put('k', `in term ${term}`)
      const { responses } = await call(RPC.range, { key: base64('k') })
      expect(responses[0].header).toEqual({
        ...{ cluster_id: '4242', member_id: '1' },
        ...{ revision: `${node.revision}`, raft_term: `${term}` },
      })
    }
  })

  test('the times of a lease differ', async () => {
    const node = new FakeNode()
    const { port } = await serve({ node })
    node.apply({ kind: 'grant', id: '7' as LeaseId, ttlMs: 60_000 })
    node.knownTtls.set('7', 21_900)
    const { responses } = await open(port)(RPC.leaseTimeToLive, { ID: '7' })
    expect(responses[0]).toMatchObject({ ID: '7', TTL: '21', grantedTTL: '60' })
  })
})
