// All resources are released, in a real cluster: after writes, reads, lists, a failed transfer of leadership and a
// crash, no work is in flight.

import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { COUNTER_BOUNDS, counterName } from '../../jepsen-lite/sim/oracle/counter-bounds.ts'
import type { Founding } from '../../src/server/options.ts'
import type { ServingNode } from '../../src/server/start/start-node.ts'
import { startNode } from '../../src/server/start/start-node.ts'

const dir = mkdtempSync(join(tmpdir(), 'quorate-rest-'))
const nodes = new Map<string, ServingNode>()
afterAll(async () => {
  for (const node of nodes.values()) await node.stop()
  rmSync(dir, { recursive: true, force: true })
})

const start = async (name: string, founding: Founding): Promise<ServingNode> => {
  const address = { host: '127.0.0.1', port: 0 }
  const node = await startNode({
    name,
    dataDir: join(dir, name),
    listen: address,
    peerListen: address,
    founding,
  })
  nodes.set(name, node)
  return node
}

/** Separate connections, which a test can close. */
const agent = new Agent({ keepAlive: true })
function ask(node: ServingNode, method: string, path: string, body?: string): Promise<number> {
  const answered = new Promise<number>((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const asking = request(`${node.url}${path}`, { method, agent, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
    })
    asking.on('error', reject).end(body)
  })
  // The request to a node that crashes may fail before the test awaits it.
  answered.catch(() => {})
  return answered
}

async function until(reached: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await reached())) await pause(10)
}

test('a cluster at rest has nothing under way, whatever it has been through', async () => {
  const first = await start('n1', { kind: 'bootstrap' })
  for (const name of ['n2', 'n3']) await start(name, { kind: 'join', urls: [first.url], replace: false })
  const all = (): ServingNode[] => [...nodes.values()]
  await until(() => all().every(({ api }) => api.status().notReady.length === 0))

  const asked: Promise<number>[] = []
  for (let count = 0; count < 150; count++) {
    const node = all()[count % 3]
    if (node === undefined) throw new Error('three nodes')
    asked.push(ask(node, 'PUT', `/v1/kv/k${count % 20}`, 'x'.repeat(count * 50)))
    asked.push(ask(node, 'GET', `/v1/kv/k${count % 20}`))
    if (count % 30 === 0) asked.push(ask(node, 'GET', '/v1/kv?limit=5&count=true'))
  }
  // The leader crashes during the requests, and the cluster has no leader for a moment.
  const leader = all().find(({ api }) => api.status().raft.role === 'leader')
  const name = leader?.api.name ?? ''
  await leader?.crash()
  nodes.delete(name)
  for (const node of all()) {
    asked.push(ask(node, 'PUT', '/v1/kv/parked', 'x'))
    asked.push(ask(node, 'GET', '/v1/kv/parked'))
    asked.push(ask(node, 'POST', '/v1/cluster/leader?timeout=1s', JSON.stringify({ to: name })))
  }
  await Promise.allSettled(asked)
  await start(name, { kind: 'existing' })
  await until(() => all().every(({ api }) => api.status().notReady.length === 0))
  agent.destroy()

  // docs/reference/limits.md has the bounds.
  const counters = new Set<string>()
  const collect = () => {
    for (const node of all()) for (const name of Object.keys(node.inspect())) counters.add(counterName(name))
  }
  // A leader has counters of its own, and a busy machine may have none for a moment.
  await until(() => {
    collect()
    return all().some(({ api }) => api.status().raft.role === 'leader')
  })
  expect([...counters].sort()).toEqual(Object.keys(COUNTER_BOUNDS).sort())

  // Heartbeats continue, so each number must be 0 at one of several moments.
  const owed = all().map((node) => ({ node, names: new Set(Object.keys(node.inspect())) }))
  const until0 = performance.now() + 20_000
  while (owed.some(({ names }) => names.size > 0) && performance.now() < until0) {
    for (const { node, names } of owed) {
      const underWay = node.inspect()
      for (const name of names) if (!underWay[name]) names.delete(name)
    }
    await pause(3)
  }
  expect(owed.map(({ node, names }) => [...names].map((one) => `${one} ${node.inspect()[one]}`))).toEqual([
    [],
    [],
    [],
  ])
})
