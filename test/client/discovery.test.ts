// How a client learns the other nodes: how often it asks, which lists it accepts, and that it does so beside the calls.
// Its clock stands still unless a test advances it.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { Client } from '../../src/client/index.ts'
import { type Fault, memberJson, type RelayedNode } from './relayed-node.ts'
import { clientOf, failure, fake, freezeTime, noLeader } from './with-fakes.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const lists = (node: RelayedNode) => node.seen.filter((seen) => seen.target === '/v1/cluster')
/** `expect.poll` would advance the time. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await nextTurn()
}
const atRest = (kv: Client) => until(() => kv[inspect]().requests === 0)
const clusterBody = (members: readonly unknown[]) => ({
  ...{ cluster_id: '77', leader: 'n1', term: 3, joint: false, members },
})
const member = (name: string, at: number) => memberJson(name, `http://127.0.0.1:${at}`)

test.each([undefined, true])(
  'with discover: %s the list of members is requested after an answer',
  async (discover) => {
    const node = await fake()
    node.members = [member('n1', node.port), member('n2', 2)]
    const kv = new Client({ endpoints: [node.url], discover })
    onTestFinished(() => kv.close())
    await kv.put('k', 'v')
    await until(() => kv.endpoints.length === 2)
    expect(kv.endpoints).toEqual([node.url, 'http://127.0.0.1:2'])
    const [asked] = lists(node)
    expect(asked).toMatchObject({ method: 'GET', headers: { 'kv-cluster': '77' } })
    expect(asked?.headers).not.toHaveProperty('idempotency-key')
  },
)

test('every thirty seconds at most, while all is well', async () => {
  const node = await fake()
  const kv = clientOf([node], { discover: true })
  for (let round = 1; round <= 3; round++) {
    for (let n = 0; n < 3; n++) {
      await kv.get('k')
      await atRest(kv)
    }
    expect(lists(node).length).toBe(round)
    vi.advanceTimersByTime(29_999)
    await kv.get('k')
    await atRest(kv)
    expect(lists(node).length).toBe(round)
    vi.advanceTimersByTime(1)
  }
})

const bad: [string, (node: RelayedNode) => Fault][] = [
  ['is cut', () => 'cut'],
  [
    'has another status',
    (node) => ({ status: 201, body: clusterBody([member('n2', node.port), member('n3', 3)]) }),
  ],
  [
    'is a refusal',
    (node) => ({
      status: 503,
      body: { code: 'x', ...clusterBody([member('n2', node.port), member('n3', 3)]) },
    }),
  ],
  ['has no members', () => ({ status: 200, body: {} })],
  ['is no JSON', () => ({ status: 200, body: '<html>' })],
]

test.each(bad)('a list that %s is ignored, and requested again after a second', async (_, fault) => {
  const node = await fake()
  const kv = clientOf([node], { discover: true })
  node.fault = ({ target }) => (target === '/v1/cluster' ? fault(node) : undefined)
  for (let round = 1; round <= 3; round++) {
    await kv.get('k')
    await until(() => lists(node).length === round)
    await atRest(kv)
    expect(kv.endpoints).toEqual([node.url])
    vi.advanceTimersByTime(999)
    await kv.get('k')
    await atRest(kv)
    expect(lists(node).length).toBe(round)
    vi.advanceTimersByTime(1)
  }
})

test('after a failed call it is requested a second later', async () => {
  const node = await fake()
  const kv = clientOf([node], { discover: true })
  await kv.get('k')
  await atRest(kv)
  node.faults.push('cut')
  await kv.get('k')
  await atRest(kv)
  expect(lists(node).length).toBe(1)
  vi.advanceTimersByTime(999)
  await kv.get('k')
  await atRest(kv)
  expect(lists(node).length).toBe(1)
  vi.advanceTimersByTime(1)
  await kv.get('k')
  await atRest(kv)
  expect(lists(node).length).toBe(2)
})

test('but not later than without the failure', async () => {
  const node = await fake()
  const kv = clientOf([node], { discover: true })
  await kv.get('k')
  await atRest(kv)
  vi.advanceTimersByTime(29_500)
  node.faults.push('cut')
  await kv.get('k')
  await atRest(kv)
  vi.advanceTimersByTime(500)
  await kv.get('k')
  await atRest(kv)
  expect(lists(node).length).toBe(2)
})

test('the list of another cluster is rejected', async () => {
  const node = await fake()
  const kv = clientOf([node], { discover: true })
  node.fault = ({ target }) => {
    if (target !== '/v1/cluster') return undefined
    return { status: 200, body: clusterBody([member('n2', 2)]), headers: { 'kv-cluster': '78' } }
  }
  await kv.get('k')
  await until(() => lists(node).length === 1)
  await atRest(kv)
  expect(kv.endpoints).toEqual([node.url])
})

test('members with an invalid address are left out; removed ones are forgotten, except those given', async () => {
  const node = await fake()
  const kv = clientOf([node], { discover: true })
  const known = async () => {
    await kv.get('k')
    await atRest(kv)
    vi.advanceTimersByTime(30_000)
    return kv.endpoints
  }
  node.members = [memberJson('n2', 'nowhere'), memberJson('n3', 'ftp://127.0.0.1:3'), member('n4', 4)]
  expect(await known()).toEqual([node.url, 'http://nowhere', 'http://127.0.0.1:4'])
  node.members = [member('n1', node.port), member('n5', 5), member('n6', 5), memberJson('n7', '')]
  expect(await known()).toEqual([node.url, 'http://127.0.0.1:5'])
  node.members = []
  expect(await known()).toEqual([node.url, 'http://127.0.0.1:5'])
})

// A node that was removed while it was off comes back. It has the id of the cluster, and names only nodes that no
// longer exist.
test('the list of a node without a leader removes no endpoint, and the next node is asked a second later', async () => {
  const [removed, other] = [await fake(), await fake('n2')]
  other.members = [member('n2', other.port)]
  removed.members = other.members
  const kv = clientOf([removed], { discover: true, timeoutMs: 3_600_000 })
  await kv.get('k')
  await atRest(kv)
  removed.leader = undefined
  removed.members = [member('n1', removed.port), member('n3', 3)]
  removed.fault = ({ target }) => (target === '/v1/cluster' ? undefined : noLeader)
  const all = [removed.url, other.url, 'http://127.0.0.1:3']
  while (lists(removed).length < 3) {
    vi.advanceTimersByTime(30_000)
    await kv.get('k')
    await atRest(kv)
    expect(all).toEqual(expect.arrayContaining([...kv.endpoints]))
    expect(kv.endpoints).toContain(other.url)
  }
  const asked = lists(other).length
  vi.advanceTimersByTime(1_000)
  removed.fault = () => 'cut'
  await kv.get('k')
  await atRest(kv)
  expect(lists(other).length).toBe(asked + 1)
  expect(kv.endpoints).toEqual([removed.url, other.url])
})

test('an endpoint that is learned again keeps its state', async () => {
  freezeTime()
  const [node, stuck] = [await fake(), await fake('n2')]
  node.members = [member('n1', node.port), member('n2', stuck.port)]
  stuck.fault = ({ target }) => (target === '/v1/cluster' ? undefined : 'cut')
  const kv = clientOf([node], { discover: true })
  await kv.get('k')
  await until(() => kv.endpoints.length === 2)
  await atRest(kv)
  for (let n = 0; n < 3; n++) await kv.get('k')
  expect(stuck.asked.length).toBe(1)
  // No list is requested in this time, and the pause of the circuit breaker is not longer than this.
  vi.advanceTimersByTime(99)
  for (let n = 0; n < 3; n++) await kv.get('k')
  expect(stuck.asked.length).toBe(1)
})

test('a client that is closed asks no more, and what it asks ends', async () => {
  const node = await fake()
  const kv = clientOf([node], { discover: true })
  node.fault = ({ target }) => (target === '/v1/cluster' ? 'hang' : undefined)
  await kv.get('k')
  await until(() => lists(node).length === 1)
  expect(kv[inspect]().requests).toBe(1)
  await kv.close()
  await atRest(kv)
  await until(() => node.connections === 0)
  const other = clientOf([node], { discover: true })
  await failure(other.get('k', { onAnswer: () => void other.close() })).catch(() => {})
  await atRest(other)
  await until(() => node.connections === 0)
})
