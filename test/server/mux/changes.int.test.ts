// Batches over the multiplexed connection: what each change is answered, the same as over HTTP; what is refused as a
// whole; what a batch costs of the credit and of memory.

import { describe, expect, test } from 'vitest'
import { asRevision, BATCH_COMMANDS_MAX } from '../../../src/kv/index.ts'
import type { Problem } from '../../../src/server/node/types.ts'
import { FakeNode } from '../http/fake-node.ts'
import { atRest } from '../http/raw-client.ts'
import { JSON_TYPE, type Served, serve } from '../http/served.ts'
import { CHANGES, DELETE, GET, MuxClient, OPEN_SESSION, PUT, soon } from './mux-client.ts'

const bytes = (text: string) => Buffer.from(text)

/** Changes as JSON of the HTTP API, and on the connection. */
interface Change {
  readonly put?: { key: string; value: string; if_match?: unknown; if_none_match?: unknown }
  readonly delete?: { key: string; if_match?: unknown; if_none_match?: unknown }
}

function itemOf({ put, delete: removed }: Change): unknown[] {
  const { key = '', value = '', ...conditions } = { ...put, ...removed } as Record<string, unknown>
  const more = Object.keys(conditions).length > 0 ? [conditions] : []
  return put === undefined ? [DELETE, key, ...more] : [PUT, key, value, ...more]
}

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire is checked by the expectations themselves
function outcomeOf({ put, delete: removed, problem }: any): unknown {
  if (put !== undefined) return [put.create_revision, put.mod_revision, put.version]
  return removed === undefined ? problem : [removed.deleted, removed.revision]
}

const post = ({ ask }: Served, changes: readonly Change[], headers: Record<string, string> = {}) =>
  ask('POST', '/v1/changes', { headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify({ changes }) })

/** A node with the keys a (revision 2) and b (revision 3), in which a session is open. */
async function prepared(node = new FakeNode(), prepare = (_: FakeNode) => {}): Promise<Served> {
  const served = await serve({ node })
  await served.ask('POST', '/v1/sessions', { headers: JSON_TYPE, body: '{}' })
  for (const key of ['a', 'b']) served.node.put(key, `1 of ${key}`)
  served.node.asked.length = 0
  prepare(served.node)
  return served
}

const put = (key: string, value: string, conditions = {}): Change => ({ put: { key, value, ...conditions } })
const del = (key: string, conditions = {}): Change => ({ delete: { key, ...conditions } })

test.each<[string, readonly Change[], readonly unknown[]]>([
  ['one put', [put('c', '1')], [[4, 4, 1]]],
  [
    'deletes of something and of nothing',
    [del('a'), del('z')],
    [
      [1, 4],
      [0, 4],
    ],
  ],
  [
    'the same key again and again, in this order',
    [put('a', '2'), put('a', '3'), del('a'), del('a'), put('a', '4')],
    [
      [2, 4, 2],
      [2, 5, 3],
      [1, 6],
      [0, 6],
      [7, 7, 1],
    ],
  ],
  [
    'conditions, each on what those before it have left',
    [
      put('a', '2', { if_match: [2] }),
      put('a', '3', { if_match: [2] }),
      put('a', '3', { if_match: [1, 4] }),
      del('b', { if_match: '*' }),
      put('b', '1', { if_none_match: '*' }),
      put('c', '1', { if_match: [0] }),
    ],
    [[2, 4, 2], 'precondition_failed', [2, 5, 3], [1, 6], [7, 7, 1], 'precondition_failed'],
  ],
  [
    'nothing but failures',
    [del('a', { if_match: [9] }), del('z', { if_match: '*' })],
    ['precondition_failed', 'precondition_failed'],
  ],
])(
  '%s: the same outcomes as over HTTP, also for a repeat, whichever way it comes',
  async (_, changes, expected) => {
    for (const [header, identity] of [
      [{}, null],
      [{ 'Idempotency-Key': 't;since=1' }, ['t', 1]],
      [{ 'Kv-Session': '1;slot=7;seq=3' }, [1, 7, 3]],
    ] as const) {
      const [one, other] = [await prepared(), await prepared()]
      const answer = await post(one, changes, header)
      const client = await new MuxClient(other.port).open()
      const items = changes.map(itemOf)
      const fields = [CHANGES, null, items, identity]
      const item = await client.ask(1, ...fields)
      const outcomes = answer.json.results.map(outcomeOf)
      expect(item).toEqual([1, 0, answer.json.revision, outcomes, false])
      expect(item[3].map((each: { code?: string }) => each.code ?? each)).toEqual(expected)
      expect(other.node.asked.map(({ request }) => request)).toEqual(
        one.node.asked.map(({ request }) => request),
      )
      if (identity === null) continue
      // Neither is made again.
      const revision = one.node.revision
      const crossed = await new MuxClient(one.port).open()
      expect(await crossed.ask(2, ...fields)).toEqual([2, 0, answer.json.revision, outcomes, true])
      const again = await post(other, changes, header)
      expect([again.status, again.headers['idempotency-replayed']]).toEqual([200, 'true'])
      expect(again.json).toEqual(answer.json)
      expect([one.node.revision, other.node.revision]).toEqual([revision, revision])
      // Other changes under the same identity are refused, as is one of them alone.
      for (const others of [[...items, [DELETE, 'q']], [[PUT, 'q', '1']]])
        expect((await client.ask(3, CHANGES, null, others, identity))[2]).toMatchObject({
          status: 422,
          code: 'idempotency_key_reused',
          written: 'no',
        })
    }
  },
)

