// Watches and mirrors of the client on a real cluster, while its nodes fail.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client, WatchBatch } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'

let cluster: EmbeddedCluster
let kv: Client
let writer: Client

/** Elections do not take most of the time. */
const TIMING = { heartbeatMs: 40, electionMinMs: 200, electionMaxMs: 400 }
const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }

beforeAll(async () => {
  cluster = await startCluster({ nodes: 3, timing: TIMING })
  writer = cluster.client({ timeoutMs: 30_000 })
})

afterAll(async () => {
  await until(() => writer[inspect]().requests === 0)
  expect(writer[inspect]()).toEqual(AT_REST)
  await cluster.close()
})

const shown = ({ revision, events }: WatchBatch): unknown => [
  revision,
  ...events.map((event) =>
    event.type === 'put'
      ? [event.key, event.kv.text(), event.prev?.text() ?? null]
      : [event.key, 'deleted', event.prev?.text() ?? null],
  ),
]

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await sleep(5)
}

/** Makes calls until a watch goes over a multiplexed connection: then the node that serves it says so. */
async function multiplexed(): Promise<void> {
  for (;;) {
    await Promise.all(Array.from({ length: 20 }, () => kv.get('warm-up')))
    await using watch = kv.watch({ key: 'warm-up' })
    await watch.ready
    // Over HTTP it is no request that waits for an answer.
    if (kv[inspect]().requests === 1) return
    await sleep(20)
  }
}

/** How many watches a node serves. */
async function openWatches(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^quorate_watches\{state="live"\} (\d+)$/m.exec(metrics)?.[1])
}

/** Everything from a revision up to another one. */
async function told(from: number, to: number, prefix: string): Promise<unknown[]> {
  const found: unknown[] = []
  let reached = 0
  const onProgress = (revision: number) => {
    reached = revision
  }
  await using watch = kv.watch({ prefix, fromRevision: from, prev: true, progressMs: 100, onProgress })
  const taking = (async () => {
    for await (const batch of watch) found.push(shown(batch))
  })()
  while (reached < to && watch.revision < to) await sleep(5)
  await watch.close()
  await taking
  return found
}

test('of many watches that begin together nearly all go over multiplexed connections', async () => {
  const fresh = cluster.client({ timeoutMs: 30_000 })
  const watches = Array.from({ length: 300 }, (_, n) => fresh.watch({ key: `together/${n}` }))
  await Promise.all(watches.map(({ ready }) => ready))
  // Over HTTP it is no request that waits for an answer. Watches use HTTP while no connection has answered in time.
  expect(fresh[inspect]().requests).toBeGreaterThan(200)
  await Promise.all(watches.map((watch) => watch.close()))
  await fresh.close()
})

