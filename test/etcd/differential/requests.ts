// Random requests, as fast-check draws them: few keys and revisions, so that they meet.

import fc from 'fast-check'
import { COMPARE_RESULTS, COMPARE_TARGETS, SORT_ORDERS, SORT_TARGETS } from '../../../src/etcd/messages/kv.ts'
import type { Step } from './conversation.ts'
import { FIRST_REVISION, type JsonObject } from './frame.ts'

type Drawn = fc.Arbitrary<JsonObject>

const weighted = <T>(...choices: readonly (readonly [number, fc.Arbitrary<T>])[]): fc.Arbitrary<T> =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })))

/** Some of these fields, and all that are required. */
const fields = (model: Record<string, fc.Arbitrary<unknown>>, required: readonly string[] = []): Drawn =>
  fc.record(model, { requiredKeys: [...required] }) as Drawn

const flag = fc.constant(true)
const place = (names: readonly string[]): fc.Arbitrary<number> => fc.nat({ max: names.length - 1 })

const plainKey = fc.constantFrom('a', 'ab', 'b', 'b\xff', 'c')
const key = weighted([30, plainKey], [1, fc.constant('')], [1, fc.constant('\0')])
const rangeEnd = weighted(
  [6, fc.constantFrom('b', 'c', 'd')],
  [2, fc.constant('\0')],
  [1, fc.constant('a')],
  [1, fc.constant('')],
)
const value = fc.constantFrom('', '0', '1', '2', 'long'.repeat(10))
const revision = weighted(
  [12, fc.integer({ min: FIRST_REVISION, max: FIRST_REVISION + 12 })],
  [2, fc.integer({ min: FIRST_REVISION - 3, max: FIRST_REVISION + 30 })],
  [1, fc.constant(0)],
  [1, fc.constant(-1)],
)
const lease = weighted([8, fc.integer({ min: 1, max: 4 })], [1, fc.constant(0)])

// ---------------------------------------------------------------------------------------------------------------------
// Keys

const range = fields(
  {
    key,
    rangeEnd,
    limit: fc.integer({ min: -1, max: 4 }),
    revision,
    sortOrder: place(SORT_ORDERS),
    sortTarget: place(SORT_TARGETS),
    serializable: flag,
    keysOnly: flag,
    countOnly: flag,
    minModRevision: revision,
    maxModRevision: revision,
    minCreateRevision: revision,
    maxCreateRevision: revision,
  },
  ['key'],
)
/** As clients read most of the time. */
const plainRange = fields({ key: plainKey, rangeEnd, limit: fc.nat({ max: 4 }), revision }, ['key'])

const put = fields({ key, value, lease, prevKv: flag, ignoreValue: flag, ignoreLease: flag }, ['key'])
const plainPut = fields({ key: plainKey, value, lease, prevKv: flag }, ['key', 'value'])
const deleteRange = fields({ key, rangeEnd, prevKv: flag }, ['key'])

// ---------------------------------------------------------------------------------------------------------------------
// Transactions

/** The field that says with what a comparison compares, by its target. */
const COMPARED: readonly Drawn[] = [
  fields({ version: fc.integer({ min: -1, max: 3 }) }),
  fields({ createRevision: revision }),
  fields({ modRevision: revision }),
  fields({ value }),
  fields({ lease }),
]
const compare: Drawn = place(COMPARE_TARGETS).chain((target) =>
  fc
    .tuple(
      fields({ key, rangeEnd, result: place(COMPARE_RESULTS) }, ['key']),
      COMPARED[target] ?? fc.constant({}),
    )
    .map(([at, to]) => ({ target, ...at, ...to })),
)