test('a failed condition tells what is there', async () => {
  const { port } = await prepared()
  const client = await new MuxClient(port).open()
  const conditions = { if_match: [9] }
  const failed = { status: 412, code: 'precondition_failed', written: 'no' }
  expect(
    (
      await client.ask(1, CHANGES, null, [
        [DELETE, 'a', conditions],
        [PUT, 'z', '1', conditions],
      ])
    )[3],
  ).toEqual([
    expect.objectContaining({
      ...failed,
      detail: expect.stringContaining('2'),
      current: { key: 'a', create_revision: 2, mod_revision: 2, version: 1 },
    }),
    expect.objectContaining({ ...failed, current: null }),
  ])
})

test('the settings of the cluster refuse single changes', async () => {
  const node = new FakeNode({ keyBytesMax: 2, valueBytesMax: 10, storeBytesMax: 30 })
  const { port } = await prepared(node)
  const client = await new MuxClient(port).open()
  const changes = [
    ...[
      [PUT, 'aaa', '1'],
      [PUT, 'c', 'x'.repeat(11)],
      [PUT, 'c', '1'],
      [PUT, 'd', 'x'.repeat(10)],
    ],
    ...[
      [PUT, 'e', 'x'.repeat(10)],
      [DELETE, 'a'],
    ],
  ]
  const [, , , outcomes] = await client.ask(1, CHANGES, null, changes)
  expect(outcomes).toEqual([
    expect.objectContaining({ status: 400, code: 'key_too_long', written: 'no' }),
    expect.objectContaining({ status: 413, code: 'value_too_large', written: 'no' }),
    [4, 4, 1],
    [5, 5, 1],
    expect.objectContaining({ status: 507, code: 'storage_full', written: 'no' }),
    [1, 6],
  ])
})

test('bytes of any kind', async () => {
  const { port } = await prepared()
  const client = await new MuxClient(port).open()
  const key = Buffer.from([0xff, 0, 0x2f])
  await client.ask(1, CHANGES, null, [
    [PUT, key, Buffer.from([0, 1, 0xfe])],
    [PUT, 'ü', ''],
    [PUT, key, key, { if_none_match: '*' }],
  ])
  expect((await client.ask(2, GET, null, key))[3][1]).toEqual(Buffer.from([0, 1, 0xfe]))
  expect((await client.ask(3, GET, null, bytes('ü')))[3][1]).toEqual(Buffer.alloc(0))
})

