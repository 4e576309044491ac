// The form of each operation in HTTP, both ends: what a client encodes, a node decodes to the same request. And what a
// node encodes, a client decodes to the same result.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeUtf8 } from '../../src/bytes/index.ts'
import type { HttpAnswerForm, HttpResultForm } from '../../src/operations/definition.ts'
import { CREDENTIALS } from '../../src/operations/documents/auth.ts'
import type { ClusterResult } from '../../src/operations/documents/members.ts'
import type { AnswerHead } from '../../src/operations/forms/answer-head.ts'
import type { Fields } from '../../src/operations/forms/decode.ts'
import {
  ApiError,
  asRevision,
  type Condition,
  decodeProblem,
  type FreshnessOptions,
  type Idempotency,
  type KeyRange,
  type KeyRow,
  type KvSettings,
  type LeaseId,
  MAX_STALENESS_MS_MAX,
  type Permission,
  type PutLease,
  prefixEnd,
  problemDocument,
  type ReadGrant,
  SEQ_MAX,
  SESSION_SLOTS_MAX,
  TTL_MS_MAX,
  TTL_MS_MIN,
  type Where,
} from '../../src/operations/forms/index.ts'
import { SETTING_LIMITS } from '../../src/operations/forms/settings.ts'
import type { HttpRequestHead, UnencodedResponse, WholeResponse } from '../../src/operations/http/form.ts'
import type { OutgoingRequest } from '../../src/operations/http/requests.ts'
import { leasesDocument, settingsDocument } from '../../src/operations/http/settings.ts'
import type {
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
  Operation,
} from '../../src/operations/index.ts'
import { OPERATIONS, type OperationKind, type OperationOf } from '../../src/operations/index.ts'
import { PAGE_START } from '../../src/operations/range.ts'
import { PROGRESS_MS_MAX, PROGRESS_MS_MIN } from '../../src/operations/watch.ts'
import { parseTarget } from '../../src/server/connections/target.ts'
import '../runs.ts'

const some = <T>(each: fc.Arbitrary<T>) => fc.option(each, { nil: undefined })
const revision = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(asRevision)
const tags = some(fc.oneof(fc.constant('any' as const), fc.array(revision, { minLength: 1, maxLength: 5 })))
const condition: fc.Arbitrary<Condition | undefined> = fc
  .record({ ifMatch: tags, ifNoneMatch: tags })
  .map((each) => (each.ifMatch === undefined && each.ifNoneMatch === undefined ? undefined : each))
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => new TextEncoder().encode(text)),
  fc.constantFrom(
    ...['/', '.', 'a/../b', 'a//b', '%', '+ &=?#', '"\\\u0000'].map((text) =>
      Uint8Array.from(Buffer.from(text)),
    ),
  ),
)
const key = bytes.filter(({ length }) => length > 0)
const leaseId = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map((id) => String(id) as LeaseId)
const ttlMs = fc.integer({ min: TTL_MS_MIN, max: TTL_MS_MAX })
const lease: fc.Arbitrary<PutLease | undefined> = some(
  fc.oneof(fc.record({ id: leaseId }), fc.record({ ttlMs })),
)
const token = fc.stringMatching(/^[!#-~][!-~]{0,20}$/).filter((text) => !text.includes(';'))
const idempotency: fc.Arbitrary<Idempotency | undefined> = some(
  fc.oneof(
    fc.record({ token, since: some(revision) }),
    fc.record({
      session: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      slot: fc.nat({ max: SESSION_SLOTS_MAX - 1 }),
      seq: fc.integer({ min: 1, max: SEQ_MAX }),
    }),
  ),
)
const freshness: fc.Arbitrary<FreshnessOptions> = fc.record({
  consistency: some(fc.constantFrom('linearizable', 'lease', 'stale')),
  maxStalenessMs: some(fc.integer({ min: 1, max: MAX_STALENESS_MS_MAX })),
  minRevision: some(revision),
})
/** A range by its bounds, or by a prefix, as a node decodes it. */
const range: fc.Arbitrary<KeyRange> = fc.oneof(
  fc.record({ start: bytes, end: some(bytes) }),
  bytes.map((prefix) => ({ start: prefix, end: prefixEnd(prefix), isPrefix: true as const })),
)
const limit = some(fc.integer({ min: 1, max: 10_000 }))
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 10 })
const label = fc.stringMatching(/^[a-z0-9-]{1,10}$/)
const member = fc.record({ id: leaseId, name: label, peer: fc.constant('a:1'), url: fc.constant('http://a') })

