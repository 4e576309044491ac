// Requests of every kind and with every flag, in an order in which most of them change the store. An entry of 0.1.0 has
// no other form. What an operation adds later has requests of its own, behind these.

import type { AuthChange, Command, Request } from '../../src/kv/types.ts'
import type { Condition, LeaseId, PutLease } from '../../src/operations/forms/index.ts'
import { asRevision } from '../../src/operations/forms/index.ts'
import type { KvComparison, KvTxn, KvTxnOperation } from '../../src/operations/index.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const DAY_MS = 86_400_000
/** Leases with these ids do not expire while a test runs: the time of a store begins where it ended. */
const TTL_MS = 300 * DAY_MS
const [FIRST, SECOND, LAST] = ['7' as LeaseId, '8' as LeaseId, '9223372036854775807' as LeaseId]

const request = (command: Command, more: Partial<Request> = {}): Request => ({
  command,
  idempotency: undefined,
  principal: '',
  ...more,
})
const put = (key: string, value: string, lease?: PutLease) => ({
  ...{ kind: 'put' as const, key: utf8(key), value: utf8(value), prev: false as const },
  ...{ condition: undefined as Condition | undefined, lease },
})
const del = (key: string) => ({
  ...{ kind: 'delete' as const, key: utf8(key), prev: false as const },
  condition: undefined as Condition | undefined,
})
const where = (key: string) => ({ key: utf8(key) })
const range = (start: string, end?: string) => ({
  start: utf8(start),
  end: end === undefined ? undefined : utf8(end),
})
const txn = (
  compare: readonly KvComparison[],
  success: readonly KvTxnOperation[],
  failure: readonly KvTxnOperation[] = [],
): Command => ({ kind: 'txn', txn: { compare, success, failure } satisfies KvTxn })
const auth = (change: AuthChange, ifRevision?: number): Request =>
  request({ kind: 'auth', change, ifRevision })
const putIn = (key: string, value: string, lease?: PutLease) => ({
  ...{ kind: 'put' as const, key: utf8(key), value: utf8(value), prev: false, lease },
})
const plainGet = { limit: undefined, keysOnly: false, count: false, countOnly: false } as const
const ANY: Condition = { ifMatch: 'any', ifNoneMatch: undefined }
const NONE: Condition = { ifMatch: undefined, ifNoneMatch: 'any' }

/** Every comparison, each true for the store at that point. */
const COMPARISONS: readonly KvComparison[] = [
  { where: where('b'), op: '=', target: 'value', to: utf8('2') },
  { where: where('b'), op: '!=', target: 'value', to: utf8('9') },
  { where: range('a', 'b'), op: '>', target: 'version', to: 0 },
  { where: range('zz'), op: '<', target: 'create_revision', to: 1 },
  { where: where('b'), op: '<', target: 'mod_revision', to: 1000 },
  { where: where('b'), op: '=', target: 'lease', to: undefined },
  { where: where('leased'), op: '=', target: 'lease', to: FIRST },
]

const OPERATIONS: readonly KvTxnOperation[] = [
  putIn('txn/1', 'x'),
  { ...putIn('txn/2', 'leased', { id: FIRST }), prev: true },
  putIn('txn/3', 'owned', { ttlMs: TTL_MS }),
  { ...putIn('a', ''), keepsValue: true },
  { ...putIn('leased', 'kept lease'), keepsLease: true },
  { kind: 'get', where: where('b'), ...plainGet },
  { kind: 'get', where: range('a', 'c'), limit: 1, keysOnly: true, count: true, countOnly: false },
  { kind: 'get', where: range('a'), ...plainGet, countOnly: true },
  { kind: 'get', where: where('b'), ...plainGet, revision: asRevision(3) },
  { kind: 'delete', where: where('gone'), prev: true },
  { kind: 'delete', where: range('txn/8', 'txn/9'), prev: false },
  { kind: 'txn', txn: { compare: [], success: [putIn('txn/4', 'nested')], failure: [] } },
]

