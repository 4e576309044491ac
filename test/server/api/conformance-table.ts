// Operations and their expected results, whatever the wire. Each case is a story on an empty store: its steps run in
// order. Bytes are written as latin1.

export interface Freshness {
  readonly consistency?: 'linearizable' | 'lease' | 'stale'
  readonly maxStalenessMs?: number
  readonly minRevision?: number
  readonly revision?: number
}

export interface KeyChange {
  readonly key: string
  readonly ifMatch?: '*' | readonly number[]
  readonly ifNoneMatch?: '*' | readonly number[]
  readonly token?: string
}

export interface PutStep extends KeyChange {
  readonly op: 'put'
  readonly value: string
  readonly prev?: boolean
  readonly lease?: string
  readonly ttlMs?: number
}

export interface RangeStep extends Freshness {
  readonly op: 'range'
  readonly prefix?: string
  readonly start?: string
  readonly end?: string
  readonly after?: string
  readonly limit?: number
  readonly order?: 'asc' | 'desc'
  readonly keysOnly?: boolean
  readonly count?: boolean
  readonly countOnly?: boolean
}

export type Step =
  | PutStep
  | (KeyChange & { readonly op: 'delete' })
  | (Freshness & { readonly op: 'get'; readonly key: string })
  | RangeStep
  | {
      readonly op: 'batch'
      readonly changes: readonly (PutStep | (KeyChange & { readonly op: 'delete' }))[]
      readonly token?: string
    }
  | {
      readonly op: 'delete-range'
      readonly prefix?: string
      readonly start?: string
      readonly end?: string
      readonly all?: boolean
      readonly token?: string
    }
  /** Fields as in docs/reference/http.md. */
  | (Freshness & { readonly op: 'txn'; readonly txn: object; readonly token?: string })
  | { readonly op: 'compact'; readonly revision: number; readonly token?: string }
  | { readonly op: 'keep-alive'; readonly ids: readonly string[] }
  | { readonly op: 'open-session' }

/** A record: key, value, create_revision, mod_revision, version. */
export type ExpectedRecord = readonly [
  key: string,
  value: string | null,
  create: number,
  mod: number,
  version: number,
]

export interface Expected {
  readonly code?: string
  readonly written?: 'no' | 'unknown'
  readonly revision?: number
  readonly replayed?: boolean
  /** create_revision, mod_revision, version. */
  readonly put?: readonly [number, number, number]
  readonly prev?: ExpectedRecord | null
  readonly deleted?: number
  readonly record?: ExpectedRecord | null
  readonly records?: readonly ExpectedRecord[]
  readonly more?: boolean
  readonly count?: number | null
  readonly served?: string
  readonly results?: readonly unknown[]
  readonly succeeded?: boolean
  readonly compactRevision?: number
  readonly resumeFrom?: number
  readonly current?: unknown
  readonly ttlsMs?: readonly (number | null)[]
  readonly session?: number
}

const put = (key: string, value: string, more: Partial<PutStep> = {}): PutStep => ({
  op: 'put',
  key,
  value,
  ...more,
})
const meta = (key: string, create: number, mod: number, version: number) => ({
  key,
  create_revision: create,
  mod_revision: mod,
  version,
})
const refused = (code: string, more: Expected = {}): Expected => ({ code, written: 'no', ...more })
const LONG = 'k'.repeat(4097)

