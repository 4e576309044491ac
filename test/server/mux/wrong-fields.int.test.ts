// Fields of operations that are wrong: each is a problem of its operation only, and names the field.

import { expect, test } from 'vitest'
import { atRest } from '../http/raw-client.ts'
import { serve } from '../http/served.ts'
import {
  CHANGES,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  GET,
  KEEP_ALIVE,
  MuxClient,
  PUT,
  RANGE,
  TXN,
  WATCH,
} from './mux-client.ts'

const PUT_A = [PUT, 'a', '1']

const put = (options: object) => [PUT, null, 'a', 'b', null, options]
const changes = (...list: unknown[]) => [CHANGES, null, list]
const txn = (body: unknown) => [TXN, null, body]
const compare = (more: object) => txn({ compare: [{ key: 'a', target: 'version', op: '=', to: 1, ...more }] })
const NESTED = txn({ success: [{ txn: { success: [{ delete: { keys: 'a' } }] } }] })

type Case = readonly [name: string, fields: readonly unknown[], detail?: string, code?: string]

const CASES: readonly Case[] = [
  ['put without a value', [PUT, null, 'a']],
  ['a number as a key', [GET, null, 7]],
  ['a list as a value', [PUT, null, 'a', []]],
  ['a text as a timeout', [GET, '5s', 'a']],
  ['a timeout that is no number', [GET, Number.NaN, 'a']],
  ['more elements than there are', [GET, null, 'a', null, null, null, null, null]],
  ['more elements of a put', [PUT, null, 'a', 'b', null, null, null]],
  ['more elements of a delete', [DELETE, null, 'a', null, null, null]],
  ['more elements of a range', [RANGE, null, null, null, null, null]],
  ['a text as an identity', [PUT, null, 'a', 'b', 't']],
  ['an identity of nothing', [PUT, null, 'a', 'b', []]],
  ['an identity of three', [PUT, null, 'a', 'b', ['t', 1, 1]]],
  ['a number as a token', [PUT, null, 'a', 'b', [7]]],
  ['a since of 0', [PUT, null, 'a', 'b', ['t', 0]]],
  ['a slot without a session', [PUT, null, 'a', 'b', [0, 1, 1]], 'session'],
  ['a list as conditions', [DELETE, null, 'a', null, []]],
  ['a number as a condition', [DELETE, null, 'a', null, { if_match: 7 }]],
  ['no revision in a condition', [DELETE, null, 'a', null, { if_match: [] }]],
  ['a half revision in a condition', [DELETE, null, 'a', null, { if_none_match: [1.5] }]],
  ['an unknown condition', [DELETE, null, 'a', null, { if_metch: [1] }], 'if_metch', 'unknown_parameter'],
  ['a text as a flag', [DELETE, null, 'a', null, { prev: 'yes' }]],
  ['a text as a time to live', put({ ttl_ms: '30s' }), 'ttl_ms must be a number from 1000 to 315360000000'],
  [
    'a time to live below a second',
    put({ ttl_ms: 999 }),
    'ttl_ms must be a number from 1000 to 315360000000',
  ],
  ['a number as a lease', put({ lease: 7 }), 'lease must be a string'],
  ['two leases', put({ lease: '7', ttl_ms: 3000 }), 'lease cannot be combined with ttl_ms'],
  ['a min_revision of 0', [GET, null, 'a', 0]],
  ['a revision of 0', [GET, null, 'a', null, null, 0]],
  ['a number as freshness', [GET, null, 'a', null, 7]],
  ['an unknown consistency', [GET, null, 'a', null, { consistency: 'strong' }]],
  ['a negative max_staleness_ms', [GET, null, 'a', null, { consistency: 'stale', max_staleness_ms: -1 }]],
  ['a range as a text', [RANGE, null, 'a']],
  ['a number as a prefix', [RANGE, null, { prefix: 7 }]],
  ['a limit of 0', [RANGE, null, { limit: 0 }]],
  ['an unknown order', [RANGE, null, { order: 'up' }]],
  ['nil for changes', [CHANGES, null, null], 'changes'],
  ['a text for changes', [CHANGES, null, 'a'], 'changes'],
  ['a text for a change', changes(PUT_A, 'a'), 'changes[1]: '],
  ['nil for a change', changes(PUT_A, PUT_A, null), 'changes[2]: '],
  ['an empty change', changes([]), 'changes[0]: '],
  ['a get among changes', changes([GET, 'a']), 'changes[0]: '],
  ['a batch in a batch', changes([CHANGES, [PUT_A]]), 'changes[0]: '],
  ['a change without a value', changes([PUT, 'a']), 'changes[0]: '],
  ['more elements of a changing put', changes([...PUT_A, null, null]), 'changes[0]: '],
  ['more elements of a changing delete', changes(PUT_A, [DELETE, 'a', null, null]), 'changes[1]: '],
  ['prev in a batch', changes(PUT_A, [DELETE, 'a', { prev: true }]), 'changes[1]: prev'],
  [
    'an unknown option in a batch',
    changes([...PUT_A, { if_metch: [1] }]),
    'changes[0]: ',
    'unknown_parameter',
  ],
  ['an empty key in a batch', changes(PUT_A, [PUT, '', '1']), 'changes[1]: ', 'key_empty'],
  ['more elements of a batch', [CHANGES, null, [PUT_A], null, null], 'elements'],
  ['nil for a transaction', txn(null), 'txn must be a map'],
  ['a list for a transaction', txn([]), 'txn must be a map'],
  ['an unknown part', txn({ otherwise: [] }), '"otherwise" is not known in txn', 'unknown_parameter'],
  ['a map of comparisons', txn({ compare: {} }), 'txn.compare must be a list'],
  ['an unknown operator', compare({ op: '>=' }), 'txn.compare[0].op'],
  ['a fraction', compare({ to: 0.5 }), 'txn.compare[0].to'],
  [
    'an operation of two kinds',
    txn({ success: [{ get: {}, put: {} }] }),
    'txn.success[0] must be a map with one',
  ],
  ['an operation of no kind', txn({ failure: [{}] }), 'txn.failure[0] must be a map with one'],
  ['no value', txn({ success: [{ put: { key: 'a' } }] }), 'txn.success[0].put.value must be bytes'],
  ['a limit of 0 in one', txn({ success: [{ get: { key: 'a', limit: 0 } }] }), 'txn.success[0].get.limit'],
  ['an unknown field in a nested one', NESTED, 'txn.success[0].delete', 'unknown_parameter'],
  ['a text for a range to delete', [DELETE_RANGE, null, 'a']],
  ['an unknown bound', [DELETE_RANGE, null, { key: 'a' }], 'key', 'unknown_parameter'],
  ...[null, 0, 'x', 1.5].map((wrong) => [`a revision that is ${wrong}`, [COMPACT, null, wrong]] as const),
  ['what is no list of leases', [KEEP_ALIVE, null, '7'], 'leases must be a list of 1 to 1000 ids'],
  ['a number among leases', [KEEP_ALIVE, null, ['7', 7]], 'leases[1] must be the id of a lease'],
  ['an unknown field of a watch', [WATCH, null, { keys: 'a' }], 'keys', 'unknown_parameter'],
  [
    'an unknown option of a watch',
    [WATCH, null, null, null, { previous: true }],
    'previous',
    'unknown_parameter',
  ],
  ['a progress that is too frequent', [WATCH, null, null, null, { progress_ms: 99 }]],
  ['a watch from revision 0', [WATCH, null, null, 0]],
  ['an unknown type of event', [WATCH, null, null, null, { only: 'get' }]],
  ['more elements of a watch', [WATCH, null, null, null, null, null]],
]

