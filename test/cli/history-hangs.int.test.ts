// `history` is a read with an end: --timeout limits how long it waits for a node.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { startKv } from './run-kv.ts'

let cluster: EmbeddedCluster
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(() => cluster.close())

test('history never ends when the cluster stops while it prints, whatever --timeout says', async () => {
  const client = cluster.client()
  for (let n = 0; n < 40; n++)
    await Promise.all(Array.from({ length: 20 }, () => client.put('k', 'x'.repeat(16_384))))
  const endpoints = cluster.endpoints.join()
  const history = startKv(['history', 'k', '--timeout', '2s'], { endpoints, reader: 2 })
  await history.line()
  await cluster.nodes[0]?.crash()
  const end = await Promise.race([
    history.ended.then(({ code }) => `exit code ${code}`),
    sleep(40_000).then(() => 'hangs'),
  ])
  history.signal('SIGINT')
  history.signal('SIGINT')
  expect(end).not.toBe('hangs')
}, 90_000)