export const CASES: readonly (readonly [name: string, ...steps: readonly (readonly [Step, Expected])[]])[] = [
  [
    'a key is created, changed, read and deleted',
    [put('a', '1'), { revision: 2, put: [2, 2, 1], replayed: false }],
    [put('a', '2'), { revision: 3, put: [2, 3, 2] }],
    [
      { op: 'get', key: 'a' },
      { revision: 3, record: ['a', '2', 2, 3, 2], served: 'linearizable' },
    ],
    [
      { op: 'delete', key: 'a' },
      { revision: 4, deleted: 1 },
    ],
    [
      { op: 'delete', key: 'a' },
      { revision: 4, deleted: 0 },
    ],
    [
      { op: 'get', key: 'a' },
      { revision: 4, record: null },
    ],
    [put('a', '3'), { revision: 5, put: [5, 5, 1] }],
  ],
  [
    'keys and values are bytes',
    [put('\xff\x00/../%', '\x00\xfe'), { revision: 2, put: [2, 2, 1] }],
    [put('é', ''), { revision: 3, put: [3, 3, 1] }],
    [{ op: 'get', key: '\xff\x00/../%' }, { record: ['\xff\x00/../%', '\x00\xfe', 2, 2, 1] }],
    [{ op: 'get', key: 'é' }, { record: ['é', '', 3, 3, 1] }],
  ],
  [
    'a put answers with the record before, if asked to',
    [put('a', '1', { prev: true }), { put: [2, 2, 1], prev: null }],
    [put('a', '2', { prev: true }), { put: [2, 3, 2], prev: ['a', '1', 2, 2, 1] }],
    [put('a', '3', { prev: true, token: 't' }), refused('bad_request')],
  ],
  [
    'conditions hold, or nothing changes',
    [put('a', '1', { ifMatch: '*' }), refused('precondition_failed', { revision: 1, current: null })],
    [put('a', '1', { ifNoneMatch: '*' }), { put: [2, 2, 1] }],
    [
      put('a', '2', { ifNoneMatch: '*' }),
      refused('precondition_failed', { revision: 2, current: meta('a', 2, 2, 1) }),
    ],
    [put('a', '2', { ifMatch: [7, 2] }), { put: [2, 3, 2] }],
    [put('a', '3', { ifMatch: [2] }), refused('precondition_failed', { current: meta('a', 2, 3, 2) })],
    [put('a', '3', { ifNoneMatch: [3] }), refused('precondition_failed', { current: meta('a', 2, 3, 2) })],
    [
      { op: 'delete', key: 'a', ifMatch: [2] },
      refused('precondition_failed', { current: meta('a', 2, 3, 2) }),
    ],
    [
      { op: 'delete', key: 'a', ifMatch: [3] },
      { revision: 4, deleted: 1 },
    ],
  ],
  [
    'a token makes a change once',
    [put('a', '1', { token: 't1' }), { revision: 2, put: [2, 2, 1], replayed: false }],
    [put('a', '1', { token: 't1' }), { revision: 2, put: [2, 2, 1], replayed: true }],
    [put('a', '2', { token: 't1' }), refused('idempotency_key_reused')],
    [put('a', '1', { token: 't2', ifMatch: [9] }), refused('precondition_failed', { replayed: false })],
    [put('a', '1', { token: 't2', ifMatch: [9] }), refused('precondition_failed', { replayed: true })],
    [
      { op: 'delete', key: 'a', token: 't3' },
      { deleted: 1, replayed: false },
    ],
    [
      { op: 'delete', key: 'a', token: 't3' },
      { deleted: 1, replayed: true },
    ],
  ],
  [
    'keys, leases and times to live have limits',
    [put('', '1'), refused('key_empty')],
    [put(LONG, '1'), refused('key_too_long')],
    [put('a', 'v'.repeat(2 ** 20 + 1)), refused('value_too_large')],
    [put('a', '1', { token: 'a b' }), refused('bad_request')],
    [{ op: 'get', key: LONG }, { code: 'key_too_long' }],
    [{ op: 'delete', key: '' }, refused('key_empty')],
    [put('a', '1', { lease: '5' }), refused('lease_not_found')],
    [put('a', '1', { lease: '5', ttlMs: 3000 }), refused('bad_request')],
    [put('a', '1', { lease: '0' }), refused('bad_request')],
    [put('a', '1', { ttlMs: 1 }), refused('bad_request')],
    [put('a', '1', { ttlMs: 3000 }), { put: [2, 2, 1] }],
  ],
  [
    'reads say how fresh they are, and at which revision',
    [put('a', '1'), { revision: 2 }],
    [put('a', '2'), { revision: 3 }],
    [
      { op: 'get', key: 'a', consistency: 'stale' },
      { record: ['a', '2', 2, 3, 2], served: 'stale' },
    ],
    [{ op: 'get', key: 'a', consistency: 'lease', minRevision: 2 }, { served: 'lease' }],
    [{ op: 'get', key: 'a', maxStalenessMs: 5 }, { code: 'bad_request' }],
    [
      { op: 'get', key: 'a', revision: 2 },
      { revision: 3, record: ['a', '1', 2, 2, 1] },
    ],
    [{ op: 'get', key: 'a', revision: 1 }, { record: null }],
    [{ op: 'get', key: 'a', revision: 9 }, { code: 'future_revision' }],
    [{ op: 'range', revision: 2 }, { records: [['a', '1', 2, 2, 1]] }],
    [{ op: 'range', revision: 9 }, { code: 'future_revision' }],
  ],
  [
    'ranges have bounds, order, pages and counts',
    [put('a1', '1'), {}],
    [put('a2', '2'), {}],
    [put('a3', '3'), {}],
    [put('b', '4'), {}],
    [
      { op: 'range' },
      {
        ...{ revision: 5, more: false, count: null, served: 'linearizable' },
        records: [
          ['a1', '1', 2, 2, 1],
          ['a2', '2', 3, 3, 1],
          ['a3', '3', 4, 4, 1],
          ['b', '4', 5, 5, 1],
        ],
      },
    ],
    [
      { op: 'range', prefix: 'a', limit: 1, count: true },
      { records: [['a1', '1', 2, 2, 1]], more: true, count: 3 },
    ],
    [
      { op: 'range', prefix: 'a', after: 'a1', limit: 2 },
      {
        records: [
          ['a2', '2', 3, 3, 1],
          ['a3', '3', 4, 4, 1],
        ],
        more: false,
      },
    ],
    [
      { op: 'range', start: 'a2', end: 'b', order: 'desc', keysOnly: true },
      {
        records: [
          ['a3', null, 4, 4, 1],
          ['a2', null, 3, 3, 1],
        ],
      },
    ],
    [{ op: 'range', order: 'desc', after: 'a2' }, { records: [['a1', '1', 2, 2, 1]] }],
    [
      { op: 'range', prefix: 'a', countOnly: true },
      { records: [], more: false, count: 3 },
    ],
    [{ op: 'range', start: 'c', end: 'b' }, { records: [] }],
    [{ op: 'range', prefix: 'a', end: 'b' }, { code: 'bad_request' }],
    [{ op: 'range', limit: 10_001 }, { code: 'bad_request' }],
  ],
  [
    'a batch is one entry with an outcome for each change',
    [put('x', '1'), { revision: 2 }],
    [
      {
        op: 'batch',
        changes: [
          put('a', '1'),
          { op: 'delete', key: 'x' },
          put('x', '2', { ifMatch: '*' }),
          put('b', '1', { lease: '5' }),
        ],
      },
      {
        revision: 4,
        results: [[3, 3, 1], { deleted: 1, revision: 4 }, 'precondition_failed', 'lease_not_found'],
        replayed: false,
      },
    ],
    [
      { op: 'batch', changes: [put('a', '2')], token: 'b' },
      { revision: 5, results: [[3, 5, 2]], replayed: false },
    ],
    [
      { op: 'batch', changes: [put('a', '2')], token: 'b' },
      { revision: 5, results: [[3, 5, 2]], replayed: true },
    ],
    [{ op: 'batch', changes: [] }, refused('bad_request')],
    [{ op: 'batch', changes: [put('a', '3'), put('', '3')] }, refused('key_empty')],
    [{ op: 'get', key: 'a' }, { record: ['a', '2', 3, 5, 2] }],
  ],
  [
    'a range is deleted at one revision',
    [put('a', '1'), {}],
    [put('b', '1'), {}],
    [put('c', '1'), { revision: 4 }],
    [
      { op: 'delete-range', start: 'a', end: 'c', token: 'r' },
      { revision: 5, deleted: 2, replayed: false },
    ],
    [
      { op: 'delete-range', start: 'a', end: 'c', token: 'r' },
      { revision: 5, deleted: 2, replayed: true },
    ],
    [
      { op: 'delete-range', prefix: 'z' },
      { revision: 5, deleted: 0 },
    ],
    [{ op: 'delete-range' }, refused('key_empty')],
    [{ op: 'delete-range', prefix: '' }, refused('bad_request')],
    [{ op: 'delete-range', prefix: 'a', end: 'b' }, refused('bad_request')],
    [
      { op: 'delete-range', prefix: '', all: true },
      { revision: 6, deleted: 1 },
    ],
  ],
  [
    'a transaction compares, and does one of two lists',
    [put('a', '1'), { revision: 2 }],
    [
      {
        op: 'txn',
        txn: {
          compare: [
            { key: 'a', target: 'value', op: '=', to: '1' },
            { key: 'z', exists: false },
          ],
          success: [
            { put: { key: 'a', value: '2', prev: true } },
            { get: { prefix: 'a' } },
            { txn: { success: [{ put: { key: 'b', value: '1', ttl: '3s' } }] } },
            { delete: { key: 'z' } },
          ],
          failure: [{ get: { key: 'a' } }],
        },
      },
      {
        ...{ revision: 3, succeeded: true, replayed: false },
        results: [
          {
            put: {
              ...{ create_revision: 2, mod_revision: 3, version: 2 },
              prev: { key: 'a', value: '1', create_revision: 2, mod_revision: 2, version: 1 },
            },
          },
          {
            get: {
              kvs: [{ key: 'a', value: '2', create_revision: 2, mod_revision: 3, version: 2 }],
              ...{ more: false, count: 1 },
            },
          },
          {
            txn: {
              succeeded: true,
              revision: 3,
              results: [{ put: { create_revision: 3, mod_revision: 3, version: 1 } }],
            },
          },
          { delete: { deleted: 0 } },
        ],
      },
    ],
    [
      {
        op: 'txn',
        txn: {
          compare: [{ key: 'a', target: 'version', op: '>', to: 2 }],
          failure: [{ get: { key: 'a', keys_only: true } }],
        },
        consistency: 'stale',
      },
      {
        ...{ revision: 3, succeeded: false, served: 'stale' },
        results: [
          {
            get: {
              kvs: [{ key: 'a', create_revision: 2, mod_revision: 3, version: 2 }],
              more: false,
              count: 1,
            },
          },
        ],
      },
    ],
    [
      { op: 'txn', txn: { success: [{ put: { key: 'a', value: 't' } }, { get: { key: 'a' } }] }, token: 'x' },
      { revision: 4, replayed: false },
    ],
    [
      { op: 'txn', txn: { success: [{ put: { key: 'a', value: 't' } }, { get: { key: 'a' } }] }, token: 'x' },
      {
        ...{ revision: 4, replayed: true },
        results: [{ put: { create_revision: 2, mod_revision: 4, version: 3 } }, { get: { omitted: true } }],
      },
    ],
    [
      { op: 'txn', txn: { success: [{ put: { key: 'a', value: 't', prev: true } }] }, token: 'y' },
      refused('bad_request'),
    ],
    [
      { op: 'txn', txn: { success: [{ put: { key: 'a', value: '' } }] }, consistency: 'stale' },
      refused('bad_request'),
    ],
    [
      { op: 'txn', txn: { success: [{ put: { key: 'a', value: '' } }, { delete: { key: 'a' } }] } },
      refused('duplicate_key'),
    ],
    [
      { op: 'txn', txn: { success: [{ put: { key: 'a', value: '', lease: '5' } }] } },
      refused('lease_not_found'),
    ],
    [
      { op: 'txn', txn: { success: Array.from({ length: 129 }, () => ({ get: { key: 'a' } })) } },
      refused('too_many_operations'),
    ],
    [{ op: 'txn', txn: { success: [{ get: { key: 'a', prefix: 'b' } }] } }, refused('bad_request')],
    [{ op: 'txn', txn: { compare: [{ prefix: 'a', exists: true }] } }, refused('bad_request')],
    [{ op: 'txn', txn: { compare: [{ key: 'a', target: 'version', op: '=' }] } }, refused('bad_request')],
    [
      { op: 'txn', txn: { compare: [{ key: 'a', target: 'value', op: '=', to: 7 }] } },
      refused('bad_request'),
    ],
    [
      { op: 'txn', txn: { compare: [{ key: 'a', target: 'lease', op: '=', to: 'x' }] } },
      refused('bad_request'),
    ],
    [{ op: 'txn', txn: { success: [{ put: { key: '', value: '' } }] } }, refused('key_empty')],
  ],
  [
    'history ends where it is compacted',
    [put('a', '1'), {}],
    [put('a', '2'), {}],
    [put('a', '3'), { revision: 4 }],
    [
      { op: 'compact', revision: 3, token: 'c' },
      { revision: 4, compactRevision: 3, replayed: false },
    ],
    [
      { op: 'compact', revision: 3, token: 'c' },
      { revision: 4, compactRevision: 3, replayed: true },
    ],
    [{ op: 'compact', revision: 2 }, refused('compacted', { compactRevision: 3 })],
    [{ op: 'compact', revision: 99 }, refused('future_revision')],
    [
      { op: 'get', key: 'a', revision: 2 },
      { code: 'compacted', compactRevision: 3 },
    ],
    [{ op: 'get', key: 'a', revision: 3 }, { record: ['a', '2', 2, 3, 2] }],
    [
      { op: 'range', revision: 2 },
      { code: 'compacted', compactRevision: 3 },
    ],
  ],
  [
    'leases are kept alive, sessions opened',
    [{ op: 'keep-alive', ids: ['7', '8'] }, { ttlsMs: [null, null] }],
    [{ op: 'keep-alive', ids: [] }, { code: 'bad_request' }],
    [{ op: 'keep-alive', ids: ['x'] }, { code: 'bad_request' }],
    [{ op: 'open-session' }, { revision: 1, session: 1 }],
  ],
]

/** Steps on a node that fails. */
export const FAILING: readonly Step[] = [
  put('a', '1'),
  put('a', '1', { prev: true }),
  { op: 'delete', key: 'a' },
  { op: 'get', key: 'a' },
  { op: 'range' },
  { op: 'batch', changes: [put('a', '1')] },
  { op: 'delete-range', prefix: 'a' },
  { op: 'txn', txn: { success: [{ get: { key: 'a' } }] } },
  { op: 'txn', txn: { success: [{ put: { key: 'a', value: '' } }] } },
  { op: 'compact', revision: 2 },
  { op: 'keep-alive', ids: ['7'] },
  { op: 'open-session' },
]