test.each(CASES.map(([name, ...rest]) => ({ name, rest })))('$name', async ({ rest }) => {
  const [fields, detail = '', code = 'bad_request'] = rest
  const served = await serve()
  const client = await new MuxClient(served.port).open()
  client.send([1, PUT, null, 'k', 'v'], [2, ...fields], [3, GET, null, 'k'])
  const [, kind, problem, revision, replayed] = (await client.answer(2)) ?? []
  expect([kind, problem, revision, replayed]).toMatchObject([1, { status: 400, code }, null, false])
  expect(problem.detail).toContain(detail)
  const isRead = [GET, RANGE, KEEP_ALIVE, WATCH].includes(Number(fields[0]))
  expect(problem.written).toBe(isRead ? undefined : 'no')
  for (const other of [1, 3]) expect((await client.answer(other))?.[1]).toBe(0)
  expect(served.node.asked).toHaveLength(2)
  expect(served.node.watches.counts().open).toBe(0)
  await atRest(served, 1)
})

test('prev that is false, and conditions that are nil, are none', async () => {
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  const list = [
    [...PUT_A, null],
    [DELETE, 'a', { prev: false }],
  ]
  const outcomes = [
    [2, 2, 1],
    [1, 3],
  ]
  expect(await client.ask(1, CHANGES, null, list)).toEqual([1, 0, 3, outcomes, false])
})