const operation = fc.letrec<{ operation: JsonObject; txn: JsonObject }>((tie) => ({
  operation: fc.oneof(
    { depthSize: 'small', withCrossShrink: true, maxDepth: 3 },
    { weight: 6, arbitrary: put.map((requestPut) => ({ requestPut })) },
    { weight: 6, arbitrary: plainPut.map((requestPut) => ({ requestPut })) },
    { weight: 4, arbitrary: range.map(({ revision: _, ...requestRange }) => ({ requestRange })) },
    { weight: 3, arbitrary: deleteRange.map((requestDeleteRange) => ({ requestDeleteRange })) },
    { weight: 3, arbitrary: tie('txn').map((requestTxn) => ({ requestTxn })) },
  ),
  txn: fields({
    compare: fc.array(compare, { maxLength: 3 }),
    success: fc.array(tie('operation'), { maxLength: 4 }),
    failure: fc.array(tie('operation'), { maxLength: 4 }),
  }) as fc.Arbitrary<JsonObject>,
}))

const { txn } = operation

/** About as many operations as a transaction may have. */
const manyOperations: Drawn = fc
  .tuple(fc.constantFrom('compare', 'success', 'failure'), fc.integer({ min: 127, max: 129 }))
  .map(([list, count]) => ({
    [list]: Array.from({ length: count }, () =>
      list === 'compare' ? { key: 'a', target: 0 } : { requestRange: { key: 'a' } },
    ),
  }))
const nestedMany: Drawn = fc
  .tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 125, max: 128 }))
  .map(([outer, inner]) => ({
    success: Array.from({ length: outer }, () => ({
      requestTxn: { success: Array.from({ length: inner }, () => ({ requestRange: { key: 'a' } })) },
    })),
  }))
/** Operations of no kind. */
const noOperation: Drawn = fc.constant({ success: [{}] })

// ---------------------------------------------------------------------------------------------------------------------
// Leases and watches

const ttl = weighted(
  [8, fc.integer({ min: 60, max: 600 })],
  [1, fc.integer({ min: -1, max: 5 })],
  [1, fc.constantFrom(9_000_000_000, 9_000_000_001)],
)
const grant = fields({ id: lease, ttl }, ['ttl'])
const someLease = fields({ id: lease })

const watchId = fc.nat({ max: 3 })
const create = fields({
  key,
  rangeEnd,
  startRevision: revision,
  progressNotify: flag,
  filters: fc.subarray([0, 1]),
  prevKv: flag,
  watchId,
  fragment: flag,
})
const plainCreate = fields({ key: plainKey, rangeEnd, startRevision: revision, prevKv: flag }, ['key'])
const watch = weighted(
  [4, create.map((createRequest): JsonObject => ({ createRequest }))],
  [4, plainCreate.map((createRequest): JsonObject => ({ createRequest }))],
  [2, fields({ watchId }).map((cancelRequest): JsonObject => ({ cancelRequest }))],
  [1, fc.constant<JsonObject>({ progressRequest: {} })],
)

// ---------------------------------------------------------------------------------------------------------------------

const unary = (rpc: Exclude<Step['rpc'], 'watch'>, request: Drawn): fc.Arbitrary<Step> =>
  request.map((drawn) => ({ rpc, request: drawn }))

const step: fc.Arbitrary<Step> = weighted(
  [12, unary('put', plainPut)],
  [4, unary('put', put)],
  [8, unary('range', range)],
  [4, unary('range', plainRange)],
  [6, unary('deleteRange', deleteRange)],
  [10, unary('txn', txn)],
  [1, unary('txn', fc.oneof(manyOperations, nestedMany, noOperation))],
  [2, unary('compact', fields({ revision, physical: flag }))],
  [5, unary('leaseGrant', grant)],
  [2, unary('leaseRevoke', someLease)],
  [2, unary('leaseTimeToLive', fields({ id: lease, keys: flag }))],
  [1, unary('leaseKeepAlive', someLease)],
  [1, unary('leaseLeases', fc.constant({}))],
  [
    6,
    fc.tuple(fc.nat({ max: 1 }), watch).map(([stream, request]): Step => ({ rpc: 'watch', stream, request })),
  ],
)

/** A conversation of so many requests at most. */
export const conversations = (steps: number): fc.Arbitrary<readonly Step[]> =>
  fc.array(step, { minLength: 1, maxLength: steps, size: 'max' })
