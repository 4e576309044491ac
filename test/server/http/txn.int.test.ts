// Transactions over HTTP, beside the conformance table (test/server/api): their read options, and the rows, scans and
// memory that they use.

import { expect, test, vi } from 'vitest'
import { asRevision } from '../../../src/operations/forms/index.ts'
import { FakeNode } from './fake-node.ts'
import { atRest, Client, holding, until } from './raw-client.ts'
import { type Answered, JSON_TYPE, type Served, serve } from './served.ts'

const post = ({ ask }: Pick<Served, 'ask'>, body: object, query = ''): Promise<Answered> =>
  ask('POST', `/v1/txn${query}`, { headers: JSON_TYPE, body: JSON.stringify(body) })

const put = (key: string, value: string, more: object = {}) => ({ put: { key, value, ...more } })
const get = (where: object) => ({ get: where })

const record = (
  key: string,
  value: string,
  create_revision: number,
  mod_revision: number,
  version: number,
) => ({
  ...{ key, value, create_revision, mod_revision, version },
})

const proposals = ({ asked }: FakeNode) => asked.filter(({ request }) => request !== undefined).length

/** a: empty at 2 and x at 4; b: y at 3; c/1, c/2: z at 5 and 6. */
function filled(): FakeNode {
  const node = new FakeNode()
  for (const [key = '', value = ''] of ['a=', 'b=y', 'a=x', 'c/1=z', 'c/2=z'].map((pair) => pair.split('=')))
    node.put(key, value)
  return node
}

const expectAtRest = ({ node, http }: Served): void => {
  const { ranges, answerBytes } = http.inspect()
  expect([node.openScans, ranges, answerBytes]).toEqual([0, 0, 0])
}

test('reads the store as it was at a revision, in comparisons too', async () => {
  const served = await serve({ node: filled() })
  const inner = {
    compare: [
      { key: 'a', target: 'version', op: '=', to: 1 },
      { key: 'c/1', exists: false },
    ],
    success: [
      get({ start: 'a' }),
      { txn: { success: [get({ key: 'a' }), get({ prefix: 'c', count_only: true })] } },
    ],
  }
  const then = await post(served, inner, '?revision=3&consistency=stale')
  const a = record('a', '', 2, 2, 1)
  const results = [{ get: { kvs: [a], more: false } }, { get: { kvs: [], more: false, count: 0 } }]
  expect(then.json).toEqual({
    ...{ succeeded: true, revision: 6 },
    results: [
      { get: { kvs: [a, record('b', 'y', 3, 3, 1)], more: false } },
      { txn: { succeeded: true, revision: 6, results } },
    ],
  })
  expect(then.headers).toMatchObject({ 'kv-revision': '6', 'kv-consistency': 'stale' })
  expect((await post(served, inner)).json.succeeded).toBe(false)
  served.node.apply({ kind: 'compact', revision: asRevision(4) })
  expect((await post(served, inner, '?revision=3')).json).toMatchObject({
    ...{ status: 410, code: 'compacted', compact_revision: 4 },
  })
  expect((await post(served, inner, '?revision=4')).json.succeeded).toBe(false)
  expect((await post(served, inner, '?revision=7')).json).toMatchObject({ code: 'future_revision' })
  expect((await post(served, { success: [put('a', '')] }, '?revision=4')).json).toMatchObject({
    ...{ code: 'bad_request', detail: 'revision: this transaction is no read' },
  })
})

test('reads one instant, and closes what it has opened', async () => {
  const served = await serve({ node: filled(), limits: { sliceRowsMax: 1 } })
  const { node } = served
  node.onSlice = () => {
    for (const key of ['a', 'c/1', 'c/3']) node.put(key, 'later')
  }
  const isZ = { prefix: 'c/', target: 'value', op: '=', to: 'z' }
  const { json } = await post(served, {
    compare: [isZ, { key: 'c/3', exists: false }],
    success: [get({ prefix: '' }), { txn: { compare: [isZ], success: [get({ key: 'a' })] } }],
    failure: [get({ prefix: '' })],
  })
  const a = record('a', 'x', 2, 4, 2)
  const all = [a, record('b', 'y', 3, 3, 1), record('c/1', 'z', 5, 5, 1), record('c/2', 'z', 6, 6, 1)]
  const results = [{ get: { kvs: [a], more: false } }]
  expect(json).toMatchObject({
    revision: 6,
    results: [{ get: { kvs: all, more: false } }, { txn: { succeeded: true, revision: 6, results } }],
  })
  expectAtRest(served)
})

