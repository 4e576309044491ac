// Bodies of JSON: what is refused before anything is proposed, and which field the refusal names. What a field means is
// in the conformance table (test/server/api).

import { expect, test } from 'vitest'
import { TXN_OPERATIONS_MAX } from '../../../src/kv/txn.ts'
import { BATCH_COMMANDS_MAX } from '../../../src/operations/batch.ts'
import { describeSchemaFault, findSchemaFault } from '../../../src/operations/http/schema-fault.ts'
import { decodeTxnBody, TxnBody } from '../../../src/operations/http/transactions.ts'
import { asError } from '../../../src/system/errors.ts'
import { JSON_TYPE, type Served, serve } from './served.ts'

const post = ({ ask }: Served, target: string, body: object | string | Uint8Array) =>
  ask('POST', target, {
    headers: JSON_TYPE,
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  })

const PUT = { put: { key: 'a', value: '1' } }
const change = (of: unknown) => ({ changes: [PUT, of] })
const put = (more: object) => change({ put: { ...PUT.put, ...more } })
const operation = (of: unknown) => ({ success: [PUT, of] })
const compare = (of: unknown) => ({ compare: [of] })
const EQUAL = { key: 'a', target: 'version', op: '=', to: 0 }
const nested = (inner: object) => ({ failure: [{ txn: { success: [inner] } }] })

const BATCH = '/v1/changes'
const TXN = '/v1/txn'
const LEADER = '/v1/cluster/leader'
const TWICE = 'an object of the body has a name that occurs twice'
const MANY = 'the body has more than 16000 commas and opening brackets'
const FEW = 'the body has more than 4096 commas and opening brackets'

/** The words for what is wrong with a transaction, as a program without Ajv has them. */
function readTxn(body: object): string | undefined {
  const fault = findSchemaFault(TxnBody, body)
  if (fault !== undefined) return describeSchemaFault(fault)
  try {
    decodeTxnBody(body)
    return undefined
  } catch (error) {
    return asError(error).message
  }
}

