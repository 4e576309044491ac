// startCluster, as somebody's integration test uses it.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, expectTypeOf, test } from 'vitest'
import {
  Client,
  type EmbeddedCluster,
  type EmbeddedNode,
  startCluster,
  startNode,
  UnavailableError,
} from '../../src/index.ts'
import { poll } from '../../src/local/poll.ts'

/** Elections do not take most of the time. */
const timing = { heartbeatMs: 40, electionMinMs: 200, electionMaxMs: 400 }

// A separate place for temporary data, so that what is left behind can be seen.
const usual = process.env.TMPDIR
const place = mkdtempSync(join(tmpdir(), 'quorate-embed-'))
const dataDir = join(place, 'kept')
const leftBehind = () => readdirSync(place).filter((name) => name !== 'kept')
let listeners: (string | symbol)[]

/** Each test continues with the cluster that the one before has left. */
let cluster: EmbeddedCluster
beforeAll(async () => {
  process.env.TMPDIR = place
  listeners = process.eventNames()
  cluster = await startCluster({ nodes: 3, dataDir, timing })
})
afterAll(async () => {
  await cluster.close()
  process.env.TMPDIR = usual ?? ''
  rmSync(place, { recursive: true, force: true })
})

test('it serves, and survives a crash of its leader', async () => {
  expect(cluster.endpoints).toHaveLength(3)
  expect(cluster.nodes.map(({ name }) => name)).toEqual(['n1', 'n2', 'n3'])
  const kv = cluster.client()
  await kv.put('greeting', 'hello')

  const leader = defined(cluster.leader())
  expect(await cluster.waitForLeader()).toBe(leader)
  await leader.crash()
  expect(leader.running).toBe(false)
  const next = await cluster.waitForLeader()
  expect(next).not.toBe(leader)
  expect(next.running).toBe(true)
  expect((await kv.get('greeting'))?.text()).toBe('hello')
  await kv.put('greeting', 'again')
  await leader.start()
  const own = cluster.client({ endpoints: [leader.url], discover: false })
  expect((await own.get('greeting'))?.text()).toBe('again')
  expect(process.eventNames()).toEqual(listeners)
})

test('a client that is closed is not kept until its cluster is', async () => {
  const asOneRequest = async (): Promise<WeakRef<Client>> => {
    // However busy the machine is. After a read the put has a date, so that its outcome is learned in any case.
    await using kv = cluster.client({ timeoutMs: 60_000 })
    await kv.get('a')
    await kv.put('a', '1')
    return new WeakRef(kv)
  }
  const clients = await Promise.all(Array.from({ length: 20 }, asOneRequest))
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const kept = () => {
    collect()
    return clients.filter((client) => client.deref() !== undefined).length
  }
  await expect.poll(kept).toBe(0)
})

test('a partition cuts the minority off until it heals', async () => {
  const cut = await cluster.waitForLeader()
  const others = cluster.nodes.filter((node) => node !== cut)
  cluster.partition([[cut.name], others.map(({ name }) => name)])

  const minority = cluster.client({ endpoints: [cut.url], discover: false, timeoutMs: 800 })
  await expect(minority.get('a')).rejects.toThrow(UnavailableError)
  const majority = cluster.client({ endpoints: others.map(({ url }) => url), discover: false })
  await majority.put('a', '2')
  expect(cluster.leader()).not.toBe(cut)

  cluster.heal()
  const healed = cluster.client({ endpoints: [cut.url], discover: false })
  expect((await healed.get('a'))?.text()).toBe('2')
})

test('data in a directory of the user stays, and the next cluster goes on with it', async () => {
  await cluster.node('n2').stop()
  expect(cluster.node('n2').running).toBe(false)
  await cluster.close()
  expect([readdirSync(dataDir), leftBehind()]).toEqual([['n1', 'n2', 'n3'], []])
  await expect(fetch(cluster.endpoints[0] ?? '')).rejects.toThrow()
  // Fewer nodes would call the others where they were: in a copy of the directory that is the original.
  for (let round = 0; round < 2; round++) {
    await expect(startCluster({ nodes: 2, dataDir })).rejects.toThrow(/nodes is 2, but .* holds n3 as well/)
  }
  cluster = await startCluster({ nodes: 3, dataDir, timing })
  // Clients learn from any node where the others are. What was announced before is, in a copy, where the original is.
  for (const { url } of cluster.nodes) {
    const { members } = await cluster.client().cluster({ endpoint: url })
    expect(members.map((member) => member.url).sort()).toEqual([...cluster.endpoints].sort())
  }
  expect((await cluster.client().get('a'))?.text()).toBe('2')
})

