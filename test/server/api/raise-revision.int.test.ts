// The revision of a store without keys is raised, through a client.

import { expect, it, onTestFinished } from 'vitest'
import { startCluster } from '../../../src/embed/index.ts'

const REFUSED = expect.objectContaining({ code: 'bad_request' })

it('a raise is made once, and watches, history and changes continue from there', async () => {
  const cluster = await startCluster({ nodes: 3 })
  onTestFinished(() => cluster.close())
  const kv = cluster.client()
  // History before the raise, and a watch that runs.
  await kv.put('before', '1')
  await kv.delete('before')
  const seen: [string, number][] = []
  const watch = kv.watch({ all: true, fromRevision: 1 })
  const watching = (async () => {
    for await (const { revision, events } of watch)
      for (const event of events) if (seen.push([event.type, revision]) === 3) return
  })()
  await expect.poll(() => seen.length).toBe(2)
  expect(await kv.raiseRevision(1_000_000)).toEqual({ revision: 1_000_000 })
  expect(await kv.raiseRevision(1_000_000)).toEqual({ revision: 1_000_000 })
  await expect(kv.raiseRevision(999_999)).rejects.toThrow(REFUSED)
  const { revision } = await kv.put('after', '1')
  expect(revision).toBe(1_000_001)
  await watching
  expect(seen.at(-1)).toEqual(['put', 1_000_001])
  await expect(kv.raiseRevision(2_000_000)).rejects.toThrow(REFUSED)
  expect((await kv.get('after', { revision: 1_000_001 }))?.text()).toBe('1')
  await expect(kv.get('after', { revision: 500_000 })).rejects.toMatchObject({
    code: 'compacted',
    compactRevision: 1_000_000,
  })
  // Every node has the same store.
  const hashes = await Promise.all(
    cluster.endpoints.map(async (endpoint) => (await kv.status({ endpoint })).stateHash),
  )
  expect(new Set(hashes).size).toBe(1)
})
