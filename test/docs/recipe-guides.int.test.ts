// The example at the head of each guide runs as it stands, and prints what it says.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { runExample } from './run-example.ts'

let cluster: EmbeddedCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.close())

test.each([
  'locks.md',
  'leader-election.md',
  'barriers.md',
  'queue.md',
  'topics.md',
  'services.md',
  'sagas.md',
  'configuration.md',
  'counters-and-limits.md',
  'near-cache.md',
])('%s', async (guide) => {
  const { printed, promised, errors, exitCode } = await runExample(guide, cluster.endpoints)
  expect(errors).toBe('')
  expect(exitCode).toBe(0)
  expect(promised.length).toBeGreaterThan(0)
  expect(printed).toEqual(promised)
})