const where: fc.Arbitrary<Where> = fc.oneof(fc.record({ key }), range)
const operator = fc.constantFrom('=', '!=', '<', '>')
const comparison: fc.Arbitrary<KvComparison> = fc.oneof(
  fc.record({ where, op: operator, target: fc.constant('value' as const), to: bytes }),
  fc.record({
    where,
    op: operator,
    target: fc.constantFrom('version', 'create_revision', 'mod_revision'),
    to: fc.nat(),
  }),
  fc.record({ where, op: operator, target: fc.constant('lease' as const), to: some(leaseId) }),
)
const { txn } = fc.letrec<{ txn: KvTxn; operation: KvTxnOperation }>((tie) => ({
  txn: fc.record({
    compare: fc.array(comparison, { maxLength: 3 }),
    success: fc.array(tie('operation'), { maxLength: 3 }),
    failure: fc.array(tie('operation'), { maxLength: 3 }),
  }),
  operation: fc.oneof(
    { depthSize: 'small' },
    fc.record({ kind: fc.constant('put'), key, value: bytes, prev: fc.boolean(), lease }),
    fc.record({
      kind: fc.constant('get'),
      where,
      limit,
      keysOnly: fc.boolean(),
      count: fc.boolean(),
      countOnly: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('delete'), where, prev: fc.boolean() }),
    fc.record({ kind: fc.constant('txn'), txn: tie('txn') }),
  ) as fc.Arbitrary<KvTxnOperation>,
}))

const settings = fc.record(
  Object.fromEntries(Object.entries(SETTING_LIMITS).map(([field, bounds]) => [field, fc.integer(bounds)])),
  { requiredKeys: [] },
) as fc.Arbitrary<Partial<KvSettings>>
const permission: fc.Arbitrary<Permission> = fc.oneof(
  fc.record({ access: fc.constantFrom('read', 'write', 'readwrite'), range }),
  fc.constant<Permission>({ access: 'admin', range: undefined }),
)

