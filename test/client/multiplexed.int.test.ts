// The multiplexed connection to real nodes: it makes no difference to a caller.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { Client, PreconditionFailedError, QuorateError } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'

let cluster: EmbeddedCluster
let http: Client
let kv: Client

beforeAll(async () => {
  cluster = await startCluster({ nodes: 3 })
  http = new Client({ endpoints: cluster.endpoints, transport: 'http' })
  kv = new Client({ endpoints: cluster.endpoints })
  // The connection of each node is made when it is its turn.
  while (!(await Promise.all(cluster.endpoints.map(hasConnection))).every(Boolean)) await kv.get('a')
})

afterAll(async () => {
  await Promise.all([kv.close(), http.close()])
  await cluster.close()
})

async function hasConnection(url: string): Promise<boolean> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return /quorate_http_connections\{[^}]*lane="mux"[^}]*\} [1-9]/.test(text)
}

/** The outcome that a caller sees, without the numbers that grow with each call, and without the key. */
async function seen(call: Promise<unknown>): Promise<unknown> {
  const general = (name: string, value: unknown) =>
    name === 'key' || name === 'keyBytes' || /evision$/.test(name) ? typeof value : value
  return call.then(
    (result) => JSON.parse(JSON.stringify({ result }, general)),
    (error: unknown) => {
      if (!(error instanceof QuorateError)) throw error
      const { name, code, written, status } = error
      const current = error instanceof PreconditionFailedError ? typeof error.current?.modRevision : undefined
      return { name, code, written, status, current, message: error.message.replaceAll(/\d+/g, '#') }
    },
  )
}

const LONG = 'x'.repeat(5_000)
const BYTES = Uint8Array.from({ length: 256 }, (_, byte) => byte)
test('many at a time, and lists of them', async () => {
  const keys = Array.from({ length: 2_500 }, (_, n) => `many/${String(n).padStart(5, '0')}`)
  await Promise.all(keys.map((key) => kv.put(key, key)))
  const records = await Promise.all(keys.map((key) => kv.get(key)))
  expect(records.map((record) => record?.text())).toEqual(keys)
  expect(new Set(records.map((record) => record?.version))).toEqual(new Set([1]))
  const found = []
  for await (const { key } of kv.list({ prefix: 'many/', order: 'desc', keysOnly: true })) found.push(key)
  expect(found).toEqual(keys.toReversed())
  expect(kv[inspect]().calls).toBe(0)
})

test('reads never go back in time, whichever node answers', async () => {
  for (let n = 1; n <= 50; n++) {
    const { modRevision } = await kv.put('counter', String(n))
    const read = async () => (await kv.get('counter', { consistency: 'stale' }))?.modRevision
    expect(await Promise.all([read(), read(), read()])).toEqual([modRevision, modRevision, modRevision])
  }
})

test('writes go on while a node is stopped and started again', async () => {
  let isOver = false
  const written: string[] = []
  const writer = async (name: number) => {
    for (let n = 0; !isOver; n++) {
      await kv.put(`on/${name}/${n}`, 'v', { timeoutMs: 30_000 })
      written.push(`on/${name}/${n}`)
    }
  }
  const writers = Array.from({ length: 16 }, (_, name) => writer(name))
  const [, second] = cluster.nodes
  await second?.stop()
  const before = written.length
  while (written.length < before + 200) await kv.get('a')
  await second?.start()
  isOver = true
  await Promise.all(writers)
  const versions = await Promise.all(written.map(async (key) => (await kv.get(key))?.version))
  expect(new Set(versions)).toEqual(new Set([1]))
})

/** How many batches the nodes have answered. */
async function batches(): Promise<number> {
  const counts = await Promise.all(
    cluster.endpoints.map(async (url) => {
      const text = await (await fetch(`${url}/metrics`)).text()
      const counted = text.matchAll(/^quorate_http_requests_total\{operation="batch",status="200"\} (\d+)$/gm)
      return [...counted].reduce((sum, [, count]) => sum + Number(count), 0)
    }),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

test('changes that go together have the same outcomes as over HTTP, each its own', async () => {
  const before = await batches()
  const timeoutMs = 30_000
  const calls = (client: Client, at: number) => {
    const key = (name: string) => Buffer.concat([Buffer.from(`together/${at}/${name}`), Buffer.from([0xff])])
    return [
      client.put(key('a'), BYTES, { timeoutMs }),
      client.put(key('b'), '', { ifAbsent: true, timeoutMs }),
      client.delete(key('c'), { timeoutMs }),
      client.put(key('d'), 'x', { ifRevision: 1, timeoutMs }),
      client.put(key('e'), 'x', { ifRevision: 0, timeoutMs }),
      client.delete(key('f'), { ifRevision: 1, timeoutMs }),
      // Because of it the batch is refused as a whole.
      client.put(LONG, 'x', { timeoutMs }),
      client.put(key('g'), new Uint8Array(100_000), { timeoutMs }),
    ].map(seen)
  }
  const [mux, plain] = await Promise.all([kv, http].map((client, at) => Promise.all(calls(client, at))))
  expect(mux).toEqual(plain)
  const together = async () => {
    await Promise.all(Array.from({ length: 300 }, (_, n) => kv.put(`together/2/${n}`, `${n}`)))
    return batches()
  }
  // While a connection that was lost is made again, they go over HTTP, one by one.
  await expect.poll(together).toBeGreaterThan(before)
  // A second copy of a read may wait for its answer for longer than the call.
  await expect.poll(() => kv[inspect]()).toMatchObject({ calls: 0, permits: 0, requests: 0 })
})

test('a leader that is lost while changes go together is a delay, and nothing is made twice', async () => {
  const before = await batches()
  let done = 0
  let isLost = false
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    const keys = Array.from({ length: 16 }, (_each, at) => `lost/${writer}/${at}`)
    let rounds = 0
    while (rounds < 20 || !isLost) {
      const results = await Promise.all(keys.map((key) => kv.put(key, `${rounds}`, { timeoutMs: 30_000 })))
      rounds += 1
      expect(results.map(({ version }) => version)).toEqual(keys.map(() => rounds))
      done += 1
    }
    return Array<number>(keys.length).fill(rounds)
  })
  // While a connection is set up again, each change is asked for by itself.
  while (done < 40 || (await batches()) === before) await kv.get('a')
  const leader = cluster.leader()
  await leader?.crash()
  isLost = true
  const rounds = await Promise.all(writers)
  await leader?.start()
  const versions = []
  for await (const { version } of kv.list({ prefix: 'lost/' })) versions.push(version)
  expect(versions).toEqual(rounds.flat())
  // A second copy of a read may wait for its answer for longer than the call.
  await expect.poll(() => kv[inspect]()).toMatchObject({ calls: 0, permits: 0, requests: 0 })
})
