// Clients of a real cluster that remembers the outcome of only one write.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 3 })
  await cluster.client().changeSettings({ idempotency_tokens_max: 1 })
})

afterAll(() => cluster.close())

test('a client that was idle while others wrote can still write', async () => {
  const [idle, busy] = [cluster.client(), cluster.client()]
  for (let round = 1; round <= 3; round++) {
    expect(await idle.put('idle', `${round}`)).toMatchObject({ version: round })
    for (let n = 0; n < 5; n++) await busy.put(`busy/${n}`, 'v')
  }
  expect(await idle.delete('idle')).toMatchObject({ deleted: 1 })
})
