// Transactions: what each comparison and operation does, what is refused, what a copy gets, and those that change
// nothing and so are reads.

import { expect } from 'vitest'
import { TXN_OPERATIONS_MAX } from '../../../src/kv/txn.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { TXN_DEPTH_MAX } from '../../../src/operations/forms/transactions.ts'
import { ScanEndedError } from '../../../src/storage/index.ts'
import {
  type Case,
  current,
  filled,
  get,
  invalid,
  list,
  meta,
  OPEN_SESSION,
  put,
  type Row,
  range,
  refused,
  story,
  txn,
} from './steps.ts'

const putOf = (key: unknown, value: unknown, more: object = {}) => ({ put: { key, value, ...more } })
const getOf = (where: object) => ({ get: where })
const deleteOf = (where: object) => ({ delete: where })
const nested = (inner: object) => ({ txn: inner })
const bytes = (text: string) => Buffer.from(text, 'latin1')

const record = (key: string, value: string, ...revisions: Parameters<typeof meta>) => ({
  ...{ key, value },
  ...meta(...revisions),
})
const found = (kvs: readonly object[], count = kvs.length) => ({
  get: { kvs, more: count > kvs.length },
})

/** a: x at 2 and 4, two versions; b: y at 3; c/1, c/2: z at 5 and 6. */
const FILLED = filled('a=1', 'b=y', 'a=x', 'c/1=z', 'c/2=z')
const A = record('a', 'x', 2, 4, 2)
const C1 = record('c/1', 'z', 5, 5, 1)
const C2 = record('c/2', 'z', 6, 6, 1)

const reads = (operation: object, result: object): Row => [
  txn({ success: [operation] }),
  { revision: 6, succeeded: true, results: [result], served: 'linearizable' },
]

const compares = (comparison: object, succeeded: boolean): Row => [
  txn({ compare: [comparison], success: [getOf({ key: 'b', count_only: true })] }),
  { succeeded, results: succeeded ? [{ get: { kvs: [], more: false, count: 1 } }] : [] },
]

const of = (target: string, op: string, to: unknown, where: object = { key: 'a' }) => ({
  ...where,
  target,
  op,
  to,
})
const NONE = { key: 'none' }
const C = { prefix: 'c/' }

const wrong = (body: object, code: string, detail?: string): Row => [txn(body), invalid(code, detail)]
const inSuccess = (operation: unknown) => ({ success: [putOf('q', ''), operation] })

/** As many operations as a transaction may have, and one more. */
const limited = (of: (count: number) => object): Row[] => [
  [txn(of(TXN_OPERATIONS_MAX)), { calls: 1 }],
  wrong(
    of(TXN_OPERATIONS_MAX + 1),
    'too_many_operations',
    'at most 128 comparisons, and operations in each branch',
  ),
]

const deep = (depth: number): object =>
  depth === 1 ? { success: [putOf('a', '')] } : { success: [nested(deep(depth - 1))] }

/** The settings allow the ranges of `body`, until one more key is there. */
const ranges = (
  title: string,
  settings: Case['settings'],
  names: readonly string[],
  extra: string,
  body: object,
) => {
  const more: Row = [txn(body), { code: 'range_too_large', detail: 'the ranges have more than' }]
  const logged = txn({ success: [nested(body), putOf('zz', '')] })
  return story(
    `the ranges of a transaction are bounded: ${title}`,
    [
      filled(...names),
      [txn(body), { succeeded: true }],
      [logged, { succeeded: true }],
      filled(extra),
      more,
      [logged, refused('range_too_large')],
    ],
    { settings },
  )
}

