// The line of each operation in the audit log. The tables have every kind: without one they do not compile.

import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { LeaseId } from '../../../src/kv/index.ts'
import type { KvTxn, Revision } from '../../../src/kv/types.ts'
import { asReplicaId } from '../../../src/raft/types.ts'
import { Audit, type AuditedOperations } from '../../../src/server/api/audit.ts'
import { ApiError } from '../../../src/server/api/errors.ts'
import type { ApiOperation, ApiResult, Call, RequestedAuthChange } from '../../../src/server/api/operation.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout'], now: 0 })
  onTestFinished(() => void vi.useRealTimers())
})

const bytes = (text: string): Uint8Array => Buffer.from(text)
const prefixed = { start: bytes('a/'), end: bytes('a0') }
const lease = '7' as LeaseId
const member = { id: asReplicaId('4'), name: 'n4', peer: 'n4:1', url: 'http://n4:2' }
const once = { idempotency: undefined } as const
const free = { condition: undefined, prev: false } as const
const put = (key: string) => ({ kind: 'put', key: bytes(key), value: bytes('secret'), prev: false }) as const

/** A place in each branch of a transaction, and of one inside it. */
const TXN: KvTxn = {
  compare: [{ where: { key: bytes('compared') }, target: 'version', op: '=', to: 0 }],
  success: [{ ...put('put'), lease: { id: '1' as LeaseId } }],
  failure: [
    {
      kind: 'txn',
      txn: {
        compare: [{ where: { key: bytes('compared inside') }, target: 'version', op: '=', to: 0 }],
        success: [{ kind: 'delete', where: prefixed, prev: false }],
        failure: [{ ...put('put inside'), lease: { id: '2' as LeaseId } }],
      },
    },
  ],
}

type Operations = { readonly [K in ApiOperation['kind']]: ApiOperation & { readonly kind: K } }

/** The target in the line of each operation. Only changes have lines unless all operations are logged. */
const LINES: { readonly [K in ApiOperation['kind']]: readonly [Operations[K], object, 'change' | 'read'] } = {
  put: [
    { ...put('a'), ...free, ...once, lease: { id: lease } },
    { keys: [{ key: 'a' }], leases: [lease] },
    'change',
  ],
  delete: [{ kind: 'delete', key: bytes('a'), ...free, ...once }, { keys: [{ key: 'a' }] }, 'change'],
  get: [{ kind: 'get', key: bytes('a'), freshness: {} }, { keys: [{ key: 'a' }] }, 'read'],
  range: [{ kind: 'range', range: prefixed, freshness: {} }, { keys: [{ prefix: 'a/' }] }, 'read'],
  batch: [
    {
      ...{ kind: 'batch', ...once },
      commands: [
        { ...put('a'), ...free, lease: { id: lease } },
        { kind: 'delete', key: bytes('b'), ...free },
        { kind: 'delete', key: bytes('a'), ...free },
      ],
    },
    { keys: [{ key: 'a' }, { key: 'b' }], leases: [lease] },
    'change',
  ],
  'delete-range': [
    { kind: 'delete-range', range: { start: bytes(''), end: undefined }, ...once },
    { keys: [{ all: true }] },
    'change',
  ],
  txn: [
    { kind: 'txn', txn: TXN, freshness: {}, ...once },
    {
      keys: [
        ...[{ key: 'compared' }, { key: 'put' }, { key: 'compared inside' }],
        ...[{ prefix: 'a/' }, { key: 'put inside' }],
      ],
      leases: ['1', '2'],
    },
    'change',
  ],
  compact: [{ kind: 'compact', revision: 3 as Revision, ...once }, {}, 'change'],
  watch: [
    {
      kind: 'watch',
      request: {
        ...{ where: { start: bytes('b'), end: bytes('d') }, from: undefined, only: undefined },
        ...{ prev: false, values: true, progressMs: 100 },
      },
    },
    { keys: [{ start: 'b', end: 'd' }] },
    'read',
  ],
  grant: [{ kind: 'grant', id: lease, ttlMs: 5_000, ...once }, {}, 'change'],
  revoke: [{ kind: 'revoke', id: lease, ...once }, { leases: [lease] }, 'change'],
  'keep-alive': [{ kind: 'keep-alive', ids: [lease, lease], one: false }, { leases: [lease] }, 'read'],
  'show-lease': [{ kind: 'show-lease', id: lease, keys: true, freshness: {} }, { leases: [lease] }, 'read'],
  'list-leases': [{ kind: 'list-leases', after: undefined, limit: undefined, freshness: {} }, {}, 'read'],
  'open-session': [{ kind: 'open-session' }, {}, 'read'],
  status: [{ kind: 'status' }, {}, 'read'],
  cluster: [{ kind: 'cluster' }, {}, 'read'],
  settings: [{ kind: 'settings' }, {}, 'read'],
  // It has every key and the hashes of passwords.
  backup: [{ kind: 'backup', history: true }, {}, 'change'],
  'add-member': [{ kind: 'add-member', member }, { name: 'n4' }, 'change'],
  'remove-member': [{ kind: 'remove-member', name: 'n3' }, { name: 'n3' }, 'change'],
  'replace-member': [
    { kind: 'replace-member', name: 'n3\n', member },
    { name: 'n4', replaced: 'n3?' },
    'change',
  ],
  'transfer-leadership': [{ kind: 'transfer-leadership', to: 'n2' }, { name: 'n2' }, 'change'],
  'change-settings': [{ kind: 'change-settings', settings: { keyBytesMax: 9 }, ...once }, {}, 'change'],
  'show-auth': [{ kind: 'show-auth' }, {}, 'read'],
  'log-in': [{ kind: 'log-in', user: 'bob', password: 'secret' }, { name: 'bob' }, 'change'],
  'show-users': [{ kind: 'show-users', name: 'bob' }, { name: 'bob' }, 'read'],
  'show-roles': [{ kind: 'show-roles', name: 'app' }, { name: 'app' }, 'read'],
  'change-auth': [
    { kind: 'change-auth', change: { kind: 'enable' }, ifRevision: undefined },
    { change: 'enable' },
    'change',
  ],
}