test.each<readonly [target: string, body: object | string, detail: string]>([
  // Any body
  [BATCH, '{"changes":', 'the body is not JSON'],
  [TXN, '{"success":', 'the body is not JSON'],
  [BATCH, [], 'the body must be object'],
  [TXN, [], 'the body must be object'],
  [LEADER, [], 'the body must be object'],
  [BATCH, '', 'the body lacks the field "changes"'],
  [LEADER, '{"to":"\xff"}', 'the body is not UTF-8'],
  [BATCH, '{"changes":[{"put":{"key":"\xff","value":"1"}}]}', 'the body is not UTF-8'],
  [TXN, '{"success":[{"get":{"key":"\xff"}}]}', 'the body is not UTF-8'],
  [BATCH, '{"changes":[{"put":{"key":"a","value":"1","key":"b"}}]}', TWICE],
  [BATCH, '{"changes":[{"delete":{"key":"a"}}],"changes":[{"delete":{"key":"b"}}]}', TWICE],
  [TXN, '{"success":[{"put":{"key":"a","value":"1","key":"b"}}]}', TWICE],
  [LEADER, '{"to":"n2","t\\u006f":"n2"}', TWICE],
  [LEADER, '{"to":[{"a":{"b":1,"c":{},"b":2}}]}', TWICE],
  [LEADER, '{"to":[{"a":1},{"a":":\\":"}]}', 'to must be string'],
  [BATCH, '{"changes":[{"__proto__":{"key":"a"}}]}', 'the body has the unknown field "changes[0].__proto__"'],
  [TXN, '{"success":[{"__proto__":{"key":"a"}}]}', 'the body has the unknown field "success[0].__proto__"'],
  [
    BATCH,
    '{"changes":[{"put":{"key":"\\ud800","value":"1"}}]}',
    'changes[0].put.key has half of a surrogate pair',
  ],
  [BATCH, `{"changes":[{}${',{}'.repeat(100_000)}]}`, MANY],
  [TXN, { success: Array(8_000).fill({ get: { key: 'a' } }) }, MANY],
  [BATCH, `${'{"changes":'.repeat(15_999)}1${'}'.repeat(15_999)}`, 'changes must be array'],
  [
    TXN,
    `${'{"success":[{"txn":'.repeat(100)}{}${'}]}'.repeat(100)}`,
    'the body has more than 64 brackets within',
  ],
  [LEADER, `{"to":[1${',1'.repeat(4094)}]}`, 'to must be string'],
  [LEADER, `{"to":[1${',1'.repeat(4095)}]}`, FEW],
  [LEADER, `{"to":${'['.repeat(4095)}${']'.repeat(4095)}}`, 'to must be string'],
  [LEADER, `{"to":${'['.repeat(4096)}${']'.repeat(4096)}}`, FEW],
  [LEADER, `{"to":"${',[{:'.repeat(1025)}"}`, 'to must match pattern "^[a-z0-9-]{1,63}$"'],
  [LEADER, `{"to":"\\\\","a":[${'1,'.repeat(4095)}1]}`, FEW],
  [LEADER, { two: 1 }, 'the body has the unknown field "two"'],
  ['/v1/cluster/settings', { leases: { onn: true } }, 'the body has the unknown field "leases.onn"'],
  ['/v1/cluster/settings', { leases: { on: 1 } }, 'leases.on must be boolean'],
  ['/v1/cluster/members', { name: 'n4' }, 'the body lacks the field "replica_id"'],
  // Batches
  [BATCH, { changes: [] }, 'changes must NOT have fewer than 1 items'],
  [BATCH, { changes: Array(1001).fill(PUT) }, `changes must NOT have more than ${BATCH_COMMANDS_MAX} items`],
  [BATCH, { changes: [PUT], if_match: '*' }, 'the body has the unknown field "if_match"'],
  [BATCH, change(null), 'changes[1] must be object'],
  [BATCH, change({}), 'changes[1] must have exactly 1 of its fields'],
  [BATCH, change({ ...PUT, delete: { key: 'a' } }), 'changes[1] must have exactly 1 of its fields'],
  [BATCH, change({ get: { key: 'a' } }), 'the body has the unknown field "changes[1].get"'],
  [BATCH, change({ put: { value: '1' } }), 'the body lacks the field "changes[1].put.key"'],
  [BATCH, change({ delete: PUT.put }), 'the body has the unknown field "changes[1].delete.value"'],
  [BATCH, put({ prev: true }), 'the body has the unknown field "changes[1].put.prev"'],
  [BATCH, put({ key: 7 }), 'changes[1].put.key must be string or object'],
  [BATCH, put({ value: null }), 'changes[1].put.value must be string or object'],
  [BATCH, put({ value: {} }), 'the body lacks the field "changes[1].put.value.base64"'],
  [
    BATCH,
    put({ value: { base64: '', utf8: '' } }),
    'the body has the unknown field "changes[1].put.value.utf8"',
  ],
  ...['A', 'AA', 'AA=', 'AB==', 'A A=', '_w==', 'AA==\n'].map(
    (base64) =>
      [BATCH, put({ value: { base64 } }), 'changes[1].put.value.base64 is not base64 with padding'] as const,
  ),
  [BATCH, put({ if_match: '"7"' }), 'changes[1].put.if_match must match pattern "^\\*$"'],
  [BATCH, put({ if_none_match: [] }), 'changes[1].put.if_none_match must NOT have fewer than 1 items'],
  [BATCH, put({ if_match: [7, 1.5] }), 'changes[1].put.if_match[1] must be integer'],
  [BATCH, put({ if_match: [-1] }), 'changes[1].put.if_match[0] must be >= 0'],
  [BATCH, '{"changes":[{"delete":{"key":"a","if_match":[1e999]}}]}', 'delete.if_match[0] must be integer'],
  [
    BATCH,
    '{"changes":[{"delete":{"key":"a","if_match":[9007199254740993]}}]}',
    'must be <= 9007199254740991',
  ],
  // Transactions
  [TXN, { range: [] }, 'the body has the unknown field "range"'],
  [TXN, { success: {} }, 'success must be array'],
  [TXN, compare(null), 'compare[0] must be object'],
  [TXN, compare({ ...EQUAL, range_end: 'b' }), 'the body has the unknown field "compare[0].range_end"'],
  [TXN, compare({ ...EQUAL, target: 'revision' }), 'compare[0].target must be one of value, version,'],
  [TXN, compare({ ...EQUAL, op: '>=' }), 'compare[0].op must be one of =, !=, <, >'],
  [TXN, compare({ ...EQUAL, to: 1.5 }), 'compare[0].to must be string or integer or object'],
  [TXN, compare({ ...EQUAL, to: -1 }), 'compare[0].to must be >= 0'],
  [
    TXN,
    compare({ ...EQUAL, target: 'lease', to: { base64: 'MQ==' } }),
    'compare[0].to must be the id of a lease',
  ],
  [TXN, compare({ key: 'a', exists: '1' }), 'compare[0].exists must be boolean'],
  [TXN, operation(null), 'success[1] must be object'],
  [TXN, operation({ ...PUT, get: { key: 'a' } }), 'success[1] must have exactly 1 of its fields'],
  [TXN, operation({ put: { key: 'a' } }), 'the body lacks the field "success[1].put.value"'],
  [
    TXN,
    operation({ put: { ...PUT.put, if_match: '*' } }),
    'the body has the unknown field "success[1].put.if_match"',
  ],
  [TXN, operation({ put: { ...PUT.put, lease: '0' } }), 'success[1].put.lease must match pattern'],
  [TXN, operation({ put: { ...PUT.put, prev: 'true' } }), 'success[1].put.prev must be boolean'],
  [
    TXN,
    operation({ get: { key: 'a', revision: 3 } }),
    'the body has the unknown field "success[1].get.revision"',
  ],
  [TXN, operation({ get: { prefix: '', limit: 0 } }), 'success[1].get.limit must be >= 1'],
  [TXN, operation({ get: { prefix: '', keys_only: 1 } }), 'success[1].get.keys_only must be boolean'],
  [
    TXN,
    operation({ delete: { prefix: 'a', limit: 1 } }),
    'the body has the unknown field "success[1].delete.limit"',
  ],
  [TXN, operation({ txn: [] }), 'success[1].txn must be object'],
  [TXN, nested({ put: { ...PUT.put, ttL: 1 } }), 'the unknown field "failure[0].txn.success[0].put.ttL"'],
  // Leases
  ['/v1/leases', {}, 'the body lacks the field "ttl"'],
  ['/v1/leases', { ttl: 30 }, 'ttl must be string'],
  ['/v1/leases', { ttl: '30' }, 'ttl must be a duration'],
  ['/v1/leases', { ttl: '999ms' }, 'ttl must be a duration from 1s to 87600h'],
  ['/v1/leases', { ttl: '87601h' }, 'ttl must be a duration from 1s to 87600h'],
  ['/v1/leases', { ttl: '30s', id: '9223372036854775808' }, 'id must be the id of a lease'],
  ['/v1/leases', { ttl: '30s', id: '0' }, 'id must match'],
  ['/v1/leases', { ttl: '30s', keys: [] }, 'the body has the unknown field "keys"'],
])('POST %s of %j is refused with the field', async (target, body, detail) => {
  const served = await serve()
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
  const { status, json } = await post(served, target, bytes)
  expect([status, json]).toMatchObject([
    400,
    { code: 'bad_request', detail: expect.stringContaining(detail) },
  ])
  expect([served.node.asked, served.node.changes]).toEqual([[], []])
  // The console finds the same fault without Ajv.
  if (target === TXN && typeof body !== 'string' && detail !== MANY) expect(readTxn(body)).toBe(json.detail)
})