test('ends with its time', async () => {
  const served = await serve({ limits: { sliceRowsMax: 1 } })
  for (let at = 0; at < 2_000; at++) served.node.put(`k${at}`, '')
  expect((await post(served, { success: [get({ prefix: '' })] }, '?timeout=5ms')).json).toMatchObject({
    ...{ status: 429, code: 'overloaded', detail: 'the transaction could not be read within the timeout' },
  })
})

test('counts as one range that is read', async () => {
  const body = { success: [get({ key: 'a' }), get({ prefix: 'c' })] }
  const none = await serve({ node: filled(), limits: { rangesMax: 0 } })
  expect((await post(none, body)).json).toMatchObject({ status: 429, code: 'overloaded' })
  const one = await serve({ node: filled(), limits: { rangesMax: 1 } })
  const open: number[] = []
  one.node.onSlice = () => open.push(one.http.inspect().ranges)
  expect((await post(one, body)).status).toBe(200)
  expect(new Set(open)).toEqual(new Set([1]))
})

test('has one scan open, whatever it reads', async () => {
  const served = await serve({ node: filled() })
  const { node } = served
  const scans: number[] = []
  node.onSlice = () => scans.push(node.openScans)
  const gets = Array.from({ length: 128 }, () => get({ prefix: 'c' }))
  const { status } = await post(served, { success: gets, failure: gets })
  expect([status, new Set(scans)]).toEqual([200, new Set([1])])
})

test('no value is read for what is answered without values', async () => {
  const served = await serve({ node: filled() })
  const { node } = served
  const valuesOf = async (read: () => Promise<{ readonly status: number }>): Promise<number> => {
    const before = node.valuesRead
    expect((await read()).status).toBe(200)
    return node.valuesRead - before
  }
  const list = (query: string) => () => served.ask('GET', `/v1/kv?prefix=${query}`)
  for (const query of ['&keys_only', '&keys_only&order=desc', '&count_only', '&count_only&revision=5'])
    expect([query, await valuesOf(list(query))]).toEqual([query, 0])
  expect(await valuesOf(list(''))).toBeGreaterThan(3)
  expect(await valuesOf(list('&count&limit=1'))).toBe(await valuesOf(list('&limit=1')))

  const lean = [get({ prefix: '', keys_only: true }), get({ prefix: '', count_only: true })]
  const compare = [{ prefix: 'c', target: 'version', op: '>', to: 0 }]
  expect(
    await valuesOf(() => post(served, { compare, success: [...lean, { txn: { success: lean } }] })),
  ).toBe(0)
  const mixed = {
    compare: [{ key: 'a', target: 'value', op: '=', to: 'x' }],
    success: [...lean, get({ key: 'a' })],
  }
  const read = await post(served, mixed)
  expect(read.json.results[2].get.kvs).toEqual([record('a', 'x', 2, 4, 2)])
  expect(await valuesOf(() => post(served, mixed))).toBeLessThan(5)
  expectAtRest(served)
})

test('a page with a count takes the room of two scans, and a get at a revision that of one', async () => {
  const status = async (rangesMax: number, path: string): Promise<number> => {
    const served = await serve({ node: filled(), limits: { rangesMax } })
    const answer = await served.ask('GET', path)
    expectAtRest(served)
    return answer.status
  }
  expect(await status(1, '/v1/kv?prefix=c&count=true')).toBe(429)
  expect(await status(2, '/v1/kv?prefix=c&count=true')).toBe(200)
  expect(await status(1, '/v1/kv?prefix=c')).toBe(200)
  expect(await status(0, '/v1/kv/a?revision=6')).toBe(429)
  expect(await status(1, '/v1/kv/a?revision=6')).toBe(200)
})

test('is read no further when its client has gone', async () => {
  const served = await serve({ limits: { sliceRowsMax: 1 } })
  const { node, port } = served
  for (let at = 0; at < 2_000; at++) node.put(`k${at}`, '')
  const client = new Client(port)
  let slices = 0
  node.onSlice = () => {
    if (++slices === 3) client.reset()
  }
  const body = JSON.stringify({ success: [get({ prefix: '' })] })
  const fields = `Host: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`
  await client.send(`POST /v1/txn HTTP/1.1\r\n${fields}\r\n\r\n${body}`)
  await until(served, () => slices >= 3)
  await node.scansClosed()
  expect(slices).toBeLessThan(1_000)
  await atRest(served)
})