const PUT_A = [PUT, 'a', '1']
describe('a field that is wrong is a problem of this batch only, and nothing of it is made:', () => {
  const KEY_TOO_LONG = 'k'.repeat(4097)
  test.each<[string, readonly unknown[], string, string]>([
    ['no changes', [null], 'bad_request', 'changes'],
    ['a text for changes', ['a'], 'bad_request', 'changes'],
    ['a map for changes', [{}], 'bad_request', 'changes'],
    ['an empty list', [[]], 'bad_request', 'changes'],
    ['1001 changes', [Array(BATCH_COMMANDS_MAX + 1).fill([DELETE, 'a'])], 'bad_request', 'changes'],
    ['a text for a change', [[PUT_A, 'a']], 'bad_request', 'changes[1]: '],
    ['nil for a change', [[PUT_A, PUT_A, null]], 'bad_request', 'changes[2]: '],
    ['an empty change', [[[]]], 'bad_request', 'changes[0]: '],
    ['a get among them', [[[GET, 'a']]], 'bad_request', 'changes[0]: '],
    ['a batch in a batch', [[[CHANGES, [PUT_A]]]], 'bad_request', 'changes[0]: '],
    ['a put without a value', [[[PUT, 'a']]], 'bad_request', 'changes[0]: '],
    ['a put with more elements', [[[...PUT_A, null, null]]], 'bad_request', 'changes[0]: '],
    ['a delete with more elements', [[PUT_A, [DELETE, 'a', null, null]]], 'bad_request', 'changes[1]: '],
    ['a delete with a value', [[[DELETE, 'a', 'b']]], 'bad_request', 'changes[0]: '],
    ['prev of a put', [[[...PUT_A, { prev: true }]]], 'bad_request', 'changes[0]: prev'],
    ['prev of a delete', [[PUT_A, [DELETE, 'a', { prev: true }]]], 'bad_request', 'changes[1]: prev'],
    ['an unknown condition', [[[...PUT_A, { if_metch: [1] }]]], 'unknown_parameter', 'changes[0]: '],
    ['no revision in a condition', [[[DELETE, 'a', { if_match: [] }]]], 'bad_request', 'changes[0]: '],
    ['an empty key', [[PUT_A, [PUT, '', '1']]], 'key_empty', 'changes[1]: '],
    ['a key that is too long', [[PUT_A, [DELETE, KEY_TOO_LONG]]], 'key_too_long', 'changes[1]: '],
    ['a number for a key', [[[DELETE, 7]]], 'bad_request', 'changes[0]: '],
    [
      'a value that no setting allows',
      [[PUT_A, [PUT, 'a', Buffer.alloc(2 ** 20 + 1)]]],
      'value_too_large',
      'changes[1]: ',
    ],
    ['a text for the identity', [[PUT_A], 't'], 'bad_request', 'identity'],
    ['a slot without a session', [[PUT_A], [0, 1, 1]], 'bad_request', 'session'],
    ['more elements', [[PUT_A], null, null], 'bad_request', 'elements'],
  ])('%s', async (_, fields, code, detail) => {
    const served = await serve()
    const client = await new MuxClient(served.port).open()
    client.send([1, PUT, null, 'k', 'v'], [2, CHANGES, null, ...fields], [3, GET, null, 'k'])
    const [, kind, problem, revision, replayed] = (await client.answer(2)) ?? []
    expect([kind, problem.code, problem.written, revision, replayed]).toEqual([1, code, 'no', null, false])
    expect(problem.detail).toContain(detail)
    expect((await client.answer(1))?.[1]).toBe(0)
    expect((await client.answer(3))?.[1]).toBe(0)
    expect(served.node.revision).toBe(2)
    expect(served.node.asked).toHaveLength(2)
    await atRest(served, 1)
  })

  test('prev that is false, and conditions that are nil, are none', async () => {
    const { port } = await serve()
    const client = await new MuxClient(port).open()
    const changes = [
      [...PUT_A, null],
      [DELETE, 'a', { prev: false }],
    ]
    expect(await client.ask(1, CHANGES, null, changes)).toEqual([
      1,
      0,
      3,
      [
        [2, 2, 1],
        [1, 3],
      ],
      false,
    ])
  })
})

test.each<[Problem['code'], 'no' | 'unknown', string, number]>([
  ['not_ready', 'no', 'not_ready', 503],
  ['request_too_large', 'no', 'request_too_large', 413],
  ['storage_full', 'no', 'storage_full', 507],
  ['no_leader', 'no', 'no_leader', 503],
  ['no_quorum', 'unknown', 'outcome_unknown', 504],
  ['outcome_unknown', 'unknown', 'outcome_unknown', 504],
  ['internal', 'unknown', 'internal', 500],
])(
  'the node says %s, written %s: it is of the whole batch, as over HTTP',
  async (code, written, told, status) => {
    const served = await prepared(new FakeNode(), (node) => {
      node.problem = { code, detail: 'as it is', written }
    })
    const client = await new MuxClient(served.port).open()
    const item = await client.ask(1, CHANGES, null, [PUT_A, [DELETE, 'b']])
    const answer = await post(served, [put('a', '1'), del('b')])
    const problem = expect.objectContaining({ status, code: told, written, detail: 'as it is' })
    expect(item).toEqual([1, 1, problem, null, false])
    expect([answer.status, answer.json.code]).toEqual([status, told])
  },
)

