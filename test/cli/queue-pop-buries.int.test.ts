// `queue pop` of a queue whose consumers allow more deliveries than the default.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { queue } from '../../src/recipes/index.ts'
import { kv } from './run-kv.ts'

let cluster: EmbeddedCluster
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(() => cluster.close())

test('queue pop makes dead letters of all items that the consumers of the queue would still try', async () => {
  // Consumers that try again for as long as a service is down.
  const jobs = queue(cluster.client(), 'jobs', { attemptsMax: 1_000 })
  for (const value of ['a', 'b', 'c']) await jobs.push(value)
  for (let attempt = 1; attempt <= 6; attempt++) {
    const items = await Promise.all([1, 2, 3].map(() => jobs.pop({ waitMs: 5_000 })))
    for (const item of items) await item?.nack({ error: 'the service is down' })
  }
  expect(await jobs.len()).toEqual({ ready: 3, held: 0, dead: 0 })
  const popped = await kv(['queue', 'pop', 'jobs'], { endpoints: cluster.endpoints.join() })
  const { ready, dead } = await jobs.len()
  expect({ code: popped.code, ready, dead }).toEqual({ code: 0, ready: 2, dead: 0 })
})