export const REQUESTS: readonly Request[] = [
  request(put('a', '1')),
  request(put('b', '1'), { principal: 'alice' }),
  request({ ...put('b', '2'), condition: ANY, prev: true }),
  request({ ...put('c', 'new'), condition: NONE }),
  request({ ...put('c', 'x'), condition: { ifMatch: [asRevision(999)], ifNoneMatch: [asRevision(1)] } }),
  request(put('nul\0key', 'escaped')),
  request(put('gone', 'soon')),
  request(put('token', 'v'), { idempotency: { token: 'token-1', since: undefined } }),
  request(put('token', 'w'), { idempotency: { token: 'token-2', since: asRevision(2) }, principal: 'alice' }),
  request(del('none'), { idempotency: { token: 'token-3', since: undefined } }),
  request({ ...put('c', 'x'), condition: NONE }, { idempotency: { token: 'token-4', since: undefined } }),
  request({ kind: 'open-session' }),
  request(put('session', 'v'), { idempotency: { session: 1, slot: 0, seq: 1 } }),
  request(put('session', 'w'), { idempotency: { session: 1, slot: 4095, seq: 2 ** 40 } }),
  request({ kind: 'grant', id: FIRST, ttlMs: TTL_MS }, { principal: 'alice' }),
  request({ kind: 'grant', id: SECOND, ttlMs: TTL_MS }),
  request({ kind: 'grant', id: LAST, ttlMs: 1000 }),
  request(
    { kind: 'grant', id: undefined, ttlMs: TTL_MS },
    { idempotency: { token: 'grant', since: undefined } },
  ),
  request(put('leased', 'v', { id: FIRST })),
  request(put('leased/2', 'v', { id: SECOND }), { principal: 'bob' }),
  request(put('owned', 'v', { ttlMs: TTL_MS }), { principal: 'bob' }),
  request({ kind: 'renew', ids: [FIRST, SECOND, LAST] }),
  request({ kind: 'renew', ids: [] }, { principal: '*' }),
  request({ kind: 'expire', leases: [{ id: LAST, deadlineMs: 1 }] }, { principal: '*' }),
  request({ kind: 'revoke', id: SECOND }),
  request({
    kind: 'batch',
    commands: [
      put('batch/1', '1'),
      { ...put('batch/2', '2', { id: FIRST }), condition: NONE },
      put('batch/3', '3', { ttlMs: TTL_MS }),
      { ...put('batch/1', ''), keepsValue: true },
      { ...put('batch/2', 'x'), keepsLease: true },
      { ...del('batch/3'), condition: ANY },
    ],
  }),
  request({ ...put('leased', ''), keepsValue: true, keepsLease: true }),
  request(txn(COMPARISONS, OPERATIONS), { idempotency: { token: 'txn', since: asRevision(1) } }),
  request(
    txn([{ where: where('b'), op: '>', target: 'value', to: utf8('9') }], [], [putIn('txn/else', 'x')]),
  ),
  request({ ...del('c'), condition: ANY, prev: true }),
  request(del('batch/1'), { principal: 'alice' }),
  request(put('range/1', 'x')),
  request(put('range/2', 'x')),
  request({ kind: 'delete-range', range: range('range/', 'range0') }, { principal: 'alice' }),
  request({ kind: 'delete-range', range: range('zzz') }),
  request({ kind: 'settings', settings: { historyAgeMs: 300 * DAY_MS, leasesMax: 1000, keyBytesMax: 1024 } }),
  request(
    { kind: 'settings', settings: { valueBytesMax: 65_536 } },
    { idempotency: { token: 'set', since: undefined } },
  ),
  request({ kind: 'compact', revision: asRevision(6) }),
  request({ kind: 'compact', revision: asRevision(3), onlyForward: true }),
  request({ kind: 'compact', revision: undefined }, { principal: '*' }),
  auth({ kind: 'put-role', name: 'reader', permissions: [{ access: 'read', range: range('a', 'c') }] }),
  auth(
    {
      kind: 'put-role',
      name: 'all',
      permissions: [
        { access: 'write', range: range('leased') },
        { access: 'readwrite', range: range('x', 'y') },
        { access: 'admin', range: undefined },
      ],
    },
    2,
  ),
  auth({ kind: 'put-role', name: 'gone', permissions: [] }),
  auth({ kind: 'put-user', name: 'root', passwordHash: 'scrypt$1$salt$hash', roles: ['root'] }),
  auth({ kind: 'put-user', name: 'alice', passwordHash: null, roles: ['reader', 'all'] }),
  auth({ kind: 'put-user', name: 'alice', passwordHash: undefined, roles: undefined }),
  auth({ kind: 'put-user', name: 'bob', passwordHash: 'scrypt$1$salt$hash', roles: undefined }),
  auth({ kind: 'delete-user', name: 'bob' }),
  auth({ kind: 'delete-role', name: 'gone' }),
  auth({
    kind: 'enable',
    rootHasCertificate: false,
    tokenKey: Uint8Array.from({ length: 32 }, (_, at) => at),
    leaseIdKey: Uint8Array.from({ length: 16 }, (_, at) => 255 - at),
  }),
  request(put('by/root', 'x'), { principal: 'root', authRevision: 11, madeAt: 5 }),
  request(put('by/lease', 'x', { id: FIRST }), { principal: 'root', authRevision: 11, madeAt: 5 }),
  request(put('by/token', 'x'), {
    ...{ principal: 'root', authRevision: 11, madeAt: 5 },
    idempotency: { token: 'of-root', since: undefined },
  }),
  request(
    { kind: 'grant', id: undefined, ttlMs: TTL_MS },
    { principal: 'root', authRevision: 11, madeAt: 5 },
  ),
  request(put('refused', 'x'), { principal: 'root', authRevision: 3, madeAt: 5 }),
  request(
    { kind: 'auth', change: { kind: 'disable' }, ifRevision: undefined },
    { principal: 'root', authRevision: 11, madeAt: 5 },
  ),
  request(put('last', 'x')),
]
