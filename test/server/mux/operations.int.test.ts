// What each operation does and answers: the same as over HTTP.

import { describe, expect, test } from 'vitest'
import { asRevision } from '../../../src/kv/index.ts'
import { unpack } from '../../../src/server/mux/unpack.ts'
import type { Problem } from '../../../src/server/node/types.ts'
import { blocksOf } from '../../docs/blocks.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { atRest } from '../http/raw-client.ts'
import { type Asking, type Served, serve } from '../http/served.ts'
import { DELETE, GET, MuxClient, PUT, RANGE } from './mux-client.ts'

const bytes = (text: string) => Buffer.from(text)

const PAGE = blocksOf('docs/reference/protocol.md')

test('the welcome of the page has the fields and the limits of a welcome', async () => {
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  const [, , welcome] = client.notices[0] as [number, string, Record<string, unknown>]
  const shown = PAGE.find(({ text }) => text.includes('"welcome"'))?.text ?? ''
  const fields = [...shown.matchAll(/(\w+): /g)].map(([, name]) => name)
  expect(fields).toEqual(Object.keys(welcome))
  for (const [name, value] of Object.entries(welcome))
    if (name.endsWith('_max') || name === 'version') expect(shown).toContain(`${name}: ${value}`)
})

test('the welcome says what a client needs to know', async () => {
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  expect(client.notices).toEqual([
    [
      0,
      'welcome',
      {
        version: 1,
        ...{ cluster: '4242', node: 'n1', server: '1.2.3', term: 3, leader: 'n2', revision: 1 },
        ...{ operations_max: 4096, bytes_max: 16 * 2 ** 20, message_bytes_max: 4 * 2 ** 20 },
        ...{ changes_max: 1000, watches_max: 10_000, txn_operations_max: 128, keep_alive_max: 1000 },
      },
    ],
  ])
})

test('put, get and delete', async () => {
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  const ask = client.ask.bind(client)
  expect(await ask(1, PUT, null, bytes('a'), bytes('1'))).toEqual([1, 0, 2, 2, 2, 1, false])
  expect(await ask(2, PUT, null, 'a', '2', null, new Map([['prev', true]]))).toEqual([
    ...[2, 0, 3, 2, 3, 2, false],
    [bytes('a'), bytes('1'), 2, 2, 1],
  ])
  expect(await ask(3, PUT, null, 'b', '', null, { prev: true })).toEqual([3, 0, 4, 4, 4, 1, false, null])
  expect(await ask(4, GET, null, bytes('a'))).toEqual([
    ...[4, 0, 4, [null, bytes('2'), 2, 3, 2], 'linearizable', null],
  ])
  expect(await ask(5, GET, null, 'z')).toEqual([5, 0, 4, null, 'linearizable', null])
  expect(await ask(6, DELETE, null, bytes('a'))).toEqual([6, 0, 5, 1, false])
  expect(await ask(7, DELETE, null, bytes('a'))).toEqual([7, 0, 5, 0, false])
  expect(await ask(8, DELETE, null, 'b', null, { prev: true })).toEqual([
    ...[8, 0, 6, 1, false],
    [bytes('b'), bytes(''), 4, 4, 1],
  ])
})

