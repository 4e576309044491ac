// Both ends of the form of each operation on the multiplexed connection: what one end encodes, the other one decodes,
// through the bytes of the wire.

import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { del } from '../../src/operations/delete.ts'
import type { AnswerHead } from '../../src/operations/forms/answer-head.ts'
import {
  asRevision,
  type Condition,
  type FreshnessOptions,
  type Idempotency,
  KEY_BYTES_MAX,
  type KeyRow,
  type LeaseId,
  MAX_STALENESS_MS_MAX,
  type PutLease,
  type ReadGrant,
  SEQ_MAX,
  SESSION_SLOTS_MAX,
  TTL_MS_MAX,
  TTL_MS_MIN,
  VALUE_BYTES_MAX,
} from '../../src/operations/forms/index.ts'
import { get } from '../../src/operations/get.ts'
import type { Item, MuxForm, MuxRequestForm } from '../../src/operations/mux/form.ts'
import { put } from '../../src/operations/put.ts'
import { unpack } from '../../src/server/mux/unpack.ts'
import { runs } from '../runs.ts'

// ---------------------------------------------------------------------------------------------------------------------
// Fields, with their limits

const optional = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined })

const someBytes = (min: number, max: number): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 9, arbitrary: fc.uint8Array({ minLength: min, maxLength: 40 }) },
    { weight: 1, arbitrary: fc.constantFrom(min, max).map((length) => new Uint8Array(length).fill(0xfe)) },
  )

const key = someBytes(1, KEY_BYTES_MAX)
const value = someBytes(0, VALUE_BYTES_MAX)
const known = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(asRevision)
const revision = fc.oneof(fc.constant(asRevision(0)), known)
const lease = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map((id) => String(id) as LeaseId)
const ttlMs = fc.integer({ min: TTL_MS_MIN, max: TTL_MS_MAX })
const putLease: fc.Arbitrary<PutLease> = fc.oneof(fc.record({ id: lease }), fc.record({ ttlMs }))

const tags = optional(
  fc.oneof(fc.constant('any' as const), fc.array(revision, { minLength: 1, maxLength: 9 })),
)
const condition = fc
  .record({ ifMatch: tags, ifNoneMatch: tags })
  .map((each): Condition | undefined =>
    each.ifMatch === undefined && each.ifNoneMatch === undefined ? undefined : each,
  )

const token = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 255,
})
const idempotency: fc.Arbitrary<Idempotency | undefined> = optional(
  fc.oneof(
    fc.record({ token, since: optional(known) }),
    fc.record({
      session: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      slot: fc.nat({ max: SESSION_SLOTS_MAX - 1 }),
      seq: fc.integer({ min: 1, max: SEQ_MAX }),
    }),
  ),
)

const consistency = fc.constantFrom('linearizable', 'lease', 'stale')
const freshness: fc.Arbitrary<FreshnessOptions> = fc.record({
  consistency: optional(consistency),
  maxStalenessMs: optional(fc.double({ min: 1e-6, max: MAX_STALENESS_MS_MAX, noNaN: true })),
  minRevision: optional(known),
})

const row: fc.Arbitrary<KeyRow> = fc
  .tuple(
    fc.record({
      key,
      value,
      createRevision: known,
      modRevision: known,
      version: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      lease: optional(lease),
    }),
    optional(fc.string({ minLength: 1 })),
  )
  .map(([each, by]) => (by === undefined ? each : { ...each, by }))
const prev = fc.oneof(row, fc.constantFrom(null, undefined))

const grant: fc.Arbitrary<ReadGrant> = fc.record({
  served: consistency,
  stalenessMs: optional(fc.nat()),
  revision: known,
})
const applied = fc.record({ replayed: fc.boolean() })

// ---------------------------------------------------------------------------------------------------------------------
// The wire

const packr = new Packr({ useRecords: false, int64AsType: 'number', encodeUndefinedAsNil: true })
const pack = (item: Item): Buffer => Buffer.from(packr.pack(item))

