// Batches: POST /v1/changes. What each change is answered, what is refused as a whole, and what a repeat gets.

import { expect, test } from 'vitest'
import { BATCH_COMMANDS_MAX } from '../../../src/kv/index.ts'
import { FakeNode } from './fake-node.ts'
import { atRest, COLD, holding, onNodeHttp } from './raw-client.ts'
import { JSON_TYPE, type Served, serve } from './served.ts'

const CHANGES = '/v1/changes'

const post = ({ ask }: Served, body: object | string, headers: Record<string, string> = {}) =>
  ask('POST', CHANGES, {
    headers: { ...JSON_TYPE, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

const PUT = { put: { key: 'a', value: '1' } }
const after = (change: unknown) => ({ changes: [PUT, change] })
const putOf = (more: object) => after({ put: { ...PUT.put, ...more } })

test('each change has its own revision and its own result; one that fails does not stop the others', async () => {
  const served = await serve()
  const answer = await post(served, {
    changes: [
      { put: { key: 'a', value: '1', if_none_match: '*' } },
      { put: { key: 'a', value: '2', if_match: [9, 2] } },
      { put: { key: 'a', value: '3', if_none_match: [3] } },
      { delete: { key: 'none' } },
      { delete: { key: 'none', if_match: '*' } },
      { put: { key: { base64: '/w==' }, value: { base64: 'AP8=' }, if_match: [0], if_none_match: [1] } },
      { put: { key: { base64: '/w==' }, value: { base64: 'AP8=' } } },
      { delete: { key: 'a', if_match: [3] } },
    ],
  })
  const failed = {
    type: 'urn:quorate:problem:precondition_failed',
    title: 'A precondition does not hold',
    status: 412,
    code: 'precondition_failed',
    written: 'no',
  }
  expect([answer.status, answer.headers['kv-revision'], answer.headers['content-type']]).toEqual([
    200,
    '5',
    'application/json',
  ])
  expect(answer.json).toEqual({
    revision: 5,
    results: [
      { put: { create_revision: 2, mod_revision: 2, version: 1 } },
      { put: { create_revision: 2, mod_revision: 3, version: 2 } },
      {
        problem: {
          ...failed,
          detail: 'the key is at revision 3',
          current: { key: 'a', create_revision: 2, mod_revision: 3, version: 2 },
        },
      },
      { delete: { deleted: 0, revision: 3 } },
      { problem: { ...failed, detail: 'the key does not exist', current: null } },
      { problem: { ...failed, detail: 'the key does not exist', current: null } },
      { put: { create_revision: 4, mod_revision: 4, version: 1 } },
      { delete: { deleted: 1, revision: 5 } },
    ],
  })
  expect([...(await served.ask('GET', '/v1/kv/%ff')).bytes]).toEqual([0, 0xff])
  expect(served.node.asked.filter(({ request }) => request !== undefined)).toHaveLength(1)
})

test('the settings of the cluster refuse single changes', async () => {
  const served = await serve({ node: new FakeNode({ keyBytesMax: 2, valueBytesMax: 3, storeBytesMax: 4 }) })
  const { json } = await post(served, {
    changes: [
      { put: { key: 'aaa', value: '1' } },
      { put: { key: 'a', value: '1234' } },
      { put: { key: 'a', value: '123' } },
      { put: { key: 'b', value: '' } },
    ],
  })
  expect(json.results).toMatchObject([
    { problem: { code: 'key_too_long', status: 400, detail: 'key of 3 bytes, at most 2', written: 'no' } },
    { problem: { code: 'value_too_large', status: 413, written: 'no' } },
    { put: { mod_revision: 2 } },
    { problem: { code: 'storage_full', status: 507, written: 'no' } },
  ])
})

test('a batch without an effect has the revision of the store', async () => {
  const served = await serve()
  expect((await post(served, { changes: [{ delete: { key: 'a' } }] })).json).toEqual({
    revision: 1,
    results: [{ delete: { deleted: 0, revision: 1 } }],
  })
})

test.each([
  ['a token', { 'Idempotency-Key': 't' }],
  ['a slot of a session', { 'Kv-Session': '1;slot=3;seq=12' }],
] as const)('under %s a batch is made once, and a repeat gets its results', async (_, identity) => {
  const served = await serve()
  await served.ask('POST', '/v1/sessions', { headers: JSON_TYPE, body: '{}' })
  const body = {
    changes: [PUT, { put: { ...PUT.put, if_none_match: '*' } }, { put: { key: 'b', value: '2' } }],
  }
  const first = await post(served, body, identity)
  expect(first.json.results).toMatchObject([
    { put: {} },
    { problem: { code: 'precondition_failed' } },
    { put: {} },
  ])
  expect(first.headers).not.toHaveProperty('idempotency-replayed')
  await served.ask('DELETE', '/v1/kv/a')
  const repeat = await post(served, body, identity)
  expect([repeat.status, repeat.text]).toEqual([200, first.text])
  expect(repeat.headers).toMatchObject({ 'idempotency-replayed': 'true', 'kv-revision': '3' })
  expect([served.node.revision, (await served.ask('GET', '/v1/kv/a')).status]).toEqual([4, 404])

  // The same changes in another order are another batch, and so is one of them alone.
  for (const changes of [body.changes.toReversed(), [PUT]])
    expect(await post(served, { changes }, identity)).toMatchObject({
      status: 422,
      json: { code: 'idempotency_key_reused' },
    })
  expect(served.node.revision).toBe(4)
})

test('an outcome that is not known, and a cluster that knows no batches, are told as for a single change', async () => {
  const served = await serve()
  served.node.problem = { code: 'no_quorum', detail: 'too few answer', written: 'unknown' }
  expect((await post(served, { changes: [PUT] })).json).toMatchObject({
    status: 504,
    code: 'outcome_unknown',
  })
  served.node.problem = { code: 'not_ready', detail: 'the node is stopping', written: 'no' }
  expect((await post(served, { changes: [PUT] })).json).toMatchObject({ status: 503, code: 'not_ready' })
})

test('as many changes as a batch may have fit, with all that a change may have', async () => {
  const served = await serve()
  const key = { base64: '/w==' }
  const conditions = { if_match: [1, 2, 3], if_none_match: [1, 2, 3] }
  const changes = Array<object>(BATCH_COMMANDS_MAX).fill({ put: { key, value: key, ...conditions } })
  const answer = await post(served, { changes })
  expect([answer.status, answer.json.results.length]).toEqual([200, BATCH_COMMANDS_MAX])
  expect((await post(served, { changes: [...changes, PUT] })).json.detail).toBe(
    `changes must NOT have more than ${BATCH_COMMANDS_MAX} items`,
  )
})

test('a value may have any number of commas, brackets, colons, quotes and backslashes', async () => {
  const served = await serve()
  const value = ',[{:"\\'.repeat(50_000)
  expect((await post(served, { changes: [{ put: { key: 'a,":', value } }] })).status).toBe(200)
  expect((await served.ask('GET', '/v1/kv?key=a%2C%22%3A')).text).toBe(value)
})

const LONE = '{"changes":[{"put":{"key":"\\ud800","value":"1"}}]}'
const LONG = 'k'.repeat(4097)

test.each<[string, object | string, string, string]>([
  ['nothing', '', 'bad_request', 'the body lacks the field "changes"'],
  ['a list', [], 'bad_request', 'the body must be object'],
  ['no changes', { changes: [] }, 'bad_request', 'changes must NOT have fewer than 1 items'],
  ['changes that are no list', { changes: { 0: PUT } }, 'bad_request', 'changes must be array'],
  [
    'an unknown field',
    { changes: [PUT], if_match: '*' },
    'bad_request',
    'the body has the unknown field "if_match"',
  ],
  ['a change that is null', after(null), 'bad_request', 'changes[1] must be object'],
  ['an empty change', after({}), 'bad_request', 'changes[1] must have exactly 1 of its fields'],
  [
    'a put and a delete in one',
    after({ ...PUT, delete: { key: 'a' } }),
    'bad_request',
    'changes[1] must have exactly 1 of its fields',
  ],
  [
    'another kind',
    after({ get: { key: 'a' } }),
    'bad_request',
    'the body has the unknown field "changes[1].get"',
  ],
  [
    'a put without a key',
    after({ put: { value: '1' } }),
    'bad_request',
    'the body lacks the field "changes[1].put.key"',
  ],
  [
    'a put without a value',
    after({ put: { key: 'a' } }),
    'bad_request',
    'the body lacks the field "changes[1].put.value"',
  ],
  [
    'a delete without a key',
    after({ delete: {} }),
    'bad_request',
    'the body lacks the field "changes[1].delete.key"',
  ],
  [
    'a delete with a value',
    after({ delete: PUT.put }),
    'bad_request',
    'the body has the unknown field "changes[1].delete.value"',
  ],
  ['prev', putOf({ prev: true }), 'bad_request', 'the body has the unknown field "changes[1].put.prev"'],
  ['a number as a key', putOf({ key: 7 }), 'bad_request', 'changes[1].put.key must be string or object'],
  ['null as a value', putOf({ value: null }), 'bad_request', 'changes[1].put.value must be string or object'],
  [
    'bytes in another form',
    putOf({ value: { base64: 'AA==', utf8: '' } }),
    'bad_request',
    'the body has the unknown field "changes[1].put.value.utf8"',
  ],
  [
    'bytes in no form',
    putOf({ value: {} }),
    'bad_request',
    'the body lacks the field "changes[1].put.value.base64"',
  ],
  ...['A', 'AA', 'AA=', 'AB==', 'A A=', '_w==', 'AA==\n'].map(
    (base64) =>
      [
        `${JSON.stringify(base64)} as base64`,
        putOf({ value: { base64 } }),
        'bad_request',
        'changes[1].put.value.base64 is not base64 with padding',
      ] as [string, object, string, string],
  ),
  [
    'half of a pair',
    LONE,
    'bad_request',
    'changes[0].put.key has half of a surrogate pair, which has no UTF-8',
  ],
  ['an empty key', putOf({ key: '' }), 'key_empty', 'changes[1].put: the key is empty'],
  [
    'an empty key to delete',
    after({ delete: { key: { base64: '' } } }),
    'key_empty',
    'changes[1].delete: the key is empty',
  ],
  ['a key too long', putOf({ key: LONG }), 'key_too_long', 'changes[1].put: key of 4097 bytes, at most 4096'],
  [
    'a value too large',
    putOf({ value: 'x'.repeat(2 ** 20 + 1) }),
    'value_too_large',
    'changes[1].put: value of 1048577 bytes, at most 1048576',
  ],
  ['a tag', putOf({ if_match: '"7"' }), 'bad_request', 'changes[1].put.if_match must match pattern "^\\*$"'],
  [
    'no revisions',
    putOf({ if_none_match: [] }),
    'bad_request',
    'changes[1].put.if_none_match must NOT have fewer than 1 items',
  ],
  [
    'a revision as text',
    putOf({ if_match: ['7'] }),
    'bad_request',
    'changes[1].put.if_match[0] must be integer',
  ],
  [
    'a part of a revision',
    putOf({ if_match: [7, 1.5] }),
    'bad_request',
    'changes[1].put.if_match[1] must be integer',
  ],
  [
    'a revision below all',
    putOf({ if_match: [-1] }),
    'bad_request',
    'changes[1].put.if_match[0] must be >= 0',
  ],
  [
    'a revision beyond all',
    '{"changes":[{"delete":{"key":"a","if_match":[9007199254740993]}}]}',
    'bad_request',
    'changes[0].delete.if_match[0] must be <= 9007199254740991',
  ],
  [
    'an endless number',
    '{"changes":[{"delete":{"key":"a","if_match":[1e999]}}]}',
    'bad_request',
    'changes[0].delete.if_match[0] must be integer',
  ],
  [
    'the name of a prototype',
    '{"changes":[{"__proto__":{"key":"a"}}]}',
    'bad_request',
    'the body has the unknown field "changes[0].__proto__"',
  ],
  [
    'a name twice',
    '{"changes":[{"put":{"key":"a","value":"1","key":"b"}}]}',
    'bad_request',
    'an object of the body has a name that occurs twice',
  ],
  [
    'all changes twice',
    '{"changes":[{"delete":{"key":"a"}}],"changes":[{"delete":{"key":"b"}}]}',
    'bad_request',
    'an object of the body has a name that occurs twice',
  ],
  [
    'very many changes',
    `{"changes":[{}${',{}'.repeat(100_000)}]}`,
    'bad_request',
    'the body has more than 16000 commas and opening brackets',
  ],
  [
    'deep nesting',
    `${'{"changes":'.repeat(15_999)}1${'}'.repeat(15_999)}`,
    'bad_request',
    'changes must be array',
  ],
  [
    'a body too large',
    { changes: [PUT, { put: { key: 'a', value: 'x'.repeat(1_600_000) } }] },
    'request_too_large',
    'body of',
  ],
])('%s is refused as a whole', async (_, body, code, detail) => {
  const served = await serve()
  const { status, json } = await post(served, body)
  expect(json).toMatchObject({ status, code, detail: expect.stringContaining(detail) })
  expect(status < 500).toBe(true)
  expect(served.node.asked).toEqual([])
})

test('bytes that are not UTF-8 are refused, and not replaced', async () => {
  const served = await serve()
  const body = Buffer.from('{"changes":[{"put":{"key":"\xff","value":"1"}}]}', 'latin1')
  const answer = await served.ask('POST', CHANGES, { headers: JSON_TYPE, body })
  expect(answer.json).toMatchObject({ code: 'bad_request', detail: 'the body is not UTF-8' })
  expect(served.node.asked).toEqual([])
})

test('only POST, only JSON, and no parameter but the time-out', async () => {
  const served = await serve()
  const body = JSON.stringify({ changes: [PUT] })
  const got = await served.ask('GET', CHANGES)
  expect([got.status, got.headers.allow]).toEqual([405, 'POST'])
  expect((await served.ask('POST', CHANGES, { body })).status).toBe(415)
  const asked = (target: string) => served.ask('POST', target, { headers: JSON_TYPE, body })
  expect((await asked(`${CHANGES}?prev`)).json.code).toBe('unknown_parameter')
  expect(served.node.asked).toEqual([])
  expect((await asked(`${CHANGES}?timeout=1s`)).status).toBe(200)
  const text = await served.metrics.text()
  for (const status of [200, 400, 415])
    expect(text).toContain(`quorate_http_requests_total{operation="batch",status="${status}"} 1\n`)
})

test('room for the results is reserved before the changes are made, and given back', async () => {
  const served = await serve({ limits: { answersBytesMax: 20_000 } })
  const { node, http } = served
  const { release } = holding(node)
  const changes = [{ delete: { key: 'k'.repeat(4096), if_match: '*' } }]
  const first = post(served, { changes })
  const { value: go } = await release.next()
  expect(http.inspect().answerBytes).toBeGreaterThan(4096)
  expect((await post(served, { changes })).json.code).toBe('overloaded')
  expect(node.asked).toHaveLength(1)
  go()
  expect((await first).json.results).toMatchObject([{ problem: { code: 'precondition_failed' } }])
  await atRest(served, 2)
})

test('and also when the node fails', async () => {
  const served = await serve()
  served.node.propose = () => {
    throw new Error('broken')
  }
  expect((await post(served, { changes: [PUT] })).json.code).toBe('internal')
  expect(served.http.inspect().answerBytes).toBe(0)
})

test('a batch may come in any pieces, and its connection goes on', async () => {
  const served = await serve()
  const client = await onNodeHttp(served)
  const body = JSON.stringify({ changes: [PUT] })
  const head = `POST ${CHANGES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`
  await client.send(`${head}Transfer-Encoding: chunked\r\n\r\n`)
  for (const letter of body) await client.send(`1\r\n${letter}\r\n`)
  await client.send('0\r\n\r\n')
  expect(await client.answer()).toContain('"mod_revision":2')
  await client.send(COLD)
  expect(await client.answer()).toContain('200 OK')
})
