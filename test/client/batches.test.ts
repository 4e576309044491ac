// Puts and deletes that begin before their message leaves go together: one operation with one identity. Nobody who
// calls sees it: each has its own outcome.

import { describe, expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import {
  type Client,
  type ClientOptions,
  PreconditionFailedError,
  QuorateError,
} from '../../src/client/index.ts'
import { CHANGES, DELETE, GET, haveSession, held, oneNode, oneNodeWithSession, PUT } from './one-node.ts'
import type { Item, Line, RelayedLines } from './relayed-lines.ts'
import { type Fault, problem, type RelayedNode } from './relayed-node.ts'
import {
  clientOf,
  connected,
  failure,
  fake,
  fakePeer,
  freezeTime,
  passing,
  unknown,
  until,
} from './with-fakes.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }

const knowsBatches = (lines: RelayedLines, more: Record<string, unknown> = {}): void => {
  lines.welcome = { changes_max: 1000, ...more }
}

/** However long the machine pauses between two calls, they begin within the share of this time that a batch allows. */
const LONG = { timeoutMs: 50_000 }

/** A client with a session, of a node that knows batches. */
const oneWithBatches = (
  options: Parameters<typeof oneNodeWithSession>[0] = {},
  welcome: Record<string, unknown> = {},
) => oneNodeWithSession({ ...LONG, ...options }, (lines) => knowsBatches(lines, welcome))

/** Two nodes of one cluster. */
async function twoWithBatches(welcome: Record<string, unknown> = {}, options: Partial<ClientOptions> = {}) {
  const first = await fake('n1')
  const nodes = [first, await fakePeer(first, 'n2')]
  const all = nodes.map((node) => node.multiplex())
  for (const lines of all) knowsBatches(lines, welcome)
  for (const node of nodes) node.sessions = { ageMs: 900_000, slots: 4096 }
  const kv = clientOf(nodes, { transport: 'auto', ...LONG, ...options })
  await connected(kv, nodes)
  await haveSession(kv, all)
  for (const { seen } of nodes) seen.length = 0
  return { nodes, all, kv }
}

const puts = (kv: Client, count: number, options = {}) =>
  Array.from({ length: count }, (_, n) => kv.put(`k${n}`, `v${n}`, options))

const opsOf = (items: readonly Item[]) => items.map(([, op]) => op)
const changesOf = (item: Item | undefined) => item?.[3] as Item[]
/** How many changes each item has. */
const sizesOf = (items: readonly Item[]) =>
  items.map((item) => (item[1] === CHANGES ? changesOf(item).length : 1))
const identityOf = (item: Item | undefined) => item?.[item[1] === PUT ? 5 : 4] as unknown[]
const headerOf = ([session, slot, seq]: unknown[]) => `${session};slot=${slot};seq=${seq}`

const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof QuorateError ? [error.code, error.written] : error),
  )

