// What a client writes down, for every way in which a request can end. A wrong "certainly not applied" would hide a lost write, or invent one.

import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import type { Operation } from '../../../jepsen-lite/history.ts'
import { HttpClient } from '../../../jepsen-lite/local/http.ts'
import { perform } from '../../../jepsen-lite/local/perform.ts'

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

const json =
  (status: number, body: object, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, headers)
    response.end(JSON.stringify(body))
  }
const value =
  (text: string, revision: number): Answer =>
  (response) => {
    response.writeHead(200, { ETag: `"${revision}"`, 'Kv-Revision': '9' })
    response.end(text)
  }
const written = (revision: number): Answer =>
  json(200, { revision, create_revision: 2, mod_revision: revision, version: 3 })
const problem = (status: number, code: string): Answer => json(status, { code })
const hangUp: Answer = (response) => response.destroy()
const never: Answer = () => {}

async function ends(op: Operation, port: number, timeoutMs = 1_000) {
  const client = new HttpClient()
  closing.push(() => client.close())
  return perform(client, port, op, timeoutMs)
}

const put: Operation = { f: 'put', key: 'a/b', value: 'x' }
const get: Operation = { f: 'get', key: 'a/b' }

test.each([
  ['made', written(7), { kind: 'ok', result: { revision: 7, modRevision: 7, version: 3 } }],
  [
    'condition failed',
    json(412, { code: 'precondition_failed', current: { mod_revision: 5 } }, { 'Kv-Revision': '8' }),
    { kind: 'ok', result: { applied: false, current: 5, revision: 8 } },
  ],
  ['no leader', problem(503, 'no_leader'), { kind: 'fail', why: 'no_leader', unreachable: false }],
  ['too many', problem(429, 'overloaded'), { kind: 'fail', why: 'overloaded', unreachable: false }],
  ['nobody knows', problem(504, 'outcome_unknown'), { kind: 'unknown', why: 'outcome_unknown' }],
  ['a defect', problem(500, 'internal'), { kind: 'unknown', why: 'internal' }],
  ['connection lost', hangUp, { kind: 'unknown', why: 'ECONNRESET' }],
])('a put: %s', async (_, answer, expected) => {
  const { port } = await node(answer)
  expect(await ends(put, port)).toEqual(expected)
})

test('a put that is never answered is unknown, a get has certainly changed nothing', async () => {
  const { port } = await node(never, never)
  expect(await ends(put, port, 20)).toMatchObject({ kind: 'unknown' })
  expect(await ends(get, port, 20)).toMatchObject({ kind: 'fail' })
})

test('a put of which no byte left has failed', async () => {
  const { port } = await node()
  for (const close of closing.splice(0)) close()
  expect(await ends(put, port)).toEqual({ kind: 'fail', why: 'ECONNREFUSED', unreachable: true })
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
  const { port, asked } = await node(stale, problem(404, 'not_found'))
  const op: Operation = { f: 'get', key: 'a/b', consistency: 'stale', maxStalenessMs: 50 }
  expect(await ends(op, port)).toEqual({
    kind: 'ok',
    result: { value: 'x', modRevision: 4, revision: 6, served: 'stale', stalenessMs: 12.5 },
  })
  expect(await ends(get, port)).toEqual({ kind: 'ok', result: { value: null } })
  expect(asked[0]).toBe('GET /v1/kv/a%2Fb?consistency=stale&max_staleness=50ms')
})

test('a compare-and-set reads first, and puts under the revision that it read', async () => {
  const { port, asked } = await node(value('x', 4), written(7), value('y', 8), value('x', 4), json(412, {}))
  const cas: Operation = { f: 'cas', key: 'k', from: 'x', to: 'z' }
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
    problem(404, 'not_found'),
    json(412, {}),
    value('a ', 4),
    written(7),
    value('a ', 4),
    hangUp,
  )
  const append: Operation = { f: 'append', key: 'k', value: 'b ' }
  expect(await ends(append, port)).toMatchObject({ kind: 'ok', result: { value: 'a b ', modRevision: 7 } })
  expect(await ends(append, port)).toMatchObject({ kind: 'unknown' })
  expect(asked[1]).toBe('PUT /v1/kv/k if-none-match *')
})