test('room for the answer is reserved before changes are made, and released', async () => {
  const served = await serve({ limits: { answersBytesMax: 7 << 20 } })
  const { node, http } = served
  const { release } = holding(node)
  const reading = { success: [put('b', ''), { txn: { failure: [get({ prefix: 'a' })] } }] }
  const first = post(served, reading)
  const { value: letFirst } = await release.next()
  expect(http.inspect().answerBytes).toBeGreaterThan(4 << 20)
  for (const body of [reading, { success: [put('c', ''), { delete: { prefix: 'c/', prev: true } }] }])
    expect((await post(served, body)).json.code).toBe('overloaded')
  expect(proposals(node)).toBe(1)
  // A transaction without values and with few keys needs little room.
  const lean = { failure: [get({ key: 'a', keys_only: true }), get({ prefix: '', count_only: true })] }
  const second = post(served, { success: [put('d', ''), { txn: lean }] })
  const { value: letSecond } = await release.next()
  letFirst()
  letSecond()
  for (const answer of [first, second]) expect((await answer).status).toBe(200)
  await atRest(served, 5)
  node.propose = () => {
    throw new Error('broken')
  }
  expect((await post(served, reading)).json.code).toBe('internal')
  expectAtRest(served)
})

test('the answer of a read counts as long as it is encoded', async () => {
  const served = await serve()
  const { node, http } = served
  const bytes = 2 << 20
  for (let i = 0; i < 64; i++) node.put(`b/${i}`, '\0'.repeat(bytes / 64))
  // A few records are encoded in each turn.
  let now = performance.now()
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now++)
  const answer = post(served, { success: [get({ prefix: 'b/' })] })
  const counted: number[] = []
  do {
    counted.push(http.inspect().answerBytes)
    await new Promise((resolve) => setImmediate(resolve))
  } while (counted.at(-1) === 0 || http.inspect().requests > 0)
  clock.mockRestore()
  const whole = counted.findIndex((at) => at >= bytes)
  expect(Math.min(...counted.slice(whole))).toBeGreaterThanOrEqual(bytes)
  expect((await answer).text.length).toBeGreaterThan(6 * bytes)
  await atRest(served, 1)
})

test('changes that may answer the record of one key reserve room for that record', async () => {
  const served = await serve({ limits: { answersBytesMax: 64 << 10 } })
  const { node, http } = served
  node.put('a', 'v'.repeat(1_000))
  const { release } = holding(node)
  const answers: Promise<Answered>[] = []
  const held: (() => void)[] = []
  for (const operation of [
    get({ key: 'a' }),
    put('a', '', { prev: true }),
    { delete: { key: 'a', prev: true } },
  ]) {
    const before = http.inspect().answerBytes
    answers.push(post(served, { success: [put('b', ''), operation] }))
    const { value: letGo } = await release.next()
    const reserved = http.inspect().answerBytes - before
    // One byte of a value may become six bytes of JSON.
    expect(reserved).toBeGreaterThan(6_000)
    expect(reserved).toBeLessThan(8_000)
    held.push(letGo)
  }
  for (const letGo of held) letGo()
  for (const { status } of await Promise.all(answers)) expect(status).toBe(200)
  await atRest(served, answers.length)
})

test('the bytes of a read that waits for its grant count, until it is answered or its client has left', async () => {
  const served = await serve({ limits: { bodiesBytesMax: 80_000 } })
  const { node, http, port } = served
  const { release } = holding(node)
  const reading = { compare: [{ key: 'a', target: 'value', op: '=', to: 'x'.repeat(30_000) }] }
  const first = post(served, reading)
  const { value: letFirst } = await release.next()
  const client = new Client(port)
  const body = JSON.stringify(reading)
  const fields = `Host: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`
  await client.send(`POST /v1/txn HTTP/1.1\r\n${fields}\r\n\r\n${body}`)
  await release.next()
  const { bodyBytes } = http.inspect()
  expect(bodyBytes).toBeGreaterThan(58_000)
  expect(bodyBytes).toBeLessThan(62_000)
  expect((await post(served, reading)).json).toMatchObject({ status: 429, code: 'overloaded' })
  client.reset()
  await until(served, () => http.inspect().bodyBytes < 31_000)
  letFirst()
  expect((await first).status).toBe(200)
  node.hold = undefined
  expect((await post(served, reading, '?max_staleness=5s')).json.code).toBe('bad_request')
  expect(http.inspect().bodyBytes).toBe(0)
})

test('a read reserves room for what it has read, and releases it', async () => {
  const served = await serve()
  const { node, http } = served
  for (const key of ['a', 'b']) node.put(key, 'v'.repeat(400))
  const taken: number[] = []
  node.onSlice = () => taken.push(http.inspect().answerBytes)
  expect((await post(served, { success: [get({ key: 'a' }), get({ key: 'b' })] })).status).toBe(200)
  expect(taken).toEqual([0, 401])
  expectAtRest(served)
})
