// The program on the port may be no node, and may violate HTTP. Each call ends all the same, says what is certain, and
// leaves nothing behind.

import { describe, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import {
  type Client,
  type ListOptions,
  PreconditionFailedError,
  QuorateError,
  UnavailableError,
} from '../../src/client/index.ts'
import type { HttpOutcome } from '../../src/client/transport/http-transport.ts'
import { memberJson, problem } from './relayed-node.ts'
import { answered, CUT, errorOf, refusal, scripted } from './scripted-transport.ts'
import { answering, clientOf, failure, fake, freezeTime } from './with-fakes.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }
async function all<T>(records: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const record of records) found.push(record)
  return found
}

const HEAD = 'HTTP/1.1 200 OK\r\nKv-Cluster: 77\r\nKv-Revision: 1\r\n'
const UPGRADE = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

const answers: [string, string, boolean][] = [
  ['another protocol', UPGRADE, true],
  ['another protocol, and closes', UPGRADE, false],
  ['nothing', '', true],
  ['nothing, and closes', '', false],
  ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n', true],
  ['a part of the headers', HEAD, false],
  ['half a body', `${HEAD}Content-Length: 100\r\n\r\n{"revision":`, false],
  ['half a body, and then nothing', `${HEAD}Content-Length: 100\r\n\r\n{"revision":`, true],
  ['broken chunks', `${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{}zz`, true],
  ['a body without an end', `${HEAD}\r\n{"revision":`, false],
  ['two answers', `${HEAD}Content-Length: 2\r\n\r\n[]${HEAD}Content-Length: 2\r\n\r\n[]`, true],
  ['a promise of more', 'HTTP/1.1 100 Continue\r\n\r\n', true],
  ['a redirection', 'HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n', true],
]

test.each(answers)('%s', async (_, text, staysOpen) => {
  const { url, connections } = await answering(text, { staysOpen })
  const kv = clientOf([url], { timeoutMs: 25 })
  for (let round = 0; round < 2; round++) {
    expect(await failure(kv.get('a'))).toMatchObject({ written: 'no' })
    expect(await failure(kv.list({ snapshot: true }).next())).toMatchObject({ written: 'no' })
    // Some of these answers tell a cluster and a revision. Then the write itself has left.
    expect(await failure(kv.put('a', '1'))).toBeInstanceOf(QuorateError)
    await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
  }
  const waiting = failure(kv.get('a', { timeoutMs: 3_600_000 }))
  await kv.close()
  await waiting
  await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
  await expect.poll(connections).toBe(0)
})

describe('a list whose pages', () => {
  const record = (key: string) => ({ key, value: 'v', create_revision: 2, mod_revision: 2, version: 1 })
  const [a, b, c] = [record('a'), record('b'), record('c')]
  const pages: [string, ListOptions, ...object[]][] = [
    ['begin again', {}, { kvs: [a], more: true, next: 'a' }, { kvs: [a], more: true, next: 'a' }],
    ['are empty', {}, { kvs: [], more: true, next: 'a' }],
    ['do not say whether there is more', {}, { kvs: [a] }],
    ['say so in another way', {}, { kvs: [a], more: 'yes', next: 'a' }],
    ['go on elsewhere than behind the last key', {}, { kvs: [a, b], more: true, next: 'a' }],
    ['do not say where they go on', {}, { kvs: [a], more: true }],
    ['have more records than asked for', { limit: 1 }, { kvs: [a, b], more: false }],
    ['have a key twice', {}, { kvs: [a, a], more: false }],
    ['are in the wrong order', {}, { kvs: [b, a], more: false }],
    ['are in the wrong order (desc)', { order: 'desc' }, { kvs: [a, b], more: false }],
    ['overlap', {}, { kvs: [a, c], more: true, next: 'c' }, { kvs: [b], more: false }],
  ]
  test.each(pages)('%s is refused', async (_, options, ...bodies) => {
    const node = await fake()
    const kv = clientOf([node])
    for (let round = 0; round < 2; round++) {
      const left = [...bodies]
      node.fault = () => ({ status: 200, body: left.shift() ?? { kvs: [], more: false } })
      const error = await failure(all(kv.list(options)))
      expect(error).toMatchObject({ code: 'unexpected_answer', written: 'no', endpoint: node.url })
      expect(left).toEqual([])
    }
  })

  test.each([
    ['a key twice', {}, ['a', 'a']],
    ['the wrong order', {}, ['b', 'a']],
    ['the wrong order (desc)', { order: 'desc' }, ['a', 'b']],
  ] as const)('so is a stream with %s', async (_, options, keys) => {
    const lines = [...keys.map(record), { end: true, count: keys.length, revision: 2 }]
    const body = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
    const { url } = await answering(`${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`, {
      staysOpen: true,
    })
    const error = await failure(all(clientOf([url]).list({ ...options, snapshot: true })))
    expect(error).toMatchObject({ code: 'unexpected_answer', written: 'no', endpoint: url })
  })
})