export const TXN_CASES: readonly Case[] = [
  story('each operation of a transaction has a result of its own form; all changes have one revision', [
    FILLED,
    [
      txn({
        success: [
          putOf('a', '1'),
          putOf('b', '2', { prev: true }),
          putOf('new', '3', { prev: true }),
          getOf({ key: 'a' }),
          getOf({ key: 'none' }),
          getOf({ prefix: 'c/', limit: 1 }),
          getOf({ prefix: 'c/', limit: 1, count: true }),
          getOf({ start: 'a', end: 'c', keys_only: true }),
          getOf({ start: 'c', count_only: true }),
          deleteOf({ key: 'none', prev: true }),
          deleteOf({ key: 'c/1' }),
          deleteOf({ prefix: 'c', prev: true }),
          deleteOf({ prefix: 'c' }),
          nested({ compare: [{ key: 'a', exists: false }], failure: [putOf('d', '4'), getOf({ end: 'b' })] }),
        ],
      }),
      {
        ...{ succeeded: true, revision: 7, replayed: false, calls: 1 },
        results: [
          { put: meta(2, 7, 3) },
          { put: { ...meta(3, 7, 2), prev: record('b', 'y', 3, 3, 1) } },
          { put: { ...meta(7, 7, 1), prev: null } },
          found([record('a', '1', 2, 7, 3)]),
          found([]),
          found([C1], 2),
          { get: { kvs: [C1], more: true, count: 2 } },
          found([current('a', 2, 7, 3), current('b', 3, 7, 2)]),
          { get: { kvs: [], more: false, count: 3 } },
          { delete: { deleted: 0, prev: [] } },
          { delete: { deleted: 1 } },
          { delete: { deleted: 1, prev: [C2] } },
          { delete: { deleted: 0 } },
          {
            txn: {
              ...{ succeeded: false, revision: 7 },
              results: [{ put: meta(7, 7, 1) }, found([record('a', '1', 2, 7, 3)])],
            },
          },
        ],
      },
    ],
    [range({ keysOnly: true, countOnly: true }), { count: 4, revision: 7 }],
    [get('d'), { record: ['d', '4', 7, 7, 1] }],
  ]),
  story('the comparisons decide which of the two lists is done, and only that one is', [
    FILLED,
    ...(
      [
        [[], true],
        [
          [
            { key: 'a', exists: true },
            { key: 'b', exists: true },
          ],
          true,
        ],
        [
          [
            { key: 'a', exists: true },
            { key: 'a', exists: false },
          ],
          false,
        ],
        [
          [
            { key: 'a', exists: false },
            { key: 'a', exists: true },
          ],
          false,
        ],
      ] as const
    ).flatMap(([compare, succeeded], at): Row[] => [
      [
        txn({ compare, success: [putOf('done', 'success')], failure: [putOf('done', 'failure')] }),
        { succeeded, revision: 7 + at },
      ],
      [get('done'), { record: ['done', succeeded ? 'success' : 'failure', 7, 7 + at, 1 + at] }],
    ]),
  ]),
  story(
    'a transaction that only creates a key is a put that may share an entry, and means the same as before',
    [
      FILLED,
      ...[
        { key: 'a', exists: false },
        of('version', '=', 0),
        of('create_revision', '=', 0),
        of('mod_revision', '=', 0),
      ].flatMap((absence, at): Row[] => {
        const key = `new/${at}`
        const create = (times: number, value: string, more: object = {}) =>
          txn({ compare: Array(times).fill({ ...absence, key }), success: [putOf(key, value)], ...more })
        const revision = 7 + at
        const twice = { succeeded: false, revision, results: [] }
        return [
          [
            create(1, '1'),
            { succeeded: true, revision, results: [{ put: meta(revision, revision, 1) }], replayed: false },
          ],
          ...[1, 2].flatMap((times): Row[] => [
            [create(times, '2'), { ...twice, replayed: false }],
            // A key that exists is compared, whatever the value.
            [create(times, '1234'), twice],
          ]),
          ...[1, 2].map(
            (times): Row => [
              txn({ compare: Array(times).fill({ ...absence, key: 'no' }), success: [putOf('no', '1234')] }),
              refused('value_too_large'),
            ],
          ),
          [get(key), { record: [key, '1', revision, revision, 1] }],
        ]
      }),
      [
        ({ asked }) => {
          const kinds = asked.flatMap(({ request }) => request?.command.kind ?? [])
          // The transactions with one comparison and a small value.
          expect(kinds.filter((kind) => kind === 'put')).toHaveLength(4 * 2)
        },
      ],
      // Others are not the same as a put.
      ...[
        { compare: [of('version', '=', 1, { key: 'x' })], success: [putOf('x', '')] },
        { compare: [of('version', '<', 0, { key: 'x' })], success: [putOf('x', '')] },
        { compare: [of('version', '=', 0, { key: 'y' })], success: [putOf('x', '')] },
        { compare: [of('version', '=', 0, { prefix: 'x' })], success: [putOf('x', '')] },
        { compare: [of('version', '=', 0, { key: 'x' })], success: [putOf('x', '', { prev: true })] },
        { compare: [of('version', '=', 0, { key: 'x' })], success: [putOf('x', ''), putOf('y', '')] },
        {
          compare: [of('version', '=', 0, { key: 'x' })],
          success: [putOf('x', '')],
          failure: [putOf('x', '')],
        },
      ].map((body): Row => [txn(body), {}]),
      [
        ({ asked }) =>
          expect(asked.slice(-7).map(({ request }) => request?.command.kind)).toEqual(Array(7).fill('txn')),
      ],
    ],
    { settings: { valueBytesMax: 3 } },
  ),
  story('a transaction that changes nothing although it could raises no revision', [
    FILLED,
    [
      txn({ success: [deleteOf({ key: 'none' }), deleteOf({ prefix: 'none' })] }),
      { succeeded: true, revision: 6, results: [{ delete: { deleted: 0 } }, { delete: { deleted: 0 } }] },
    ],
    [txn({}), { succeeded: true, revision: 6, results: [], served: 'linearizable' }],
    [(node) => expect(node.asked.filter(({ request }) => request !== undefined)).toHaveLength(1)],
  ]),
  story('nested transactions are compared before anything is changed, and then see the changes', [
    FILLED,
    [
      txn({
        success: [
          putOf('a', 'new'),
          nested({
            compare: [of('value', '=', 'x')],
            success: [
              getOf({ key: 'a' }),
              nested({ compare: [of('value', '=', 'x')], failure: [putOf('b', '')] }),
            ],
          }),
        ],
      }),
      {
        results: [
          { put: meta(2, 7, 3) },
          {
            txn: {
              ...{ succeeded: true, revision: 7 },
              results: [
                found([record('a', 'new', 2, 7, 3)]),
                { txn: { succeeded: true, revision: 7, results: [] } },
              ],
            },
          },
        ],
      },
    ],
  ]),
  story('keys, values and bounds of a transaction are bytes', [
    [
      txn({
        compare: [{ key: bytes('\xff'), exists: false }],
        success: [putOf(bytes('\xff'), bytes('\x00\xff')), putOf(bytes('\xff\xff'), 'v'), putOf('\0', 'w')],
      }),
      { succeeded: true, revision: 2 },
    ],
    [
      txn({
        compare: [
          of('value', '=', bytes('\x00\xff'), { key: bytes('\xff') }),
          of('version', '=', 1, { prefix: bytes('\xff') }),
          of('value', '=', bytes('\x00\xff'), { start: bytes('\xff'), end: bytes('\xff\xff') }),
        ],
        success: [getOf({ start: bytes('\xff\xff') }), getOf({ end: bytes('\x01') })],
      }),
      {
        succeeded: true,
        results: [found([record('\xff\xff', 'v', 2, 2, 1)]), found([record('\0', 'w', 2, 2, 1)])],
      },
    ],
    [
      txn({ success: [deleteOf({ prefix: bytes('\xff'), prev: true })] }),
      {
        results: [
          {
            delete: {
              deleted: 2,
              prev: [record('\xff', '\x00\xff', 2, 2, 1), record('\xff\xff', 'v', 2, 2, 1)],
            },
          },
        ],
      },
    ],
  ]),
  story('a get of a transaction has a limit, and says what it left out', [
    FILLED,
    reads(getOf({ key: 'a', limit: 1 }), found([A])),
    reads(getOf({ prefix: 'c/', limit: 2 }), found([C1, C2])),
    reads(getOf({ prefix: 'c/', limit: 1, keys_only: true }), found([current('c/1', 5, 5, 1)], 2)),
    reads(getOf({ prefix: 'c/', limit: 1, count_only: true }), { get: { kvs: [], more: false, count: 2 } }),
    reads(getOf({ prefix: 'c/', limit: 1, count: true }), { get: { kvs: [C1], more: true, count: 2 } }),
    reads(getOf({ prefix: 'c/', limit: 2, count: true }), { get: { kvs: [C1, C2], more: false, count: 2 } }),
    reads(getOf({ key: 'a', count: true }), { get: { kvs: [A], more: false, count: 1 } }),
    reads(getOf({ key: 'none', count: true }), { get: { kvs: [], more: false, count: 0 } }),
    reads(getOf({ prefix: '', count_only: true }), { get: { kvs: [], more: false, count: 4 } }),
    reads(getOf({ start: 'c/1' }), found([C1, C2])),
    reads(getOf({ start: 'c', end: 'a' }), found([])),
    // A bound may be the first key after the longest one.
    reads(getOf({ start: 'k'.repeat(4096), end: `${'k'.repeat(4096)}\0` }), found([])),
  ]),
  story('a comparison holds for a key, or for every key of a range', [
    FILLED,
    ...(
      [
        ['value', 'x', 'w', 'y'],
        ['value', 'x', '', 'x\0'],
        ['version', 2, 1, 3],
        ['create_revision', 2, 1, 3],
        ['mod_revision', 4, 2, 7],
      ] as const
    ).flatMap(([target, equal, lower, higher]) => [
      compares(of(target, '=', equal), true),
      compares(of(target, '=', lower), false),
      compares(of(target, '!=', equal), false),
      compares(of(target, '!=', higher), true),
      compares(of(target, '<', equal), false),
      compares(of(target, '<', lower), false),
      compares(of(target, '<', higher), true),
      compares(of(target, '>', equal), false),
      compares(of(target, '>', lower), true),
      compares(of(target, '>', higher), false),
    ]),
    // No key has a lease. Leases are compared as numbers.
    ...['a', 'none'].flatMap((key) => [
      compares(of('lease', '=', '0', { key }), true),
      compares(of('lease', '!=', '0', { key }), false),
      compares(of('lease', '=', '9223372036854775807', { key }), false),
      compares(of('lease', '<', '7', { key }), true),
      compares(of('lease', '>', '7', { key }), false),
    ]),
    [
      (node) => {
        node.apply({ kind: 'grant', id: '9' as LeaseId, ttlMs: 30_000 })
      },
    ],
    [put('leased', '', { lease: '9' }), {}],
    compares(of('lease', '<', '10', { key: 'leased' }), true),
    // A key that does not exist has version and revisions 0, no lease and no value. So has a range without keys.
    ...[NONE, { prefix: 'none' }].flatMap((nothing) => [
      ...['version', 'create_revision', 'mod_revision'].flatMap((target) => [
        compares(of(target, '=', 0, nothing), true),
        compares(of(target, '!=', 0, nothing), false),
        compares(of(target, '<', 1, nothing), true),
        compares(of(target, '>', 0, nothing), false),
      ]),
      compares(of('lease', '=', '0', nothing), true),
      compares(of('lease', '>', '0', nothing), false),
      ...['=', '!=', '<', '>'].map((op) => compares(of('value', op, '', nothing), false)),
    ]),
    compares({ key: 'a', exists: true }, true),
    compares({ key: 'a', exists: false }, false),
    compares({ key: 'none', exists: true }, false),
    compares({ key: 'none', exists: false }, true),
    compares(of('value', '=', 'z', C), true),
    compares(of('mod_revision', '>', 4, C), true),
    compares(of('mod_revision', '>', 5, C), false),
    compares(of('mod_revision', '<', 6, C), false),
    compares(of('value', '=', 'z', { start: 'c/1', end: 'd' }), true),
    compares(of('value', '=', 'z', { start: 'b' }), false),
    compares(of('value', '=', 'y', { start: 'b', end: 'c' }), true),
    compares(of('version', '=', 2, { end: 'b' }), true),
    compares(of('version', '=', 2, { end: 'b\0' }), false),
    compares(of('version', '>', 0, { prefix: '' }), true),
  ]),
  story(
    'a wrong comparison or operation is refused with the whole transaction',
    [
      wrong({ compare: [of('version', '=', 0, {})] }, 'bad_request'),
      wrong({ compare: [of('version', '=', 0, { key: 'a', prefix: 'a' })] }, 'bad_request'),
      wrong({ compare: [of('version', '=', 0, { key: 'a', end: 'b' })] }, 'bad_request'),
      wrong({ compare: [of('version', '=', 0, { prefix: 'a', start: 'a' })] }, 'bad_request'),
      wrong({ compare: [{ key: 'a', target: 'version', op: '=' }] }, 'bad_request'),
      wrong({ compare: [{ key: 'a', op: '=', to: 1 }] }, 'bad_request'),
      wrong({ compare: [{ key: 'a', target: 'version', to: 1 }] }, 'bad_request'),
      wrong({ compare: [of('revision', '=', 1)] }, 'bad_request'),
      wrong({ compare: [of('version', '>=', 1)] }, 'bad_request'),
      wrong({ compare: [of('value', '=', 7)] }, 'bad_request'),
      ...['version', 'create_revision', 'mod_revision'].map((target) =>
        wrong({ compare: [of(target, '=', '7')] }, 'bad_request'),
      ),
      ...['', '07', '-1', '0x1', '9223372036854775808'].map((to) =>
        wrong({ compare: [of('lease', '=', to)] }, 'bad_request', 'must be the id of a lease'),
      ),
      wrong({ compare: [{ prefix: 'a', exists: true }] }, 'bad_request', 'exists is for one key'),
      wrong(
        { compare: [{ key: 'a', exists: false, op: '=' }] },
        'bad_request',
        'stands in place of target, op and to',
      ),
      wrong({ compare: [{ key: '', exists: true }] }, 'key_empty'),
      wrong(inSuccess(getOf({})), 'bad_request', 'must have either key, or prefix, or start and end'),
      wrong(inSuccess(getOf({ key: 'a', prefix: 'b' })), 'bad_request', 'must have either key'),
      wrong(inSuccess(getOf({ key: '' })), 'key_empty', 'success[1].get.key: the key is empty'),
      wrong(inSuccess(deleteOf({ prev: true })), 'bad_request', 'must have either key'),
      wrong(inSuccess(putOf('', '')), 'key_empty', 'success[1].put.key: the key is empty'),
      [
        txn(inSuccess(putOf('k'.repeat(4097), ''))),
        { ...invalid('key_too_long', 'key of 4097 bytes, at most 4096'), etcd: { calls: 1 } },
      ],
      [
        txn(inSuccess(putOf('a', 'x'.repeat(2 ** 20 + 1)))),
        { ...invalid('value_too_large'), etcd: { calls: 1 } },
      ],
      wrong(
        inSuccess(putOf('a', '', { lease: '9223372036854775808' })),
        'bad_request',
        'must be the id of a lease',
      ),
      wrong(
        inSuccess(putOf('a', '', { ttl: '999ms' })),
        'bad_request',
        'ttl must be a duration from 1s to 87600h',
      ),
      wrong(inSuccess(putOf('a', '', { ttl: '30s', lease: '7' })), 'bad_request', 'cannot be combined'),
      ...['prefix', 'start', 'end'].map(
        (name): Row => [
          txn(inSuccess(getOf({ [name]: 'k'.repeat(4098) }))),
          {
            ...invalid('key_too_long', 'of 4098 bytes, at most 4097'),
            etcd: { code: undefined, calls: 1, succeeded: true },
          },
        ],
      ),
      wrong(
        { failure: [nested({ success: [nested({ failure: [getOf({ key: 'a' }), putOf('', '')] })] })] },
        'key_empty',
        'failure[0].txn.success[0].txn.failure[1].put.key: the key is empty',
      ),
    ],
    { settings: { valueBytesMax: 2 ** 20 } },
  ),
  story('no branch of a transaction changes a key twice', [
    ...[
      { success: [putOf('a', '1'), putOf('a', '2')] },
      { success: [putOf('a', '1'), deleteOf({ key: 'a' })] },
      { failure: [deleteOf({ key: 'a' }), putOf('a', '1')] },
      { success: [putOf('ab', ''), deleteOf({ prefix: 'a' })] },
      { success: [deleteOf({ start: 'a' }), putOf(bytes('\xff'), '')] },
      { success: [putOf('a', ''), nested({ failure: [putOf('a', '')] })] },
    ].map((body) => wrong(body, 'duplicate_key', 'a key is changed twice in one branch')),
    ...[
      { success: [putOf('a', '')], failure: [putOf('a', '')] },
      { success: [nested({ success: [putOf('a', '')], failure: [deleteOf({ key: 'a' })] })] },
      { success: [deleteOf({ key: 'a' }), deleteOf({ prefix: 'a' })] },
      { success: [getOf({ key: 'a' }), putOf('a', ''), getOf({ key: 'a' })] },
      { success: [deleteOf({ start: '', end: 'a' }), putOf('a', '')] },
    ].map((body): Row => [txn(body), { succeeded: true }]),
  ]),
  story('a transaction has at most 128 comparisons, and operations in each branch, 16 within each other', [
    ...limited((count) => ({ success: list(count, (at) => putOf(`k${at}`, '')) })),
    ...limited((count) => ({ failure: list(count, (at) => getOf({ key: `k${at}` })) })),
    ...limited((count) => ({ compare: list(count, (at) => ({ key: `k${at}`, exists: false })) })),
    ...limited((count) => ({
      compare: list(TXN_OPERATIONS_MAX, (at) => ({ key: `k${at}`, exists: false })),
      success: list(count, (at) => putOf(`k${at}`, '')),
      failure: list(TXN_OPERATIONS_MAX, (at) => deleteOf({ key: `k${at}` })),
    })),
    ...limited((count) => ({
      success: [
        nested({ success: [deleteOf({ key: 'a' })], failure: list(count - 2, (at) => putOf(`${at}`, '')) }),
      ],
    })),
    ...limited((count) => ({
      compare: [{ key: 'a', exists: false }],
      success: [
        nested({ compare: list(count - 1, () => ({ key: 'a', exists: true })), failure: [putOf('a', '')] }),
      ],
    })),
    [txn(deep(TXN_DEPTH_MAX)), { succeeded: true }],
    wrong(deep(TXN_DEPTH_MAX + 1), 'too_many_operations', 'transactions are nested 16 deep at most'),
  ]),
  story(
    'the settings of the cluster refuse a whole transaction',
    [
      [txn({ success: [putOf('a', ''), putOf('long', '')] }), refused('key_too_long')],
      [txn({ success: [putOf('a', ''), putOf('b', '1234')] }), refused('value_too_large')],
      [txn({ success: ['a', 'b', 'c'].map((key) => putOf(key, '12')) }), refused('storage_full')],
      [range(), { records: [], revision: 1 }],
    ],
    { settings: { keyBytesMax: 2, valueBytesMax: 3, storeBytesMax: 8 } },
  ),
  ...[{ token: 't' }, { slot: [1, 3, 12] as const }].map((identity) => {
    const body = {
      compare: [{ key: 'new', exists: false }],
      success: [
        putOf('new', '1'),
        getOf({ key: 'a' }),
        deleteOf({ prefix: 'c/' }),
        nested({
          compare: [{ key: 'a', exists: false }],
          failure: [getOf({ prefix: 'a', keys_only: true })],
        }),
      ],
    }
    const results = (a: object, ofNested: object) => [
      ...[{ put: meta(7, 7, 1) }, a, { delete: { deleted: 2 } }],
      { txn: { succeeded: false, revision: 7, results: [ofNested] } },
    ]
    const omitted = { get: { omitted: true } }
    return story(
      `a transaction is made once under a name, and a copy has no values: ${Object.keys(identity)}`,
      [
        [OPEN_SESSION, { session: 1 }],
        FILLED,
        [
          txn(body, identity),
          { revision: 7, replayed: false, results: results(found([A]), found([current('a', 2, 4, 2)])) },
        ],
        filled('later'),
        [txn(body, identity), { revision: 7, replayed: true, results: results(omitted, omitted) }],
        [txn({ ...body, compare: [] }, identity), refused('idempotency_key_reused')],
        ...[
          { success: [putOf('a', '', { prev: true })] },
          { failure: [deleteOf({ key: 'a', prev: true })] },
          { success: [nested({ failure: [putOf('a', '', { prev: true })] })] },
        ].map((inner): Row => [txn(inner, identity), invalid('bad_request', 'prev cannot be combined with')]),
      ],
    )
  }),
  story('a transaction without changes is a read, also under a token, and as fresh as requested', [
    FILLED,
    ...['x', 'y'].flatMap((value): Row[] => [
      filled(`a=${value}`),
      [
        txn({ success: [getOf({ key: 'a' })] }, { token: 't' }),
        { results: [{ get: expect.objectContaining({ kvs: [expect.objectContaining({ value })] }) }] },
      ],
    ]),
    [
      (node) => {
        node.stalenessMs = 12.3
      },
    ],
    [txn({}, { consistency: 'stale', minRevision: 3 }), { revision: 8, served: 'stale', stalenessMs: 13 }],
    [
      (node) => {
        expect(node.asked.at(-1)?.options).toMatchObject({ consistency: 'stale', minRevision: 3 })
        node.served = 'linearizable'
      },
    ],
    [txn({}, { consistency: 'lease' }), { served: 'linearizable' }],
    [txn({}, { maxStalenessMs: 1 }), invalid('bad_request', 'max_staleness is for stale reads')],
  ]),
  story('options of reads are for transactions without changes', [
    ...[{ consistency: 'linearizable' as const }, { minRevision: 1 }].flatMap((freshness) =>
      ['success', 'failure'].map(
        (branch): Row => [
          txn({ [branch]: [nested({ failure: [deleteOf({ key: 'a' })] })] }, freshness),
          invalid('bad_request', 'this transaction is no read'),
        ],
      ),
    ),
  ]),
  story('a transaction that cannot be read is an error', [
    FILLED,
    ...[new Error('a table could not be opened'), new ScanEndedError()].flatMap((error): Row[] => [
      [
        (node) => {
          node.unread = error
        },
      ],
      ...[{ success: [getOf(C)] }, { compare: [of('value', '=', '', C)] }].map(
        (body): Row => [txn(body), { code: error instanceof ScanEndedError ? 'overloaded' : 'internal' }],
      ),
    ]),
    [
      (node) => {
        node.unread = undefined
        node.corrupt = () => true
      },
    ],
    [txn({ compare: [{ key: 'a', exists: false }] }), { code: 'internal' }],
  ]),
  ...[
    { compare: [of('value', '=', 'z', { prefix: 'c' })] },
    { success: [getOf({ prefix: 'c' })] },
    { success: [getOf({ prefix: 'c', count_only: true })] },
    { success: [getOf({ prefix: 'c', limit: 1, count: true })] },
    { success: [getOf({ prefix: 'c', limit: 2 })] },
    { success: [getOf({ key: 'x' }), getOf({ prefix: 'c/1' }), getOf({ start: 'c/2', end: 'd' })] },
  ].map((body, at) =>
    ranges(`keys, ${at}`, { rangeKeysMax: 2 }, ['x', 'y', 'c/1=z', 'c/2=z'], 'c/3=z', body),
  ),
  ...[
    { success: [getOf({ prefix: 'c', count_only: true })] },
    { success: [getOf({ prefix: 'c', limit: 1 }), getOf({ start: 'd', end: 'e', count_only: true })] },
  ].map((body, at) =>
    ranges(
      ...([`bytes of keys, ${at}`, { rangeBytesMax: 300 }] as const),
      ...([['c'.repeat(150), 'd'.repeat(150)], 'c'.repeat(151), body] as const),
    ),
  ),
  story(
    'a get of a range with a limit reads one key more than its limit, however many there are',
    [
      filled(...Array.from({ length: 30 }, (_, at) => `c/${10 + at}=z`), 'x'),
      ...['read', 'logged'].flatMap((kind): Row[] => {
        const change = kind === 'read' ? [] : [putOf('zz', '')]
        const gets = (count: number) => list(count, () => getOf({ prefix: 'c/', limit: 1 }))
        const first = { get: { kvs: [record('c/10', 'z', 2, 2, 1)], more: true } }
        return [
          [
            txn({ success: [...gets(5), ...change] }),
            { results: [...list(5, () => first), ...change.map(() => expect.anything())] },
          ],
          [txn({ success: [...gets(6), ...change] }), { code: 'range_too_large' }],
        ]
      }),
      // Keys that the transaction deletes are read too.
      [
        txn({
          success: [
            deleteOf({ key: 'c/10' }),
            deleteOf({ key: 'c/12' }),
            putOf('c/11x', 'new'),
            getOf({ prefix: 'c/', limit: 3, keys_only: true }),
          ],
        }),
        {
          results: [
            ...list(3, () => expect.anything()),
            {
              get: {
                kvs: [current('c/11', 3, 3, 1), current('c/11x', 34, 34, 1), current('c/13', 5, 5, 1)],
                more: true,
              },
            },
          ],
        },
      ],
    ],
    { settings: { rangeKeysMax: 10 } },
  ),
  story(
    'a transaction reads a bounded number of bytes of keys and values',
    [
      [(node) => node.put('a', 'v'.repeat(999))],
      [(node) => node.put('b', 'v'.repeat(999))],
      ...[
        [{ prefix: '' }],
        [{ prefix: '', limit: 1 }, { key: 'b' }],
        [{ key: 'b' }, { prefix: '', limit: 1 }],
        [{ prefix: '', count_only: true }, { key: 'a' }],
      ].map((wheres): Row => [txn({ success: wheres.map(getOf) }), { succeeded: true }]),
      ...[
        [{ prefix: '' }, { key: 'b', keys_only: true }],
        [{ key: 'a' }, { key: 'b' }, { prefix: '', keys_only: true }],
      ].map(
        (wheres): Row => [
          txn({ success: wheres.map(getOf) }),
          { code: 'range_too_large', detail: 'bytes of keys and values, at most 2000' },
        ],
      ),
    ],
    { settings: { rangeBytesMax: 2000 } },
  ),
  story(
    'a transaction compares a bounded number of bytes of values, whether it changes anything or not',
    [
      [(node) => node.put('a', 'v'.repeat(1000))],
      [(node) => node.put('b', 'v'.repeat(1000))],
      ...(
        [
          [
            { success: [getOf({ key: 'none' })] },
            { code: 'range_too_large', detail: 'bytes of keys and values, at most 2000' },
          ],
          [{ success: [putOf('new', '')] }, refused('range_too_large')],
        ] as const
      ).flatMap(([branches, tooLarge]): Row[] => {
        const both = [of('value', '>', 'u'), of('value', '=', 'v'.repeat(1000), { key: 'b' })]
        const noBytes = [of('value', '!=', 'u'), of('version', '=', 1, { prefix: 'a' })]
        return [
          [txn({ compare: [...both, ...noBytes], ...branches }), { succeeded: true }],
          [txn({ compare: [of('value', '>', 'u', { end: 'c' })], ...branches }), { succeeded: true }],
          ...[{ key: 'a' }, { prefix: 'b' }].map(
            (where): Row => [
              txn({ compare: [...both, of('value', '<', 'w', where)], ...branches }),
              tooLarge,
            ],
          ),
        ]
      }),
    ],
    { settings: { rangeBytesMax: 2000 } },
  ),
]