test('a session that does not exist: nothing of the batch is made', async () => {
  const served = await prepared()
  const client = await new MuxClient(served.port).open()
  const [, kind, problem] = await client.ask(1, CHANGES, null, [PUT_A], [77, 1, 1])
  expect([kind, problem.code, problem.written]).toEqual([1, 'idempotency_expired', 'no'])
  const [, , , session] = await client.ask(2, OPEN_SESSION, null)
  expect((await client.ask(3, CHANGES, null, [PUT_A], [session, 1, 5]))[4]).toBe(false)
  expect((await client.ask(4, CHANGES, null, [PUT_A], [session, 1, 4]))[2]).toMatchObject({
    code: 'idempotency_expired',
    written: 'no',
  })
  expect(served.node.revision).toBe(asRevision(4))
})

test('it cannot be cancelled, and is counted as a batch', async () => {
  const served = await serve()
  const release: (() => void)[] = []
  served.node.hold = (go) => release.push(go)
  const client = await new MuxClient(served.port).open()
  client.send([1, CHANGES, 100, [PUT_A, [DELETE, 'b']]], [1, 0])
  await soon(() => expect(release).toHaveLength(1))
  expect(served.http.inspect()).toMatchObject({ operations: 1 })
  expect(served.node.asked.at(-1)?.timeoutMs).toBeLessThanOrEqual(95)
  served.node.hold = undefined
  release[0]?.()
  expect(await client.answer(1)).toEqual([
    1,
    0,
    2,
    [
      [2, 2, 1],
      [0, 2],
    ],
    false,
  ])
  await client.ask(2, CHANGES, null, [])
  await atRest(served, 1)
  const counted = [
    ...(await served.metrics.text()).matchAll(/^quorate_http_requests_total\{(.*batch.*)\} (\d+)$/gm),
  ]
  expect(counted.map(([, labels, count]) => [/status="(\d+)"/.exec(labels ?? '')?.[1], count])).toEqual([
    ['200', '1'],
    ['400', '1'],
  ])
})

describe('credit', () => {
  test('a batch is one operation', async () => {
    const served = await serve({ limits: { muxOperationsMax: 2 } })
    const client = await new MuxClient(served.port).open()
    const changes = Array.from({ length: 100 }, (_, n) => [PUT, `k${n}`, 'v'])
    client.send([1, CHANGES, null, changes], [2, CHANGES, null, changes])
    expect((await client.answer(1))?.[3]).toHaveLength(100)
    expect((await client.answer(2))?.[3]).toHaveLength(100)
    await atRest(served, 1)
  })

  test('all its keys and values count, and are given back', async () => {
    const served = await serve({ limits: { muxBytesMax: 100 } })
    const client = await new MuxClient(served.port).open()
    const changes = [
      [PUT, 'k'.repeat(20), 'v'.repeat(50)],
      [DELETE, bytes('k'.repeat(30))],
    ]
    for (let time = 0; time < 5; time++) expect((await client.ask(1, CHANGES, null, changes))[1]).toBe(0)
    const more = [...changes, [DELETE, 'a']]
    expect(await client.send([1, CHANGES, null, more]).answer(1)).toBeUndefined()
    expect((await client.end()).code).toBe(1008)
    expect(served.node.asked).toHaveLength(5)
    await atRest(served)
    await soon(() => expect(served.http.inspect().muxConnections).toBe(0))
    expect(served.http.inspect()).toMatchObject({ operations: 0, answerBytes: 0, bodyBytes: 0 })
  })
})

test('answers with many failed conditions count with their bytes while they wait', async () => {
  const served = await serve()
  const client = await new MuxClient(served.port).open()
  const key = (n: number) => `${n}`.padStart(4_000, 'k')
  const keys = Array.from({ length: 10 }, (_, n) => key(n))
  await client.ask(
    1,
    CHANGES,
    null,
    keys.map((each) => [PUT, each, '']),
  )
  const held: (() => void)[] = []
  served.node.hold = (go) => held.push(go)
  client.send([2, CHANGES, null, keys.map((each) => [PUT, each, '', { if_none_match: '*' }])])
  await soon(() => expect(held).toHaveLength(1))
  // Room for all results is reserved before the batch is made.
  expect(served.http.inspect().answerBytes).toBe(10 * (512 + 4_000))
  held[0]?.()
  // The answer is ready now, and leaves later.
  expect(served.http.inspect().answerBytes).toBeGreaterThan(10 * 4_000)
  expect((await client.answer(2))?.[3]).toHaveLength(10)
  await atRest(served, 1)
})