test('the examples of docs/reference/protocol.md, byte by byte', async () => {
  const [asked, answered, conditional] = PAGE.slice(-3).map(({ text }) =>
    Buffer.from(
      text.replaceAll(/ {2,}\S*\[.*$| {2,}\d items| {3,}(nil|"lin).*$/gm, '').replaceAll(/\s/g, ''),
      'hex',
    ),
  )
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  const raw = new Promise<Buffer>((resolve) => {
    client.ws.once('message', (data: Buffer) => resolve(data))
  })
  expect(asked).toHaveLength(20)
  client.ws.send(asked ?? '')
  expect((await raw).toString('hex')).toBe(answered?.toString('hex'))
  client.ws.send(conditional ?? '')
  expect(await client.answer(3)).toEqual([3, 0, 3, 2, 3, 2, false])
  expect(unpack(conditional ?? Buffer.alloc(0))).toEqual([
    [3, PUT, 5000, bytes('a'), bytes('2'), ['5f0c'], new Map([['if_match', [2]]])],
  ])
})

test('a token makes a change once; its outcome is remembered, also a refusal', async () => {
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  expect(await client.ask(1, PUT, null, 'a', '1', ['t'])).toEqual([1, 0, 2, 2, 2, 1, false])
  expect(await client.ask(2, PUT, null, 'a', '1', ['t', 2])).toEqual([2, 0, 2, 2, 2, 1, true])
  const refused = ['a', ['u', 1], { if_match: [7] }]
  const problem = expect.objectContaining({
    code: 'precondition_failed',
    written: 'no',
    current: { key: 'a', create_revision: 2, mod_revision: 2, version: 1 },
  })
  expect(await client.ask(3, DELETE, null, ...refused)).toEqual([3, 1, problem, 2, false])
  expect(await client.ask(4, DELETE, null, ...refused)).toEqual([4, 1, problem, 2, true])
})

test('ranges: pages, order, counts', async () => {
  const { port, node } = await serve()
  for (const key of ['a1', 'a2', 'a3', 'b']) node.put(key, `v${key}`)
  const client = await new MuxClient(port).open()
  const record = (key: string, revision: number) => [bytes(key), bytes(`v${key}`), revision, revision, 1]
  expect(await client.ask(1, RANGE, null, { prefix: 'a', limit: 2, count: true })).toEqual([
    ...[1, 0, 5, [record('a1', 2), record('a2', 3)], true, 3, 'linearizable', null],
  ])
  expect(await client.ask(2, RANGE, null, { prefix: 'a', limit: 2, after: 'a2' })).toEqual([
    ...[2, 0, 5, [record('a3', 4)], false, null, 'linearizable', null],
  ])
  expect(await client.ask(3, RANGE, null, { start: 'a2', end: 'b', order: 'desc', keys_only: true })).toEqual(
    [
      3,
      0,
      5,
      [
        [bytes('a3'), null, 4, 4, 1],
        [bytes('a2'), null, 3, 3, 1],
      ],
      ...[false, null, 'linearizable', null],
    ],
  )
  expect(await client.ask(4, RANGE, null, { count_only: true })).toEqual([
    ...[4, 0, 5, [], false, 4, 'linearizable', null],
  ])
  expect((await client.ask(5, RANGE))[3]).toHaveLength(4)
})

test('a page ends at its bytes, and the next one goes on after its last key', async () => {
  const { port, node } = await serve({ limits: { pageBytesMax: 1000 } })
  for (let i = 0; i < 5; i++) node.put(`k${i}`, 'x'.repeat(300))
  const client = await new MuxClient(port).open()
  const keys: string[] = []
  for (let page = 0, more = true; more; page++) {
    const answer = await client.ask(1, RANGE, null, { after: keys.at(-1) ?? null })
    expect(answer[3]).toHaveLength(page < 2 ? 2 : 1)
    for (const [key] of answer[3]) keys.push(key.toString())
    more = answer[4]
  }
  expect(keys).toEqual(['k0', 'k1', 'k2', 'k3', 'k4'])
})

test('reads say how fresh they are', async () => {
  const { port, node } = await serve()
  node.put('a', '1')
  node.stalenessMs = 12.3
  const client = await new MuxClient(port).open()
  expect(await client.ask(1, GET, null, 'a', 2, { consistency: 'stale', max_staleness_ms: 500.5 })).toEqual([
    ...[1, 0, 2, [null, bytes('1'), 2, 2, 1], 'stale', 13],
  ])
  expect(node.asked.at(-1)?.options).toEqual({
    consistency: 'stale',
    maxStalenessMs: 500.5,
    minRevision: 2,
    timeoutMs: 4980,
  })
  const [, , , , , , consistency, stalenessMs] = await client.ask(2, RANGE, 100, null, 1, {
    consistency: 'stale',
  })
  expect([consistency, stalenessMs]).toEqual(['stale', 13])
  expect(node.asked.at(-1)?.options).toMatchObject({ minRevision: 1, maxStalenessMs: undefined })
})

test.each([
  [null, 4980],
  [1000, 980],
  [100, 95],
  [0.5, 0.475],
  [60_000, 59_980],
])('with timeout_ms %s the node has %s ms', async (given, left) => {
  const { port, node } = await serve()
  const client = await new MuxClient(port).open()
  await client.ask(1, PUT, given, 'a', '1')
  await client.ask(2, DELETE, given, 'a')
  await client.ask(3, GET, given, 'a')
  expect(node.asked.map(({ timeoutMs }) => timeoutMs)).toEqual([left, left, left])
  // The deadline of a range is looked at again and again.
  await client.ask(4, RANGE, given)
  expect(node.asked.at(-1)?.timeoutMs).toBeLessThanOrEqual(Math.max(1, left))
  expect(node.asked.at(-1)?.timeoutMs).toBeGreaterThan(Math.min(1, left) - 1)
})

// ---------------------------------------------------------------------------------------------------------------------
// The same over HTTP

interface Case {
  readonly name: string
  readonly http: readonly [method: string, target: string, asking?: Asking]
  readonly mux: readonly unknown[]
  /** The status of both. */
  readonly status: number
  readonly code?: string
  readonly written?: 'no' | 'unknown'
}

/** Asks both ways on nodes in the same state, and compares what they say. */
async function expectSame(
  { http, mux, status, code, written }: Case,
  prepare: (node: FakeNode) => void = () => {},
): Promise<void> {
  const [one, other] = [await serve(), await serve()]
  for (const { node } of [one, other]) {
    node.put('a', '1')
    prepare(node)
  }
  const answer = await one.ask(...http)
  const client = await new MuxClient(other.port).open()
  const item = await client.ask(9, ...mux)
  expect(answer.status).toBe(status)
  expect(item.slice(0, 2)).toEqual([9, status === 200 || (code === undefined && status === 404) ? 0 : 1])
  if (item[1] === 1) {
    const [, , { written: told, detail, ...problem }, revision, replayed] = item
    const { detail: _, ...expected } = answer.json
    expect(problem).toEqual(expected)
    expect(problem.code).toBe(code)
    expect(typeof detail).toBe('string')
    expect(told).toBe(written)
    // Where HTTP has no revision of the outcome, it shows that of the node.
    if (revision !== null) expect(String(revision)).toBe(answer.headers['kv-revision'])
    expect(replayed).toBe(answer.headers['idempotency-replayed'] === 'true')
  }
  // Both nodes are in the same state, and have seen the same request.
  expect(other.node.revision).toBe(one.node.revision)
  expect(other.node.asked.map(({ request }) => request)).toEqual(one.node.asked.map(({ request }) => request))
  client.ws.terminate()
  await atRest(other, 0)
  expect(await statuses(other, status)).toBe(await statuses(one, status))
}

/** How many requests of that status were counted, without those of `atRest`. */
async function statuses({ metrics }: Served, status: number): Promise<number> {
  const counted = (await metrics.text()).matchAll(/^quorate_http_requests_total\{(.*)\} (\d+)$/gm)
  let sum = 0
  for (const [, labels = '', count] of counted)
    if (labels.includes(`status="${status}"`) && !labels.includes('other')) sum += Number(count)
  return sum
}

const KEY_TOO_LONG = 'k'.repeat(4097)
const VALUE_TOO_LARGE = Buffer.alloc(2 ** 20 + 1)
const TOKEN = (text: string) => ({ headers: { 'Idempotency-Key': text } })

const REQUESTS: readonly Case[] = [
  { name: 'a put', http: ['PUT', '/v1/kv/b', { body: 'x' }], mux: [PUT, null, 'b', 'x'], status: 200 },
  {
    name: 'a put with a token',
    http: ['PUT', '/v1/kv/b', { body: 'x', ...TOKEN('t;since=1') }],
    mux: [PUT, null, 'b', 'x', ['t', 1]],
    status: 200,
  },
  {
    name: 'a put on conditions that hold',
    http: ['PUT', '/v1/kv/a', { body: 'x', headers: { 'If-Match': '"2", "9"', 'If-None-Match': '"7"' } }],
    mux: [PUT, null, 'a', 'x', null, { if_match: [2, 9], if_none_match: [7] }],
    status: 200,
  },
  {
    name: 'a put where there must be nothing',
    http: ['PUT', '/v1/kv/a', { body: 'x', headers: { 'If-None-Match': '*' } }],
    mux: [PUT, null, 'a', 'x', null, { if_none_match: '*' }],
    status: 412,
    code: 'precondition_failed',
    written: 'no',
  },
  {
    name: 'a delete where there must be something',
    http: ['DELETE', '/v1/kv/z', { headers: { 'If-Match': '*' } }],
    mux: [DELETE, null, 'z', null, { if_match: '*' }],
    status: 412,
    code: 'precondition_failed',
    written: 'no',
  },
  { name: 'a delete', http: ['DELETE', '/v1/kv/a'], mux: [DELETE, null, 'a'], status: 200 },
  { name: 'a get', http: ['GET', '/v1/kv/a'], mux: [GET, null, 'a'], status: 200 },
  { name: 'a range', http: ['GET', '/v1/kv?prefix=a'], mux: [RANGE, null, { prefix: 'a' }], status: 200 },
  {
    name: 'an empty key',
    http: ['PUT', '/v1/kv/', { body: 'x' }],
    mux: [PUT, null, '', 'x'],
    status: 400,
    code: 'key_empty',
    written: 'no',
  },
  {
    name: 'a key that is too long',
    http: ['GET', `/v1/kv/${KEY_TOO_LONG}`],
    mux: [GET, null, KEY_TOO_LONG],
    status: 400,
    code: 'key_too_long',
  },
  {
    name: 'a value that is too large',
    http: ['PUT', '/v1/kv/a', { body: VALUE_TOO_LARGE }],
    mux: [PUT, null, 'a', VALUE_TOO_LARGE],
    status: 413,
    code: 'value_too_large',
    written: 'no',
  },
  {
    name: 'prev with a token',
    http: ['PUT', '/v1/kv/a?prev', { body: 'x', ...TOKEN('t') }],
    mux: [PUT, null, 'a', 'x', ['t'], { prev: true }],
    status: 400,
    code: 'bad_request',
    written: 'no',
  },
  {
    name: 'a token with a space',
    http: ['DELETE', '/v1/kv/a', TOKEN('t t')],
    mux: [DELETE, null, 'a', ['t t']],
    status: 400,
    code: 'bad_request',
    written: 'no',
  },
  {
    name: 'a since of the future',
    http: ['PUT', '/v1/kv/a', { body: 'x', ...TOKEN('t;since=99') }],
    mux: [PUT, null, 'a', 'x', ['t', 99]],
    status: 400,
    code: 'bad_request',
    written: 'no',
  },
  {
    name: 'a timeout of nothing',
    http: ['GET', '/v1/kv/a?timeout=0s'],
    mux: [GET, 0, 'a'],
    status: 400,
    code: 'bad_request',
  },
  {
    name: 'a timeout that is too long',
    http: ['GET', '/v1/kv/a?timeout=61s'],
    mux: [GET, 60_001, 'a'],
    status: 400,
    code: 'bad_request',
  },
  {
    name: 'max_staleness of another read',
    http: ['GET', '/v1/kv/a?max_staleness=5ms'],
    mux: [GET, null, 'a', null, { max_staleness_ms: 5 }],
    status: 400,
    code: 'bad_request',
  },
  {
    name: 'an unknown parameter',
    http: ['GET', '/v1/kv?prefox=a'],
    mux: [RANGE, null, { prefox: 'a' }],
    status: 400,
    code: 'unknown_parameter',
  },
  {
    name: 'a prefix with a start',
    http: ['GET', '/v1/kv?prefix=a&start=b'],
    mux: [RANGE, null, { prefix: 'a', start: 'b' }],
    status: 400,
    code: 'bad_request',
  },
  {
    name: 'a limit above the largest',
    http: ['GET', '/v1/kv?limit=10001'],
    mux: [RANGE, null, { limit: 10_001 }],
    status: 400,
    code: 'bad_request',
  },
]

test.each(REQUESTS)('$name', (given) => expectSame(given))

test('a key that is not there: nothing is wrong with it here', () =>
  expectSame({ name: '', http: ['GET', '/v1/kv/z'], mux: [GET, null, 'z'], status: 404 }))

test('a token that was used for another request', () =>
  expectSame(
    {
      name: '',
      http: ['PUT', '/v1/kv/a', { body: 'x', ...TOKEN('t') }],
      mux: [PUT, null, 'a', 'x', ['t']],
      status: 422,
      code: 'idempotency_key_reused',
      written: 'no',
    },
    (node) =>
      node.propose(
        {
          command: { kind: 'delete', key: bytes('q'), condition: undefined, prev: false },
          idempotency: { token: 't', since: asRevision(1) },
          principal: '',
        },
        1,
        () => {},
      ),
  ))

describe('whatever the node answers', () => {
  const CODES: readonly (readonly [Problem['code'], number])[] = [
    ['no_leader', 503],
    ['no_quorum', 503],
    ['not_ready', 503],
    ['overloaded', 429],
    ['too_stale', 503],
    ['revision_behind', 503],
    ['request_too_large', 413],
    ['storage_full', 507],
    ['outcome_unknown', 504],
    ['internal', 500],
  ]
  test.each(
    CODES.flatMap(([code, status]) => [
      { code, status, written: 'no' as const },
      { code, status: code === 'internal' ? 500 : 504, written: 'unknown' as const },
    ]),
  )('$code, written: $written', async ({ code, status, written }) => {
    const prepare = (node: FakeNode): void => {
      node.problem = { code, detail: 'as it is', written }
    }
    const told = written === 'unknown' && code !== 'internal' ? 'outcome_unknown' : code
    const common = { name: '', status, code: told }
    await expectSame(
      { ...common, http: ['PUT', '/v1/kv/a', { body: 'x' }], mux: [PUT, null, 'a', 'x'], written },
      prepare,
    )
    await expectSame({ ...common, http: ['DELETE', '/v1/kv/a'], mux: [DELETE, null, 'a'], written }, prepare)
    await expectSame({ ...common, http: ['GET', '/v1/kv/a'], mux: [GET, null, 'a'] }, prepare)
    await expectSame({ ...common, http: ['GET', '/v1/kv'], mux: [RANGE] }, prepare)
  })
})

test('rows that cannot be read are an error of the node, which is logged', async () => {
  for (const [http, mux] of [
    [
      ['GET', '/v1/kv/a'],
      [GET, null, 'a'],
    ],
    [['GET', '/v1/kv'], [RANGE]],
  ] as const) {
    await expectSame({ name: '', http, mux, status: 500, code: 'internal' }, (node) => {
      node.corrupt = () => true
    })
  }
  const served = await serve()
  served.node.put('a', '1')
  served.node.corrupt = () => true
  const client = await new MuxClient(served.port).open()
  await client.ask(1, GET, null, 'a')
  expect(served.logged.join()).toContain('the CRC of a row does not hold')
})

test('a result that cannot be read leaves open whether the change was made', async () => {
  const { port, node } = await serve()
  node.hold = (release) => {
    node.propose = () => {}
    release()
  }
  const client = await new MuxClient(port).open()
  node.propose = (_request, _timeoutMs, done) =>
    setImmediate(() => done({ ok: true, value: { outcome: { kind: 'settings' } as never, replayed: false } }))
  const [, kind, { code, written }] = await client.ask(1, PUT, null, 'a', '1')
  expect([kind, code, written]).toEqual([1, 'internal', 'unknown'])
})

test.each([
  ['put without a value', [PUT, null, 'a']],
  ['a number as a key', [GET, null, 7]],
  ['a list as a value', [PUT, null, 'a', []]],
  ['a text as a timeout', [GET, '5s', 'a']],
  ['a timeout that is no number', [GET, Number.NaN, 'a']],
  ['more elements than there are', [GET, null, 'a', null, null, null, null]],
  ['more elements of a put', [PUT, null, 'a', 'b', null, null, null]],
  ['more elements of a delete', [DELETE, null, 'a', null, null, null]],
  ['more elements of a range', [RANGE, null, null, null, null, null]],
  ['a text as an identity', [PUT, null, 'a', 'b', 't']],
  ['an identity of nothing', [PUT, null, 'a', 'b', []]],
  ['an identity of three', [PUT, null, 'a', 'b', ['t', 1, 1]]],
  ['a number as a token', [PUT, null, 'a', 'b', [7]]],
  ['a token that is too long', [PUT, null, 'a', 'b', ['t'.repeat(256)]]],
  ['a since of 0', [PUT, null, 'a', 'b', ['t', 0]]],
  ['a list as conditions', [DELETE, null, 'a', null, []]],
  ['a number as a condition', [DELETE, null, 'a', null, { if_match: 7 }]],
  ['no revision in a condition', [DELETE, null, 'a', null, { if_match: [] }]],
  ['a half revision in a condition', [DELETE, null, 'a', null, { if_none_match: [1.5] }]],
  ['a text as a flag', [DELETE, null, 'a', null, { prev: 'yes' }]],
  ['a min_revision of 0', [GET, null, 'a', 0]],
  ['a number as freshness', [GET, null, 'a', null, 7]],
  ['an unknown consistency', [GET, null, 'a', null, { consistency: 'strong' }]],
  ['a negative max_staleness_ms', [GET, null, 'a', null, { consistency: 'stale', max_staleness_ms: -1 }]],
  ['a range as a text', [RANGE, null, 'a']],
  ['a number as a prefix', [RANGE, null, { prefix: 7 }]],
  ['a limit of 0', [RANGE, null, { limit: 0 }]],
  ['an unknown order', [RANGE, null, { order: 'up' }]],
])('%s is a problem of this operation only', async (_, fields) => {
  const served = await serve()
  const client = await new MuxClient(served.port).open()
  client.send([1, PUT, null, 'k', 'v'], [2, ...fields], [3, GET, null, 'k'])
  expect((await client.answer(2))?.[2]).toMatchObject({ status: 400, code: 'bad_request' })
  expect((await client.answer(1))?.[1]).toBe(0)
  expect((await client.answer(3))?.[1]).toBe(0)
  expect(served.node.asked).toHaveLength(2)
  expect(served.http.inspect()).toMatchObject({ operations: 0 })
})