const REQUESTS: { readonly [K in OperationKind]: fc.Arbitrary<Omit<OperationOf<K>, 'kind'>> } = {
  put: fc.record({ key, value: bytes, condition, prev: fc.boolean(), lease, idempotency }),
  delete: fc.record({ key, condition, prev: fc.constant(false), idempotency }),
  get: fc
    .record({ key, revision: some(revision), condition, freshness })
    .chain((each) => fc.constantFrom(each, { ...each, time: true })),
  range: fc.record({
    range,
    after: some(bytes),
    order: some(fc.constantFrom('asc', 'desc')),
    limit,
    keysOnly: fc.boolean(),
    count: some(fc.boolean()),
    countOnly: some(fc.boolean()),
    stream: fc.boolean(),
    revision: some(revision),
    freshness,
  }),
  batch: fc.record({
    commands: fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant('put' as const),
          key,
          value: bytes,
          condition,
          prev: fc.constant(false as const),
          lease,
        }),
        fc.record({
          kind: fc.constant('delete' as const),
          key,
          condition,
          prev: fc.constant(false as const),
        }),
      ),
      { minLength: 1, maxLength: 4 },
    ),
    idempotency,
  }),
  'delete-range': fc.record({
    range: range.filter(({ start, end }) => start.length > 0 || end !== undefined),
    idempotency,
  }),
  txn: fc.record({ txn, idempotency, revision: some(revision), freshness }),
  compact: fc.record({ revision, idempotency }),
  'raise-revision': fc.record({ revision, idempotency }),
  watch: fc.record({
    request: fc
      .record({
        where: where.filter(
          (each) => 'key' in each || each.end === undefined || Buffer.compare(each.start, each.end) < 0,
        ),
        from: some(revision),
        only: some(fc.constantFrom('put', 'delete')),
        prev: fc.boolean(),
        values: fc.boolean(),
        progressMs: fc.integer({ min: PROGRESS_MS_MIN, max: PROGRESS_MS_MAX }),
      })
      .chain((each) => fc.constantFrom(each, { ...each, time: true })),
  }),
  grant: fc.record({ id: some(leaseId), ttlMs, idempotency }),
  revoke: fc.record({ id: leaseId, idempotency }),
  'keep-alive': fc.oneof(
    fc.record({ ids: fc.tuple(leaseId), one: fc.constant(true) }),
    fc.record({ ids: fc.array(leaseId, { minLength: 1, maxLength: 5 }), one: fc.constant(false) }),
  ),
  'show-lease': fc.record({ id: leaseId, keys: fc.boolean(), freshness }),
  'list-leases': fc.record({ after: some(leaseId), limit, freshness }),
  'open-session': fc.constant({}),
  status: fc.record({ node: some(label) }),
  cluster: fc.constant({}),
  settings: fc.constant({}),
  backup: fc.record({ history: fc.boolean() }),
  'add-member': fc.record({ member }),
  'remove-member': fc.record({ name: label }),
  'replace-member': fc.record({ name: label, member }),
  'transfer-leadership': fc.record({ to: some(label) }),
  'change-settings': fc.record({
    settings,
    leases: some(
      fc.record({ on: some(fc.boolean()), durationMs: some(fc.integer({ min: 10, max: 60_000 })) }),
    ),
    idempotency,
  }),
  'show-auth': fc.constant({}),
  'show-self': fc.constant({}),
  'log-in': fc.record({ user: name, password: name }),
  'show-users': fc.record({ name: some(name) }),
  'show-roles': fc.record({ name: some(name) }),
  'change-auth': fc.oneof(
    fc.record({
      change: fc.oneof(
        fc.record({
          kind: fc.constant('put-user' as const),
          name,
          password: fc.option(some(name)),
          oldPassword: some(name),
          roles: some(fc.array(name, { maxLength: 3 })),
        }),
        fc.record({
          kind: fc.constant('put-role' as const),
          name,
          permissions: fc.array(permission, { maxLength: 4 }),
        }),
        fc.record({ kind: fc.constantFrom('delete-user' as const, 'delete-role' as const), name }),
      ),
      ifRevision: some(revision),
    }),
    fc.record({
      change: fc.record({ kind: fc.constantFrom('enable' as const, 'disable' as const) }),
      ifRevision: fc.constant(undefined),
    }),
  ),
}

function encode<K extends OperationKind>(request: OperationOf<K>): OutgoingRequest {
  const { http } = OPERATIONS[request.kind]
  return (http.encode as (request: OperationOf<K>) => OutgoingRequest)(request)
}

/** As a node decodes what a client has sent. */
function decode(kind: OperationKind, { method, path, headers, body }: OutgoingRequest): Operation {
  const target = parseTarget(method, path)
  const named = Object.entries(headers).map(([field, value]) => [field.toLowerCase(), value])
  const head = { target, pairs: target.pairs, headers: Object.fromEntries(named) }
  const { http } = OPERATIONS[kind]
  if ('decode' in http) {
    const decoded = (http.decode as (head: HttpRequestHead, rowsMax: number) => Operation)(head, 10_000)
    return decoded.kind === 'put' ? { ...decoded, value: body ?? new Uint8Array() } : decoded
  }
  for (const route of http.routes) {
    const params = route.method === method ? paramsIn(route.path, target.path) : undefined
    const json: unknown = body === undefined ? {} : JSON.parse(decodeUtf8(body))
    if (params !== undefined) return route.decode(head, params, json, 10_000)
  }
  throw new Error(`no route has ${method} ${path}`)
}

