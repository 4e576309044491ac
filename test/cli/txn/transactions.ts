// Transactions of every form, for properties.

import fc from 'fast-check'
import { bytesToJson } from '../../../src/cli/format-json.ts'
import type {
  BytesJson,
  ComparisonJson,
  OperationJson,
  PlaceJson,
  TxnJson,
} from '../../../src/cli/txn/json-types.ts'

/** What has a meaning in the language, cannot be seen, or is not UTF-8. */
const ODD = [
  ...[
    'prefix',
    'range',
    'from',
    'before',
    'then',
    'else',
    'txn',
    'limit',
    'prev',
    'exists',
    'base64:',
    '@',
    '#',
  ],
  ...[
    '=',
    '!=',
    '<',
    '>',
    '>=',
    '{',
    '}',
    '(',
    ')',
    '[',
    ']',
    '"',
    "'",
    '“',
    '’',
    '\\',
    '\\x00',
    '\\u0000',
    '--',
  ],
  ...[' ', '\t', '\n', '\r\n', '\0', '\u001b[2J', '\u007f', '\u0085', '\u00a0', '\u00ad', '\u2028', '\u202e'],
  ...['\u200b', '\u3000', '\ufeff', 'ü', '€', '😀', '👩‍👩‍👧‍👦', '\u{e0001}', '0', '-1', 'ab/c'],
]
const piece = fc.oneof(
  fc.constantFrom(...ODD).map((text) => Buffer.from(text)),
  fc.string({ unit: 'binary', maxLength: 6 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
)
const bytes = fc.array(piece, { maxLength: 5 }).map((pieces) => bytesToJson(Buffer.concat(pieces)))
const key = bytes.filter((json) => json !== '')

const range: fc.Arbitrary<Exclude<PlaceJson, { key: BytesJson }>> = fc.oneof(
  fc.record({ prefix: bytes }),
  fc.record({ start: bytes }),
  fc.record({ end: key }),
  fc.record({ start: bytes, end: key }),
)
const place: fc.Arbitrary<PlaceJson> = fc.oneof(fc.record({ key }), range)

const wholeNumber = fc.oneof(fc.nat(20), fc.maxSafeNat())
const lease = fc.oneof(fc.bigInt(1n, 9n), fc.bigInt(1n, 2n ** 64n - 1n)).map(String)
const ttl = fc
  .tuple(fc.nat(10_000_000), fc.constantFrom('', '.5', '.000001'), fc.constantFrom('ms', 's', 'm', 'h'))
  .map((parts) => parts.join(''))
const op = fc.constantFrom('=' as const, '!=' as const, '<' as const, '>' as const)

const comparison: fc.Arbitrary<ComparisonJson> = fc.oneof(
  fc.record({ key, exists: fc.boolean() }),
  fc
    .tuple(
      place,
      op,
      fc.oneof(
        fc.record({ target: fc.constant('value' as const), to: bytes }),
        fc.record({ target: fc.constant('lease' as const), to: fc.oneof(fc.constant('0'), lease) }),
        fc.record({
          target: fc.constantFrom('version' as const, 'create_revision' as const, 'mod_revision' as const),
          to: wholeNumber,
        }),
      ),
    )
    .map(([where, operator, operand]): ComparisonJson => ({ ...where, ...operand, op: operator })),
)

const flag = fc.constant(true as const)
const none = fc.constant({})
const put = fc
  .tuple(
    fc.record({ key, value: bytes }),
    fc.oneof(none, fc.record({ lease }), fc.record({ ttl })),
    fc.oneof(none, fc.record({ prev: flag })),
  )
  .map((parts): OperationJson => ({ put: Object.assign({ key: '', value: '' }, ...parts) }))
const get = fc
  .tuple(
    place,
    fc.oneof(none, fc.record({ limit: wholeNumber.map((number) => Math.max(1, number)) })),
    fc.oneof(none, fc.record({ keys_only: flag }), fc.record({ count_only: flag })),
  )
  .map(([where, limit, only]): OperationJson => ({ get: { ...where, ...limit, ...only } }))
const del = fc
  .tuple(place, fc.oneof(none, fc.record({ prev: flag })))
  .map(([where, prev]): OperationJson => ({ delete: { ...where, ...prev } }))

const { txn } = fc.letrec<{ txn: TxnJson; operation: OperationJson }>((tie) => ({
  operation: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    put,
    get,
    del,
    tie('txn').map((inner) => ({ txn: inner })),
  ),
  txn: fc.record({
    compare: fc.array(comparison, { maxLength: 4 }),
    success: fc.array(tie('operation'), { maxLength: 4 }),
    failure: fc.array(tie('operation'), { maxLength: 3 }),
  }),
}))

export const anyTxn: fc.Arbitrary<TxnJson> = txn
