// Transactions of every form, for properties.

import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import type { Place, Txn, TxnComparison, TxnOperation } from '../../../src/client/index.ts'
import { bytesDocument } from '../../../src/operations/forms/bytes.ts'
import { anyBytes } from '../odd-bytes.ts'

const bytes = anyBytes.map((content) => (isUtf8(content) ? content.toString() : content))
const key = bytes.filter((content) => content !== '')

const place: fc.Arbitrary<Place> = fc.oneof(
  fc.record({ key }),
  fc.record({ prefix: bytes }),
  fc.record({ start: bytes }),
  fc.record({ end: key }),
  fc.record({ start: bytes, end: key }),
)

const wholeNumber = fc.oneof(fc.nat(20), fc.maxSafeNat())
const lease = fc.oneof(fc.bigInt(1n, 9n), fc.bigInt(1n, 2n ** 63n - 1n)).map(String)
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

const HTTP_NAMES: ReadonlyMap<string, string> = new Map([
  ['keysOnly', 'keys_only'],
  ['countOnly', 'count_only'],
  ['ttlMs', 'ttl'],
])

/** The body of `POST /v1/txn`. */
export function httpForm(value: unknown): unknown {
  if (value instanceof Uint8Array) return bytesDocument(value)
  if (Array.isArray(value)) return value.map(httpForm)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([name, field]) => [
    HTTP_NAMES.get(name) ?? name,
    name === 'ttlMs' ? `${field}ms` : httpForm(field),
  ])
  return Object.fromEntries(fields)
}
