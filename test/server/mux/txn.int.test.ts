// Transactions, ranges that are deleted, reads of history and its end over the multiplexed connection: the same answers
// as over HTTP, the same refusals, and what they cost of the credit and of memory.

import { describe, expect, test } from 'vitest'
import { FakeNode } from '../http/fake-node.ts'
import { atRest } from '../http/raw-client.ts'
import { type Answered, JSON_TYPE, type Served, serve } from '../http/served.ts'
import { COMPACT, DELETE_RANGE, GET, MuxClient, OPEN_SESSION, PUT, RANGE, TXN } from './mux-client.ts'

const NOT_UTF8 = Buffer.from([0xff, 0])

/** a at revisions 2 and 4, b at 3, c/1 and c/2 at 5 and 6. */
function filled(): FakeNode {
  const node = new FakeNode()
  for (const [key = '', value = ''] of ['a=1', 'b=y', 'a=x', 'c/1=z', 'c/2=z'].map((pair) => pair.split('=')))
    node.put(key, value)
  return node
}

async function both() {
  const [served, other] = [await serve({ node: filled() }), await serve({ node: filled() })]
  return { served, other, client: await new MuxClient(served.port).open() }
}

const post = ({ ask }: Served, path: string, body: object, headers: Record<string, string> = {}) =>
  ask('POST', path, { headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(toJson(body)) })

/** Bytes as in JSON. */
function toJson(value: unknown): unknown {
  if (Buffer.isBuffer(value)) {
    const text = value.toString()
    return Buffer.from(text).equals(value) ? text : { base64: value.toString('base64') }
  }
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inside]) => [name, toJson(inside)]))
}

describe('a transaction has the answer that it has over HTTP', () => {
  test.each<[string, object]>([
    ['nothing at all', {}],
    [
      'every comparison, and a put',
      {
        compare: [
          { key: 'a', target: 'value', op: '=', to: Buffer.from('x') },
          { key: Buffer.from('a'), target: 'version', op: '>', to: 1 },
          { key: 'a', target: 'create_revision', op: '!=', to: 4 },
          { prefix: 'c/', target: 'mod_revision', op: '<', to: 7 },
          { start: 'c', end: 'd', target: 'lease', op: '=', to: '0' },
          { key: 'zz', exists: false },
        ],
        success: [{ put: { key: 'n', value: NOT_UTF8 } }, { get: { start: 'a', limit: 2 } }],
      },
    ],
    [
      'the other branch, with the records before',
      {
        compare: [{ key: 'b', exists: false }],
        failure: [
          { put: { key: 'b', value: '2', prev: true } },
          { put: { key: 'new', value: '', prev: true } },
          { delete: { prefix: 'c/', prev: true } },
          { delete: { key: 'a', prev: false } },
        ],
      },
    ],
    [
      'a transaction in a transaction',
      {
        success: [
          {
            txn: {
              compare: [{ key: 'a', target: 'value', op: '=', to: 'no' }],
              failure: [
                { txn: { success: [{ delete: { key: 'a' } }, { get: { prefix: '', keys_only: true } }] } },
              ],
            },
          },
        ],
      },
    ],
    [
      'reads only',
      {
        compare: [{ prefix: '', target: 'version', op: '>', to: 0 }],
        success: [
          { get: { key: 'a' } },
          { get: { prefix: 'c', count_only: true } },
          { get: { key: 'none' } },
        ],
      },
    ],
    ['a lease, of which there are none yet', { success: [{ put: { key: 'l', value: '', ttl: '30s' } }] }],
    ['a key twice', { success: [{ delete: { key: 'a' } }, { put: { key: 'a', value: '' } }] }],
    ['too many operations', { success: Array(129).fill({ get: { key: 'a' } }) }],
    ['an empty key', { success: [{ delete: { key: '' } }] }],
    ['no operand', { compare: [{ key: 'a', target: 'value', op: '=' }] }],
    ['a number for a value', { compare: [{ key: 'a', target: 'value', op: '=', to: 1 }] }],
    ['a key and a range', { compare: [{ key: 'a', prefix: 'b', target: 'version', op: '=', to: 1 }] }],
  ])('%s', async (_, txn) => {
    const { served, other, client } = await both()
    const [, ending, first, result, replayed, ...read] = await client.ask(1, TXN, null, txn)
    const { status, json, headers } = await post(other, '/v1/txn', txn)
    if (ending === 1) {
      expect(first).toMatchObject({ status, code: json.code, detail: json.detail, written: 'no' })
      expect(status).toBeGreaterThanOrEqual(400)
    } else {
      expect([200, first, toJson(result)]).toEqual([status, json.revision, json])
      expect([replayed, read[0]]).toEqual([false, headers['kv-consistency']])
    }
    expect(served.node.revision).toBe(other.node.revision)
    await atRest(served)
  })
})