/** Plain bytes: a Buffer is equal to no other array of bytes. */
function plain(of: unknown): unknown {
  if (of instanceof Uint8Array) return Array.from(of)
  if (Array.isArray(of)) return of.map(plain)
  if (typeof of !== 'object' || of === null) return of
  return Object.fromEntries(
    Object.entries(of)
      .filter(([, each]) => each !== undefined)
      .map(([name, each]) => [name, plain(each)]),
  )
}

const LIMITS = { pageRowsMax: 10_000, requestBytesMax: 1.5 * 2 ** 20 }
const ID = 2 ** 31 - 1
const TIMEOUT_MS = 59_999.999

function checkRequest<Q>(form: MuxRequestForm<Q>, request: Q, same: (request: Q) => unknown = plain): void {
  const packed = pack(form.encode(ID, TIMEOUT_MS, request))
  const item = unpack(packed) as Item
  expect(item.slice(0, 3)).toEqual([ID, form.opcode, TIMEOUT_MS])
  expect(item.length).toBeLessThanOrEqual(form.elementsMax)
  expect(same(form.decode(item, LIMITS))).toEqual(same(request))
  // The client counts the same credit as the node, and never sends more bytes than it expects.
  expect(form.credit(request)).toBe(form.itemCredit(item))
  expect(packed.length).toBeLessThanOrEqual(form.size(request))
}

function checkResult<Q, R, H extends AnswerHead>(
  form: MuxForm<Q, R, H>,
  request: Q,
  result: R,
  head: H,
): void {
  const item: Item = packr.unpack(pack(form.encodeResult(ID, result, head, request)))
  expect(item.slice(0, 2)).toEqual([ID, 0])
  expect(plain(form.decodeResult(item, request))).toEqual(plain(result))
  const { revision: _, ...others } = head
  expect(form.decodeHead(item)).toMatchObject(others)
}

const property = <T>(of: fc.Arbitrary<T>, check: (drawn: T) => void): void =>
  fc.assert(fc.property(of, check), { numRuns: runs(200) })

// ---------------------------------------------------------------------------------------------------------------------
// Operations

describe('a put', () => {
  const request = fc.record({
    kind: fc.constant('put' as const),
    key,
    value,
    condition,
    prev: fc.boolean(),
    lease: optional(putLease),
    idempotency,
  })

  test('its request', () => property(request, (drawn) => checkRequest(put.mux, drawn)))

  test('its result', () => {
    const outcome = fc.record({
      kind: fc.constant('put' as const),
      revision: known,
      createRevision: known,
      modRevision: known,
      version: fc.nat(),
      prev,
    })
    property(fc.tuple(request, outcome, applied), (drawn) => checkResult(put.mux, ...drawn))
  })
})

describe('a delete', () => {
  const request = fc.record({
    kind: fc.constant('delete' as const),
    key,
    condition,
    prev: fc.boolean(),
    idempotency,
  })

  test('its request', () => property(request, (drawn) => checkRequest(del.mux, drawn)))

  test('its result', () => {
    const outcome = fc.record({
      kind: fc.constant('delete' as const),
      revision: known,
      deleted: fc.constantFrom(0 as const, 1 as const),
      prev,
    })
    property(fc.tuple(request, outcome, applied), (drawn) => checkResult(del.mux, ...drawn))
  })
})

describe('a get', () => {
  const request = fc.record({
    kind: fc.constant('get' as const),
    key,
    revision: optional(known),
    freshness,
  })

  test('its request', () => property(request, (drawn) => checkRequest(get.mux, drawn)))

  test('its result', () => {
    property(fc.tuple(request, optional(row), grant), ([asked, found, head]) => {
      const result = found === undefined ? undefined : { ...found, key: asked.key }
      checkResult(get.mux, asked, result, head)
    })
  })

  test('a condition cannot be said', () => {
    const conditional = { ifMatch: 'any', ifNoneMatch: undefined } as const
    const asked = { kind: 'get', key: new Uint8Array([1]), condition: conditional, freshness: {} } as const
    expect(() => get.mux.encode(1, 1, asked)).toThrow(
      'the condition of a read cannot be sent on this connection',
    )
  })
})