function paramsIn(pattern: string, path: string): Record<string, string> | undefined {
  const found = new RegExp(`^${pattern.replaceAll(/:([a-z]+)/g, '(?<$1>[^/]+)')}$`).exec(path)
  return found === null
    ? undefined
    : Object.fromEntries(
        Object.entries(found.groups ?? {}).map(([param, text]) => [param, decodeURIComponent(text)]),
      )
}

/** A node decodes a range by its bounds, whichever names the client has given. */
function withBounds(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value]
  if (Array.isArray(value)) return value.map(withBounds)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([field]) => field !== 'isPrefix')
  return Object.fromEntries(fields.map(([field, inside]) => [field, withBounds(inside)]))
}

test.each(Object.keys(OPERATIONS) as OperationKind[])('the request of %s', (kind) => {
  fc.assert(
    fc.property(REQUESTS[kind] as fc.Arbitrary<object>, (fields) => {
      const request = { ...fields, kind } as OperationOf<OperationKind>
      expect(withBounds(decode(kind, encode(request)))).toEqual(withBounds(request))
    }),
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Results

/** An answer of a node, how a client decodes it, and the result that it must get. */
interface RoundTrip {
  readonly sent: Pick<WholeResponse | UnencodedResponse, 'status' | 'body' | 'revision'>
  readonly decode: (body: Fields, head: AnswerHead) => unknown
  readonly expected: unknown
}

type ResultEnds<Q, R, H extends AnswerHead, D> = HttpResultForm<Q, R, H> & HttpAnswerForm<Q, D>

/** `expected`: the result at the client, if it is another one than that at the node. */
const trip = <Q, R, H extends AnswerHead, D>(
  { encodeResult, decodeResult }: ResultEnds<Q, R, H, D>,
  request: NoInfer<Q>,
  result: NoInfer<R>,
  head: NoInfer<H>,
  expected: unknown = result,
): RoundTrip => ({
  sent: encodeResult(result, head, request, { accept: 'application/json' }),
  decode: (body, answerHead) => decodeResult(body, request, answerHead),
  expected,
})

const flag = fc.boolean()
const count = fc.nat()
const applied = fc.record({ replayed: flag })
const grant: fc.Arbitrary<ReadGrant> = fc.record({
  served: fc.constantFrom('linearizable', 'lease', 'stale'),
  stalenessMs: some(fc.nat()),
  revision,
})
const revisions = { createRevision: revision, modRevision: revision, version: count }
const row: fc.Arbitrary<KeyRow> = fc
  .tuple(fc.record({ key, value: bytes, ...revisions, lease: some(leaseId) }), some(label))
  .map(([each, by]) => (by === undefined ? each : { ...each, by }))
const prev = fc.oneof(row, fc.constantFrom(null, undefined))
/** A row in an answer without values. */
const bare = ({ by: _by, ...each }: KeyRow): KeyRow => ({ ...each, value: new Uint8Array() })

const leaseDescription = fc.record({ id: leaseId, grantedTtlMs: count, remainingTtlMs: count })
const members = fc.array(
  fc.record({
    name: label,
    replicaId: leaseId,
    role: fc.constantFrom('voter' as const, 'learner' as const),
    peer: label,
    url: label,
    matchIndex: some(count),
  }),
  { maxLength: 3 },
)
const clusterResult: fc.Arbitrary<ClusterResult> = fc.record({
  clusterId: leaseId,
  leader: some(label),
  term: count,
  joint: flag,
  members,
})
const settingsResult = fc.record({
  settings: fc.record(
    Object.fromEntries(Object.entries(SETTING_LIMITS).map(([field, bounds]) => [field, fc.integer(bounds)])),
  ) as unknown as fc.Arbitrary<KvSettings>,
  leaderLeases: fc.record({ on: flag, durationMs: count }),
})
type Settled = typeof settingsResult extends fc.Arbitrary<infer S> ? S : never
const settingsAtClient = ({ settings: all, leaderLeases }: Settled): Fields => ({
  ...settingsDocument(all),
  leases: leasesDocument(leaderLeases),
})
const authStatus = fc.record({ enabled: flag, revision: count })
const user = fc.record({ name, roles: fc.array(name, { maxLength: 3 }), hasPassword: flag })
const role = fc.record({ name, permissions: fc.array(permission, { maxLength: 4 }) })

/** The result of an operation of a transaction. */
function operationResult(operation: KvTxnOperation): fc.Arbitrary<KvTxnOperationResult> {
  switch (operation.kind) {
    case 'put':
      return fc.record({ kind: fc.constant('put'), ...revisions, prev })
    case 'get': {
      const records = fc.array(
        row.map((each) => (operation.keysOnly ? bare(each) : each)),
        { maxLength: 3 },
      )
      return fc.record({
        kind: fc.constant('get'),
        found: some(fc.record({ records, more: flag, count: some(count) })),
      })
    }
    case 'delete':
      return fc.record({
        kind: fc.constant('delete'),
        deleted: count,
        prev: some(fc.array(row, { maxLength: 3 })),
      })
    case 'txn':
      return txnResult(operation.txn).map((result) => ({ kind: 'txn', ...result }))
  }
}

const txnResult = ({ success, failure }: KvTxn): fc.Arbitrary<KvTxnResult> =>
  flag.chain((succeeded) =>
    fc
      .tuple(...(succeeded ? success : failure).map(operationResult))
      .map((results) => ({ succeeded, results })),
  )

const refusal = fc.oneof(
  fc.constant(new ApiError('lease_not_found', 'there is no such lease')),
  row.map((current) => new ApiError('precondition_failed', 'it is at another revision', { current })),
)

/** The answer is a stream. */
const STREAM = 'stream'

const RESULTS: {
  readonly [K in OperationKind]: ((request: OperationOf<K>) => fc.Arbitrary<RoundTrip>) | typeof STREAM
} = {
  put: (request) =>
    fc
      .tuple(fc.record({ kind: fc.constant('put' as const), revision, ...revisions, prev }), applied)
      .map((drawn) => trip(OPERATIONS.put.http, request, ...drawn)),
  delete: (request) =>
    fc
      .tuple(
        fc.record({
          kind: fc.constant('delete' as const),
          revision,
          deleted: fc.constantFrom(0 as const, 1 as const),
          prev: fc.constant(undefined),
        }),
        applied,
      )
      .map((drawn) => trip(OPERATIONS.delete.http, request, ...drawn)),
  get: (request) =>
    fc.tuple(some(row), grant).map(([found, head]) => {
      const { http } = OPERATIONS.get
      const result = found && {
        ...found,
        key: request.key,
        ...(request.time ? { timeMs: 1_795_953_600_123 } : {}),
      }
      if (result !== undefined) return trip(http, request, result, head)
      return {
        sent: http.encodeResult(result, head, request, {}),
        decode: (body) => {
          const problem = decodeProblem(body)
          return problem && http.decodeAbsence(problem)
        },
        expected: { result },
      }
    }),
  range: (request) =>
    fc
      .tuple(fc.array(row, { maxLength: 3 }), flag, some(count), count, grant)
      .map(([rows, more, counted, all, head]) => {
        const { encodeRecord, encodePageEnd, decodeResult } = OPERATIONS.range.http
        const { keysOnly = false, countOnly = false } = request
        const records = countOnly ? [] : rows.map((each) => (keysOnly ? bare(each) : each))
        const hasMore = more && records.length > 0
        const page = {
          more: hasMore,
          last: hasMore ? records.at(-1)?.key : undefined,
          count: countOnly ? all : counted,
        }
        const encoded = records.map((each) => encodeRecord(each, keysOnly)).join(',')
        const body = `${PAGE_START}${encoded}${encodePageEnd(page, head)}`
        return {
          sent: { status: 200, body, revision: head.revision },
          decode: (fields) => decodeResult(fields, request),
          expected: { records, ...page },
        }
      }),
  batch: (request) =>
    fc
      .tuple(
        revision,
        fc.array(fc.tuple(refusal, flag, revision, count, fc.constantFrom(0 as const, 1 as const)), {
          minLength: request.commands.length,
          maxLength: request.commands.length,
        }),
        applied,
      )
      .map(([at, drawn, head]) => {
        const outcomes = request.commands.map(({ kind }, index) => {
          const [refused, isRefused, other, version, deleted] = drawn[index] ?? []
          if (isRefused === true && refused !== undefined) return refused
          const own = other ?? at
          return kind === 'put'
            ? {
                kind,
                revision: own,
                createRevision: at,
                modRevision: own,
                version: version ?? 1,
                prev: undefined,
              }
            : { kind, revision: own, deleted: deleted ?? 0, prev: undefined }
        })
        const expected = outcomes.map((each) =>
          each instanceof ApiError
            ? { problem: decodeProblem({ ...problemDocument(each), written: 'no' }) }
            : each,
        )
        return trip(OPERATIONS.batch.http, request, { kind: 'batch', revision: at, outcomes }, head, {
          kind: 'batch',
          revision: at,
          outcomes: expected,
        })
      }),
  'delete-range': (request) =>
    fc
      .tuple(fc.record({ kind: fc.constant('delete-range' as const), revision, deleted: count }), applied)
      .map((drawn) => trip(OPERATIONS['delete-range'].http, request, ...drawn)),
  txn: (request) =>
    fc
      .tuple(txnResult(request.txn), revision, fc.oneof(applied, grant))
      .map(([result, at, head]) => trip(OPERATIONS.txn.http, request, { ...result, revision: at }, head)),
  compact: (request) =>
    fc
      .tuple(
        fc.record({ kind: fc.constant('compacted' as const), revision, compactRevision: revision }),
        applied,
      )
      .map((drawn) => trip(OPERATIONS.compact.http, request, ...drawn)),
  'raise-revision': (request) =>
    fc
      .tuple(fc.record({ kind: fc.constant('revision-raised' as const), revision }), applied)
      .map((drawn) => trip(OPERATIONS['raise-revision'].http, request, ...drawn)),
  watch: STREAM,
  grant: (request) =>
    fc
      .tuple(fc.record({ kind: fc.constant('granted' as const), revision, lease: leaseId, ttlMs }), applied)
      .map((drawn) => trip(OPERATIONS.grant.http, request, ...drawn)),
  revoke: (request) =>
    fc
      .tuple(fc.record({ kind: fc.constant('revoked' as const), revision, deleted: count }), applied)
      .map((drawn) => trip(OPERATIONS.revoke.http, request, ...drawn)),
  'keep-alive': (request) =>
    fc
      .tuple(...request.ids.map(() => (request.one ? ttlMs : some(ttlMs))))
      .map((ttlsMs) => trip(OPERATIONS['keep-alive'].http, request, ttlsMs, {})),
  'show-lease': (request) =>
    fc
      .tuple(
        fc.record({
          lease: leaseDescription,
          keys: request.keys ? fc.array(key, { maxLength: 3 }) : fc.constant(undefined),
        }),
        grant,
      )
      .map((drawn) => trip(OPERATIONS['show-lease'].http, request, ...drawn)),
  'list-leases': (request) =>
    fc
      .tuple(fc.array(leaseDescription, { maxLength: 3 }), flag, grant)
      .map(([leases, more, head]) =>
        trip(OPERATIONS['list-leases'].http, request, { leases, more: more && leases.length > 0 }, head),
      ),
  'open-session': (request) =>
    fc
      .tuple(
        fc.record({ kind: fc.constant('session' as const), revision, session: count, ageMsMax: count }),
        applied,
      )
      .map(([result, head]) =>
        trip(OPERATIONS['open-session'].http, request, result, head, { ...result, slots: SESSION_SLOTS_MAX }),
      ),
  status: (request) =>
    fc
      .record({
        name: label,
        version: label,
        clusterId: leaseId,
        replicaId: leaseId,
        role: label,
        leader: some(label),
        term: count,
        commitIndex: count,
        appliedIndex: count,
        logFirstIndex: count,
        revision,
        clusterVersion: count,
        stateHash: label,
        members,
        diskFreeBytes: some(count),
        diskTotalBytes: some(count),
        certificates: fc.array(fc.record({ file: label, expiresInMs: fc.integer() }), { maxLength: 2 }),
        lastBackupAgeMs: some(count),
        errors: fc.array(label, { maxLength: 2 }),
      })
      .map((result) => trip(OPERATIONS.status.http, request, result, {})),
  cluster: (request) => clusterResult.map((result) => trip(OPERATIONS.cluster.http, request, result, {})),
  settings: (request) =>
    fc
      .tuple(settingsResult, applied)
      .map(([result, head]) =>
        trip(OPERATIONS.settings.http, request, result, head, settingsAtClient(result)),
      ),
  backup: STREAM,
  'add-member': (request) =>
    clusterResult.map((result) => trip(OPERATIONS['add-member'].http, request, result, {})),
  'remove-member': (request) =>
    clusterResult.map((result) => trip(OPERATIONS['remove-member'].http, request, result, {})),
  'replace-member': (request) =>
    clusterResult.map((result) => trip(OPERATIONS['replace-member'].http, request, result, {})),
  'transfer-leadership': (request) =>
    fc
      .record({ leader: label })
      .map((result) => trip(OPERATIONS['transfer-leadership'].http, request, result, {})),
  'change-settings': (request) =>
    fc
      .tuple(settingsResult, applied)
      .map(([result, head]) =>
        trip(OPERATIONS['change-settings'].http, request, result, head, settingsAtClient(result)),
      ),
  'show-auth': (request) =>
    authStatus.map((result) => trip(OPERATIONS['show-auth'].http, request, result, {})),
  'show-self': (request) =>
    fc
      .record({
        ...{ enabled: flag, revision: count, user: some(name) },
        credential: some(fc.constantFrom(...CREDENTIALS)),
        roles: fc.array(name, { maxLength: 3 }),
        permissions: fc.array(permission, { maxLength: 4 }),
      })
      .map((result) => trip(OPERATIONS['show-self'].http, request, result, {})),
  'log-in': (request) =>
    fc
      .record({ token: label, expiresInMs: count })
      .map((result) => trip(OPERATIONS['log-in'].http, request, result, {})),
  'show-users': (request) =>
    (request.name === undefined
      ? fc.record({ users: fc.array(user, { maxLength: 3 }), revision: count })
      : fc.record({ user })
    ).map((result) => trip(OPERATIONS['show-users'].http, request, result, {})),
  'show-roles': (request) =>
    (request.name === undefined
      ? fc.record({ roles: fc.array(role, { maxLength: 3 }), revision: count })
      : fc.record({ role })
    ).map((result) => trip(OPERATIONS['show-roles'].http, request, result, {})),
  'change-auth': (request) =>
    (request.change.kind === 'put-user'
      ? fc.record({ user })
      : request.change.kind === 'put-role'
        ? fc.record({ role })
        : authStatus
    ).map((result) => trip(OPERATIONS['change-auth'].http, request, result, {})),
}

function bodyFrom({ body }: RoundTrip['sent']): Fields {
  if (body instanceof Uint8Array) throw new Error('the answer is not JSON')
  return JSON.parse(typeof body === 'string' ? body : [...body.parts].join(''))
}

const WHOLE = (Object.keys(OPERATIONS) as OperationKind[]).filter((kind) => RESULTS[kind] !== STREAM)

test.each(WHOLE)('the result of %s', (kind) => {
  const result = RESULTS[kind] as (request: Operation) => fc.Arbitrary<RoundTrip>
  const drawn = (REQUESTS[kind] as fc.Arbitrary<object>).chain((fields) =>
    result({ ...fields, kind } as Operation),
  )
  fc.assert(
    fc.property(drawn, ({ sent, decode: decodeSent, expected }) => {
      const decoded = decodeSent(bodyFrom(sent), { revision: sent.revision })
      expect(withBounds(decoded)).toEqual(withBounds(expected))
    }),
  )
})