describe('what goes together', () => {
  test('changes of a turn, in order, under one slot, and each has its own outcome', async () => {
    const { node, lines, kv } = await oneWithBatches()
    node.set('b', 'old')
    const at = node.revision
    const calls = [
      kv.put('a', '1'),
      kv.delete('b'),
      kv.put('a', '2', { ifAbsent: true }),
      kv.delete('none'),
      kv.put('a', '3', { ifRevision: at + 1 }),
      kv.delete('a', { ifRevision: 1 }),
    ] as const
    const results = await Promise.allSettled(calls)
    const refused = expect.objectContaining({
      code: 'precondition_failed',
      written: 'no',
      status: 412,
      node: 'n1',
    })
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason))).toEqual([
      { revision: at + 1, createRevision: at + 1, modRevision: at + 1, version: 1 },
      { deleted: 1, revision: at + 2 },
      refused,
      { deleted: 0, revision: at + 2 },
      { revision: at + 3, createRevision: at + 1, modRevision: at + 3, version: 2 },
      refused,
    ])
    const error = await failure(calls[2])
    expect(error).toBeInstanceOf(PreconditionFailedError)
    expect(error).toMatchObject({
      endpoint: node.url,
      current: { key: 'a', modRevision: at + 1, version: 1 },
    })
    expect(lines.items).toHaveLength(1)
    const [a, b] = [Buffer.from('a'), Buffer.from('b')]
    const [one, two, three] = ['1', '2', '3'].map((text) => Buffer.from(text))
    expect(lines.items[0]?.slice(1)).toEqual([
      ...[CHANGES, expect.any(Number)],
      [
        [PUT, a, one],
        [DELETE, b],
        [PUT, a, two, { if_none_match: '*' }],
        [DELETE, Buffer.from('none')],
        [PUT, a, three, { if_match: [at + 1] }],
        [DELETE, a, { if_match: [1] }],
      ],
      [1, 0, expect.any(Number)],
    ])
    expect(kv.revision).toBe(at + 3)
    expect(kv[inspect]()).toEqual(AT_REST)
    // The next one has the slot again.
    await kv.put('c', '1')
    const [batch, next] = lines.items.map(identityOf)
    expect(next).toEqual([1, 0, Number(batch?.[2]) + 1])
  })

  test('gets leave by themselves, and do not separate the changes', async () => {
    const { lines, kv } = await oneWithBatches()
    await Promise.all([kv.put('a', '1'), kv.get('a'), kv.put('b', '2'), kv.get('b')])
    expect(opsOf(lines.items)).toEqual([CHANGES, GET, GET])
  })

  test('not those with another signal, or another timeout', async () => {
    const { lines, kv } = await oneWithBatches()
    const [one, other] = [new AbortController(), new AbortController()]
    await Promise.all([
      ...[kv.put('a', '1'), kv.put('b', '1')],
      ...[kv.put('c', '1', { signal: one.signal }), kv.put('d', '1', { signal: one.signal })],
      kv.put('e', '1', { signal: other.signal }),
      ...[kv.put('f', '1', { timeoutMs: 40_000 }), kv.put('g', '1', { timeoutMs: 40_000 })],
    ])
    expect(sizesOf(lines.items)).toEqual([2, 2, 1, 2])
    const seconds = lines.items.map((item) => Math.ceil(Number(item[2]) / 1_000))
    expect(seconds).toEqual([50, 50, 50, 40])
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('none without a session: they have tokens', async () => {
    const { lines, kv } = await oneNode({}, knowsBatches)
    await Promise.all(puts(kv, 5))
    expect(opsOf(lines.items)).toEqual([PUT, PUT, PUT, PUT, PUT])
    expect(lines.items.map((item) => identityOf(item).length)).toEqual(Array(5).fill(2))
  })

  test('those for which there is no slot have tokens, one each', async () => {
    const { lines, kv } = await oneWithBatches({ slots: 1 })
    const items = held(lines)
    const first = kv.put('first', '1')
    await until(() => items.length === 1)
    lines.onItem = () => false
    await Promise.all(puts(kv, 3))
    expect(sizesOf(lines.items)).toEqual([1, 1, 1, 1])
    expect(lines.items.slice(1).map((item) => identityOf(item).length)).toEqual([2, 2, 2])
    const { item, line } = items[0] as { item: Item; line: Line }
    lines.serve(item, line)
    await first
  })

  test('the leader changes between them: each is made once, at either node', async () => {
    const { nodes, kv, all } = await twoWithBatches({ operations_max: 1 })
    // No credit: they wait.
    const { item, line, put } = await occupied(kv, all[0] as RelayedLines)
    const calls = [kv.put('a', '1'), kv.put('b', '1')]
    line.send([0, 'leader', 4, 'n2'])
    await isRead(line)
    calls.push(kv.put('c', '1'), kv.put('d', '1'))
    all[0]?.serve(item, line)
    const results = await Promise.all([put, ...calls])
    expect(results.slice(1)).toEqual(calls.map(() => expect.objectContaining({ version: 1 })))
    expect(nodes[0]?.contents).toMatchObject({ first: '1', a: '1', b: '1', c: '1', d: '1' })
    // Later changes go to the new leader.
    for (const { items } of all) items.length = 0
    await Promise.all(puts(kv, 3))
    expect(all.map(({ items }) => sizesOf(items))).toEqual([[], [3]])
  })

  test('at most 256 changes', async () => {
    const { lines, kv } = await oneWithBatches({ callsMax: 1_000, timeoutMs: 60_000 })
    await Promise.all(puts(kv, 600))
    expect(sizesOf(lines.items)).toEqual([256, 256, 88])
  })

  test('at most 128 KiB of keys and values', async () => {
    const { lines, kv } = await oneWithBatches()
    const value = Buffer.alloc(32 * 1024 - 1)
    await Promise.all(Array.from({ length: 9 }, (_, n) => kv.put(`${n}`, value)))
    expect(sizesOf(lines.items)).toEqual([4, 4, 1])
    lines.items.length = 0
    await Promise.all([kv.put('a', Buffer.alloc(128 * 1024)), kv.delete('b'), kv.put('c', 'd')])
    expect(sizesOf(lines.items)).toEqual([1, 2])
  })

  test('what waits for credit grows', async () => {
    // They go together only if they begin at nearly the same time.
    freezeTime()
    const { lines, kv } = await oneWithBatches({ callsMax: 1_000 }, { operations_max: 1 })
    const items = held(lines)
    const first = kv.put('first', '1')
    await until(() => items.length === 1)
    const waiting = []
    for (let turn = 0; turn < 30; turn++) {
      waiting.push(...puts(kv, 10))
      await new Promise(setImmediate)
    }
    expect(kv[inspect]()).toEqual({ ...AT_REST, calls: 301, permits: 301, requests: 3 })
    lines.onItem = () => false
    const { item, line } = items[0] as { item: Item; line: Line }
    lines.serve(item, line)
    await Promise.all([first, ...waiting])
    expect(sizesOf(lines.items)).toEqual([1, 256, 44])
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('each has its turn, and those that wait for one go together when they come', async () => {
    const { node, lines, kv } = await oneWithBatches({ callsMax: 4 })
    const calls = puts(kv, 10)
    expect(kv[inspect]()).toMatchObject({ permits: 10 })
    await Promise.all(calls)
    expect(sizesOf(lines.items)).toEqual([4, 4, 2])
    expect(kv[inspect]()).toEqual(AT_REST)
    const expected = Object.fromEntries(calls.map((_, n) => [`k${n}`, `v${n}`]))
    expect(node.contents).toMatchObject(expected)
    // None was given back twice.
    const items = held(lines)
    for (const put of puts(kv, 5)) put.catch(() => {})
    await until(() => items.length === 1)
    expect(sizesOf(items.map(({ item }) => item))).toEqual([4])
  })

  test('copies keys and values at once', async () => {
    const { node, kv } = await oneWithBatches()
    const [key, value] = [Buffer.from('key'), Buffer.from('value')]
    const calls = [kv.put('a', '1'), kv.put(key, value)]
    key.fill('x')
    value.fill('x')
    await Promise.all(calls)
    expect(node.contents).toMatchObject({ a: '1', key: 'value' })
  })
})

/** The client has read what was sent before. */
const isRead = (line: Line): Promise<void> =>
  new Promise((resolve) => {
    line.ws.once('pong', () => resolve())
    line.ws.ping()
  })

/** A put that the node holds back: with `operations_max: 1` what follows waits. */
async function occupied(
  kv: Client,
  lines: RelayedLines,
): Promise<{ item: Item; line: Line; put: Promise<unknown> }> {
  const items = held(lines)
  const put = outcome(kv.put('first', '1'))
  await until(() => items.length === 1)
  lines.onItem = () => false
  return { ...(items[0] as { item: Item; line: Line }), put }
}

describe('a batch that was not served', () => {
  const many = (kv: Client, options = {}) => [
    kv.put('a', '1', options),
    kv.put('b', '2', { ifAbsent: true, ...options }),
    kv.delete('warm', options),
    kv.put('a', '3', { ifRevision: 1, ...options }),
  ]
  const RESULTS = ['done', 'done', 'done', ['precondition_failed', 'no']]

  test.each<[string, Fault, boolean]>([
    ['cut before it was done', 'cut', false],
    ['cut after it was done', 'cut-after', true],
    ['refused: no leader', problem(503, 'no_leader', 'an election', { retry_after_ms: 1 }), false],
    ['of unknown outcome, but done', { ...unknown, do: true }, true],
    ['of unknown outcome, not done', unknown, false],
  ])('%s: it is tried under the same slot at another node, and made once', async (_, fault, done) => {
    const { nodes, all, kv } = await twoWithBatches()
    const [first, second] = nodes as [RelayedNode, RelayedNode]
    const at = first.revision
    first.faults.push(fault)
    const results = await Promise.all(many(kv).map(outcome))
    expect(results).toEqual(RESULTS)
    expect(sizesOf(all.flatMap(({ items }) => items))).toEqual([4, 4])
    expect(identityOf(all[1]?.items[0])).toEqual(identityOf(all[0]?.items[0]))
    expect(changesOf(all[1]?.items[0])).toEqual(changesOf(all[0]?.items[0]))
    expect([first.seen.length, second.seen.length]).toEqual([1, 1])
    // Made once, whichever try did it.
    expect([done, first.revision]).toEqual([done, at + 3])
    expect(first.contents).toEqual({ a: '1', b: '2' })
    expect(kv[inspect]()).toEqual(AT_REST)
    await kv.put('next', '1')
    expect(first.contents).toHaveProperty('next')
  })

  test.each<[string, Fault]>([
    ['before', 'cut'],
    ['after', 'cut-after'],
  ])('cut %s it was done: over HTTP, where there is no other connection', async (_, fault) => {
    const { node, lines, kv } = await oneWithBatches()
    const at = node.revision
    node.faults.push(fault)
    expect(await Promise.all(many(kv).map(outcome))).toEqual(RESULTS)
    const header = headerOf(identityOf(lines.items[0]))
    expect(node.seen.map(({ method, target, headers }) => [method, target, headers['kv-session']])).toEqual([
      ['POST', '/v1/changes', header],
      ['POST', '/v1/changes', header],
    ])
    expect(lines.items).toHaveLength(1)
    expect(JSON.parse(String(node.seen[1]?.body))).toEqual({
      changes: [
        { put: { key: 'a', value: '1' } },
        { put: { key: 'b', value: '2', if_none_match: '*' } },
        { delete: { key: 'warm' } },
        { put: { key: 'a', value: '3', if_match: [1] } },
      ],
    })
    expect(node.revision).toBe(at + 3)
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('over HTTP bytes that are no text are in base64', async () => {
    const { node, kv } = await oneWithBatches()
    const [key, value] = [
      new Uint8Array([0xff, 0, 0x2f]),
      Uint8Array.from({ length: 256 }, (_, byte) => byte),
    ]
    node.faults.push('cut')
    await Promise.all([kv.put(key, value), kv.put('\ufeffü\u0000', '"\n\ud83d\ude00')])
    expect((await kv.get(key))?.value).toEqual(value)
    expect((await kv.get('\ufeffü\u0000'))?.text()).toBe('"\n\ud83d\ude00')
  })

  test('its slot is not used by others while it is tried', async () => {
    freezeTime()
    const { node, lines, kv } = await oneWithBatches()
    node.faults.push(problem(503, 'no_leader', 'an election', { retry_after_ms: 500 }))
    const calls = many(kv)
    await until(() => node.seen.length === 1)
    // Its refusal has arrived before this answer.
    await kv.get('x')
    await kv.put('other', '2')
    const [batch, , other] = lines.items.map(identityOf)
    expect(other).toHaveLength(3)
    expect(other?.[1]).not.toBe(batch?.[1])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await Promise.all(calls.map(outcome))).toEqual(RESULTS)
    expect(node.contents).toEqual({ a: '1', b: '2', other: '2' })
  })

  test.each([
    ['refused as a whole', problem(507, 'storage_full', 'no room')],
    ['too large for one entry', problem(413, 'request_too_large', 'too large')],
    ['with a change that the node does not read', problem(400, 'key_too_long', 'changes[1]: too long')],
    ['unknown to the node', problem(404, 'not_found', 'no such route')],
  ])('%s: each change is made by itself', async (_, refusal) => {
    const { node, lines, kv } = await oneWithBatches()
    const at = node.revision
    node.fault = ({ target }) => (target === '/v1/changes' ? refusal : undefined)
    expect(await Promise.all(many(kv).map(outcome))).toEqual(RESULTS)
    expect(node.revision).toBe(at + 3)
    expect(node.seen.map(({ method }) => method)).toEqual(['POST', 'PUT', 'PUT', 'DELETE', 'PUT'])
    // Over the same connection: hundreds of HTTP requests at once would cost much more.
    expect(sizesOf(lines.items)).toEqual([4, 1, 1, 1, 1])
    const identities = lines.items.map(identityOf)
    expect(new Set(identities.map((identity) => identity.join())).size).toBe(5)
    expect(identities.map(({ length }) => length)).toEqual([3, 3, 3, 3, 3])
    expect(kv[inspect]()).toEqual(AT_REST)
    node.fault = () => undefined
    lines.items.length = 0
    await Promise.all(puts(kv, 2))
    expect(sizesOf(lines.items)).toEqual([2])
  })

  test('refused as a whole: what is wrong with one change concerns only that one', async () => {
    const { node, kv } = await oneWithBatches()
    const refusal = problem(400, 'key_too_long', 'too long')
    node.fault = ({ target }) =>
      target === '/v1/changes' || target.endsWith('%78') || target.endsWith('/x') ? refusal : undefined
    const results = await Promise.all([kv.put('a', '1'), kv.put('x', '2'), kv.delete('warm')].map(outcome))
    expect(results).toEqual(['done', ['key_too_long', 'no'], 'done'])
    expect(node.contents).toEqual({ a: '1' })
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test.each<[string, Fault]>([
    ['cut', 'cut'],
    ['of unknown outcome', unknown],
    ['cut after it was done', 'cut-after'],
  ])(
    '%s, and then refused: nothing is made again, since the first try may have been made',
    async (_, fault) => {
      const { node, kv } = await oneWithBatches()
      node.faults.push(fault, problem(507, 'storage_full', 'no room'))
      const results = await Promise.all(puts(kv, 3).map(outcome))
      expect(results).toEqual(Array(3).fill(['outcome_unknown', 'unknown']))
      expect(node.seen).toHaveLength(2)
      expect(kv[inspect]()).toEqual(AT_REST)
    },
  )

  test('cut, and then answered with what no batch is answered with: nothing is made again', async () => {
    const { node, kv } = await oneWithBatches()
    node.faults.push('cut-after', problem(412, 'precondition_failed', 'no', { current: null }))
    const results = await Promise.all(puts(kv, 3).map(outcome))
    expect(results).toEqual(Array(3).fill(['unexpected_answer', 'unknown']))
    expect(node.seen).toHaveLength(2)
    expect(node.rows.get('k0')?.version).toBe(1)
  })

  test('of a session that is forgotten: under a token, as a batch; after a lost try it is unknown', async () => {
    const { node, kv } = await oneWithBatches()
    node.forgetSessions()
    expect(await Promise.all(puts(kv, 3).map(outcome))).toEqual(['done', 'done', 'done'])
    expect(
      node.seen.map(({ target, headers }) => [target, Object.hasOwn(headers, 'idempotency-key')]),
    ).toEqual([
      ['/v1/changes', false],
      ['/v1/changes', true],
    ])
    const other = await oneWithBatches()
    other.node.fault = (seen) => {
      other.node.fault = () => undefined
      other.node.forgetSessions()
      return seen.target === '/v1/changes' ? 'cut' : undefined
    }
    const results = await Promise.all(puts(other.kv, 3).map(outcome))
    expect(results).toEqual(Array(3).fill(['outcome_unknown', 'unknown']))
    expect(other.node.seen).toHaveLength(2)
    expect(other.kv[inspect]()).toEqual(AT_REST)
  })

  test('refused when its time is nearly over: what was not made is not begun again', async () => {
    freezeTime()
    const { node, kv } = await oneWithBatches({ timeoutMs: 1_000 })
    const refusal = problem(507, 'storage_full', 'no room')
    const release: (() => void)[] = []
    const lines = node.lines as RelayedLines
    lines.onItem = (item, line) => {
      release.push(() => line.send([item[0], 1, refusal.body, 1, false]))
      return true
    }
    const calls = puts(kv, 3).map(outcome)
    await until(() => release.length === 1)
    await passing(950)
    release[0]?.()
    lines.onItem = () => true
    await isRead(lines.open[0] as Line)
    await passing(100)
    expect(await Promise.all(calls)).toEqual(Array(3).fill(['timeout', 'no']))
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test.each(['is sent', 'waits'])('when its signal is aborted while it %s', async (when) => {
    const { node, lines, kv } = await oneWithBatches({}, { operations_max: 1 })
    const { item, line, put } = await occupied(kv, lines)
    const items = held(lines)
    if (when === 'is sent') lines.serve(item, line)
    const abort = new AbortController()
    const others = [kv.put('o1', '1'), kv.put('o2', '1')].map(outcome)
    const calls = puts(kv, 3, { signal: abort.signal }).map(outcome)
    if (when === 'is sent') {
      await until(() => items.length === 1)
      lines.serve(items[0]?.item as Item, line)
      await until(() => items.length === 2)
    }
    abort.abort('enough')
    expect(await Promise.all(calls)).toEqual(
      Array(3).fill(['aborted', when === 'is sent' ? 'unknown' : 'no']),
    )
    lines.onItem = () => false
    if (when === 'waits') lines.serve(item, line)
    else lines.serve(items[1]?.item as Item, line)
    expect(await Promise.all(others)).toEqual(['done', 'done'])
    await put
    await kv.put('next', '1')
    expect(node.rows.has('k0')).toBe(when === 'is sent')
    expect(kv[inspect]()).toEqual(AT_REST)
  })
})

describe('an answer to a batch', () => {
  const WELL = [
    [7, 7, 1],
    [1, 8],
  ]
  const ask = (kv: Client) => [kv.put('a', '1'), kv.delete('b')]

  test.each([1, 2])('may have more fields, which newer nodes add, as the answer to try %d', async (last) => {
    const { lines, kv } = await oneWithBatches()
    const refusal = problem(503, 'no_leader', 'x', { retry_after_ms: 1 }).body
    let tries = 0
    lines.onItem = ([id], line) => {
      const outcomes = WELL.map((fields) => [...fields, 'more'])
      line.send(++tries < last ? [id, 1, refusal, 1, false] : [id, 0, 8, outcomes, false, 'more'])
      return true
    }
    expect(await Promise.all(ask(kv))).toEqual([
      { revision: 7, createRevision: 7, modRevision: 7, version: 1 },
      { deleted: 1, revision: 8 },
    ])
    expect(tries).toBe(last)
  })

  test.each<[string, unknown[]]>([
    ['too few outcomes', [8, WELL.slice(1)]],
    ['too many outcomes', [8, [...WELL, [1, 9]]]],
    ['no outcomes', [8]],
    ['a number for outcomes', [8, 2]],
    ['an outcome of a delete for a put', [8, WELL.toReversed()]],
    ['a text in an outcome', [8, [['7', 7, 1], WELL[1]]]],
    ['a negative number in an outcome', [8, [WELL[0], [1, -8]]]],
    ['nil for an outcome', [8, [null, WELL[1]]]],
    ['a problem without a status', [8, [{ code: 'precondition_failed' }, WELL[1]]]],
    ['a text for its revision', ['8', WELL]],
    ['nil for its revision', [null, WELL]],
  ])('with %s leaves all outcomes unknown', async (_, fields) => {
    const { lines, kv } = await oneWithBatches()
    const revision = kv.revision
    lines.onItem = ([id], line) => {
      line.send([id, 0, ...fields])
      return true
    }
    const results = await Promise.all(ask(kv).map(outcome))
    expect(results).toEqual(Array(2).fill(['unexpected_answer', 'unknown']))
    expect(kv.revision).toBeLessThanOrEqual(Math.max(revision, 8))
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('with one problem that nobody can read leaves that outcome unknown', async () => {
    const { lines, kv } = await oneWithBatches()
    lines.onItem = ([id], line) => {
      line.send([id, 0, 8, [{ status: 412, code: 'precondition_failed', current: 7 }, WELL[1]], false])
      return true
    }
    expect(await Promise.all(ask(kv).map(outcome))).toEqual([['unexpected_answer', 'unknown'], 'done'])
  })
})