test.each(['99999999999999999999999', '9007199254740992', '2.5', '9'.repeat(400)])(
  'a revision of %s is none',
  async (revision) => {
    const node = await fake()
    node.set('a', '1')
    const kv = clientOf([node])
    node.faults.push({ status: 404, body: { code: 'not_found' }, headers: { 'kv-revision': revision } })
    expect(await kv.get('a')).toBeUndefined()
    expect(kv.revision).toBe(0)
    expect((await kv.get('a'))?.text()).toBe('1')
    expect(await kv.put('a', '2')).toMatchObject({ version: 2 })
    node.fault = () => ({ status: 200, body: { revision: Number(revision.slice(0, 30)), deleted: 1 } })
    expect(await failure(kv.delete('a'))).toMatchObject({ code: 'unexpected_answer', written: 'unknown' })
  },
)

/** The answer of a program that is no node. */
const pageOf = (status: number, text: string): HttpOutcome => ({
  ...{ kind: 'answered', status, headers: { 'content-type': 'text/html' }, body: Buffer.from(text) },
})

test.each([502, 503, 504])(
  'a proxy that answers %d: the class of the error does not say more than it knows',
  async (status) => {
    freezeTime()
    let answer = pageOf(status, '<html>bad gateway</html>')
    const { kv } = scripted(1, () => answer)
    for (const call of [() => kv.put('a', '1'), () => kv.delete('a'), () => kv.changeSettings({})]) {
      const error = await errorOf(call())
      expect(error).toMatchObject({ code: 'unexpected_answer', written: 'unknown', status })
      expect(error).not.toBeInstanceOf(UnavailableError)
    }
    expect(await errorOf(kv.get('a'))).toMatchObject({ name: 'QuorateError', written: 'no', status })
    answer = refusal(503, 'no_quorum', { retry_after_ms: 3_600_000 })
    expect(await errorOf(kv.put('a', '1'))).toBeInstanceOf(UnavailableError)
  },
)

test.each([
  [{ leases: [], more: true }],
  [
    { leases: ['8'], more: true, next: '8' },
    { leases: [], more: true },
  ],
  [
    { leases: ['8'], more: true, next: '8' },
    { leases: ['8'], more: true, next: '8' },
  ],
  [
    { leases: ['10'], more: true, next: '10' },
    { leases: ['9'], more: true, next: '9' },
  ],
])('leases of which more are promised than come are not taken for all: %j', async (...pages) => {
  const node = await fake()
  const bodies = pages.map(({ leases, ...page }) => ({
    leases: leases.map((id) => ({ id, granted_ttl_ms: 5_000, remaining_ttl_ms: 4_000 })),
    ...page,
  }))
  node.fault = () => ({ status: 200, body: bodies.shift() ?? { leases: [], more: false } })
  const error = await failure(all(clientOf([node], { discover: false }).leases()))
  expect(error).toMatchObject({ code: 'unexpected_answer', written: 'no', endpoint: node.url })
  expect(bodies).toEqual([])
})

test.each([408, 409, 412, 421, 499])(
  'a proxy that answers %d with a code of its own does not know what became of a write',
  async (status) => {
    const node = await fake()
    const headers = { 'kv-cluster': '' }
    const kv = clientOf([node])
    await kv.get('a')
    for (const code of ['request_timeout', 'storage_full', 'no_leader']) {
      node.faults.push({ ...problem(status, code, 'the request took too long'), headers })
      const error = await failure(kv.put('k', 'v'))
      expect(error).toMatchObject({ code: 'unexpected_answer', written: 'unknown', endpoint: node.url })
      node.faults.push({ ...problem(status, code, 'the request took too long'), headers })
      expect(await failure(kv.get('k'))).toMatchObject({ code: 'unexpected_answer', written: 'no' })
    }
  },
)

