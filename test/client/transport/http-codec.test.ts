// The requests of each function of the client, their retries, and the callbacks.

import { once } from 'node:events'
import { describe, expect, test, vi } from 'vitest'
import { inspect } from '../../../src/client/client.ts'
import { type Client, type ClusterInfo, OutcomeUnknownError } from '../../../src/client/index.ts'
import { memberJson, problem, type RelayedNode } from '../relayed-node.ts'
import { clientOf, failure, fake, freezeTime } from '../with-fakes.ts'

const MEMBER = { name: 'n4', replicaId: '9', peer: '127.0.0.1:4', url: 'http://127.0.0.1:5' }
const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }

async function drained(records: AsyncIterable<unknown>): Promise<number> {
  let count = 0
  for await (const _ of records) count += 1
  return count
}

/** A node of a cluster whose members may be changed. */
async function oneOfFour(): Promise<RelayedNode> {
  const node = await fake()
  node.members = fourMembers(node)
  return node
}

const fourMembers = ({ url }: RelayedNode) => ['n1', 'n2', 'n3', 'n4'].map((name) => memberJson(name, url))

type Calls = [name: string, call: (kv: Client) => Promise<unknown>][]
const reads: Calls = [
  ['get', (kv) => kv.get('k')],
  ['list', (kv) => drained(kv.list())],
  ['list of a snapshot', (kv) => drained(kv.list({ snapshot: true }))],
  ['count', (kv) => kv.count()],
  ['status', (kv) => kv.status()],
  ['cluster', (kv) => kv.cluster()],
  ['members', (kv) => kv.members()],
  ['leader', (kv) => kv.leader()],
  ['settings', (kv) => kv.settings()],
]
const writes: Calls = [
  ['put', (kv) => kv.put('k', 'v')],
  ['delete', (kv) => kv.delete('k')],
  ['changeSettings', (kv) => kv.changeSettings({ value_bytes_max: 99 })],
]
const changes: Calls = [
  ['addMember', (kv) => kv.addMember(MEMBER)],
  ['removeMember', (kv) => kv.removeMember('n4')],
  ['replaceMember', (kv) => kv.replaceMember('n3', MEMBER)],
  ['transferLeader', (kv) => kv.transferLeader()],
  ['the switch of leader leases', (kv) => kv.changeSettings({ value_bytes_max: 99, leases: { on: true } })],
]

