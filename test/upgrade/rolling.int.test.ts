// A cluster of the version before is upgraded node by node while clients read and write.

import { expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { CLUSTER_VERSION } from '../../src/kv/index.ts'
import { eventually, freePorts, KV, outcomeOf, Workspace } from '../local/kv.ts'
import { unpack } from './old-program.ts'

const NODES = ['n1', 'n2', 'n3']

interface Upgrading {
  readonly space: Workspace
  readonly peers: number
}

type Json = Record<string, never>

async function fetchJson(url: string, init?: RequestInit): Promise<{ status: number; json: Json }> {
  const answer = await fetch(url, init)
  return { status: answer.status, json: JSON.parse(await answer.text()) }
}

const urlOf = ({ space }: Upgrading, at: number): string => `http://127.0.0.1:${space.port + at}`

/** Starts a node with the program that the workspace has now. */
function startNode(cluster: Upgrading, at: number, ...how: string[]) {
  const { space, peers } = cluster
  const addresses = ['--listen', `127.0.0.1:${space.port + at}`, '--peer-listen', `127.0.0.1:${peers + at}`]
  const name = NODES[at] ?? ''
  const child = space.spawn('node', 'start', '--name', name, '--data', name, ...addresses, ...how)
  return { child, ended: outcomeOf(child) }
}

const isReady = (cluster: Upgrading, at: number): Promise<boolean> =>
  eventually(async () => (await fetch(`${urlOf(cluster, at)}/readyz`).catch(() => undefined))?.status === 200)

const post = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify(body),
})

test('node by node, under load: no call fails, nothing is lost, and history begins', async () => {
  const space = await Workspace.open()
  const cluster = { space, peers: await freePorts(3) }
  space.program = unpack(space)
  const nodes = [startNode(cluster, 0, '--bootstrap')]
  await isReady(cluster, 0)
  for (const at of [1, 2]) {
    nodes.push(startNode(cluster, at, '--join', urlOf(cluster, 0)))
    await isReady(cluster, at)
  }
  await eventually(async () => {
    const { json } = await fetchJson(`${urlOf(cluster, 0)}/v1/cluster`)
    return (
      (json.members as { role: string }[] | undefined)?.filter(({ role }) => role === 'voter').length === 3
    )
  })

  const endpoints = NODES.map((_, at) => urlOf(cluster, at))
  await using kv = new Client({ endpoints, timeoutMs: 30_000 })
  await kv.put('before', 'of the old version')
  await kv.put('deleted', 'soon')

  // Each writer counts in a key of its own; the version of the key says whether a write was lost or made twice.
  let isOver = false
  let calls = 0
  const last = new Map<string, number>()
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    const key = `counter/${writer}`
    for (let n = 1; !isOver; n++) {
      const { version } = await kv.put(key, String(n))
      expect(version).toBe(n)
      last.set(key, n)
      expect((await kv.get(key))?.text()).toBe(String(n))
      calls += 2
    }
  })
  const someCalls = (): Promise<boolean> => {
    const until = calls + 100
    return eventually(() => calls > until)
  }
  const [txn] = [{ success: [{ put: { key: 'txn', value: '1' } }] }]

  await someCalls()
  for (const [at, old] of nodes.entries()) {
    old.child.kill('SIGTERM')
    expect((await old.ended).code).toBe(0)
    space.program = KV
    nodes[at] = startNode(cluster, at)
    await isReady(cluster, at)
    if (at === 0) {
      // The others do not know transactions yet.
      const { status, json } = await fetchJson(`${urlOf(cluster, at)}/v1/txn`, post(txn))
      expect({ status, json }).toMatchObject({ status: 503, json: { code: 'not_ready' } })
      expect(json.detail).toContain('cluster version 3')
    }
    await someCalls()
  }

  // Raised by the leader, when all nodes know it.
  await eventually(async () => {
    const all = await Promise.all(endpoints.map((url) => fetchJson(`${url}/v1/status`)))
    return all.every(({ json }) => json.cluster_version === CLUSTER_VERSION)
  })
  const { json: done } = await fetchJson(`${urlOf(cluster, 0)}/v1/txn`, post(txn))
  expect(done).toMatchObject({ succeeded: true })
  await kv.delete('deleted')
  const before = done.revision
  await someCalls()
  isOver = true
  await Promise.all(writers)

  // As it was at that revision: a key that has not been changed since before the upgrade, and one deleted after it.
  for (const url of endpoints) {
    const at = (key: string) =>
      fetch(`${url}/v1/kv/${key}?revision=${before}`).then((answer) => answer.text())
    expect(await Promise.all(['before', 'deleted', 'txn'].map(at))).toEqual([
      'of the old version',
      'soon',
      '1',
    ])
    expect((await fetch(`${url}/v1/kv/deleted`)).status).toBe(404)
  }
  for (const [key, n] of last) expect((await kv.get(key))?.version).toBe(n)
  const states = await eventually(async () => {
    const all = await Promise.all(endpoints.map((url) => fetchJson(`${url}/v1/status`)))
    const found = all.map(({ json }) => `${json.applied_index} ${json.state_hash}`)
    return new Set(all.map(({ json }) => json.applied_index)).size === 1 && found
  })
  expect(new Set(states).size).toBe(1)

  for (const { child, ended } of nodes) {
    child.kill('SIGTERM')
    expect((await ended).code).toBe(0)
  }
})