test.each(['overloaded', 'bad_request'])(
  'a node that refuses a connection (%s) names no cluster, and nothing was written',
  async (code) => {
    freezeTime()
    const { kv } = scripted(1, () => answered(429, { type: `urn:quorate:problem:${code}`, code }, ''))
    expect(await errorOf(kv.put('k', 'v'))).toMatchObject({ code, written: 'no' })
  },
)

const change: Record<string, (kv: Client) => Promise<unknown>> = {
  addMember: (kv) => kv.addMember(MEMBER),
  removeMember: (kv) => kv.removeMember('n2'),
  replaceMember: (kv) => kv.replaceMember('n2', MEMBER),
  transferLeader: (kv) => kv.transferLeader('n2'),
  changeSettings: (kv) => kv.changeSettings({ value_bytes_max: 9 }),
}
const MEMBER = { name: 'n9', replicaId: '9', peer: '127.0.0.1:9', url: 'http://127.0.0.1:9' }

test.each(Object.keys(change))('%s is done only when a node says so', async (name) => {
  const node = await fake()
  node.members = [memberJson('n1', node.url), memberJson('n2', node.url)]
  const kv = clientOf([node])
  await kv.get('a')
  for (const [status, body] of [
    [302, '<html>log in</html>'],
    [204, ''],
    [200, '<html>welcome</html>'],
    [200, {}],
  ] as const) {
    node.faults.push({ status, body })
    const error = await failure(change[name]?.(kv) ?? Promise.resolve())
    expect(error).toMatchObject({ code: 'unexpected_answer', written: 'unknown', endpoint: node.url })
  }
  await change[name]?.(kv)
})

test('an answer without a cluster is not from a node: neither a result nor a 404 counts', async () => {
  const node = await fake()
  node.set('k', 'v')
  const headers = { 'kv-cluster': '' }
  const kv = clientOf([node])
  const calls: [unknown, () => Promise<unknown>][] = [
    [problem(404, 'not_found', 'no such page'), () => kv.get('k')],
    [
      { status: 200, body: { key: 'k', value: 'w', create_revision: 1, mod_revision: 1, version: 1 } },
      () => kv.get('k'),
    ],
    [{ status: 200, body: { kvs: [], more: false } }, () => all(kv.list())],
    [{ status: 200, body: { count: 0 } }, () => kv.count()],
    [{ status: 200, body: { ok: true } }, () => kv.settings()],
  ]
  for (const [answer, call] of calls) {
    node.faults.push({ ...(answer as { status: number; body: unknown }), headers })
    expect(await failure(call())).toMatchObject({
      code: 'unexpected_answer',
      written: 'no',
      endpoint: node.url,
    })
  }
  node.faults.push({ status: 200, body: { end: true, count: 0 }, headers })
  expect(await failure(all(kv.list({ snapshot: true })))).toMatchObject({ written: 'no', endpoint: node.url })
  expect((await kv.get('k'))?.text()).toBe('v')
})

