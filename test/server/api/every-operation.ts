// An operation of each kind, for tests of what holds for all: without one of a kind it does not compile.

import type { LeaseId, Revision } from '../../../src/operations/forms/index.ts'
import type { KvTxn, Operation } from '../../../src/operations/index.ts'
import { asReplicaId } from '../../../src/raft/types.ts'

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

type EveryOperation = { readonly [K in Operation['kind']]: Operation & { readonly kind: K } }

export const EVERY_OPERATION: EveryOperation = {
  put: { ...put('a'), ...free, ...once, lease: { id: lease } },
  delete: { kind: 'delete', key: bytes('a'), ...free, ...once },
  get: { kind: 'get', key: bytes('a'), freshness: {} },
  range: { kind: 'range', range: prefixed, freshness: {} },
  batch: {
    ...{ kind: 'batch', ...once },
    commands: [
      { ...put('a'), ...free, lease: { id: lease } },
      { kind: 'delete', key: bytes('b'), ...free },
      { kind: 'delete', key: bytes('a'), ...free },
    ],
  },
  'delete-range': { kind: 'delete-range', range: { start: bytes(''), end: undefined }, ...once },
  txn: { kind: 'txn', txn: TXN, freshness: {}, ...once },
  compact: { kind: 'compact', revision: 3 as Revision, ...once },
  'raise-revision': { kind: 'raise-revision', revision: 3 as Revision, ...once },
  watch: {
    kind: 'watch',
    request: {
      ...{ where: { start: bytes('b'), end: bytes('d') }, from: undefined, only: undefined },
      ...{ prev: false, values: true, progressMs: 100 },
    },
  },
  grant: { kind: 'grant', id: lease, ttlMs: 5_000, ...once },
  revoke: { kind: 'revoke', id: lease, ...once },
  'keep-alive': { kind: 'keep-alive', ids: [lease, lease], one: false },
  'show-lease': { kind: 'show-lease', id: lease, keys: true, freshness: {} },
  'list-leases': { kind: 'list-leases', after: undefined, limit: undefined, freshness: {} },
  'open-session': { kind: 'open-session' },
  status: { kind: 'status' },
  cluster: { kind: 'cluster' },
  settings: { kind: 'settings' },
  backup: { kind: 'backup', history: true },
  'add-member': { kind: 'add-member', member },
  'remove-member': { kind: 'remove-member', name: 'n3' },
  'replace-member': { kind: 'replace-member', name: 'n3\n', member },
  'transfer-leadership': { kind: 'transfer-leadership', to: 'n2' },
  'change-settings': { kind: 'change-settings', settings: { keyBytesMax: 9 }, ...once },
  'show-auth': { kind: 'show-auth' },
  'show-self': { kind: 'show-self' },
  'log-in': { kind: 'log-in', user: 'bob', password: 'secret' },
  'show-users': { kind: 'show-users', name: 'bob' },
  'show-roles': { kind: 'show-roles', name: 'app' },
  'change-auth': { kind: 'change-auth', change: { kind: 'enable' }, ifRevision: undefined },
}
