// The form of each request in HTTP, both ends: what a client encodes, a node decodes to the same request.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeUtf8 } from '../../src/bytes/index.ts'
import type { HttpRequestHead } from '../../src/operations/forms/http.ts'
import type { OutgoingRequest } from '../../src/operations/forms/http-requests.ts'
import {
  asRevision,
  type Condition,
  type FreshnessOptions,
  type Idempotency,
  type KeyRange,
  type KvSettings,
  type LeaseId,
  MAX_STALENESS_MS_MAX,
  type Permission,
  type PutLease,
  prefixEnd,
  SEQ_MAX,
  SESSION_SLOTS_MAX,
  TTL_MS_MAX,
  TTL_MS_MIN,
  type Where,
} from '../../src/operations/forms/index.ts'
import { SETTING_LIMITS } from '../../src/operations/forms/settings.ts'
import type { KvComparison, KvTxn, KvTxnOperation, Operation } from '../../src/operations/index.ts'
import {
  encodeHttpRequest,
  OPERATIONS,
  type OperationKind,
  type OperationOf,
} from '../../src/operations/index.ts'
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
const leaseId = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map((id) => String(id) as LeaseId)
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
  get: fc.record({ key, revision: some(revision), condition, freshness }),
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
  watch: fc.record({
    request: fc.record({
      where: where.filter(
        (each) => 'key' in each || each.end === undefined || Buffer.compare(each.start, each.end) < 0,
      ),
      from: some(revision),
      only: some(fc.constantFrom('put', 'delete')),
      prev: fc.boolean(),
      values: fc.boolean(),
      progressMs: fc.integer({ min: PROGRESS_MS_MIN, max: PROGRESS_MS_MAX }),
    }),
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
  status: fc.constant({}),
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
      expect(withBounds(decode(kind, encodeHttpRequest(request)))).toEqual(withBounds(request))
    }),
  )
})
