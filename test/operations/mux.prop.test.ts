// Both ends of the form of each operation on the multiplexed connection: what one end encodes, the other one decodes,
// through the bytes of the wire.

import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { BATCH_COMMANDS_MAX, batch } from '../../src/operations/batch.ts'
import { compact } from '../../src/operations/compact.ts'
import { del } from '../../src/operations/delete.ts'
import { deleteRange } from '../../src/operations/delete-range.ts'
import type { AnswerHead } from '../../src/operations/forms/answer-head.ts'
import {
  ApiError,
  asRevision,
  BOUND_BYTES_MAX,
  type Condition,
  compareKeys,
  type FreshnessOptions,
  type Idempotency,
  KEY_BYTES_MAX,
  type KeyRange,
  type KeyRow,
  type LeaseId,
  MAX_STALENESS_MS_MAX,
  type PutLease,
  prefixRange,
  type ReadGrant,
  SEQ_MAX,
  SESSION_SLOTS_MAX,
  TTL_MS_MAX,
  TTL_MS_MIN,
  VALUE_BYTES_MAX,
} from '../../src/operations/forms/index.ts'
import type {
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
} from '../../src/operations/forms/transactions.ts'
import { get } from '../../src/operations/get.ts'
import { keepAlive } from '../../src/operations/keep-alive.ts'
import {
  decodeNotice,
  decodeTrace,
  decodeWelcome,
  encodeLeaderNotice,
  encodeTrace,
  encodeWelcome,
} from '../../src/operations/mux/connection.ts'
import type { Item, MuxForm, MuxRequestForm } from '../../src/operations/mux/form.ts'
import { openSession } from '../../src/operations/open-session.ts'
import { put } from '../../src/operations/put.ts'
import { range } from '../../src/operations/range.ts'
import { txn } from '../../src/operations/txn.ts'
import { PROGRESS_MS_MAX, PROGRESS_MS_MIN, watch } from '../../src/operations/watch.ts'
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
const lease = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map((id) => String(id) as LeaseId)
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

const bound = someBytes(1, BOUND_BYTES_MAX)
const start = fc.oneof(fc.constant(new Uint8Array()), bound)
const keyRange: fc.Arbitrary<KeyRange> = fc.oneof(
  fc.record({ start, end: optional(bound) }),
  start.map(prefixRange),
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
  stalenessMs: optional(fc.oneof(fc.nat(), fc.double({ min: 0, max: 1e9, noNaN: true }))),
  revision: known,
})
const applied = fc.record({ replayed: fc.boolean() })

// ---------------------------------------------------------------------------------------------------------------------
// The wire

const packr = new Packr({ useRecords: false, int64AsType: 'number', encodeUndefinedAsNil: true })
const pack = (item: Item): Buffer => Buffer.from(packr.pack(item))

/** Bytes as text: a Buffer is equal to no other array of bytes, and vitest compares those element by element. */
function plain(of: unknown): unknown {
  if (of instanceof Uint8Array)
    return { bytes: Buffer.from(of.buffer, of.byteOffset, of.length).toString('hex') }
  if (Array.isArray(of)) return of.map(plain)
  if (typeof of !== 'object' || of === null) return of
  return Object.fromEntries(
    Object.entries(of)
      // That a client has named a range by a prefix is not known to the node.
      .filter(([name, each]) => each !== undefined && name !== 'isPrefix')
      .map(([name, each]) => [name, plain(each)]),
  )
}

const LIMITS = { pageRowsMax: 10_000, requestBytesMax: 1.5 * 2 ** 20 }
const ID = 2 ** 31 - 1
const TIMEOUT_MS = 59_999.999

function checkRequest<Q>(
  form: MuxRequestForm<Q>,
  request: Q,
  same: (request: Q) => unknown = plain,
  limits = LIMITS,
): void {
  const packed = pack(form.encode(ID, TIMEOUT_MS, request))
  const item = unpack(packed) as Item
  expect(item.slice(0, 3)).toEqual([ID, form.opcode, TIMEOUT_MS])
  expect(item.length).toBeLessThanOrEqual(form.elementsMax)
  expect(same(form.decode(item, limits))).toEqual(same(request))
  // The client counts the same credit as the node, and never sends more bytes than it expects.
  expect(form.credit(request)).toBe(form.itemCredit(item))
  expect(packed.length).toBeLessThanOrEqual(form.size(request))
}

/** The head at the client, without its revision. A bound of staleness never becomes smaller. */
const received = ({ revision: _, stalenessMs, ...others }: AnswerHead): AnswerHead => ({
  ...others,
  ...(stalenessMs === undefined ? {} : { stalenessMs: Math.ceil(stalenessMs) }),
})