test.each<[string, unknown, RegExp]>([
  ['a list', [], /^txn must be a map/],
  ['nil', null, /^txn must be a map/],
  ['an unknown part', { otherwise: [] }, /"otherwise" is not known in txn/],
  ['a map of comparisons', { compare: {} }, /^txn.compare must be a list/],
  [
    'an unknown operator',
    { compare: [{ key: 'a', target: 'version', op: '>=', to: 1 }] },
    /^txn.compare\[0\].op/,
  ],
  ['a fraction', { compare: [{ key: 'a', target: 'version', op: '=', to: 0.5 }] }, /^txn.compare\[0\].to/],
  [
    'an operation of two kinds',
    { success: [{ get: {}, put: {} }] },
    /^txn.success\[0\] must be a map with one/,
  ],
  ['an operation of no kind', { failure: [{}] }, /^txn.failure\[0\] must be a map with one/],
  ['no value', { success: [{ put: { key: 'a' } }] }, /^txn.success\[0\].put.value must be bytes/],
  [
    'a lease that is a number',
    { success: [{ put: { key: 'a', value: '', lease: 1 } }] },
    /put.lease must be a string/,
  ],
  ['a limit of 0', { success: [{ get: { key: 'a', limit: 0 } }] }, /^txn.success\[0\].get.limit/],
  [
    'an unknown field',
    { success: [{ txn: { success: [{ delete: { keys: 'a' } }] } }] },
    /txn.success\[0\].delete/,
  ],
])('a transaction with %s is refused, and nothing else', async (_, txn, detail) => {
  const served = await serve()
  const client = await new MuxClient(served.port).open()
  client.send([1, TXN, null, txn], [2, PUT, null, 'k', 'v'])
  expect((await client.answer(1))?.[2]).toMatchObject({
    status: 400,
    detail: expect.stringMatching(detail),
    written: 'no',
  })
  expect((await client.answer(2))?.[1]).toBe(0)
  expect(served.node.asked).toHaveLength(1)
})

test('parameters of reads are refused for a transaction with changes, and obeyed for others', async () => {
  const served = await serve({ node: filled() })
  const { ask } = await new MuxClient(served.port).open().then((client) => ({ ask: client.ask.bind(client) }))
  const change = { success: [{ delete: { key: 'a' } }] }
  for (const fields of [[5], [null, { consistency: 'stale' }]]) {
    const [, ending, problem] = await ask(1, TXN, null, change, null, ...fields)
    expect([ending, problem]).toMatchObject([1, { code: 'bad_request' }])
  }
  const read = { success: [{ get: { key: 'a' } }] }
  const [, ending, , , , served_] = await ask(2, TXN, null, read, null, 6, { consistency: 'stale' })
  expect([ending, served_]).toEqual([0, 'stale'])
  expect(served.node.asked.at(-1)?.options).toMatchObject({ consistency: 'stale', minRevision: 6 })
  served.node.problem = { code: 'revision_behind', detail: 'not yet', written: 'no' }
  expect((await ask(3, TXN, null, read, null, 7))[2]).toMatchObject({ status: 503, code: 'revision_behind' })
})

test('a repeat has the first outcome, without what was read; also in a session', async () => {
  const served = await serve({ node: filled() })
  const client = await new MuxClient(served.port).open()
  const [, , , session] = await client.ask(1, OPEN_SESSION, null)
  const txn = { success: [{ put: { key: 'n', value: '1' } }, { get: { key: 'a' } }] }
  let id = 1
  for (const identity of [['token'], [session, 0, 1]]) {
    const first = await client.ask(++id, TXN, null, txn, identity)
    const again = await client.ask(++id, TXN, null, txn, identity)
    const [, , revision, { results }] = first
    expect(results[1].get.kvs).toHaveLength(1)
    const omitted = { succeeded: true, revision, results: [results[0], { get: { omitted: true } }] }
    expect(again.slice(1)).toEqual([0, revision, omitted, true])
  }
  const prev = { success: [{ delete: { key: 'n', prev: true } }] }
  const [, ending, problem] = await client.ask(++id, TXN, null, prev, ['other'])
  expect([ending, problem]).toMatchObject([1, { code: 'bad_request', written: 'no' }])
})

test.each<[string, object, string, number]>([
  ['a prefix', { prefix: 'c/' }, 'prefix=c/', 2],
  ['from a key to another', { start: 'b', end: Buffer.from('c/2') }, 'start=b&end=c/2', 2],
  ['all keys', { prefix: '', all: true }, 'prefix=&all=true', 4],
  ['all keys, without saying so', { prefix: '' }, 'prefix=', 0],
  ['no range', {}, '', 0],
  ['two ranges', { prefix: 'a', end: 'b' }, 'prefix=a&end=b', 0],
])('the keys of a range are deleted as over HTTP: %s', async (_, range, query, deleted) => {
  const { served, other, client } = await both()
  const [, ending, first, ...rest] = await client.ask(1, DELETE_RANGE, null, range)
  const answer = await other.ask('DELETE', `/v1/kv?${query}`)
  if (ending === 0) expect({ revision: first, deleted: rest[0] }).toEqual(answer.json)
  else expect(first).toMatchObject({ code: answer.json.code, detail: answer.json.detail })
  expect([ending === 0 ? rest[0] : 0, served.node.revision]).toEqual([deleted, other.node.revision])
})

