// In a context of node:vm, which has other globals, as Jest and some pools of Vitest run tests: there what Node.js and
// LevelDB throw is no `instanceof Error`.

import { expect, test } from 'vitest'
import { startCluster } from '../../src/index.ts'

test('a node goes on when a list was read in part', async () => {
  await using cluster = await startCluster({ nodes: 1 })
  const kv = cluster.client({ timeoutMs: 60_000 })
  // More than are read at once: what is left unread is aborted.
  const keys = Array.from({ length: 300 }, (_, at) => `${1000 + at}`)
  await Promise.all(keys.map((key) => kv.put(key, key)))
  const found = []
  for await (const { key } of kv.list({ limit: 1 })) found.push(key)
  expect(found).toEqual(['1000'])
  await kv.put('1000', 'again')
  expect(cluster.nodes.map(({ running }) => running)).toEqual([true])
})