describe('where another program has taken the address of a node', () => {
  const page = '<html>welcome</html>'
  const pages: [number, unknown][] = [
    [200, page],
    [200, { ok: true }],
    [204, ''],
    [302, page],
    [403, page],
    [404, page],
    [404, { code: 'not_found' }],
    [403, { code: 'forbidden' }],
    [409, { code: 'conflict', status: 409, detail: 'the account is locked' }],
    [400, { code: 'bad_request' }],
    [400, { type: 'about:blank', code: 'bad_request', detail: 'no such parameter' }],
    [401, { code: 'unauthenticated' }],
    [503, { code: 'overloaded' }],
    [429, { code: 'rate_limited' }],
    [502, { code: 'bad_gateway' }],
    [500, page],
  ]
  const strange = (status: number, body: unknown) => () => ({ status, body, headers: { 'kv-cluster': '' } })

  test.each(pages)('and answers %d %j, the others are asked', async (status, body) => {
    freezeTime()
    const [foreign, node] = [await fake('n9'), await fake()]
    foreign.fault = strange(status, body)
    const calls: ((kv: Client) => Promise<unknown>)[] = [
      (kv) => kv.put('k', 'v'),
      (kv) => kv.get('k'),
      (kv) => kv.get('none'),
      (kv) => all(kv.list()),
      (kv) => all(kv.list({ snapshot: true })),
      (kv) => kv.count(),
      (kv) => kv.settings(),
      (kv) => kv.delete('k'),
    ]
    const results: unknown[][] = []
    for (const endpoints of [[node], [foreign, node], [foreign, node], [foreign, node]]) {
      const told: unknown[] = []
      for (const call of calls) {
        // A new client, which may begin with either endpoint.
        const kv = clientOf(endpoints)
        told.push(JSON.stringify(await call(kv), (name, value) => (/revision/i.test(name) ? 0 : value)))
        await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
      }
      results.push(told)
    }
    for (const told of results) expect(told).toEqual(results[0])
    expect(foreign.contents).toEqual({})
  })

  // The error of a node that may answer later does not rule out another try.
  test.each<[string, HttpOutcome]>([
    ['unexpected_answer', pageOf(200, page)],
    ['outcome_unknown', refusal(503, 'no_quorum', { retry_after_ms: 3_600_000 })],
    ['outcome_unknown', CUT],
  ])('and no other node is left, the outcome of a write is unknown: %s (%#)', async (code, rest) => {
    freezeTime()
    const { kv } = scripted(2, (at) => (at === 0 ? pageOf(404, page) : rest))
    expect(await errorOf(kv.put('k', 'v'))).toMatchObject({ written: 'unknown', code })
    expect(await errorOf(kv.get('k'))).toMatchObject({ written: 'no' })
  })
})

describe('an answer to another question', () => {
  const record = (key: string) => ({ key, value: 'v', create_revision: 2, mod_revision: 2, version: 1 })

  test('is no record of the key', async () => {
    const node = await fake()
    const kv = clientOf([node])
    node.faults.push({ status: 200, body: record('other') })
    const error = await failure(kv.get('k'))
    expect(error).toMatchObject({ code: 'unexpected_answer', written: 'no', endpoint: node.url })
  })

  test.each<[ListOptions, string[]]>([
    [{ prefix: 'b' }, ['a']],
    [{ prefix: 'b' }, ['b', 'c']],
    [{ start: 'b' }, ['az']],
    [{ end: 'b' }, ['a', 'b']],
    [{ start: 'b', end: 'c' }, ['b', 'ba', 'c']],
  ])('is no page and no stream of %j', async (options, keys) => {
    const page = { kvs: keys.map(record), more: false }
    const lines = [...keys.map(record), { end: true, count: keys.length, revision: 2 }]
    const node = await fake()
    const kv = clientOf([node])
    node.faults.push({ status: 200, body: page })
    expect(await failure(all(kv.list(options)))).toMatchObject({ code: 'unexpected_answer', written: 'no' })
    const body = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
    const { url } = await answering(`${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`, {
      staysOpen: true,
    })
    const error = await failure(all(clientOf([url]).list({ ...options, snapshot: true })))
    expect(error).toMatchObject({ code: 'unexpected_answer', written: 'no', endpoint: url })
  })
})

test.each([{}, { current: {} }, { current: 'k' }, { current: { key: 'k', mod_revision: 2 } }])(
  'a condition that failed without the record, as in %j, does not say that nothing was written',
  async (more) => {
    const node = await fake()
    const kv = clientOf([node])
    await kv.get('a')
    node.faults.push('cut-after', problem(412, 'precondition_failed', 'it is at revision 7', more))
    const error = await failure(kv.put('k', 'v', { ifAbsent: true }))
    expect(node.contents).toEqual({ k: 'v' })
    expect(error.written).toBe('unknown')
    node.faults.push(problem(412, 'precondition_failed', 'it is at revision 7', more))
    expect(await failure(kv.put('k', 'w', { ifAbsent: true }))).toMatchObject({
      code: 'unexpected_answer',
      written: 'unknown',
      endpoint: node.url,
    })
    expect(await failure(kv.put('k', 'w', { ifAbsent: true }))).toBeInstanceOf(PreconditionFailedError)
  },
)
