// Requests for keys, transactions, leases and watches.

import fc from 'fast-check'
import { COMPARE_RESULTS, COMPARE_TARGETS, SORT_ORDERS, SORT_TARGETS } from '../../../src/etcd/messages/kv.ts'
import type { Step } from './conversation.ts'
import {
  type Drawn,
  draw,
  fields,
  flag,
  key,
  lease,
  place,
  plainKey,
  rangeEnd,
  revision,
  value,
  weighted,
} from './drawn.ts'
import type { JsonObject } from './frame.ts'

// ---------------------------------------------------------------------------------------------------------------------
// Keys

export const range = fields(
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
export const plainRange = fields({ key: plainKey, rangeEnd, limit: fc.nat({ max: 4 }), revision }, ['key'])

export const put = fields({ key, value, lease, prevKv: flag, ignoreValue: flag, ignoreLease: flag }, ['key'])
export const plainPut = fields({ key: plainKey, value, lease, prevKv: flag }, ['key', 'value'])
export const deleteRange = fields({ key, rangeEnd, prevKv: flag }, ['key'])

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
    { weight: 4, arbitrary: range.map((requestRange) => ({ requestRange })) },
    { weight: 3, arbitrary: deleteRange.map((requestDeleteRange) => ({ requestDeleteRange })) },
    { weight: 3, arbitrary: tie('txn').map((requestTxn) => ({ requestTxn })) },
  ),
  txn: fields({
    compare: fc.array(compare, { maxLength: 3 }),
    success: fc.array(tie('operation'), { maxLength: 4 }),
    failure: fc.array(tie('operation'), { maxLength: 4 }),
  }) as fc.Arbitrary<JsonObject>,
}))

export const { txn } = operation

const EQUAL = COMPARE_RESULTS.indexOf('EQUAL')
const VERSION = COMPARE_TARGETS.indexOf('VERSION')
const CREATE = COMPARE_TARGETS.indexOf('CREATE')
const MOD = COMPARE_TARGETS.indexOf('MOD')

/** One key is compared, changed, and otherwise read, as most clients do it. */
const keyChange: Drawn = fc
  .tuple(
    plainKey,
    weighted<JsonObject>(
      [4, fields({ modRevision: revision }, ['modRevision']).map((to) => ({ target: MOD, ...to }))],
      [2, fc.constantFrom(VERSION, CREATE, MOD).map((target) => ({ target }))],
      [1, compare],
    ),
    fc.oneof(
      fc.tuple(fc.constant('requestPut'), fields({ value, lease, prevKv: flag })),
      fc.tuple(fc.constant('requestDeleteRange'), fields({ prevKv: flag })),
    ),
    fc.array(fc.oneof(fc.constant<JsonObject>({}), plainRange), { maxLength: 2 }),
  )
  .map(([of, comparison, [kind, change], reads]) => ({
    compare: [{ key: of, result: EQUAL, ...comparison }],
    success: [{ [kind]: { key: of, ...change } }],
    failure: reads.map((read) => ({ requestRange: { key: of, ...read } })),
  }))

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
export const grant = fields({ id: lease, ttl }, ['ttl'])
export const someLease = fields({ id: lease })

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
export const plainCreate = fields({ key: plainKey, rangeEnd, startRevision: revision, prevKv: flag }, ['key'])
export const watch = weighted(
  [4, create.map((createRequest): JsonObject => ({ createRequest }))],
  [4, plainCreate.map((createRequest): JsonObject => ({ createRequest }))],
  [2, fields({ watchId }).map((cancelRequest): JsonObject => ({ cancelRequest }))],
  [1, fc.constant<JsonObject>({ progressRequest: {} })],
)

/** Requests of one stream that are sent without waiting for the first response. */
const together = weighted<JsonObject>(
  [
    2,
    fc.tuple(plainCreate, fc.integer({ min: 4, max: 6 })).map(([create, id]) => ({
      createRequest: { ...create, watchId: id },
      next: { cancelRequest: { watchId: id } },
    })),
  ],
  [
    1,
    fc.tuple(plainCreate, create).map(([one, two]) => ({ createRequest: one, next: { createRequest: two } })),
  ],
)

/** Bytes behind a message: cut fields, wrong types, numbers of no field. */
const junk = fc.constantFrom(
  '\x12',
  '\x12\x7fa',
  '\x10',
  '\x18\xff\xff',
  '\x00',
  '\x0b',
  '\x0f\x01',
  '\xfa\x3f\x01z',
)
const malformed = fc
  .tuple(fc.oneof(draw('put', plainPut), draw('range', plainRange), draw('leaseTimeToLive', someLease)), junk)
  .map(([step, bytes]): Step => ({ ...step, junk: bytes }))

export const keyStep: fc.Arbitrary<Step> = weighted(
  [24, draw('put', plainPut)],
  [8, draw('put', put)],
  [16, draw('range', range)],
  [8, draw('range', plainRange)],
  [12, draw('deleteRange', deleteRange)],
  [14, draw('txn', txn)],
  [12, draw('txn', keyChange)],
  [2, draw('txn', fc.oneof(manyOperations, nestedMany, noOperation))],
  [4, draw('compact', fields({ revision, physical: flag }))],
  [10, draw('leaseGrant', grant)],
  [4, draw('leaseRevoke', someLease)],
  [4, draw('leaseTimeToLive', fields({ id: lease, keys: flag }))],
  [2, draw('leaseKeepAlive', someLease)],
  [2, draw('leaseLeases', fc.constant({}))],
  [
    12,
    fc.tuple(fc.nat({ max: 1 }), watch).map(([stream, request]): Step => ({ rpc: 'watch', stream, request })),
  ],
  [
    2,
    fc
      .tuple(fc.nat({ max: 1 }), together)
      .map(([stream, request]): Step => ({ rpc: 'watch', stream, request })),
  ],
  [2, malformed],
  [1, draw('rangeStream', plainRange)],
  [1, draw('range', plainRange).map((step): Step => ({ ...step, times: 100 }))],
)