test('a body is too large beyond 1.5 MiB', async () => {
  const served = await serve()
  const value = 'x'.repeat(1_600_000)
  for (const [target, body] of [
    [LEADER, { to: value }],
    [BATCH, { changes: [PUT, { put: { key: 'a', value } }] }],
  ] as const)
    expect((await post(served, target, body)).json).toMatchObject({ status: 413, code: 'request_too_large' })
})

test('as many changes and operations as there may be fit, with all that each may have', async () => {
  const served = await serve()
  const bytes = { base64: '/w==' }
  const conditions = { if_match: [1, 2, 3], if_none_match: [1, 2, 3] }
  const changes = Array(BATCH_COMMANDS_MAX).fill({ put: { key: bytes, value: bytes, ...conditions } })
  const batch = await post(served, BATCH, { changes })
  expect([batch.status, batch.json.results.length]).toEqual([200, BATCH_COMMANDS_MAX])
  const all = (of: (key: object) => object) =>
    Array.from({ length: TXN_OPERATIONS_MAX }, (_, at) =>
      of({ base64: Buffer.from([0xff, at]).toString('base64') }),
    )
  const where = (key: object) => ({ start: key, end: key })
  const txn = {
    compare: all((key) => ({ ...where(key), target: 'value', op: '!=', to: key })),
    success: all((key) => ({ put: { key, value: key, prev: false } })),
    failure: all((key) => ({ get: { ...where(key), limit: 1, keys_only: false, count_only: false } })),
  }
  expect((await post(served, TXN, txn)).status).toBe(200)
})

test('a value may have any number of commas, brackets, colons, quotes and backslashes', async () => {
  const served = await serve()
  const value = ',[{:"\\'.repeat(50_000)
  expect((await post(served, BATCH, { changes: [{ put: { key: 'a,":', value } }] })).status).toBe(200)
  expect((await served.ask('GET', '/v1/kv?key=a%2C%22%3A')).text).toBe(value)
})

test.each([BATCH, TXN])('%s takes only POST, only JSON, and no parameter of others', async (target) => {
  const served = await serve()
  const body = JSON.stringify(target === BATCH ? { changes: [PUT] } : { success: [PUT] })
  const got = await served.ask('GET', target)
  expect([got.status, got.headers.allow]).toEqual([405, 'POST'])
  expect((await served.ask('POST', target, { body })).status).toBe(415)
  expect((await post(served, `${target}?limit=1`, body)).json.code).toBe('unknown_parameter')
  expect(served.node.asked).toEqual([])
  expect((await post(served, `${target}?timeout=1s`, body)).status).toBe(200)
  const text = await served.metrics.text()
  const name = target === BATCH ? 'batch' : 'other'
  for (const status of [200, 400, 415])
    expect(text).toContain(`quorate_http_requests_total{operation="${name}",status="${status}"} 1\n`)
})