describe.each(['http', 'multiplexed'] as const)('over %s', (transport) => {
  beforeAll(async () => {
    kv = cluster.client({ timeoutMs: 30_000, transport: transport === 'http' ? 'http' : 'auto' })
    // Until there is a connection to each node. Its operations in flight are counted.
    if (transport === 'multiplexed') for (let n = 0; n < 3; n++) await multiplexed()
  })

  afterAll(async () => {
    await until(() => kv[inspect]().requests === 0)
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('a watch tells what the store did, in order and once, while nodes are killed, stopped and cut off', async () => {
    const prefix = `${transport}/under-faults/`
    const batches: unknown[] = []
    const resumed: number[] = []
    await using watch = kv.watch({
      prefix,
      prev: true,
      progressMs: 200,
      onResume: ({ fromRevision }) => void resumed.push(fromRevision),
    })
    const from = (await watch.ready) + 1
    let isOver = false
    const taking = (async () => {
      for await (const batch of watch) {
        batches.push(shown(batch))
        if (isOver && batch.events.some(({ key }) => key === `${prefix}end`)) break
      }
    })()
    let writes = 0
    const someWrites = () => {
      const end = writes + 5
      return until(() => writes >= end)
    }
    const faults = (async () => {
      // Each node in turn, so that the one that serves the watch is among them.
      for (const [at, node] of cluster.nodes.entries()) {
        await someWrites()
        if (at % 2 === 0) await node.crash()
        else await node.stop()
        await node.start()
      }
      await someWrites()
      const [cut, ...others] = cluster.nodes.map(({ name }) => name)
      cluster.partition([[cut ?? ''], others])
      await someWrites()
      cluster.heal()
      isOver = true
    })()
    for (; !isOver; writes++, await sleep(2)) {
      const n = writes
      const key = `${prefix}${n % 7}`
      if (n % 5 === 4) await writer.delete(key)
      else if (n % 5 === 3)
        await writer.txn({
          success: [{ put: { key, value: `txn ${n}` } }, { put: { key: `${prefix}too`, value: String(n) } }],
        })
      else await writer.put(key, String(n))
    }
    await faults
    await writer.put(`${prefix}end`, 'end')
    await taking
    expect(resumed.length).toBeGreaterThan(0)
    const all = await told(from, writer.revision, prefix)
    expect(batches.length).toBeGreaterThan(10)
    expect(batches).toEqual(all)
  })

  test('keys of any bytes, one key only, one type only, without values', async () => {
    const key = new Uint8Array([0x2f, 0x2e, 0x2e, 0x2f, 0xff, 0])
    await using puts = kv.watch({ key, only: 'put', keysOnly: true })
    await puts.ready
    await writer.put(new Uint8Array([...key, 0]), 'next to it')
    await writer.delete(key)
    const { modRevision } = await writer.put(key, 'value')
    const { value } = await puts.next()
    expect(value).toMatchObject({
      revision: modRevision,
      events: [{ type: 'put', keyBytes: key, kv: { modRevision, value: new Uint8Array() } }],
    })
  })
})

test('what a watch has told, later reads of the same client have seen', async () => {
  await using watch = kv.watch({ key: 'seen' })
  await watch.ready
  const { revision } = await writer.put('seen', '1')
  await watch.next()
  expect(kv.revision).toBeGreaterThanOrEqual(revision)
  expect((await kv.get('seen', { consistency: 'stale' }))?.text()).toBe('1')
})

describe('a mirror', () => {
  test('has the range as it is, and follows it', async () => {
    await writer.put('mirror/b', '1')
    await writer.put('mirror/a', '2')
    const mirror = kv.mirror({ prefix: 'mirror/' })
    const texts = async () => {
      const { value: view } = await mirror.next()
      if (view === undefined) throw new Error('the mirror has ended')
      return [...view].map(([key, record]) => `${key}=${record.text()}`)
    }
    expect(await texts()).toEqual(['mirror/a=2', 'mirror/b=1'])
    await writer.put('mirror/c', '3')
    expect(await texts()).toEqual(['mirror/a=2', 'mirror/b=1', 'mirror/c=3'])
    await writer.txn({
      success: [{ delete: { key: 'mirror/a' } }, { put: { key: 'mirror/0', value: '4' } }],
    })
    expect(await texts()).toEqual(['mirror/0=4', 'mirror/b=1', 'mirror/c=3'])
    await mirror.return()
  })

  test('goes on while history is compacted, and is never older than before', async () => {
    const mirror = kv.mirror({ prefix: 'compacted/' })
    let before = 0
    for (let round = 0; round < 4; round++) {
      for (let n = 0; n < 5; n++) await writer.put(`compacted/${n}`, String(round))
      await writer.delete(`compacted/${round % 5}`)
      await writer.compact(writer.revision)
      const { value: view } = await mirror.next()
      if (view === undefined) throw new Error('the mirror has ended')
      expect(view.revision).toBeGreaterThanOrEqual(before)
      before = view.revision
    }
    const { revision } = await writer.put('compacted/end', 'x')
    for await (const view of mirror) {
      if (view.revision < revision) continue
      expect([...view.keys()]).toEqual([0, 1, 2, 4, 'end'].map((name) => `compacted/${name}`))
      expect(view.get('compacted/end')?.text()).toBe('x')
      expect(view.get(Buffer.from('compacted/0'))?.text()).toBe('3')
      break
    }
  })
})

// Both transports learn it from the node.
test('a watch at a node that is cut off goes on at another one, and misses nothing', async () => {
  const prefix = 'cut-off/'
  const causes: unknown[] = []
  await using watch = kv.watch({ prefix, prev: true, onResume: ({ cause }) => void causes.push(cause) })
  const from = (await watch.ready) + 1
  await writer.put(`${prefix}before`, '0')
  const batches = [shown((await watch.next()).value as WatchBatch)]
  let cut: string[] = []
  // Nodes may still have watches of the tests before.
  await expect
    .poll(async () => {
      const serving = await Promise.all(cluster.nodes.map(async ({ url }) => (await openWatches(url)) > 0))
      cut = cluster.nodes.filter((_, at) => serving[at]).map(({ name }) => name)
      return cut
    })
    .toHaveLength(1)
  cluster.partition([cut, cluster.nodes.map(({ name }) => name).filter((name) => !cut.includes(name))])
  for (let n = 0; n < 5; n++) await writer.put(`${prefix}${n}`, String(n))
  while (batches.length < 6) batches.push(shown((await watch.next()).value as WatchBatch))
  cluster.heal()
  expect(causes[0]).toMatchObject({ code: 'no_leader' })
  expect(batches).toEqual(await told(from, writer.revision, prefix))
})