test('a node elsewhere that replaces one of the cluster, under its name, becomes a voter', async () => {
  const own = await startCluster({ nodes: 3, timing })
  await own.node('n3').stop()
  const [first = '', second = ''] = own.endpoints
  const dir = mkdtempSync(join(place, 'replacing-'))
  const node = await startNode({
    name: 'n3',
    dataDir: join(dir, 'data'),
    listen: { host: '127.0.0.1', port: 0 },
    peerListen: { host: '127.0.0.1', port: 0 },
    founding: { kind: 'join', urls: [first, second], replace: true },
    timing,
  })
  const kv = own.client({ endpoints: [first, second] })
  const isVoter = async (): Promise<true | undefined> =>
    (await kv.members()).some(({ url, role }) => url === node.url && role === 'voter') || undefined
  expect(await poll(isVoter, { timeoutMs: 10_000, intervalMs: 20 })).toBe(true)
  await node.stop()
  await own.close()
  rmSync(dir, { recursive: true })
})

test('who waits for a leader learns that no node runs, or that the cluster is closed', async () => {
  await Promise.all(cluster.nodes.map((node) => node.crash()))
  await expect(cluster.waitForLeader({ timeoutMs: 1 })).rejects.toThrow(
    'no node leads after 1 ms; none of n1, n2, n3 runs',
  )
  const waiting = expect(cluster.waitForLeader()).rejects.toThrow('the cluster is closed')
  await cluster.close()
  await waiting
  await expect(cluster.waitForLeader({ timeoutMs: 0 })).rejects.toThrow(TypeError)
})

test('a node keeps to its directory when the process goes to another one, and a link on its path leads elsewhere', async () => {
  const before = process.cwd()
  const [home, elsewhere] = [join(place, 'home'), join(place, 'elsewhere')]
  for (const dir of [home, elsewhere]) mkdirSync(join(dir, 'release/data'), { recursive: true })
  const link = (dir: string, to: string): void => {
    symlinkSync(join(to, 'release'), join(dir, 'new'))
    renameSync(join(dir, 'new'), join(dir, 'current'))
  }
  link(home, home)
  const listen = { host: '127.0.0.1', port: 0 }
  process.chdir(home)
  try {
    const founding = { kind: 'bootstrap' } as const
    const node = await startNode({
      name: 'n1',
      dataDir: 'current/data',
      listen,
      peerListen: listen,
      founding,
    })
    // As deployments do.
    link(home, elsewhere)
    link(elsewhere, elsewhere)
    process.chdir(elsewhere)
    const kv = new Client({ endpoints: [node.url], timeoutMs: 60_000 })
    // Enough for LevelDB to begin new files.
    await Promise.all(Array.from({ length: 20 }, (_, at) => kv.put(`${at}`, Buffer.alloc(1_000_000))))
    expect(readdirSync('current/data')).toEqual([])
    await kv.close()
    await node.stop()
    expect((await node.ended).kind).toBe('stopped')
  } finally {
    process.chdir(before)
    for (const dir of [home, elsewhere]) rmSync(dir, { recursive: true })
  }
})

test('a start that fails leaves nothing behind', async () => {
  await using other = await startCluster({ nodes: 1 })
  const taken = Number(new URL(other.endpoints[0] ?? '').port)
  await expect(startCluster({ ports: [taken] })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${taken} (ports): address already in use; end the program that listens there`,
  )
  await other.close()
  expect(leftBehind()).toEqual([])
})

test('a process ends when its cluster is closed or did not start, and require() loads it', () => {
  const index = join(import.meta.dirname, '../../src/index.ts')
  const script = `
    const { startCluster } = require(${JSON.stringify(index)})
    const server = require('node:net').createServer().listen(0, '127.0.0.1', async () => {
      const { port } = server.address()
      await startCluster({ ports: [0, 0, port] }).catch((error) => console.log(error.message.includes(String(port))))
      server.close()
      const cluster = await startCluster()
      const kv = cluster.client()
      await kv.put('a', '1')
      await cluster.leader().crash()
      await kv.get('a')
      cluster.partition([['n1']])
      await cluster.close()
    })`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=commonjs', '-e', script], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'true\n', stderr: '' })
})

test('the types say what the interface says', () => {
  expectTypeOf(startCluster).returns.resolves.toEqualTypeOf<EmbeddedCluster>()
  expectTypeOf<EmbeddedCluster['client']>().returns.toEqualTypeOf<Client>()
  expectTypeOf<EmbeddedCluster['leader']>().returns.toEqualTypeOf<EmbeddedNode | undefined>()
  expectTypeOf<EmbeddedCluster>().toExtend<AsyncDisposable>()
  expectTypeOf<EmbeddedNode['crash']>().returns.toEqualTypeOf<Promise<void>>()
})

function defined<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('nothing there')
  return value
}