/** `expected`: the result at the client, if it is another one than that at the node. */
function checkResult<Q, R, H extends AnswerHead, D = R>(
  form: MuxForm<Q, R, H, D>,
  request: Q,
  result: R,
  head: H,
  expected: unknown = result,
): void {
  const item: Item = packr.unpack(pack(form.encodeResult(ID, result, head, request)))
  expect(item.slice(0, 2)).toEqual([ID, 0])
  expect(plain(form.decodeResult(item, request))).toEqual(plain(expected))
  expect(form.decodeHead(item)).toMatchObject(received(head))
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

test('two conditions with many revisions fit into the size of a change', () => {
  const many = Array.from({ length: 1_000 }, (_, at) => asRevision(Number.MAX_SAFE_INTEGER - at))
  const condition = { ifMatch: many, ifNoneMatch: many }
  const change = { key: Uint8Array.of(1), condition, prev: false, idempotency: undefined }
  checkRequest(put.mux, { kind: 'put', value: Uint8Array.of(2), ...change })
  checkRequest(del.mux, { kind: 'delete', ...change })
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
  const request = fc
    .record({
      kind: fc.constant('get' as const),
      key,
      revision: optional(known),
      freshness,
    })
    .chain((each) => fc.constantFrom(each, { ...each, time: true }))

  test('its request', () => property(request, (drawn) => checkRequest(get.mux, drawn)))

  test('its result', () => {
    property(fc.tuple(request, optional(row), grant), ([asked, found, head]) => {
      const time = 'time' in asked ? { timeMs: 2 ** 48 - 1 } : {}
      const result = found === undefined ? undefined : { ...found, key: asked.key, ...time }
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

describe('a range', () => {
  const request = fc.record({
    kind: fc.constant('range' as const),
    range: keyRange,
    after: optional(bound),
    order: optional(fc.constantFrom('asc' as const, 'desc' as const)),
    limit: optional(fc.integer({ min: 1, max: LIMITS.pageRowsMax })),
    keysOnly: fc.boolean(),
    count: optional(fc.boolean()),
    countOnly: optional(fc.boolean()),
    revision: optional(known),
    freshness,
  })

  test('its request', () => property(request, (drawn) => checkRequest(range.mux, drawn)))

  test('its page', () => {
    const page = fc.record({
      records: fc.array(row, { maxLength: 5 }),
      more: fc.boolean(),
      count: optional(fc.nat()),
    })
    property(fc.tuple(page, fc.boolean(), grant), ([{ records, ...page }, keysOnly, head]) => {
      const { encodeRecord, encodePage, decodeResult, decodeHead } = range.mux
      const encoded = records.map((each) => encodeRecord(each, keysOnly))
      const item: Item = packr.unpack(pack(encodePage(ID, encoded, page, head)))
      const hidden = { value: new Uint8Array() }
      const expected = keysOnly ? records.map(({ by: _by, ...each }) => ({ ...each, ...hidden })) : records
      expect(plain(decodeResult(item))).toEqual(
        plain({ records: expected, last: records.at(-1)?.key, ...page }),
      )
      expect(decodeHead(item)).toMatchObject(received(head))
    })
  })

  test('a stream cannot be said', () => {
    const all = { start: new Uint8Array(), end: undefined }
    const asked = { kind: 'range', range: all, stream: true, freshness: {} } as const
    expect(() => range.mux.encode(1, 1, asked)).toThrow('cannot be sent on this connection')
  })
})

describe('a deletion of a range', () => {
  const request = fc.record({ kind: fc.constant('delete-range' as const), range: keyRange, idempotency })

  test('its request', () => property(request, (drawn) => checkRequest(deleteRange.mux, drawn)))

  test('its result', () => {
    const outcome = fc.record({
      kind: fc.constant('delete-range' as const),
      revision: known,
      deleted: fc.nat(),
    })
    property(fc.tuple(request, outcome, applied), (drawn) => checkResult(deleteRange.mux, ...drawn))
  })
})

describe('a batch', () => {
  const command = fc.oneof(
    fc.record({
      kind: fc.constant('put' as const),
      key,
      value,
      condition,
      prev: fc.constant(false as const),
      lease: optional(putLease),
    }),
    fc.record({ kind: fc.constant('delete' as const), key, condition, prev: fc.constant(false as const) }),
  )
  const commands = fc.array(command, { minLength: 1, maxLength: 9 })
  const request = fc.record({ kind: fc.constant('batch' as const), commands, idempotency })

  test('its request', () => property(request, (drawn) => checkRequest(batch.mux, drawn)))

  test('its request of most changes', () => {
    property(fc.tuple(command, idempotency), ([each, id]) => {
      const small = {
        ...each,
        key: each.key.slice(0, 1),
        ...(each.kind === 'put' ? { value: each.value.slice(0, 1) } : {}),
      }
      checkRequest(batch.mux, {
        kind: 'batch',
        commands: Array.from({ length: BATCH_COMMANDS_MAX }, () => small),
        idempotency: id,
      })
    })
  })

  test('its result', () => {
    const drawn = fc.tuple(
      request,
      fc.record({
        revision: known,
        other: known,
        version: fc.nat(),
        deleted: fc.constantFrom(0 as const, 1 as const),
      }),
      fc.boolean(),
      applied,
    )
    property(drawn, ([asked, { revision: at, other, version, deleted }, isRefused, head]) => {
      const refused = new ApiError('lease_not_found', 'there is no such lease')
      const outcomes = asked.commands.map(({ kind }, index) => {
        if (isRefused && index % 2 === 0) return refused
        return kind === 'put'
          ? { kind, revision: other, createRevision: at, modRevision: other, version, prev: undefined }
          : { kind, revision: other, deleted, prev: undefined }
      })
      const item: Item = packr.unpack(
        pack(batch.mux.encodeResult(ID, { kind: 'batch', revision: at, outcomes }, head)),
      )
      const decoded = batch.mux.decodeResult(item, asked)
      const { code, message: detail, status } = refused
      expect(plain(decoded)).toMatchObject({
        revision: at,
        outcomes: outcomes.map((each) =>
          each instanceof ApiError ? { problem: { code, detail, status } } : plain(each),
        ),
      })
      expect(decoded.outcomes).toHaveLength(outcomes.length)
      expect(batch.mux.decodeHead(item)).toMatchObject(head)
    })
  })
})

describe('a transaction', () => {
  const where = fc.oneof(fc.record({ key }), keyRange)
  const number = fc.nat({ max: Number.MAX_SAFE_INTEGER })
  const comparison: fc.Arbitrary<KvComparison> = fc
    .tuple(
      fc.record({ where, op: fc.constantFrom('=' as const, '!=' as const, '<' as const, '>' as const) }),
      fc.oneof(
        fc.record({ target: fc.constant('value' as const), to: value }),
        fc.record({
          target: fc.constantFrom('version' as const, 'create_revision' as const, 'mod_revision' as const),
          to: number,
        }),
        fc.record({ target: fc.constant('lease' as const), to: optional(lease) }),
      ),
    )
    .map(([what, target]) => ({ ...what, ...target }))
  const { requested } = fc.letrec<{ requested: KvTxn; operation: KvTxnOperation }>((tie) => ({
    operation: fc.oneof(
      { depthSize: 'small' },
      fc.record({
        kind: fc.constant('put' as const),
        key,
        value,
        prev: fc.boolean(),
        lease: optional(putLease),
      }),
      fc.record({
        kind: fc.constant('get' as const),
        where,
        limit: optional(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
        keysOnly: fc.boolean(),
        count: fc.boolean(),
        countOnly: fc.boolean(),
      }),
      fc.record({ kind: fc.constant('delete' as const), where, prev: fc.boolean() }),
      fc.record({ kind: fc.constant('txn' as const), txn: tie('requested') }),
    ),
    requested: fc.record({
      compare: fc.array(comparison, { maxLength: 3 }),
      success: fc.array(tie('operation'), { maxLength: 3 }),
      failure: fc.array(tie('operation'), { maxLength: 3 }),
    }),
  }))
  const request = fc.record({ kind: fc.constant('txn' as const), txn: requested, idempotency, freshness })
  const limits = { ...LIMITS, requestBytesMax: Number.MAX_SAFE_INTEGER }

  test('its request', () => property(request, (drawn) => checkRequest(txn.mux, drawn, plain, limits)))

  test('its result', () => {
    const records = fc.array(row, { maxLength: 2 })
    const drawn = fc.record({
      ...{
        records,
        prev,
        previous: optional(records),
        count: optional(fc.nat()),
        revision: known,
        version: fc.nat(),
      },
      ...{ isTrue: fc.boolean(), isRemembered: fc.boolean() },
    })
    property(fc.tuple(request, drawn, fc.oneof(applied, grant)), ([asked, found, head]) => {
      const { isTrue } = found
      const resultsOf = ({ success, failure }: KvTxn) => (isTrue ? success : failure).map(resultOf)
      const resultOf = (operation: KvTxnOperation): KvTxnOperationResult => {
        switch (operation.kind) {
          case 'put': {
            const { revision: at, version } = found
            return { kind: 'put', createRevision: at, modRevision: at, version, prev: found.prev }
          }
          case 'get': {
            if (found.isRemembered) return { kind: 'get', found: undefined }
            const hidden = { value: new Uint8Array() }
            const rows = operation.keysOnly
              ? found.records.map(({ by: _, ...each }) => ({ ...each, ...hidden }))
              : found.records
            return { kind: 'get', found: { records: rows, more: isTrue, count: found.count } }
          }
          case 'delete':
            return { kind: 'delete', deleted: found.version, prev: found.previous }
          case 'txn':
            return { kind: 'txn', succeeded: isTrue, results: resultsOf(operation.txn) }
        }
      }
      const at = 'served' in head ? head.revision : found.revision
      const outcome = { revision: at, succeeded: isTrue, results: resultsOf(asked.txn) }
      checkResult(txn.mux, asked, outcome, head)
      expect(txn.mux.resultBytes(outcome, asked)).toBeGreaterThanOrEqual(60 * outcome.results.length)
    })
  })
})

describe('a compaction', () => {
  const request = fc.record({ kind: fc.constant('compact' as const), revision: known, idempotency })

  test('its request', () => property(request, (drawn) => checkRequest(compact.mux, drawn)))

  test('its result', () => {
    const outcome = fc.record({
      kind: fc.constant('compacted' as const),
      revision: known,
      compactRevision: known,
    })
    property(fc.tuple(request, outcome, applied), (drawn) => checkResult(compact.mux, ...drawn))
  })
})

describe('a keep-alive', () => {
  const request = fc.record({
    kind: fc.constant('keep-alive' as const),
    ids: fc.array(lease, { minLength: 1, maxLength: 20 }),
    one: fc.constant(false),
  })

  test('its request', () => property(request, (drawn) => checkRequest(keepAlive.mux, drawn)))

  test('its result', () => {
    property(fc.tuple(request, optional(ttlMs), known), ([asked, ttl, at]) => {
      const ttls = asked.ids.map((_, index) => (index % 2 === 0 ? ttl : undefined))
      checkResult(keepAlive.mux, asked, ttls, { revision: at })
    })
  })
})

describe('an opened session', () => {
  test('its request', () => checkRequest(openSession.mux, { kind: 'open-session' }))

  test('its result', () => {
    const outcome = fc.record({
      ...{ kind: fc.constant('session' as const), revision: known, session: known, ageMsMax: fc.nat() },
    })
    property(outcome, (drawn) => {
      const request = { kind: 'open-session' } as const
      checkResult(openSession.mux, request, drawn, {}, { ...drawn, slots: SESSION_SLOTS_MAX })
    })
  })
})

describe('a watch', () => {
  const watched = fc.oneof(
    fc.record({ key }),
    keyRange.filter(({ start, end }) => end === undefined || compareKeys(start, end) < 0),
  )
  const request = fc.record({
    kind: fc.constant('watch' as const),
    request: fc
      .record({
        where: watched,
        from: optional(known),
        only: optional(fc.constantFrom('put' as const, 'delete' as const)),
        prev: fc.boolean(),
        values: fc.boolean(),
        progressMs: fc.integer({ min: PROGRESS_MS_MIN, max: PROGRESS_MS_MAX }),
      })
      .chain((each) => fc.constantFrom(each, { ...each, time: true })),
  })

  test('its request', () => property(request, (drawn) => checkRequest(watch.mux, drawn)))

  test('its beginning', () => {
    property(fc.tuple(request, known), ([asked, at]) => checkResult(watch.mux, asked, at, {}))
  })
})

describe('the connection', () => {
  const name = fc.string({ minLength: 1 })
  const leader = fc.record({ term: fc.nat(), name: optional(name) })
  const limit = fc.integer({ min: 1, max: 2 ** 31 })

  test('its welcome', () => {
    const welcome = fc.record({
      ...{ cluster: name, node: name, server: name, leader, revision: known },
      ...{ operationsMax: limit, bytesMax: limit, messageBytesMax: limit, changesMax: limit },
      ...{ watchesMax: limit, txnOperationsMax: limit, keepAliveMax: limit },
    })
    property(welcome, (drawn) => {
      expect(decodeWelcome(packr.unpack(pack(encodeWelcome(drawn))))).toEqual(drawn)
    })
  })

  test('its notice of a leader', () => {
    property(leader, (drawn) => {
      expect(decodeNotice(packr.unpack(pack(encodeLeaderNotice(drawn))))).toEqual({
        kind: 'leader',
        leader: drawn,
      })
    })
  })

  test('the trace context of an operation', () => {
    expect(decodeTrace(unpack(pack(encodeTrace(7, '00-a-b-01', 'x=1'))) as Item)).toEqual([
      '00-a-b-01',
      'x=1',
    ])
    expect(decodeTrace(unpack(pack(encodeTrace(7, '00-a-b-01', ''))) as Item)).toEqual([
      '00-a-b-01',
      undefined,
    ])
  })
})
