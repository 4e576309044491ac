// The recorded outcome for every way in which a request can end. A wrong "certainly not applied" would hide a lost
// write, or invent one.

import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { bodyFromName } from '../../../jepsen-lite/local/values.ts'
import { HttpWireClient } from '../../../jepsen-lite/local/wires/http/wire-client.ts'
import type { HistoryOperation } from '../../../jepsen-lite/workload/history.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

type Answer = (response: ServerResponse) => void

/** Answers the requests it gets in this order; keeps what was asked. */
async function node(...answers: Answer[]) {
  const asked: string[] = []
  const server: Server = createServer((request, response) => {
    const tags = Object.entries(request.headers).filter(([name]) => /^(if-|idempotency)/.test(name))
    asked.push([request.method, request.url?.replace(/[?&]timeout=\d+ms/, ''), ...tags.flat()].join(' '))
    request.resume().on('end', () => answers.shift()?.(response))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not bound')
  return { port: bound.port, asked }
}

const FRESH = { 'Kv-Revision': '9', 'Kv-Consistency': 'linearizable' }
const json =
  (status: number, body: object, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, headers)
    response.end(JSON.stringify(body))
  }
const value =
  (text: string, revision: number): Answer =>
  (response) => {
    response.writeHead(200, { ...FRESH, ETag: `"${revision}"` })
    response.end(text)
  }
const written = (revision: number): Answer =>
  json(200, { revision, create_revision: 2, mod_revision: revision, version: 3 })
const problem = (status: number, code: string): Answer => json(status, { code })
const refused = (current: object | null): Answer => json(412, { code: 'precondition_failed', current }, FRESH)
const hangUp: Answer = (response) => response.destroy()
const never: Answer = () => {}

async function ends(op: HistoryOperation, port: number, timeoutMs = 1_000) {
  const client = new HttpWireClient()
  closing.push(() => client.close())
  return client.perform(port, op, timeoutMs)
}

const put: HistoryOperation = { f: 'put', key: 'a/b', value: 'x' }
const get: HistoryOperation = { f: 'get', key: 'a/b' }
const cas: HistoryOperation = { f: 'cas', key: 'k', from: 'x', to: 'z' }
const append: HistoryOperation = { f: 'append', key: 'k', value: 'b ' }

test.each([
  ['made', written(7), { kind: 'ok', result: { revision: 7, modRevision: 7, version: 3 } }],
  [
    'condition failed',
    refused({ key: 'a/b', create_revision: 3, mod_revision: 5, version: 2 }),
    { kind: 'ok', result: { applied: false, current: 5, revision: 9 } },
  ],
  ['no leader', problem(503, 'no_leader'), { kind: 'fail', why: 'no_leader', unreachable: false }],
  ['too many', problem(429, 'overloaded'), { kind: 'fail', why: 'overloaded', unreachable: false }],
  ['nobody knows', problem(504, 'outcome_unknown'), { kind: 'unknown', why: 'outcome_unknown' }],
  ['a defect', problem(500, 'internal'), { kind: 'unknown', why: 'internal' }],
  ['connection lost', hangUp, { kind: 'unknown', why: 'ECONNRESET' }],
  [
    'an answer of which nothing says what it means',
    json(204, {}),
    { kind: 'unknown', why: 'status 204', wrong: expect.any(String) },
  ],
  [
    'sent elsewhere',
    json(307, {}, { Location: '/v1/kv/c' }),
    { kind: 'unknown', why: 'status 307', wrong: expect.any(String) },
  ],
  [
    'a refusal without a code',
    json(503, {}),
    { kind: 'unknown', why: 'status 503', wrong: expect.any(String) },
  ],
])('a put: %s', async (_, answer, expected) => {
  const { port } = await node(answer)
  expect(await ends(put, port)).toEqual(expected)
})

test('a client that sent a token records whether it was a repeat', async () => {
  const made = { revision: 7, create_revision: 2, mod_revision: 7, version: 3 }
  const again = json(200, made, { 'Idempotency-Replayed': 'true' })
  const { port } = await node(written(7), again, written(8))
  const once: HistoryOperation = { ...put, idempotency: 't' }
  expect(await ends(once, port)).toMatchObject({ result: { modRevision: 7, replayed: false } })
  expect(await ends(once, port)).toMatchObject({ result: { modRevision: 7, replayed: true } })
  expect(await ends(put, port)).toEqual({
    kind: 'ok',
    result: { revision: 8, modRevision: 8, version: 3 },
  })
})

test('a put that is never answered is unknown, a get has certainly changed nothing', async () => {
  const { port } = await node(never, never)
  expect(await ends(put, port, 20)).toMatchObject({ kind: 'unknown' })
  expect(await ends(get, port, 20)).toMatchObject({ kind: 'fail' })
})

test('a put of which no byte left has failed', async () => {
  expect(await ends(put, 1)).toEqual({ kind: 'fail', why: 'ECONNREFUSED', unreachable: true })
})

test('reads tell the value, its revision, what was served, and how old it may be', async () => {
  const stale: Answer = (response) => {
    response.writeHead(200, {
      ETag: '"4"',
      'Kv-Revision': '6',
      'Kv-Consistency': 'stale',
      'Kv-Staleness-Ms': '12.5',
    })
    response.end('x')
  }
  const { port, asked } = await node(stale, json(404, { code: 'not_found' }, FRESH))
  const op: HistoryOperation = { f: 'get', key: 'a/b', consistency: 'stale', maxStalenessMs: 50 }
  expect(await ends(op, port)).toEqual({
    kind: 'ok',
    result: { value: 'x', modRevision: 4, revision: 6, served: 'stale', stalenessMs: 12.5 },
  })
  expect(await ends(get, port)).toEqual({
    kind: 'ok',
    result: { value: null, revision: 9, served: 'linearizable' },
  })
  expect(asked[0]).toBe('GET /v1/kv/a%2Fb?consistency=stale&max_staleness=50ms')
})

test('a compare-and-set reads first, and puts under the revision that it read', async () => {
  const { port, asked } = await node(value('x', 4), written(7), value('y', 8), value('x', 4), refused(null))
  expect(await ends(cas, port)).toMatchObject({ kind: 'ok', result: { modRevision: 7 } })
  expect(await ends(cas, port)).toMatchObject({
    kind: 'ok',
    result: { applied: false, value: 'y', current: 8, revision: 9 },
  })
  expect(await ends(cas, port)).toMatchObject({ kind: 'fail' })
  expect(asked.slice(0, 2)).toEqual(['GET /v1/kv/k', 'PUT /v1/kv/k if-match "4"'])
})

test('an append goes on until its put is made, and stops where that is unknown', async () => {
  const { port, asked } = await node(
    json(404, { code: 'not_found' }, FRESH),
    refused({ key: 'k', create_revision: 4, mod_revision: 4, version: 1 }),
    value('a ', 4),
    written(7),
    value('a ', 4),
    hangUp,
  )
  expect(await ends(append, port)).toMatchObject({ kind: 'ok', result: { value: 'a b ', modRevision: 7 } })
  expect(await ends(append, port)).toMatchObject({ kind: 'unknown' })
  expect(asked[1]).toBe('PUT /v1/kv/k if-none-match *')
})

const absent = json(404, { code: 'not_found' }, FRESH)

test.each<[string, HistoryOperation, readonly Answer[]]>([
  [
    'compare-and-set',
    cas,
    [value('x', 4), refused({ key: 'k', create_revision: 4, mod_revision: 4, version: 1 })],
  ],
  ['append to what is not there', append, [absent, refused(null)]],
])('a %s is not refused because of a condition that holds', async (_, op, answers) => {
  const { port } = await node(...answers)
  expect(await ends(op, port)).toMatchObject({ kind: 'fail', wrong: expect.any(String) })
})

const range = (rest: object): HistoryOperation => ({ f: 'range', ...rest })
const record = (key: string, mod: number) => ({
  key,
  value: 'v',
  create_revision: 2,
  mod_revision: mod,
  version: mod - 1,
})
const lines =
  (...documents: readonly object[]): Answer =>
  (response) => {
    response.writeHead(200, FRESH)
    response.end(documents.map((document) => `${JSON.stringify(document)}\n`).join(''))
  }

test('a list asks for what it is to ask for, and tells all that it was told', async () => {
  const told = { kvs: [record('a', 2), record('b', 3)], more: true, next: 'b', count: 7, revision: 9 }
  const { port, asked } = await node(
    json(200, told, FRESH),
    lines(record('a', 2), { end: true, count: 1, revision: 9 }),
  )
  const op = range({
    start: 'a b',
    end: 'c',
    after: 'a',
    limit: 2,
    order: 'desc',
    keysOnly: true,
    count: true,
  })
  const rows = [
    { key: 'a', value: 'v', modRevision: 2, version: 1 },
    { key: 'b', value: 'v', modRevision: 3, version: 2 },
  ]
  expect(await ends(op, port)).toEqual({
    kind: 'ok',
    result: { rows, more: true, next: 'b', count: 7, revision: 9, served: 'linearizable' },
  })
  expect(await ends(range({ prefix: 'a', stream: true, consistency: 'stale' }), port)).toEqual({
    kind: 'ok',
    result: { rows: rows.slice(0, 1), count: 1, revision: 9, served: 'linearizable' },
  })
  expect(asked).toEqual([
    'GET /v1/kv?start=a%20b&end=c&after=a&limit=2&order=desc&keys_only=true&count=true',
    'GET /v1/kv?prefix=a&consistency=stale',
  ])
})

test.each<[string, HistoryOperation, Answer]>([
  ['a 400', get, problem(400, 'unknown_parameter')],
  ['a 404 to a change', put, problem(404, 'not_found')],
  [
    'a 422 to a token that is used once',
    { ...put, idempotency: 't' } as HistoryOperation,
    problem(422, 'idempotency_key_reused'),
  ],
  ['a status that there is not', get, json(418, {})],
  ['a change that does not say at which revision', put, json(200, {})],
  [
    'a refused condition that does not say what is there',
    { ...put, ifAbsent: true } as HistoryOperation,
    json(412, { code: 'precondition_failed' }, FRESH),
  ],
  [
    'a refused condition of something else',
    { ...put, ifAbsent: true } as HistoryOperation,
    refused({ key: 'b', create_revision: 3, mod_revision: 5, version: 2 }),
  ],
  [
    'a refused condition that tells half of what is there',
    { ...put, ifAbsent: true } as HistoryOperation,
    refused({ key: 'a/b', mod_revision: 5 }),
  ],
  [
    'a refused condition at no revision of the store',
    { ...put, ifRevision: 3 } as HistoryOperation,
    json(412, { code: 'precondition_failed', current: null }),
  ],
  [
    'a refused condition by another name',
    { ...put, ifRevision: 3 } as HistoryOperation,
    json(412, { current: null }, FRESH),
  ],
  ['a put that is answered like a delete', put, json(200, { revision: 3, deleted: 1 })],
  [
    'a delete that is answered like a put',
    { f: 'del', key: 'x' },
    json(200, { revision: 3, create_revision: 3, mod_revision: 3, version: 1 }),
  ],
  [
    'a put with more versions than revisions',
    put,
    json(200, { revision: 3, create_revision: 2, mod_revision: 3, version: 3 }),
  ],
  ['a value without its revision', get, (response) => response.writeHead(200, FRESH).end('x')],
  [
    'a read that does not say what was served',
    get,
    (response) => response.writeHead(200, { ETag: '"2"', 'Kv-Revision': '2' }).end('x'),
  ],
  ['a page without rows', range({}), json(200, { more: false, revision: 2 }, FRESH)],
  ['a page without a revision', range({}), json(200, { kvs: [], more: false }, FRESH)],
  ['a page that does not say whether there is more', range({}), json(200, { kvs: [], revision: 2 }, FRESH)],
  [
    'a record that contradicts itself',
    range({}),
    json(200, { kvs: [{ ...record('a', 3), version: 1 }], more: false, revision: 3 }, FRESH),
  ],
  [
    'a delete that does not say whether there was anything',
    { f: 'del', key: 'x' },
    json(200, { revision: 3 }),
  ],
  [
    'a revision that is none',
    get,
    (response) => response.writeHead(200, { ...FRESH, 'Kv-Revision': '2.5', ETag: '"2"' }).end('x'),
  ],
  ['a revision that is a text', put, json(200, { revision: '3', mod_revision: 3, version: 1 })],
  [
    'a page of a revision that is a text',
    range({}),
    json(200, { kvs: [], more: false, revision: '2' }, FRESH),
  ],
  [
    'a revision in another notation',
    get,
    (response) => response.writeHead(200, { ...FRESH, 'Kv-Revision': '0x10', ETag: '"2"' }).end('x'),
  ],
  [
    'an age that is empty',
    get,
    (response) => response.writeHead(200, { ...FRESH, 'Kv-Staleness-Ms': '', ETag: '"2"' }).end('x'),
  ],
  [
    'an age below zero',
    get,
    (response) => response.writeHead(200, { ...FRESH, 'Kv-Staleness-Ms': '-5', ETag: '"2"' }).end('x'),
  ],
  ['a stream without an end', range({ stream: true }), lines(record('a', 2))],
  [
    'a stream cut in a line',
    range({ stream: true }),
    (response) => response.writeHead(200, FRESH).end('{"end":true'),
  ],
])('%s is wrong, whatever became of the request', async (_, op, answer) => {
  const { port } = await node(answer)
  expect(await ends(op, port)).toMatchObject({ wrong: expect.any(String) })
})

test('a stream that ends with a problem has failed, and is not wrong', async () => {
  const { port } = await node(lines(record('a', 2), { error: { code: 'overloaded' } }))
  expect(await ends(range({ stream: true }), port)).toEqual({
    kind: 'fail',
    why: 'overloaded',
    unreachable: false,
  })
})

test('a long value has a name in the history and all its bytes on the wire; one that came back damaged has another', async () => {
  const name = '1.2:100000'
  const body = bodyFromName(name)
  expect(body).toHaveLength(100_000)
  const { port } = await node(
    ...[
      body,
      body.slice(1),
      `${body}|`,
      `${body.slice(0, 90_000)}x${body.slice(90_001)}`,
      // As long as nothing can be.
      body.replace(':', ':99999999999'),
    ].map(
      (text): Answer =>
        (response) => {
          response.writeHead(200, { ...FRESH, ETag: '"2"' })
          response.end(text)
        },
    ),
  )
  expect(await ends(get, port)).toMatchObject({ result: { value: name } })
  for (let damaged = 0; damaged < 4; damaged++) {
    const end = await ends(get, port)
    expect(end.kind === 'ok' && end.result.value).toMatch(/^damaged/)
  }
})
