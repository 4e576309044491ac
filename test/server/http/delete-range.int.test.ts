// Ranges that are deleted at once: DELETE /v1/kv of a prefix, or from a start to an end.

import { expect, test } from 'vitest'
import { FakeNode } from './fake-node.ts'
import { JSON_TYPE, type Served, serve } from './served.ts'

const KEYS = ['a', 'aa', 'ab', 'b', 'c']

async function filled(settings: ConstructorParameters<typeof FakeNode>[0] = {}): Promise<Served> {
  const node = new FakeNode(settings)
  for (const key of KEYS) node.put(key, 'v')
  node.put(Uint8Array.of(0xff), 'v')
  return serve({ node })
}

const left = async ({ ask }: Served): Promise<unknown[]> =>
  (await ask('GET', '/v1/kv?keys_only')).json.kvs.map(({ key }: { key: unknown }) => key)

const BYTE = { base64: '/w==' }

test.each<[string, unknown[]]>([
  ['prefix=a', ['b', 'c', BYTE]],
  ['prefix=aa', ['a', 'ab', 'b', 'c', BYTE]],
  ['prefix=%ff', KEYS],
  ['start=aa&end=b', ['a', 'b', 'c', BYTE]],
  ['start=ab', ['a', 'aa']],
  ['end=b', ['b', 'c', BYTE]],
  ['start=c&end=%ff', ['a', 'aa', 'ab', 'b', BYTE]],
  ['pre%66ix=%61+&end', [...KEYS, BYTE]],
  ['prefix=z', [...KEYS, BYTE]],
  ['end=', [...KEYS, BYTE]],
  ['start=c&end=a', [...KEYS, BYTE]],
  ['prefix=&all=true', []],
  ['start=&all', []],
  ['prefix=a&all=true', ['b', 'c', BYTE]],
])('?%s', async (query, expected) => {
  const served = await filled()
  const { status, json, headers } = await served.ask('DELETE', `/v1/kv?${query}`)
  if (query.includes('&end') && query.includes('ix=')) {
    expect(json).toMatchObject({ status: 400, detail: 'prefix cannot be combined with start or end' })
    return
  }
  const deleted = KEYS.length + 1 - expected.length
  const revision = deleted === 0 ? 7 : 8
  expect([status, json]).toEqual([200, { deleted, revision }])
  expect(headers).toMatchObject({ 'content-type': 'application/json', 'kv-revision': String(revision) })
  expect(await left(served)).toEqual(expected)
  expect(served.node.revision).toBe(revision)
})

test.each<[string, string, string]>([
  ['', 'key_empty', 'name a key, or a range by prefix, or by start and end'],
  ['?', 'key_empty', 'name a key, or a range'],
  ['?all=true', 'key_empty', 'name a key, or a range'],
  ['?timeout=1s', 'key_empty', 'name a key, or a range'],
  ['?prefix=', 'bad_request', 'this would delete all keys: add all=true if that is meant'],
  ['?prefix', 'bad_request', 'this would delete all keys'],
  ['?start=', 'bad_request', 'this would delete all keys'],
  ['?prefix=&all=false', 'bad_request', 'this would delete all keys'],
  ['?prefix=&all=1', 'bad_request', 'all must be true or false'],
  ['?prefix=a&start=a', 'bad_request', 'prefix cannot be combined with start or end'],
  ['?prefix=a&end=a', 'bad_request', 'prefix cannot be combined with start or end'],
  ['?prefix=a&prefix=b', 'bad_request', 'prefix is given twice'],
  ['?prefix=%zz', 'bad_request', 'bad escape'],
  ['?prefix=a&limit=1', 'unknown_parameter', '"limit" is no parameter here'],
  ['?prefix=a&revision=1', 'unknown_parameter', '"revision" is no parameter here'],
  ['?key=a&prefix=b', 'unknown_parameter', '"prefix" is no parameter here'],
  ...['prefix', 'start', 'end'].map<[string, string, string]>((name) => [
    `?${name}=${'k'.repeat(4098)}`,
    'key_too_long',
    `${name} of 4098 bytes, at most 4097`,
  ]),
])('%.40s is refused', async (query, code, detail) => {
  const served = await filled()
  const { json } = await served.ask('DELETE', `/v1/kv${query}`)
  expect(json).toMatchObject({ status: 400, code, detail: expect.stringContaining(detail) })
  expect(served.node.asked).toEqual([])
})

test.each(['If-Match', 'If-None-Match'])('%s is for one key', async (header) => {
  const served = await filled()
  const { json } = await served.ask('DELETE', '/v1/kv?prefix=a', { headers: { [header]: '*' } })
  expect(json).toMatchObject({
    status: 400,
    code: 'bad_request',
    detail: 'If-Match and If-None-Match are for one key, not for a range',
  })
  expect(served.node.asked).toEqual([])
})

test('one key is deleted as before, in both forms', async () => {
  const served = await filled()
  for (const target of ['/v1/kv/a', '/v1/kv?key=b'])
    expect((await served.ask('DELETE', target)).json).toMatchObject({ deleted: 1 })
  expect(await left(served)).toEqual(['aa', 'ab', 'c', BYTE])
})

const TOO_MANY =
  'the ranges have more than 2 keys (range_keys_max), or 4194304 bytes of keys (range_bytes_max)'

