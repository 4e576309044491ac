// The random requests try every RPC, every field and every value of an enumeration.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { COMPARE_RESULTS, COMPARE_TARGETS, SORT_ORDERS, SORT_TARGETS } from '../../src/etcd/messages/kv.ts'
import { RPC } from '../../src/etcd/rpcs.ts'
import type { Json, JsonObject } from './differential/frame.ts'
import { conversations } from './differential/requests.ts'

const SEED = 1
const STEPS = fc.sample(conversations(40), { numRuns: 600, seed: SEED }).flat()

/** The values of each field of each message in the requests, by the path of the field. */
function valuesByPath(): ReadonlyMap<string, ReadonlySet<Json>> {
  const values = new Map<string, Set<Json>>()
  const add = (path: string, json: Json): void => {
    if (Array.isArray(json)) for (const each of json) add(path, each)
    else {
      const set = values.get(path) ?? new Set()
      values.set(path, set.add(json))
      if (typeof json === 'object' && json !== null)
        for (const [name, value] of Object.entries(json as JsonObject)) add(`${path}.${name}`, value)
    }
  }
  for (const { rpc, request } of STEPS) add(rpc, request)
  return values
}
const VALUES = valuesByPath()

/** Fields that requests leave out: of RPCs that only one of the servers has, and one that etcd sets itself. */
const LEFT_OUT = /^(rangeStream|downgrade)\.|\.hashedPassword$/

test('each RPC is tried', () => {
  const tried = new Set<string>(STEPS.map(({ rpc }) => rpc))
  expect(Object.keys(RPC).filter((rpc) => !tried.has(rpc))).toEqual([])
})

test('each field of each request is tried', () => {
  const fields = Object.entries(RPC).flatMap(([rpc, { request }]) =>
    Object.keys(request.decode(new Uint8Array())).map((field) => `${rpc}.${field}`),
  )
  expect(fields.filter((field) => !VALUES.has(field) && !LEFT_OUT.test(field))).toEqual([])
})

test.each([
  ['range.sortOrder', SORT_ORDERS],
  ['range.sortTarget', SORT_TARGETS],
  ['txn.compare.target', COMPARE_TARGETS],
  ['txn.compare.result', COMPARE_RESULTS],
])('each value of %s is tried', (path, names) => {
  expect([...(VALUES.get(path) ?? [])].toSorted()).toEqual([...names.keys()])
})

test('transactions have operations of each kind, also within transactions', () => {
  for (const path of ['txn.success', 'txn.failure', 'txn.success.requestTxn.success'])
    for (const kind of ['requestPut', 'requestRange', 'requestDeleteRange', 'requestTxn'])
      expect(VALUES.has(`${path}.${kind}`), `${path}.${kind}`).toBe(true)
})