/** The parts of a request that tests look at. */
const sent = ({ seen }: RelayedNode) =>
  seen.map(({ method, target, headers, body }) => {
    const { accept, 'content-type': type, 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers
    const set = Object.entries({ accept, type, ifMatch, ifNoneMatch }).filter(
      ([, value]) => value !== undefined,
    )
    return [`${method} ${target}`, Object.fromEntries(set), body.toString()]
  })

test('what is sent', async () => {
  const node = await oneOfFour()
  const kv = clientOf([node])
  for (const [, call] of [...reads, ...changes]) await call(kv)
  await kv.transferLeader('n2')
  await kv.put('k', 'v', { ifAbsent: true })
  await kv.put('k', 'v', { ifAbsent: false, ifRevision: 3 })
  await kv.delete('k', { ifRevision: 4 })
  await kv.delete('k')
  const json = { accept: 'application/json' }
  const ofMembers = { type: 'application/json' }
  const member = '{"name":"n4","replica_id":"9","peer":"127.0.0.1:4","url":"http://127.0.0.1:5"}'
  expect(sent(node)).toEqual([
    ['GET /v1/kv/k', json, ''],
    ['GET /v1/kv?limit=1000&min_revision=1', json, ''],
    ['GET /v1/kv?min_revision=1', { accept: 'application/x-ndjson' }, ''],
    ['GET /v1/kv?count_only=true&min_revision=1', json, ''],
    ['GET /v1/status', {}, ''],
    ['GET /v1/cluster', {}, ''],
    ['GET /v1/cluster', {}, ''],
    ['GET /v1/cluster', {}, ''],
    ['GET /v1/cluster/settings', {}, ''],
    ['POST /v1/cluster/members', ofMembers, member],
    ['DELETE /v1/cluster/members/n4', {}, ''],
    ['POST /v1/cluster/members/n3/replace', ofMembers, member],
    ['POST /v1/cluster/leader', ofMembers, '{}'],
    ['POST /v1/cluster/settings', ofMembers, '{"value_bytes_max":99,"leases":{"on":true}}'],
    ['POST /v1/cluster/leader', ofMembers, '{"to":"n2"}'],
    ['PUT /v1/kv/k', { ifNoneMatch: '*' }, 'v'],
    ['PUT /v1/kv/k', { ifMatch: '"3"' }, 'v'],
    ['DELETE /v1/kv/k', { ifMatch: '"4"' }, ''],
    ['DELETE /v1/kv/k', {}, ''],
  ])
  const keys = node.seen.map((seen) => typeof seen.headers['idempotency-key'])
  expect(keys).toEqual([...Array(15).fill('undefined'), ...Array(4).fill('string')])
})

test('the cluster according to a node without a leader', async () => {
  const node = await fake()
  node.leader = undefined
  const kv = clientOf([node])
  const none: Partial<ClusterInfo> = { clusterId: '77', leader: undefined, term: 3 }
  expect(await kv.cluster()).toMatchObject(none)
  expect(await kv.leader()).toBeUndefined()
  expect((await kv.status()).leader).toBeUndefined()
})

test.each(reads)('%s is sent again when it is cut', async (_, call) => {
  const node = await fake()
  node.set('k', 'v')
  const kv = clientOf([node])
  let cuts = 2
  node.fault = () => (cuts-- > 0 ? 'cut' : undefined)
  await call(kv)
  expect(node.seen.length).toBe(3)
  await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
})

test.each(changes)(
  '%s is not sent again once it may have arrived, nor under another name',
  async (_, call) => {
    const node = await oneOfFour()
    const kv = clientOf([node])
    for (const fault of ['cut-after', 'cut'] as const) {
      const { length } = node.seen
      node.faults.push(fault)
      expect(await failure(call(kv))).toBeInstanceOf(OutcomeUnknownError)
      expect(node.seen.length).toBe(length + 1)
    }
    const { length } = node.seen
    node.faults.push(problem(409, 'idempotency_expired', 'too old'))
    expect(await failure(call(kv))).toMatchObject({ code: 'idempotency_expired', written: 'no' })
    expect(node.seen.length).toBe(length + 1)
    node.members = fourMembers(node)
    await call(kv)
  },
)

test('every request names the cluster as soon as it is known', async () => {
  const node = await oneOfFour()
  node.sessions = { ageMs: 900_000, slots: 16 }
  const kv = clientOf([node], { discover: true })
  await kv.put('k', 'v')
  await expect.poll(() => node.seen.map(({ target }) => target)).toEqual(['/v1/kv/k', '/v1/cluster'])
  for (const [, call] of [...reads, ...writes, ...changes]) await call(kv)
  expect(node.seen.map(({ headers }) => headers['kv-cluster'])).toEqual([
    undefined,
    ...node.seen.slice(1).map(() => '77'),
  ])
})

describe('a client that is closed', () => {
  test('does nothing more, whatever is asked', async () => {
    const node = await fake()
    const kv = clientOf([node])
    for (const known of [false, true]) {
      const client = known ? kv : clientOf([node])
      if (known) await client.get('k')
      const { length } = node.seen
      await client[Symbol.asyncDispose]()
      for (const [, call] of [...reads, ...writes, ...changes]) {
        const error = await failure(call(client))
        expect(error).toMatchObject({
          name: 'AbortError',
          code: 'closed',
          written: 'no',
          message: 'the client is closed',
        })
      }
      expect(node.seen.length).toBe(length)
      expect(client[inspect]()).toEqual(AT_REST)
    }
    await expect.poll(() => node.connections).toBe(0)
  })
})

describe('an endpoint of another cluster', () => {
  test('causes one warning with a sentence, by default a warning of the process', async () => {
    freezeTime()
    const [own, other] = [await fake(), await fake('n9')]
    const told: string[] = []
    for (const options of [{ onWarning: (message: string) => void told.push(message) }, {}]) {
      own.clusterId = other.clusterId = '77'
      const kv = clientOf([own, other], options)
      await kv.get('k')
      // It answers all the same.
      other.clusterId = '78'
      other.fault = () => problem(404, 'not_found', 'there is no such key')
      const warned = 'onWarning' in options ? undefined : once(process, 'warning')
      const infos: unknown[] = []
      for (let round = 0; round < 4; round++) {
        const { length } = other.seen
        await kv.get('k', { onAnswer: ({ node }) => void infos.push(node) })
        await kv.get('k', { onAnswer: ({ node }) => void infos.push(node) })
        expect(other.seen.length).toBe(length + 1)
        // Longer than a circuit breaker stays open.
        vi.advanceTimersByTime(5_000)
      }
      expect(infos).toEqual(Array(8).fill('n1'))
      const message = `${other.url} belongs to another cluster (78) than this client (77): left out`
      if (warned === undefined) expect(told).toEqual([message])
      else expect(await warned).toMatchObject([{ name: 'QuorateWarning', message }])
    }
    expect(told.length).toBe(1)
  })
})

test('what is in flight is counted: a call, its request, a probe', async () => {
  const node = await fake()
  const kv = clientOf([node])
  node.faults.push('hang', 'cut', 'hang')
  const put = failure(kv.put('k', 'v'))
  await expect.poll(() => kv[inspect]()).toEqual({ calls: 1, permits: 1, requests: 1, probes: 0 })
  await expect.poll(() => node.seen.length).toBe(1)
  const get = failure(kv.get('k'))
  await expect.poll(() => kv[inspect]()).toEqual({ calls: 2, permits: 2, requests: 2, probes: 1 })
  await kv.close()
  await Promise.all([put, get])
  await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
})