test('with more keys than the settings allow it is refused, and their number is told', async () => {
  const served = await filled({ rangeKeysMax: 2 })
  const { status, json, headers } = await served.ask('DELETE', '/v1/kv?prefix=a')
  expect([status, json]).toEqual([
    413,
    {
      type: 'urn:quorate:problem:range_too_large',
      title: 'A range is too large',
      status: 413,
      code: 'range_too_large',
      detail: `${TOO_MANY}: 3 keys when they were counted`,
      count: 3,
    },
  ])
  expect(headers).toMatchObject({ 'content-type': 'application/problem+json', 'kv-revision': '7' })
  expect((await left(served)).length).toBe(6)
  expect(served.node.openScans).toBe(0)
  // The node has applied the refusal, so it reads the number without contacting the others.
  expect(served.node.asked[1]?.options).toMatchObject({ consistency: 'stale', minRevision: 7 })
  expect((await served.ask('DELETE', '/v1/kv?start=aa&end=b')).json).toEqual({ deleted: 2, revision: 8 })
})

test('where the keys cannot be counted in time, or at all, it is refused without their number', async () => {
  const served = await filled({ rangeKeysMax: 2 })
  const { node } = served
  const plain = { status: 413, code: 'range_too_large', detail: TOO_MANY }
  const refused = async () => {
    const { json } = await served.ask('DELETE', '/v1/kv?prefix=a')
    expect(json).toMatchObject(plain)
    expect(json).not.toHaveProperty('count')
    expect([node.openScans, served.http.inspect().ranges]).toEqual([0, 0])
  }
  node.corrupt = () => true
  await refused()
  node.corrupt = undefined
  node.unread = new Error('a table could not be opened')
  await refused()
  node.unread = undefined
  node.read = (_, done) => {
    setImmediate(done, { ok: false, problem: { code: 'not_ready', detail: 'the node stops', written: 'no' } })
  }
  await refused()
})

test('a count that takes too long is given up', async () => {
  const node = new FakeNode({ rangeKeysMax: 2 })
  for (let at = 0; at < 2_000; at++) node.put(`k${at}`, '')
  const served = await serve({ node, limits: { sliceRowsMax: 1 } })
  const { json } = await served.ask('DELETE', '/v1/kv?prefix=k&timeout=1ms')
  expect(json).toMatchObject({ status: 413, code: 'range_too_large' })
  expect(json).not.toHaveProperty('count')
  expect(node.openScans).toBe(0)
})

test.each([
  ['a token', { 'Idempotency-Key': 't' }],
  ['a slot of a session', { 'Kv-Session': '1;slot=3;seq=12' }],
] as const)(
  'a repeat under %s gets the first outcome, however many keys there are by then',
  async (_, identity) => {
    const served = await filled({ rangeKeysMax: 3 })
    await served.ask('POST', '/v1/sessions', { headers: JSON_TYPE, body: '{}' })
    const remove = (query: string) => served.ask('DELETE', `/v1/kv?${query}`, { headers: identity })
    const first = await remove('prefix=a')
    expect(first.json).toEqual({ deleted: 3, revision: 8 })
    expect(first.headers).not.toHaveProperty('idempotency-replayed')
    for (const key of ['a1', 'a2', 'a3', 'a4']) served.node.put(key, '')
    const repeat = await remove('prefix=a')
    expect([repeat.status, repeat.text]).toEqual([200, first.text])
    expect(repeat.headers).toMatchObject({ 'idempotency-replayed': 'true', 'kv-revision': '8' })
    expect((await remove('prefix=b')).json).toMatchObject({ status: 422, code: 'idempotency_key_reused' })
    expect(served.node.revision).toBe(12)
  },
)

test('a refusal is an outcome too', async () => {
  const served = await filled({ rangeKeysMax: 2 })
  const remove = () => served.ask('DELETE', '/v1/kv?prefix=a', { headers: { 'Idempotency-Key': 't' } })
  expect((await remove()).json).toMatchObject({ code: 'range_too_large', count: 3 })
  await served.ask('DELETE', '/v1/kv?prefix=aa')
  const { json, headers } = await remove()
  expect(json).toMatchObject({
    code: 'range_too_large',
    detail: `${TOO_MANY}: 2 keys when they were counted`,
    count: 2,
  })
  expect(headers).toMatchObject({ 'idempotency-replayed': 'true' })
})

test('what the node answers instead of an outcome is told as for a single change', async () => {
  const served = await filled()
  served.node.problem = { code: 'no_quorum', detail: 'too few answer', written: 'unknown' }
  expect((await served.ask('DELETE', '/v1/kv?prefix=a')).json).toMatchObject({
    status: 504,
    code: 'outcome_unknown',
  })
  served.node.problem = { code: 'no_leader', detail: 'nobody leads', written: 'no' }
  expect((await served.ask('DELETE', '/v1/kv?prefix=a')).json).toMatchObject({
    status: 503,
    code: 'no_leader',
  })
})

test('it is one proposal, with the time that is left', async () => {
  const served = await filled()
  await served.ask('DELETE', '/v1/kv?prefix=a&timeout=2s')
  const [asked, ...others] = served.node.asked
  expect(others).toEqual([])
  expect(asked?.request?.command).toMatchObject({ kind: 'delete-range' })
  expect(asked?.timeoutMs).toBeLessThanOrEqual(2_000)
  expect(asked?.timeoutMs).toBeGreaterThan(1_000)
  const text = await served.metrics.text()
  expect(text).toContain('quorate_http_requests_total{operation="delete",status="200"} 1\n')
})