const CASES: readonly (readonly [ApiOperation, object, 'change' | 'read'])[] = Object.values(LINES)

/** The only line of an operation of bob that ends so; undefined: it has none. */
function lineOf(operation: ApiOperation, result: ApiResult, audited: AuditedOperations = 'changes'): unknown {
  const lines: string[] = []
  const answers: ApiResult[] = []
  const call: Call = {
    ...{ deadline: 0, expansion: 1, isAbandoned: () => false },
    principal: { user: 'bob', epoch: undefined },
    origin: () => ({ method: 'PUT', address: '10.0.0.1:2' }),
  }
  new Audit((line) => lines.push(line), audited).watch(operation, call, (answer) => answers.push(answer))(
    result,
  )
  expect(answers).toEqual([result])
  expect(lines.length).toBeLessThan(2)
  expect(lines.join('')).not.toContain('secret')
  const [line] = lines
  return line === undefined ? undefined : JSON.parse(line)
}

const HEAD = { time: '1970-01-01T00:00:00.000Z', user: 'bob', method: 'PUT', address: '10.0.0.1:2' }
const DONE: ApiResult = { kind: 'auth', enabled: true, revision: 5 }

test.each(CASES)('$kind', (operation, target, is) => {
  const done = { ...HEAD, operation: operation.kind, ...target, revision: 5, code: 'ok' }
  expect(lineOf(operation, DONE)).toEqual(is === 'change' ? done : undefined)
  expect(lineOf(operation, DONE, 'all')).toEqual(done)
  for (const code of ['permission_denied', 'unauthenticated', 'loopback_only'] as const)
    expect(lineOf(operation, new ApiError(code, 'refused'))).toEqual({
      ...HEAD,
      ...{ operation: operation.kind, ...target, code },
    })
  // A read that fails for another reason is no refusal.
  const failed = lineOf(operation, new ApiError('not_found', 'it is not there', { revision: 4 as Revision }))
  expect(failed).toEqual(is === 'change' ? { ...done, revision: 4, code: 'not_found' } : undefined)
})

type ChangeKind = RequestedAuthChange['kind']

const CHANGES: { readonly [K in ChangeKind]: readonly [RequestedAuthChange & { readonly kind: K }, object] } =
  {
    enable: [{ kind: 'enable' }, {}],
    disable: [{ kind: 'disable' }, {}],
    'put-user': [
      { kind: 'put-user', name: 'carl', password: 'secret', oldPassword: 'secret', roles: ['app'] },
      { name: 'carl' },
    ],
    'delete-user': [{ kind: 'delete-user', name: 'carl' }, { name: 'carl' }],
    'put-role': [{ kind: 'put-role', name: 'app', permissions: [] }, { name: 'app' }],
    'delete-role': [{ kind: 'delete-role', name: 'app' }, { name: 'app' }],
  }

test.each(Object.values(CHANGES))('change-auth: $kind', (change, target) => {
  expect(lineOf({ kind: 'change-auth', change, ifRevision: undefined }, DONE)).toEqual({
    ...HEAD,
    ...{ operation: 'change-auth', change: change.kind, ...target, revision: 5, code: 'ok' },
  })
})
