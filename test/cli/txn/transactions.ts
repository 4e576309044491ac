// Transactions of every form, for properties.

import fc from 'fast-check'
import { textOrBytes } from '../../../src/cli/txn/bytes.ts'
import type { Place, Txn, TxnComparison, TxnOperation } from '../../../src/client/index.ts'
import { character } from '../../characters.ts'

/** Text that has a meaning in the language, or cannot be seen. */
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
  fc.string({ unit: character, maxLength: 6 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
)
const bytes = fc.array(piece, { maxLength: 5 }).map((pieces) => textOrBytes(Buffer.concat(pieces)))
const key = bytes.filter((content) => content !== '')

const place: fc.Arbitrary<Place> = fc.oneof(
  fc.record({ key }),
  fc.record({ prefix: bytes }),
  fc.record({ start: bytes }),
  fc.record({ end: key }),
  fc.record({ start: bytes, end: key }),
)

const wholeNumber = fc.oneof(fc.nat(20), fc.maxSafeNat())
const lease = fc.oneof(fc.bigInt(1n, 9n), fc.bigInt(1n, 2n ** 64n - 1n)).map(String)
const ttlMs = fc.oneof(fc.nat(10_000), fc.nat(10_000_000_000))
const op = fc.constantFrom('=' as const, '!=' as const, '<' as const, '>' as const)

const comparison: fc.Arbitrary<TxnComparison> = fc.oneof(
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
    .map(([where, operator, operand]): TxnComparison => ({ ...where, ...operand, op: operator })),
)

const flag = fc.constant(true as const)
const none = fc.constant({})
const put = fc
  .tuple(
    fc.record({ key, value: bytes }),
    fc.oneof(none, fc.record({ lease }), fc.record({ ttlMs })),
    fc.oneof(none, fc.record({ prev: flag })),
  )
  .map((parts): TxnOperation => ({ put: Object.assign({ key: '', value: '' }, ...parts) }))
const get = fc
  .tuple(
    place,
    fc.oneof(none, fc.record({ limit: wholeNumber.map((number) => Math.max(1, number)) })),
    fc.oneof(none, fc.record({ keysOnly: flag }), fc.record({ count: flag }), fc.record({ countOnly: flag })),
  )
  .map(([where, limit, only]): TxnOperation => ({ get: { ...where, ...limit, ...only } }))
const del = fc
  .tuple(place, fc.oneof(none, fc.record({ prev: flag })))
  .map(([where, prev]): TxnOperation => ({ delete: { ...where, ...prev } }))

const { txn } = fc.letrec<{ txn: Txn; operation: TxnOperation }>((tie) => ({
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

export const anyTxn: fc.Arbitrary<Txn> = txn
