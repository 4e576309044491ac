// Requests about as large as etcd accepts, and what watches make of them.

import fc from 'fast-check'
import type { Step } from './conversation.ts'
import { type Drawn, draw, fields, flag, revision, weighted } from './drawn.ts'
import type { JsonObject } from './frame.ts'

/** Two of them fit into the answer of a transaction. */
const key = fc.constantFrom('a', 'b')
/** etcd's largest request is 1.5 MiB; its largest message has 512 KiB more. */
const bytes = weighted(
  [4, fc.constantFrom(600_000, 1_000_000)],
  [4, fc.constantFrom(1_048_576, 1_048_577, 1_572_000)],
  [2, fc.constantFrom(1_572_900, 2_000_000, 2_097_000)],
  [1, fc.constantFrom(2_097_153, 2_200_000)],
)
const value = bytes.map((length) => ({ bytes: length }))
const put = fields({ key, value, prevKv: flag }, ['key', 'value'])
const small = weighted([3, fc.integer({ min: 400_000, max: 800_000 })], [1, fc.constant(10)])
const several: Drawn = fc
  .uniqueArray(fc.tuple(key, small), { minLength: 1, maxLength: 2, selector: ([of]) => of })
  .map((list) => ({
    success: list.map(([of, length]): JsonObject => ({ requestPut: { key: of, value: { bytes: length } } })),
  }))
const create = fields(
  {
    key: fc.constantFrom('a'),
    rangeEnd: fc.constantFrom('c'),
    startRevision: revision,
    prevKv: flag,
    fragment: flag,
  },
  ['key', 'rangeEnd'],
)

export const largeStep: fc.Arbitrary<Step> = weighted(
  [6, draw('put', put)],
  [6, draw('txn', several)],
  [
    2,
    draw(
      'range',
      fields({ key, rangeEnd: fc.constantFrom('c'), limit: fc.nat({ max: 2 }), revision, keysOnly: flag }, [
        'key',
      ]),
    ),
  ],
  [1, draw('deleteRange', fields({ key, rangeEnd: fc.constantFrom('c'), prevKv: flag }, ['key']))],
  [
    4,
    fc
      .tuple(fc.nat({ max: 1 }), create)
      .map(([stream, createRequest]): Step => ({ rpc: 'watch', stream, request: { createRequest } })),
  ],
  [
    1,
    draw(
      'put',
      fc.constantFrom(3_900, 5_000).map((length) => ({ key: 'k'.repeat(length), value: '1' })),
    ),
  ],
)
