// Whether a majority of the voters runs, also of voters that were started by hand.

import { createServer } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { checkQuorum } from '../../src/local/cluster/quorum-check.ts'
import type { NodeView } from '../../src/local/node/node-view.ts'

type LocalNode = Parameters<typeof checkQuorum>[0][number]

const voter = (name: string, url = 'http://127.0.0.1:1') => ({ name, url, isVoter: true })
const viewOf = (members: NodeView['members'], term = 1): NodeView => ({
  role: 'follower',
  term,
  leader: undefined,
  notReady: [],
  errors: [],
  members,
})

const local = (name: string, state: 'ready' | 'starting' | 'stopped', view?: NodeView): LocalNode => ({
  name,
  pid: state === 'stopped' ? undefined : 1,
  paused: false,
  ready: state === 'ready',
  busy: false,
  view,
})

/** A node that was started by hand. */
async function otherNode(headers: Record<string, string>, status = 200): Promise<string> {
  const server = createServer((_, response) => response.writeHead(status, headers).end('{}'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}

const three = viewOf([voter('n1'), voter('n2'), voter('n3')])

test.each([
  ['ready', 'ready', 'stopped', 'available'],
  ['ready', 'starting', 'stopped', 'possible'],
  ['ready', 'stopped', 'stopped', 'impossible'],
] as const)('of three local voters: %s, %s and %s', async (one, two, three_, quorum) => {
  const nodes = [local('n1', one, three), local('n2', two), local('n3', three_)]
  expect(await checkQuorum(nodes)).toBe(quorum)
})

test('a node that is left out does not count, and its vote is still needed', async () => {
  const nodes = [local('n1', 'ready', three), local('n2', 'ready', three), local('n3', 'stopped')]
  expect(await checkQuorum(nodes, nodes[2])).toBe('available')
  expect(await checkQuorum(nodes, nodes[1])).toBe('impossible')
})

test('voters that were started by hand count when they answer', async () => {
  const n4 = await otherNode({ 'kv-node': 'n4', 'kv-leader': 'n4' })
  const n5 = await otherNode({ 'kv-node': 'n5' })
  const check = (url4: string, url5: string): Promise<string> => {
    const five = viewOf([...three.members, voter('n4', url4), voter('n5', url5)])
    return checkQuorum([local('n1', 'ready', five), local('n2', 'ready', five), local('n3', 'stopped')])
  }
  const nowhere = 'http://127.0.0.1:1'
  const n4Refusing = await otherNode({ 'kv-node': 'n4', 'kv-leader': 'n4' }, 401)
  expect(await check(n4Refusing, nowhere), 'while rights are checked').toBe('available')
  expect(await check(n4, nowhere)).toBe('available')
  expect(await check(nowhere, n5)).toBe('possible')
  expect(await check(nowhere, nowhere)).toBe('impossible')
  // Another node answers at the URL of n4.
  expect(await check(n5, nowhere)).toBe('impossible')
})

test('learners do not count, and the newest configuration is right', async () => {
  const grown = viewOf([...three.members, { ...voter('n4'), isVoter: false }], 2)
  // A majority of them is gone.
  const old = viewOf([voter('n1'), voter('n8'), voter('n9')], 1)
  const joining = viewOf([], 9)
  const nodes = [local('n1', 'ready', old), local('n2', 'ready', grown), local('n3', 'starting', joining)]
  for (const each of [nodes, nodes.toReversed()]) expect(await checkQuorum(each)).toBe('available')
})

test('before a node has reported the voters, a start may still succeed', async () => {
  expect(await checkQuorum([local('n1', 'starting'), local('n2', 'stopped')])).toBe('possible')
  expect(await checkQuorum([local('n1', 'stopped'), local('n2', 'stopped')])).toBe('impossible')
  expect(await checkQuorum([{ ...local('n1', 'stopped'), busy: true }])).toBe('possible')
})
