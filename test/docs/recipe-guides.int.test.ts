// The example at the head of each page runs as it stands, and prints what it says.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { runExample } from './run-example.ts'

let cluster: EmbeddedCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.close())

test.each([
  'guides/locks.md',
  'guides/leader-election.md',
  'guides/barriers.md',
  'guides/queue.md',
  'guides/topics.md',
  'guides/services.md',
  'guides/sagas.md',
  'guides/configuration.md',
  'guides/counters-and-limits.md',
  'guides/near-cache.md',
  'coming-from/etcd.md',
  'coming-from/consul.md',
  'coming-from/zookeeper.md',
  'coming-from/redlock.md',
  'coming-from/bullmq.md',
])('%s', async (guide) => {
  const { printed, promised, errors, exitCode } = await runExample(guide, cluster.endpoints)
  expect(errors).toBe('')
  expect(exitCode).toBe(0)
  expect(promised.length).toBeGreaterThan(0)
  expect(printed).toEqual(promised)
})