test('a range that is too large to delete is refused with its count', async () => {
  const node = new FakeNode({ rangeKeysMax: 3 })
  for (const key of ['a', 'b', 'c', 'd']) node.put(key, '1')
  const served = await serve({ node })
  const client = await new MuxClient(served.port).open()
  const [, ending, problem] = await client.ask(1, DELETE_RANGE, null, { start: 'a' }, ['t'])
  expect([ending, problem]).toMatchObject([1, { code: 'range_too_large', count: 4, written: 'no' }])
  await client.ask(2, DELETE_RANGE, null, { start: 'b' }, ['u'])
  expect(await client.ask(3, DELETE_RANGE, null, { start: 'b' }, ['u'])).toEqual([3, 0, 6, 3, true])
  await atRest(served)
})

const problemOf = ({ json }: Answered) => ({ code: json.code, detail: json.detail, status: json.status })

test('keys and ranges are read as they were at a revision', async () => {
  const { served, other, client } = await both()
  served.node.put('a', 'newest')
  const value = async (revision: number) =>
    (await client.ask(1, GET, null, 'a', null, null, revision))[3]?.[1]
  expect([await value(2), await value(4), await value(7)].map(String)).toEqual(['1', 'x', 'newest'])
  expect((await client.ask(2, GET, null, 'b', null, null, 2)).slice(1, 4)).toEqual([0, 7, null])
  const [, , , records] = await client.ask(3, RANGE, null, { revision: 4 })
  expect(records.map(([key]: Buffer[]) => String(key))).toEqual(['a', 'b'])
  const [, , future] = await client.ask(4, GET, null, 'a', null, null, 99)
  expect(future).toMatchObject({ status: 400, code: 'future_revision' })
  // The end of history, over both.
  expect(await client.ask(5, COMPACT, null, 4, ['t'])).toEqual([5, 0, 7, 4, false])
  expect(await client.ask(6, COMPACT, null, 4, ['t'])).toEqual([6, 0, 7, 4, true])
  expect((await post(other, '/v1/compact', { revision: 4 })).json).toEqual({
    compact_revision: 4,
    revision: 6,
  })
  const [, , compacted] = await client.ask(7, GET, null, 'a', null, null, 3)
  expect(compacted).toMatchObject({
    ...problemOf(await other.ask('GET', '/v1/kv/a?revision=3')),
    compact_revision: 4,
  })
  const [, , again] = await client.ask(8, COMPACT, null, 3)
  expect(again).toMatchObject(problemOf(await post(other, '/v1/compact', { revision: 3 })))
  for (const wrong of [null, 0, 'x', 1.5])
    expect((await client.ask(9, COMPACT, null, wrong))[2]).toMatchObject({
      code: 'bad_request',
      written: 'no',
    })
})

test('what became of a change is told as the node says', async () => {
  const served = await serve()
  const client = await new MuxClient(served.port).open()
  served.node.problem = { code: 'outcome_unknown', detail: 'the leader is gone', written: 'unknown' }
  const txn = { success: [{ delete: { key: 'a' } }] }
  for (const [op, field] of [
    [TXN, txn],
    [DELETE_RANGE, { prefix: 'a' }],
    [COMPACT, 1],
  ])
    expect((await client.ask(1, op, null, field))[2]).toMatchObject({ status: 504, written: 'unknown' })
  await atRest(served)
})

test('all strings of a transaction count for credit', async () => {
  const served = await serve({ limits: { muxBytesMax: 1_000 } })
  const client = await new MuxClient(served.port).open()
  const put = (bytes: number) => ({ success: [{ put: { key: 'a', value: Buffer.alloc(bytes) } }] })
  expect((await client.ask(1, TXN, null, put(999)))[1]).toBe(0)
  client.send([2, TXN, null, put(1_000)])
  expect((await client.end()).code).toBe(1008)
})

test('a transaction is not larger than a body of HTTP', async () => {
  const served = await serve({ limits: { requestBytesMax: 1_000 } })
  const client = await new MuxClient(served.port).open()
  const put = (bytes: number) => ({ success: [{ put: { key: 'a', value: Buffer.alloc(bytes) } }] })
  expect((await client.ask(1, TXN, null, put(999)))[1]).toBe(0)
  expect((await client.ask(2, TXN, null, put(1_000)))[2]).toMatchObject({
    status: 413,
    code: 'request_too_large',
  })
})
