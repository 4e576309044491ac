// Watches and mirrors of the client on a real cluster, while its nodes fail.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { type Client, CompactedError, type WatchBatch } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'

let cluster: EmbeddedCluster
let kv: Client
let writer: Client

beforeAll(async () => {
  cluster = await startCluster({ nodes: 3 })
  kv = cluster.client({ timeoutMs: 30_000 })
  writer = cluster.client({ timeoutMs: 30_000 })
})

afterAll(async () => {
  for (const client of [kv, writer])
    expect(client[inspect]()).toEqual({ calls: 0, turns: 0, requests: 0, questions: 0, probes: 0 })
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

test('a watch tells what the store did, in order and once, while nodes are killed, stopped and cut off', async () => {
  const prefix = 'under-faults/'
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
  const faults = (async () => {
    // Each node in turn, so that the one that serves the watch is among them.
    for (const [at, node] of cluster.nodes.entries()) {
      if (at === 0) {
        await node.crash()
        await node.start()
      } else if (at === 1) {
        await node.stop()
        await node.start()
      } else {
        const others = cluster.nodes.filter((other) => other !== node).map(({ name }) => name)
        cluster.partition([[node.name], others])
        await sleep(2500)
        cluster.heal()
      }
    }
    isOver = true
  })()
  for (let n = 0; !isOver; n++) {
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

test('a watch from the past catches up, and tells the records before', async () => {
  const { revision: first } = await writer.put('past/a', '1')
  await writer.put('past/a', '2')
  await writer.delete('past/a')
  await writer.put('elsewhere', 'x')
  const { revision: last } = await writer.put('past/b', '3')
  expect(await told(first, last, 'past/')).toEqual([
    [first, ['past/a', '1', null]],
    [first + 1, ['past/a', '2', '1']],
    [first + 2, ['past/a', 'deleted', '2']],
    [last, ['past/b', '3', null]],
  ])
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

test('what a watch has told, later reads of the same client have seen', async () => {
  await using watch = kv.watch({ key: 'seen' })
  await watch.ready
  const { revision } = await writer.put('seen', '1')
  await watch.next()
  expect(kv.revision).toBeGreaterThanOrEqual(revision)
  expect((await kv.get('seen', { consistency: 'stale' }))?.text()).toBe('1')
})

test('compacted events are an error that says from where to go on', async () => {
  const { revision } = await writer.put('compacted', '1')
  await writer.put('compacted', '2')
  await writer.compact(revision + 1)
  const error = await kv
    .watch({ key: 'compacted', fromRevision: revision })
    .next()
    .catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(CompactedError)
  expect(error).toMatchObject({ compactRevision: revision + 1, resumeFrom: revision + 2 })
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
    await writer.txn({ success: [{ delete: { key: 'mirror/a' } }, { put: { key: 'mirror/0', value: '4' } }] })
    expect(await texts()).toEqual(['mirror/0=4', 'mirror/b=1', 'mirror/c=3'])
    await mirror.return()
  })

  test('reads anew after compaction has overtaken it, and is never older than before', async () => {
    const resyncs: Error[] = []
    const mirror = kv.mirror({ prefix: 'resync/', onResync: (cause) => void resyncs.push(cause) })
    let before = 0
    for (let round = 0; round < 20; round++) {
      for (let n = 0; n < 5; n++) await writer.put(`resync/${n}`, String(round))
      await writer.delete(`resync/${round % 5}`)
      await writer.compact(writer.revision)
      const { value: view } = await mirror.next()
      if (view === undefined) throw new Error('the mirror has ended')
      expect(view.revision).toBeGreaterThanOrEqual(before)
      before = view.revision
    }
    const { revision } = await writer.put('resync/end', 'x')
    for await (const view of mirror) {
      if (view.revision < revision) continue
      expect([...view.keys()]).toEqual([0, 1, 2, 3].map((n) => `resync/${n}`).concat('resync/end'))
      expect(view.get('resync/end')?.text()).toBe('x')
      expect(view.get(Buffer.from('resync/0'))?.text()).toBe('19')
      break
    }
  })
})
