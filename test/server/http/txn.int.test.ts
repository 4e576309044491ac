// Transactions: POST /v1/txn. What each comparison and operation does, what is refused, what a repeat gets, and those
// that change nothing and so are reads.

import { describe, expect, test } from 'vitest'
import { asRevision } from '../../../src/kv/index.ts'
import { TXN_DEPTH_MAX, TXN_OPERATIONS_MAX } from '../../../src/kv/txn.ts'
import { ScanEndedError } from '../../../src/storage/index.ts'
import { FakeNode } from './fake-node.ts'
import { atRest, Client, holding, until } from './raw-client.ts'
import { type Answered, JSON_TYPE, type Served, serve } from './served.ts'

const TXN = '/v1/txn'

const post = (
  { ask }: Pick<Served, 'ask'>,
  body: object | string | Uint8Array,
  headers: Record<string, string> = {},
  query = '',
): Promise<Answered> =>
  ask('POST', `${TXN}${query}`, {
    headers: { ...JSON_TYPE, ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  })

const put = (key: unknown, value: unknown, more: object = {}) => ({ put: { key, value, ...more } })
const get = (where: object) => ({ get: where })
const del = (where: object) => ({ delete: where })
const txn = (inner: object) => ({ txn: inner })
const list = <T>(count: number, of: (at: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => of(at))

const meta = (create: number, mod: number, version: number) => ({
  create_revision: create,
  mod_revision: mod,
  version,
})
const record = (key: unknown, value: unknown, ...revisions: Parameters<typeof meta>) => ({
  key,
  value,
  ...meta(...revisions),
})
const NOT_UTF8 = { base64: '/w==' }

const proposals = ({ asked }: FakeNode) => asked.filter(({ request }) => request !== undefined).length

/** a: x at 2 and 4, two versions; b: y at 3; c/1, c/2: z at 5 and 6. */
function filled(): FakeNode {
  const node = new FakeNode()
  for (const [key, value] of ['a=', 'b=y', 'a=x', 'c/1=z', 'c/2=z'].map((pair) => pair.split('=')))
    node.put(key ?? '', value ?? '')
  return node
}

/** The answer to a transaction without changes, which must be the same through the log. */
async function bothWays(served: Served, inner: object) {
  const read = await post(served, inner)
  const before = proposals(served.node)
  const logged = await post(served, { success: [txn(inner), put('zz', '')] })
  expect([read.status, logged.status, proposals(served.node) - before]).toEqual([200, 200, 1])
  const { revision: _, ...answer } = read.json
  expect(logged.json.results[0].txn).toEqual({ ...answer, revision: logged.json.revision })
  return answer
}

// ---------------------------------------------------------------------------------------------------------------------

describe('operations', () => {
  test('each has a result of its own form; all changes have one revision, and are one entry', async () => {
    const served = await serve({ node: filled() })
    const answer = await post(served, {
      success: [
        put('a', '1'),
        put('b', '2', { prev: true }),
        put('new', '3', { prev: true }),
        get({ key: 'a' }),
        get({ key: 'none' }),
        get({ prefix: 'c/', limit: 1 }),
        get({ start: 'a', end: 'c', keys_only: true }),
        get({ start: 'c', count_only: true }),
        del({ key: 'none', prev: true }),
        del({ key: 'c/1' }),
        del({ prefix: 'c', prev: true }),
        del({ prefix: 'c' }),
        txn({ compare: [{ key: 'a', exists: false }], failure: [put('d', '4'), get({ end: 'b' })] }),
      ],
    })
    expect([answer.status, answer.headers['kv-revision'], answer.headers['content-type']]).toEqual([
      200,
      '7',
      'application/json',
    ])
    expect(answer.json).toEqual({
      succeeded: true,
      revision: 7,
      results: [
        { put: meta(2, 7, 3) },
        { put: { ...meta(3, 7, 2), prev: record('b', 'y', 3, 3, 1) } },
        { put: { ...meta(7, 7, 1), prev: null } },
        { get: { kvs: [record('a', '1', 2, 7, 3)], more: false, count: 1 } },
        { get: { kvs: [], more: false, count: 0 } },
        { get: { kvs: [record('c/1', 'z', 5, 5, 1)], more: true, count: 2 } },
        {
          get: {
            kvs: [
              { key: 'a', ...meta(2, 7, 3) },
              { key: 'b', ...meta(3, 7, 2) },
            ],
            more: false,
            count: 2,
          },
        },
        { get: { kvs: [], more: false, count: 3 } },
        { delete: { deleted: 0, prev: [] } },
        { delete: { deleted: 1 } },
        { delete: { deleted: 1, prev: [record('c/2', 'z', 6, 6, 1)] } },
        { delete: { deleted: 0 } },
        {
          txn: {
            succeeded: false,
            revision: 7,
            results: [
              { put: meta(7, 7, 1) },
              { get: { kvs: [record('a', '1', 2, 7, 3)], more: false, count: 1 } },
            ],
          },
        },
      ],
    })
    expect([served.node.revision, proposals(served.node)]).toEqual([7, 1])
    expect((await served.ask('GET', '/v1/kv?keys_only')).json.kvs).toEqual([
      { key: 'a', ...meta(2, 7, 3) },
      { key: 'b', ...meta(3, 7, 2) },
      { key: 'd', ...meta(7, 7, 1) },
      { key: 'new', ...meta(7, 7, 1) },
    ])
  })

  test('the comparisons decide which of the two lists is done, and only that one is', async () => {
    const served = await serve({ node: filled() })
    const body = (exists: boolean) => ({
      compare: [{ key: 'a', exists }],
      success: [put('done', 'success')],
      failure: [put('done', 'failure'), del({ key: 'b' })],
    })
    expect((await post(served, body(true))).json).toEqual({
      succeeded: true,
      revision: 7,
      results: [{ put: meta(7, 7, 1) }],
    })
    expect((await served.ask('GET', '/v1/kv/b')).status).toBe(200)
    expect((await post(served, body(false))).json).toEqual({
      succeeded: false,
      revision: 8,
      results: [{ put: meta(7, 8, 2) }, { delete: { deleted: 1 } }],
    })
    expect((await served.ask('GET', '/v1/kv/done')).text).toBe('failure')
  })

  test('one that changes nothing although it could raises no revision', async () => {
    const served = await serve({ node: filled() })
    const { status, json } = await post(served, { success: [del({ key: 'none' }), del({ prefix: 'none' })] })
    expect([status, json]).toEqual([
      200,
      { succeeded: true, revision: 6, results: [{ delete: { deleted: 0 } }, { delete: { deleted: 0 } }] },
    ])
  })

  test('nested ones are compared before anything is changed, and then see the changes', async () => {
    const served = await serve({ node: filled() })
    const isX = { key: 'a', target: 'value', op: '=', to: 'x' }
    const { json } = await post(served, {
      success: [
        put('a', 'new'),
        txn({
          compare: [isX],
          success: [get({ key: 'a' }), txn({ compare: [isX], failure: [put('b', '')] })],
        }),
      ],
    })
    expect(json.results[1].txn).toEqual({
      succeeded: true,
      revision: 7,
      results: [
        { get: { kvs: [record('a', 'new', 2, 7, 3)], more: false, count: 1 } },
        { txn: { succeeded: true, revision: 7, results: [] } },
      ],
    })
  })

  test('keys, values and bounds may be any bytes', async () => {
    const served = await serve()
    const value = { base64: 'AP8=' }
    const { status } = await post(served, {
      compare: [{ key: NOT_UTF8, exists: false }],
      success: [put(NOT_UTF8, value), put({ base64: '//8=' }, 'é'), put('\0', '\ud83d\ude00')],
    })
    expect(status).toBe(200)
    const answer = await bothWays(served, {
      compare: [
        { key: NOT_UTF8, target: 'value', op: '=', to: value },
        { prefix: NOT_UTF8, target: 'version', op: '=', to: 1 },
        { start: NOT_UTF8, end: { base64: '//8=' }, target: 'value', op: '=', to: value },
      ],
      success: [
        get({ prefix: NOT_UTF8 }),
        get({ start: { base64: '//8=' } }),
        get({ end: { base64: 'AQ==' } }),
        get({ key: { base64: 'AA==' }, keys_only: true }),
      ],
    })
    const [first, second, zero] = [
      record(NOT_UTF8, value, 2, 2, 1),
      record({ base64: '//8=' }, 'é', 2, 2, 1),
      record('\0', '\ud83d\ude00', 2, 2, 1),
    ]
    expect(answer).toEqual({
      succeeded: true,
      results: [
        { get: { kvs: [first, second], more: false, count: 2 } },
        { get: { kvs: [second], more: false, count: 1 } },
        { get: { kvs: [zero], more: false, count: 1 } },
        { get: { kvs: [{ key: '\0', ...meta(2, 2, 1) }], more: false, count: 1 } },
      ],
    })
    const gone = await post(served, { success: [del({ prefix: NOT_UTF8, prev: true })] })
    expect(gone.json.results).toEqual([{ delete: { deleted: 2, prev: [first, second] } }])
  })

  test('a get of a key that exists has it, whatever its limit; of a range, more says that the limit cut it', async () => {
    const served = await serve({ node: filled() })
    const { results } = await bothWays(served, {
      success: [
        get({ key: 'a', limit: 1 }),
        get({ prefix: 'c/', limit: 2 }),
        get({ prefix: 'c/', limit: 1, keys_only: true }),
        get({ prefix: 'c/', limit: 1, count_only: true }),
        get({ prefix: '', count_only: true }),
        get({ start: 'c/1' }),
        get({ start: 'c', end: 'a' }),
      ],
    })
    const [one, two] = [record('c/1', 'z', 5, 5, 1), record('c/2', 'z', 6, 6, 1)]
    expect(results.map(({ get: found }: { get: unknown }) => found)).toEqual([
      { kvs: [record('a', 'x', 2, 4, 2)], more: false, count: 1 },
      { kvs: [one, two], more: false, count: 2 },
      { kvs: [{ key: 'c/1', ...meta(5, 5, 1) }], more: true, count: 2 },
      { kvs: [], more: false, count: 2 },
      { kvs: [], more: false, count: 4 },
      { kvs: [one, two], more: false, count: 2 },
      { kvs: [], more: false, count: 0 },
    ])
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe('comparisons', () => {
  const of = (target: string, op: string, to: unknown, where: object = { key: 'a' }) => ({
    ...where,
    target,
    op,
    to,
  })
  const NONE = { key: 'none' }
  const C = { prefix: 'c/' }

  test.each<[object, boolean]>([
    // a is x, created at 2, changed at 4, in its second version.
    ...(
      [
        ['value', 'x', 'w', 'y'],
        ['value', 'x', '', 'x\0'],
        ['version', 2, 1, 3],
        ['create_revision', 2, 1, 3],
        ['mod_revision', 4, 2, 7],
      ] as const
    ).flatMap<[object, boolean]>(([target, equal, lower, higher]) => [
      [of(target, '=', equal), true],
      [of(target, '=', lower), false],
      [of(target, '!=', equal), false],
      [of(target, '!=', higher), true],
      [of(target, '<', equal), false],
      [of(target, '<', lower), false],
      [of(target, '<', higher), true],
      [of(target, '>', equal), false],
      [of(target, '>', lower), true],
      [of(target, '>', higher), false],
    ]),
    // No key has a lease.
    ...['a', 'none'].flatMap<[object, boolean]>((key) => [
      [of('lease', '=', '0', { key }), true],
      [of('lease', '!=', '0', { key }), false],
      [of('lease', '=', '18446744073709551615', { key }), false],
      [of('lease', '<', '7', { key }), true],
      [of('lease', '>', '7', { key }), false],
    ]),
    // A key that does not exist has version and revisions 0, and no value.
    ...['version', 'create_revision', 'mod_revision'].flatMap<[object, boolean]>((target) => [
      [of(target, '=', 0, NONE), true],
      [of(target, '!=', 0, NONE), false],
      [of(target, '<', 1, NONE), true],
      [of(target, '>', 0, NONE), false],
    ]),
    ...['=', '!=', '<', '>'].map<[object, boolean]>((op) => [of('value', op, '', NONE), false]),
    [{ key: 'a', exists: true }, true],
    [{ key: 'a', exists: false }, false],
    [{ key: 'none', exists: true }, false],
    [{ key: 'none', exists: false }, true],
    // A comparison of a range holds for every key in it.
    [of('value', '=', 'z', C), true],
    [of('mod_revision', '>', 4, C), true],
    [of('mod_revision', '>', 5, C), false],
    [of('mod_revision', '<', 6, C), false],
    [of('value', '=', 'z', { start: 'c/1' }), true],
    [of('value', '=', 'z', { start: 'b' }), false],
    [of('value', '=', 'y', { start: 'b', end: 'c' }), true],
    [of('version', '=', 2, { end: 'b' }), true],
    [of('version', '=', 2, { end: 'b\0' }), false],
    [of('value', '=', '', { prefix: 'none' }), true],
    [of('version', '>', 0, { prefix: '' }), true],
  ])('%j is %s', async (comparison, holds) => {
    const served = await serve({ node: filled() })
    const inner = { compare: [comparison], success: [get({ key: 'a' })] }
    const answer = await bothWays(served, inner)
    expect([answer.succeeded, answer.results.length]).toEqual([holds, holds ? 1 : 0])
  })

  test('all of them must hold; none at all hold', async () => {
    const served = await serve({ node: filled() })
    const [yes, no] = [
      { key: 'a', exists: true },
      { key: 'a', exists: false },
    ]
    for (const [compare, succeeded] of [
      [[], true],
      [[yes, yes], true],
      [[yes, no], false],
      [[no, yes], false],
    ] as const)
      expect(await bothWays(served, { compare })).toEqual({ succeeded, results: [] })
  })

  test('a lease is compared as a number', async () => {
    const served = await serve({ node: filled() })
    const { succeeded } = await bothWays(served, {
      compare: [
        { key: 'a', target: 'lease', op: '<', to: '10' },
        { key: 'a', target: 'lease', op: '<', to: '9' },
      ],
    })
    expect(succeeded).toBe(true)
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe('a body', () => {
  test.each([
    ['nothing', ''],
    ['an empty object', {}],
    ['empty lists', { compare: [], success: [], failure: [] }],
  ])('of %s is a transaction that does nothing', async (_, body) => {
    const served = await serve({ node: filled() })
    const { status, json } = await post(served, body)
    expect([status, json]).toEqual([200, { succeeded: true, revision: 6, results: [] }])
    expect(proposals(served.node)).toBe(0)
  })

  const inSuccess = (operation: unknown) => ({ success: [put('q', ''), operation] })
  const inCompare = (comparison: unknown) => ({ compare: [comparison] })
  const EQUAL = { target: 'version', op: '=', to: 0 }
  const LONG = 'k'.repeat(4097)

  test.each<[string, object | string, string, string]>([
    ['a list', [], 'bad_request', 'the body must be object'],
    ['an unknown field', { range: [] }, 'bad_request', 'the body has the unknown field "range"'],
    ['an object as a list', { success: {} }, 'bad_request', 'success must be array'],
    ['null as a list', { compare: null }, 'bad_request', 'compare must be array'],
    ['a comparison that is null', inCompare(null), 'bad_request', 'compare[0] must be object'],
    [
      'a comparison with an unknown field',
      inCompare({ key: 'a', ...EQUAL, range_end: 'b' }),
      'bad_request',
      'the body has the unknown field "compare[0].range_end"',
    ],
    [
      'a comparison of nothing',
      inCompare(EQUAL),
      'bad_request',
      'compare[0] must have either key, or prefix, or start and end',
    ],
    ...[
      { key: 'a', prefix: 'a' },
      { key: 'a', end: 'b' },
      { prefix: 'a', start: 'a' },
    ].map<[string, object, string, string]>((where) => [
      JSON.stringify(where),
      inCompare({ ...where, ...EQUAL }),
      'bad_request',
      'compare[0] must have either key, or prefix, or start and end',
    ]),
    ...(['target', 'op', 'to'] as const).map<[string, object, string, string]>((field) => [
      `a comparison without ${field}`,
      inCompare({ key: 'a', ...EQUAL, [field]: undefined }),
      'bad_request',
      `the body lacks the field "compare[0].${field}"`,
    ]),
    [
      'an unknown target',
      inCompare({ key: 'a', ...EQUAL, target: 'revision' }),
      'bad_request',
      'compare[0].target must be one of value, version, create_revision, mod_revision, lease',
    ],
    [
      'an unknown operator',
      inCompare({ key: 'a', ...EQUAL, op: '>=' }),
      'bad_request',
      'compare[0].op must be one of =, !=, <, >',
    ],
    [
      'a value compared with a number',
      inCompare({ key: 'a', target: 'value', op: '=', to: 7 }),
      'bad_request',
      'compare[0].to must be string or object',
    ],
    ...['version', 'create_revision', 'mod_revision'].flatMap<[string, object, string, string]>((target) => [
      [
        `a ${target} compared with a text`,
        inCompare({ key: 'a', target, op: '=', to: '7' }),
        'bad_request',
        'compare[0].to must be integer',
      ],
      [
        `a ${target} compared with a part`,
        inCompare({ key: 'a', target, op: '=', to: 1.5 }),
        'bad_request',
        'compare[0].to must be string or integer or object',
      ],
      [
        `a ${target} compared with what is below all`,
        inCompare({ key: 'a', target, op: '=', to: -1 }),
        'bad_request',
        'compare[0].to must be >= 0',
      ],
    ]),
    [
      'a revision beyond all',
      '{"compare":[{"key":"a","target":"version","op":"=","to":9007199254740993}]}',
      'bad_request',
      'compare[0].to must be <= 9007199254740991',
    ],
    ...[7, '', '07', '-1', '0x1', '18446744073709551616', { base64: 'MQ==' }].map<
      [string, object, string, string]
    >((to) => [
      `a lease compared with ${JSON.stringify(to)}`,
      inCompare({ key: 'a', target: 'lease', op: '=', to }),
      'bad_request',
      'compare[0].to must be the id of a lease',
    ]),
    [
      'exists of a range',
      inCompare({ prefix: 'a', exists: true }),
      'bad_request',
      'compare[0].exists is for one key, not for a range',
    ],
    ...Object.entries(EQUAL).map<[string, object, string, string]>(([field, value]) => [
      `exists with ${field}`,
      inCompare({ key: 'a', exists: false, [field]: value }),
      'bad_request',
      'compare[0].exists stands in place of target, op and to',
    ]),
    [
      'exists as a text',
      inCompare({ key: 'a', exists: '1' }),
      'bad_request',
      'compare[0].exists must be boolean',
    ],
    [
      'an empty key compared',
      inCompare({ key: '', exists: true }),
      'key_empty',
      'compare[0].key: the key is empty',
    ],
    ['an operation that is null', inSuccess(null), 'bad_request', 'success[1] must be object'],
    ['an empty operation', inSuccess({}), 'bad_request', 'success[1] must have exactly 1 of its fields'],
    [
      'two operations in one',
      inSuccess({ ...put('a', ''), ...get({ key: 'a' }) }),
      'bad_request',
      'success[1] must have exactly 1 of its fields',
    ],
    [
      'another operation',
      inSuccess({ incr: {} }),
      'bad_request',
      'the body has the unknown field "success[1].incr"',
    ],
    [
      'a put without a key',
      inSuccess({ put: { value: '' } }),
      'bad_request',
      'the body lacks the field "success[1].put.key"',
    ],
    [
      'a put without a value',
      inSuccess({ put: { key: 'a' } }),
      'bad_request',
      'the body lacks the field "success[1].put.value"',
    ],
    [
      'a condition in a put',
      inSuccess(put('a', '', { if_match: '*' })),
      'bad_request',
      'the body has the unknown field "success[1].put.if_match"',
    ],
    [
      'a number as a key',
      inSuccess(put(7, '')),
      'bad_request',
      'success[1].put.key must be string or object',
    ],
    [
      'null as a value',
      inSuccess(put('a', null)),
      'bad_request',
      'success[1].put.value must be string or object',
    ],
    [
      'prev as a text',
      inSuccess(put('a', '', { prev: 'true' })),
      'bad_request',
      'success[1].put.prev must be boolean',
    ],
    [
      'bytes in another form',
      inSuccess(put('a', { hex: '00' })),
      'bad_request',
      'the body lacks the field "success[1].put.value.base64"',
    ],
    [
      'what is not base64',
      inSuccess(put('a', { base64: 'A' })),
      'bad_request',
      'success[1].put.value.base64 is not base64 with padding',
    ],
    [
      'half of a pair',
      '{"success":[{"put":{"key":"\\ud800","value":""}}]}',
      'bad_request',
      'success[0].put.key has half of a surrogate pair, which has no UTF-8',
    ],
    ['an empty key', inSuccess(put('', '')), 'key_empty', 'success[1].put.key: the key is empty'],
    [
      'a key too long',
      inSuccess(put(LONG, '')),
      'key_too_long',
      'success[1].put.key: key of 4097 bytes, at most 4096',
    ],
    [
      'a value too large',
      inSuccess(put('a', 'x'.repeat(2 ** 20 + 1))),
      'value_too_large',
      'success[1].put: value of 1048577 bytes, at most 1048576',
    ],
    [
      'a lease of more than 64 bits',
      inSuccess(put('a', '', { lease: '18446744073709551616' })),
      'bad_request',
      'success[1].put.lease must be the id of a lease',
    ],
    [
      'a time to live that is too short',
      inSuccess(put('a', '', { ttl: '999ms' })),
      'bad_request',
      'success[1].put.ttl must be a duration from 1s to 87600h',
    ],
    [
      'two leases',
      inSuccess(put('a', '', { ttl: '30s', lease: '7' })),
      'bad_request',
      'success[1].put.lease cannot be combined with success[1].put.ttl',
    ],
    ['a get of nothing', inSuccess(get({})), 'bad_request', 'success[1].get must have either key'],
    [
      'a get with an unknown field',
      inSuccess(get({ key: 'a', revision: 3 })),
      'bad_request',
      'the body has the unknown field "success[1].get.revision"',
    ],
    [
      'a get of an empty key',
      inSuccess(get({ key: '' })),
      'key_empty',
      'success[1].get.key: the key is empty',
    ],
    [
      'a limit of 0',
      inSuccess(get({ prefix: '', limit: 0 })),
      'bad_request',
      'success[1].get.limit must be >= 1',
    ],
    [
      'a limit as a text',
      inSuccess(get({ prefix: '', limit: '1' })),
      'bad_request',
      'success[1].get.limit must be integer',
    ],
    [
      'keys_only as a number',
      inSuccess(get({ prefix: '', keys_only: 1 })),
      'bad_request',
      'success[1].get.keys_only must be boolean',
    ],
    [
      'a delete of nothing',
      inSuccess(del({ prev: true })),
      'bad_request',
      'success[1].delete must have either key',
    ],
    [
      'a delete with a limit',
      inSuccess(del({ prefix: 'a', limit: 1 })),
      'bad_request',
      'the body has the unknown field "success[1].delete.limit"',
    ],
    ...(['prefix', 'start', 'end'] as const).map<[string, object, string, string]>((name) => [
      `a ${name} that is too long`,
      inSuccess(get({ [name]: `${LONG}k` })),
      'key_too_long',
      `success[1].get.${name} of 4098 bytes, at most 4097`,
    ]),
    ['a nested list', inSuccess(txn([])), 'bad_request', 'success[1].txn must be object'],
    [
      'a nested fault',
      { failure: [txn({ success: [txn({ failure: [get({ key: 'a' }), put('', '')] })] })] },
      'key_empty',
      'failure[0].txn.success[0].txn.failure[1].put.key: the key is empty',
    ],
    [
      'a nested unknown field',
      { failure: [txn({ success: [txn({ failure: [{ put: { key: 'a', value: '', ifMatch: 1 } }] })] })] },
      'bad_request',
      'the body has the unknown field "failure[0].txn.success[0].txn.failure[0].put.ifMatch"',
    ],
    [
      'the name of a prototype',
      '{"success":[{"__proto__":{"key":"a"}}]}',
      'bad_request',
      'the body has the unknown field "success[0].__proto__"',
    ],
    [
      'a name twice',
      '{"success":[{"put":{"key":"a","value":"1","key":"b"}}]}',
      'bad_request',
      'an object of the body has a name that occurs twice',
    ],
    ['no JSON', '{"success":', 'bad_request', 'the body is not JSON'],
  ])('with %s is refused', async (_, body, code, detail) => {
    const served = await serve()
    const { status, json } = await post(served, body)
    expect(json).toMatchObject({ status, code, detail: expect.stringContaining(detail) })
    expect(status).toBe(code === 'value_too_large' ? 413 : 400)
    expect(served.node.asked).toEqual([])
  })

  test('that is not UTF-8 is refused', async () => {
    const served = await serve()
    const { json } = await post(served, Buffer.from('{"success":[{"get":{"key":"\xff"}}]}', 'latin1'))
    expect(json).toMatchObject({ code: 'bad_request', detail: 'the body is not UTF-8' })
  })

  test('may name the first key after the longest one as a bound', async () => {
    const served = await serve()
    const longest = 'k'.repeat(4096)
    const end = `${longest}\0`
    const { json } = await post(served, { success: [put(longest, ''), get({ start: longest, end })] })
    expect(json.results[1].get.count).toBe(1)
  })

  test.each<[string, object]>([
    ['put twice', { success: [put('a', '1'), put('a', '2')] }],
    ['put and deleted', { success: [put('a', '1'), del({ key: 'a' })] }],
    ['deleted and put', { failure: [del({ key: 'a' }), put('a', '1')] }],
    ['put in a range that is deleted', { success: [put('ab', ''), del({ prefix: 'a' })] }],
    ['put in a range without an end', { success: [del({ start: 'a' }), put('\xff', '')] }],
    ['put in a nested one too', { success: [put('a', ''), txn({ failure: [put('a', '')] })] }],
  ])('with a key that is %s in one branch is refused', async (_, body) => {
    const served = await serve()
    const { status, json } = await post(served, body)
    expect([status, json]).toMatchObject([
      400,
      { code: 'duplicate_key', detail: 'a key is changed twice in one branch of the transaction' },
    ])
    expect(served.node.asked).toEqual([])
  })

  test.each<[string, object]>([
    ['each of two branches', { success: [put('a', '')], failure: [put('a', '')] }],
    [
      'each of two nested branches',
      { success: [txn({ success: [put('a', '')], failure: [del({ key: 'a' })] })] },
    ],
    ['two deletes', { success: [del({ key: 'a' }), del({ prefix: 'a' })] }],
    ['a put and reads', { success: [get({ key: 'a' }), put('a', ''), get({ key: 'a' })] }],
    ['the end of a range, which is exclusive', { success: [del({ start: '', end: 'a' }), put('a', '')] }],
  ])('may name a key in %s', async (_, body) => {
    expect((await post(await serve(), body)).status).toBe(200)
  })

  const TOO_MANY = {
    status: 413,
    code: 'too_many_operations',
    detail:
      'a transaction has at most 128 comparisons, and operations in each branch, with those of nested ones',
  }

  test.each<[string, (count: number) => object]>([
    ['puts', (count) => ({ success: list(count, (at) => put(`k${at}`, '')) })],
    ['gets', (count) => ({ failure: list(count, (at) => get({ key: `k${at}` })) })],
    ['comparisons', (count) => ({ compare: list(count, (at) => ({ key: `k${at}`, exists: false })) })],
    [
      'each of its lists',
      (count) => ({
        compare: list(TXN_OPERATIONS_MAX, (at) => ({ key: `k${at}`, exists: false })),
        success: list(count, (at) => put(`k${at}`, '')),
        failure: list(TXN_OPERATIONS_MAX, (at) => del({ key: `k${at}` })),
      }),
    ],
    [
      'nested, in both branches',
      (count) => ({
        success: [txn({ success: [del({ key: 'a' })], failure: list(count - 2, (at) => put(`${at}`, '')) })],
      }),
    ],
    [
      'nested comparisons',
      (count) => ({
        compare: [{ key: 'a', exists: false }],
        success: [
          txn({ compare: list(count - 1, () => ({ key: 'a', exists: true })), failure: [put('a', '')] }),
        ],
      }),
    ],
  ])('has at most 128 comparisons, and operations in each branch: %s', async (_, body) => {
    const served = await serve()
    expect((await post(served, body(TXN_OPERATIONS_MAX))).status).toBe(200)
    const { length } = served.node.asked
    for (const count of [TXN_OPERATIONS_MAX + 1, 300, 2_000])
      expect((await post(served, body(count))).json).toMatchObject(TOO_MANY)
    expect(served.node.asked).toHaveLength(length)
  })

  test('with very many operations is refused before they are looked at', async () => {
    const body = { success: list(8_000, (at) => get({ key: `${at}` })) }
    expect((await post(await serve(), body)).json).toMatchObject({
      code: 'bad_request',
      detail: 'the body has more than 16000 commas and opening brackets',
    })
  })

  test('has transactions within each other up to a depth', async () => {
    const served = await serve()
    const nested = (depth: number): object =>
      depth === 1 ? { success: [put('a', { base64: '' })] } : { success: [txn(nested(depth - 1))] }
    expect((await post(served, nested(TXN_DEPTH_MAX))).status).toBe(200)
    const { length } = served.node.asked
    expect((await post(served, nested(TXN_DEPTH_MAX + 1))).json).toMatchObject({
      status: 413,
      code: 'too_many_operations',
      detail: 'transactions are nested 16 deep at most',
    })
    const deep = (depth: number) => `${'{"success":[{"txn":'.repeat(depth)}{}${'}]}'.repeat(depth)}`
    for (const depth of [100, 5_000])
      expect((await post(served, deep(depth))).json).toMatchObject({
        status: 400,
        code: 'bad_request',
        detail: 'the body has more than 64 brackets within each other',
      })
    expect(served.node.asked).toHaveLength(length)
  })

  test('with all that its operations may have fits', async () => {
    const served = await serve()
    const bytes = (at: number) => ({ base64: Buffer.from([0xff, at]).toString('base64') })
    const success = list(TXN_OPERATIONS_MAX, (at) => put(bytes(at), bytes(at), { prev: false }))
    const failure = list(TXN_OPERATIONS_MAX, (at) =>
      get({ start: bytes(at), end: bytes(at), limit: 1, keys_only: false, count_only: false }),
    )
    const compare = list(TXN_OPERATIONS_MAX, (at) => ({
      ...{ start: bytes(at), end: bytes(at), target: 'value', op: '!=', to: bytes(at) },
    }))
    expect((await post(served, { compare, success, failure })).status).toBe(200)
  })
})

test('the settings of the cluster refuse a whole transaction', async () => {
  const served = await serve({ node: new FakeNode({ keyBytesMax: 2, valueBytesMax: 3, storeBytesMax: 8 }) })
  for (const [operation, status, code] of [
    [put('long', ''), 400, 'key_too_long'],
    [put('b', '1234'), 413, 'value_too_large'],
  ] as const)
    expect((await post(served, { success: [put('a', ''), operation] })).json).toMatchObject({ status, code })
  const three = ['a', 'b', 'c'].map((key) => put(key, '12'))
  expect((await post(served, { success: three })).json).toMatchObject({ status: 507, code: 'storage_full' })
  expect((await served.ask('GET', '/v1/kv')).json).toMatchObject({ kvs: [], revision: 1 })
})

test('what the node answers instead of an outcome is told as for a single change', async () => {
  const served = await serve()
  served.node.problem = { code: 'no_quorum', detail: 'too few answer', written: 'unknown' }
  const body = { success: [put('a', '')] }
  expect((await post(served, body)).json).toMatchObject({ status: 504, code: 'outcome_unknown' })
  served.node.problem = { code: 'not_ready', detail: 'the node is stopping', written: 'no' }
  expect((await post(served, body)).json).toMatchObject({ status: 503, code: 'not_ready' })
  expect((await post(served, { success: [get({ key: 'a' })] })).json).toMatchObject({ code: 'not_ready' })
})

test('only POST, only JSON', async () => {
  const served = await serve()
  const got = await served.ask('GET', TXN)
  expect([got.status, got.headers.allow]).toEqual([405, 'POST'])
  expect((await served.ask('POST', TXN, { body: '{}' })).status).toBe(415)
  expect((await post(served, {}, {}, '?limit=1')).json.code).toBe('unknown_parameter')
  expect(served.node.asked).toEqual([])
})

// ---------------------------------------------------------------------------------------------------------------------

describe('a repeat', () => {
  test.each([
    ['a token', { 'Idempotency-Key': 't' }],
    ['a slot of a session', { 'Kv-Session': '1;slot=3;seq=12' }],
  ] as const)('under %s gets the first outcome, without what was read', async (_, identity) => {
    const served = await serve({ node: filled() })
    await served.ask('POST', '/v1/sessions', { headers: JSON_TYPE, body: '{}' })
    const body = {
      compare: [{ key: 'new', exists: false }],
      success: [
        put('new', '1'),
        get({ key: 'a' }),
        del({ prefix: 'c/' }),
        txn({ compare: [{ key: 'a', exists: false }], failure: [get({ prefix: 'a', keys_only: true })] }),
      ],
    }
    const first = await post(served, body, identity)
    expect(first.json).toEqual({
      succeeded: true,
      revision: 7,
      results: [
        { put: meta(7, 7, 1) },
        { get: { kvs: [record('a', 'x', 2, 4, 2)], more: false, count: 1 } },
        { delete: { deleted: 2 } },
        {
          txn: {
            succeeded: false,
            revision: 7,
            results: [{ get: { kvs: [{ key: 'a', ...meta(2, 4, 2) }], more: false, count: 1 } }],
          },
        },
      ],
    })
    expect(first.headers).not.toHaveProperty('idempotency-replayed')
    served.node.put('later', '')

    const repeat = await post(served, body, identity)
    const omitted = { get: { omitted: true } }
    expect(repeat.headers).toMatchObject({ 'idempotency-replayed': 'true', 'kv-revision': '7' })
    expect(repeat.json).toEqual({
      ...first.json,
      results: [
        first.json.results[0],
        omitted,
        first.json.results[2],
        { txn: { succeeded: false, revision: 7, results: [omitted] } },
      ],
    })
    expect(served.node.revision).toBe(8)
    expect(await post(served, { ...body, compare: [] }, identity)).toMatchObject({
      status: 422,
      json: { code: 'idempotency_key_reused' },
    })
  })

  test.each<[string, object, string]>([
    ['a put', { success: [put('a', '', { prev: true })] }, 'Idempotency-Key'],
    ['a delete in the other branch', { failure: [del({ key: 'a', prev: true })] }, 'Kv-Session'],
    ['a nested put', { success: [txn({ failure: [put('a', '', { prev: true })] })] }, 'Idempotency-Key'],
  ])('is not possible where %s asks for the record before', async (_, body, header) => {
    const served = await serve()
    const value = header === 'Kv-Session' ? '1;slot=3;seq=12' : 't'
    expect((await post(served, body, { [header]: value })).json).toMatchObject({
      status: 400,
      code: 'bad_request',
      detail: `prev cannot be combined with ${header}: values are not remembered`,
    })
    expect(served.node.asked).toEqual([])
  })

  test('of a read is a read', async () => {
    const served = await serve({ node: filled() })
    const body = { success: [get({ key: 'a' })] }
    for (const value of ['x', 'y']) {
      served.node.put('a', value)
      const { json, headers } = await post(served, body, { 'Idempotency-Key': 't' })
      expect(json.results[0].get.kvs[0].value).toBe(value)
      expect(headers).not.toHaveProperty('idempotency-replayed')
    }
    expect((await post(served, body, { 'Idempotency-Key': '"t' })).json.code).toBe('bad_request')
  })
})

// ---------------------------------------------------------------------------------------------------------------------

describe('a transaction without changes', () => {
  const READ = { success: [get({ key: 'a' })] }

  test.each([
    ['', { consistency: 'linearizable' }],
    ['?consistency=linearizable', { consistency: 'linearizable' }],
    ['?consistency=lease&min_revision=3', { consistency: 'lease', minRevision: 3 }],
    ['?consistency=stale&max_staleness=500ms', { consistency: 'stale', maxStalenessMs: 500 }],
  ])('is a read: %s', async (query, options) => {
    const served = await serve({ node: filled() })
    served.node.stalenessMs = 12.5
    const { json, headers } = await post(served, READ, {}, query)
    expect(json).toEqual({
      succeeded: true,
      revision: 6,
      results: [{ get: { kvs: [record('a', 'x', 2, 4, 2)], more: false, count: 1 } }],
    })
    const { consistency } = options
    expect(headers).toMatchObject({
      'kv-consistency': consistency,
      'kv-revision': '6',
      'cache-control': 'no-cache',
    })
    expect(headers['kv-staleness-ms']).toBe(consistency === 'stale' ? '13' : undefined)
    expect(served.node.asked).toMatchObject([{ options }])
    expect(served.node.revision).toBe(6)
  })

  test('says how it was served', async () => {
    const served = await serve({ node: filled() })
    served.node.served = 'linearizable'
    expect((await post(served, READ, {}, '?consistency=lease')).headers['kv-consistency']).toBe(
      'linearizable',
    )
  })

  test('reads the store as it was at a revision, in comparisons too', async () => {
    const served = await serve({ node: filled() })
    const inner = {
      compare: [
        { key: 'a', target: 'version', op: '=', to: 1 },
        { key: 'c/1', exists: false },
      ],
      success: [
        get({ start: 'a' }),
        txn({ success: [get({ key: 'a' }), get({ prefix: 'c', count_only: true })] }),
      ],
    }
    const then = await post(served, inner, {}, '?revision=3&consistency=stale')
    const a = record('a', '', 2, 2, 1)
    expect(then.json).toEqual({
      succeeded: true,
      revision: 6,
      results: [
        { get: { kvs: [a, record('b', 'y', 3, 3, 1)], more: false, count: 2 } },
        {
          txn: {
            ...{ succeeded: true, revision: 6 },
            results: [
              { get: { kvs: [a], more: false, count: 1 } },
              { get: { kvs: [], more: false, count: 0 } },
            ],
          },
        },
      ],
    })
    expect(then.headers).toMatchObject({ 'kv-revision': '6', 'kv-consistency': 'stale' })
    expect((await post(served, inner)).json.succeeded).toBe(false)
    served.node.apply({ kind: 'compact', revision: asRevision(4) })
    expect((await post(served, inner, {}, '?revision=3')).json).toMatchObject({
      ...{ status: 410, code: 'compacted', compact_revision: 4 },
    })
    expect((await post(served, inner, {}, '?revision=4')).json.succeeded).toBe(false)
    expect((await post(served, inner, {}, '?revision=7')).json).toMatchObject({ code: 'future_revision' })
  })

  test('is refused as reads are', async () => {
    const served = await serve({ node: filled() })
    expect((await post(served, READ, {}, '?max_staleness=1s')).json).toMatchObject({
      code: 'bad_request',
      detail: 'max_staleness is for stale reads: add consistency=stale',
    })
    for (const code of ['too_stale', 'revision_behind', 'no_quorum'] as const) {
      served.node.problem = { code, detail: 'not now', written: 'no' }
      expect((await post(served, READ)).json).toMatchObject({ status: 503, code })
    }
  })

  test.each([
    '?consistency=linearizable',
    '?min_revision=1',
    '?consistency=stale&max_staleness=1s',
    '?revision=1',
  ])('alone takes %s', async (query) => {
    const served = await serve()
    for (const branch of ['success', 'failure']) {
      const { json } = await post(served, { [branch]: [txn({ failure: [del({ key: 'a' })] })] }, {}, query)
      expect(json).toMatchObject({
        status: 400,
        code: 'bad_request',
        detail: expect.stringContaining('this transaction is no read'),
      })
    }
    expect(served.node.asked).toEqual([])
    expect((await post(served, { success: [put('a', '')] }, {}, '?timeout=1s')).status).toBe(200)
  })

  test('reads one instant, and closes what it has opened', async () => {
    const served = await serve({ node: filled(), limits: { sliceRowsMax: 1 } })
    const { node, http } = served
    node.onSlice = () => {
      for (const key of ['a', 'c/1', 'c/3']) node.put(key, 'later')
    }
    const isZ = { prefix: 'c/', target: 'value', op: '=', to: 'z' }
    const { json } = await post(served, {
      compare: [isZ, { key: 'c/3', exists: false }],
      success: [get({ prefix: '' }), txn({ compare: [isZ], success: [get({ key: 'a' })] })],
      failure: [get({ prefix: '' })],
    })
    expect(json.revision).toBe(6)
    const a = record('a', 'x', 2, 4, 2)
    expect(json.results).toEqual([
      {
        get: {
          kvs: [a, record('b', 'y', 3, 3, 1), record('c/1', 'z', 5, 5, 1), record('c/2', 'z', 6, 6, 1)],
          more: false,
          count: 4,
        },
      },
      { txn: { succeeded: true, revision: 6, results: [{ get: { kvs: [a], more: false, count: 1 } }] } },
    ])
    expect([node.openScans, http.inspect().ranges, http.inspect().answerBytes]).toEqual([0, 0, 0])
  })

  test('that cannot be read is a problem, and its scans are closed', async () => {
    const served = await serve({ node: filled() })
    const { node, http } = served
    const body = {
      compare: [{ key: 'a', exists: false }],
      success: [get({ prefix: 'c' })],
      failure: [get({ key: 'b' })],
    }
    node.corrupt = () => true
    expect((await post(served, body)).json).toMatchObject({ status: 500, code: 'internal' })
    node.corrupt = undefined
    node.unread = new Error('a table could not be opened')
    for (const inner of [body, { compare: [{ prefix: 'c', target: 'value', op: '=', to: '' }] }])
      expect((await post(served, inner)).json).toMatchObject({ status: 500, code: 'internal' })
    node.unread = new ScanEndedError()
    expect((await post(served, body)).json).toMatchObject({ status: 429, code: 'overloaded' })
    expect([node.openScans, http.inspect().ranges, http.inspect().answerBytes]).toEqual([0, 0, 0])
  })

  const TOO_LARGE = { status: 413, code: 'range_too_large' }

  test.each([
    ['compared', { compare: [{ prefix: 'c', target: 'value', op: '=', to: 'z' }] }],
    ['read', { success: [get({ prefix: 'c' })] }],
    ['counted', { success: [get({ prefix: 'c', count_only: true })] }],
    ['read with a limit', { success: [get({ prefix: 'c', limit: 1 })] }],
    [
      'read in parts',
      { success: [get({ key: 'x' }), get({ prefix: 'c/1' }), get({ start: 'c/2', end: 'd' })] },
    ],
  ])('has as many keys in its ranges as the settings say, and no more: %s', async (_, body) => {
    const node = new FakeNode({ rangeKeysMax: 2 })
    const served = await serve({ node })
    for (const key of ['x', 'y', 'c/1', 'c/2']) node.put(key, 'z')
    await bothWays(served, body)
    node.put('c/2/more', 'z')
    for (const inner of [body, { success: [txn(body), put('zz', '')] }])
      expect((await post(served, inner)).json).toMatchObject({
        ...TOO_LARGE,
        detail: expect.stringMatching(/^the ranges have more than 2 keys \(range_keys_max\)/),
      })
    expect(node.openScans).toBe(0)
  })

  test.each([
    ['counted', { success: [get({ prefix: 'c', count_only: true })] }],
    [
      'in two ranges',
      { success: [get({ prefix: 'c', limit: 1 }), get({ start: 'd', end: 'e', count_only: true })] },
    ],
  ])('has as many bytes of keys in its ranges as the settings say, and no more: %s', async (_, body) => {
    const node = new FakeNode({ rangeBytesMax: 300 })
    const served = await serve({ node })
    for (const key of ['c', 'd']) node.put(key.repeat(150), '')
    await bothWays(served, body)
    node.put('c'.repeat(151), '')
    for (const inner of [body, { success: [txn(body), put('zz', '')] }])
      expect((await post(served, inner)).json).toMatchObject({
        ...TOO_LARGE,
        detail:
          'the ranges have more than 10000 keys (range_keys_max), or 300 bytes of keys (range_bytes_max)',
      })
    expect(node.openScans).toBe(0)
  })

  test('answers keys and values up to the limit of the cluster', async () => {
    const node = new FakeNode({ rangeBytesMax: 2 << 20 })
    const served = await serve({ node })
    for (const key of ['a', 'b']) node.put(key, new Uint8Array((1 << 20) - 1))
    const found = async (...wheres: object[]) => (await post(served, { success: wheres.map(get) })).json
    expect(await found({ prefix: '' })).toMatchObject({ succeeded: true })
    expect(await found({ prefix: '', limit: 1 }, { key: 'b' })).toMatchObject({ succeeded: true })
    expect(await found({ key: 'b' }, { prefix: '', limit: 1 })).toMatchObject({ succeeded: true })
    expect(await found({ prefix: '', count_only: true }, { key: 'a' })).toMatchObject({ succeeded: true })
    for (const wheres of [
      [{ prefix: '' }, { key: 'b', keys_only: true }],
      [{ key: 'a' }, { key: 'b' }, { prefix: '', keys_only: true }],
    ])
      expect(await found(...wheres)).toMatchObject({
        ...TOO_LARGE,
        detail: expect.stringMatching(
          /^the transaction may read 209715[34] bytes of keys and values, at most 2097152/,
        ),
      })
    expect([node.openScans, served.http.inspect().answerBytes]).toEqual([0, 0])
  })

  test('ends with its time', async () => {
    const served = await serve({ limits: { sliceRowsMax: 1 } })
    for (const at of list(500, (each) => each)) served.node.put(`k${at}`, '')
    expect((await post(served, { success: [get({ prefix: '' })] }, {}, '?timeout=5ms')).json).toMatchObject({
      status: 429,
      code: 'overloaded',
      detail: 'the transaction could not be read within the timeout',
    })
  })

  test('counts as one range that is being read', async () => {
    const body = { success: [get({ key: 'a' }), get({ prefix: 'c' })] }
    const none = await serve({ node: filled(), limits: { rangesMax: 0 } })
    expect((await post(none, body)).json).toMatchObject({ status: 429, code: 'overloaded' })
    const one = await serve({ node: filled(), limits: { rangesMax: 1 } })
    const open: number[] = []
    one.node.onSlice = () => open.push(one.http.inspect().ranges)
    expect((await post(one, body)).status).toBe(200)
    expect(new Set(open)).toEqual(new Set([1]))
  })

  test('is read no further when its client has gone', async () => {
    const served = await serve({ limits: { sliceRowsMax: 1 } })
    const { node, port } = served
    for (const at of list(2_000, (each) => each)) node.put(`k${at}`, '')
    const client = new Client(port)
    let slices = 0
    node.onSlice = () => {
      if (++slices === 3) client.reset()
    }
    const body = JSON.stringify({ success: [get({ prefix: '' })] })
    const type = 'Content-Type: application/json'
    await client.send(
      `POST ${TXN} HTTP/1.1\r\nHost: localhost\r\n${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await until(served, () => slices >= 3)
    await node.scansClosed()
    expect(slices).toBeLessThan(1_000)
    await atRest(served)
  })
})

test('room for the answer is reserved before changes are made, and given back', async () => {
  const served = await serve({ limits: { answersBytesMax: 7 << 20 } })
  const { node, http } = served
  const { release } = holding(node)
  const plain = { success: [put('a', '')] }
  const reading = { success: [put('b', ''), txn({ failure: [get({ key: 'a' })] })] }
  const first = post(served, reading)
  const { value: go } = await release.next()
  expect(http.inspect().answerBytes).toBeGreaterThan(4 << 20)
  for (const body of [reading, { success: [put('c', '', { prev: true })] }])
    expect((await post(served, body)).json.code).toBe('overloaded')
  expect(proposals(node)).toBe(1)
  // A transaction without values and with few keys needs little room.
  const lean = { failure: [get({ key: 'a', keys_only: true }), get({ prefix: '', count_only: true })] }
  const second = post(served, plain)
  const { value: goOn } = await release.next()
  const third = post(served, { success: [put('d', ''), txn(lean)] })
  const { value: goOnToo } = await release.next()
  go()
  goOn()
  goOnToo()
  for (const answer of [first, second, third]) expect((await answer).status).toBe(200)
  await atRest(served, 6)
})

test('a transaction without changes reserves room for what it has read, and gives it back', async () => {
  const served = await serve()
  const { node, http } = served
  for (const key of ['a', 'b']) node.put(key, 'v'.repeat(400))
  const taken: number[] = []
  node.onSlice = () => taken.push(http.inspect().answerBytes)
  const two = { failure: [], success: [get({ key: 'a' }), get({ key: 'b' })] }
  expect((await post(served, two)).status).toBe(200)
  expect(taken).toEqual([0, 401])
  expect([node.openScans, http.inspect().ranges, http.inspect().answerBytes]).toEqual([0, 0, 0])
})

test('and also when the node fails', async () => {
  const served = await serve()
  served.node.propose = () => {
    throw new Error('broken')
  }
  expect((await post(served, { success: [put('a', '')] })).json.code).toBe('internal')
  expect(served.http.inspect().answerBytes).toBe(0)
})
