// Every target of a load refuses to count an operation that has not succeeded, on a real node.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Load, Over } from '../../bench/load/load.ts'
import { openTarget } from '../../bench/load/open-target.ts'
import { startCluster } from '../../src/index.ts'

let cluster: Awaited<ReturnType<typeof startCluster>>
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(() => cluster?.close())

const value = Buffer.from('value')
const open = (over: Over) => {
  const load: Load = {
    ...{
      over,
      endpoints: cluster.endpoints,
      connections: 1,
      in_flight: 1,
      rate: null,
      reads: 0,
      writes: 'put',
    },
    ...{ consistency: 'linearizable', range: 1, keys: 1, fill_from: null, value_bytes: 5 },
    ...{ warmup_seconds: 0, seconds: null },
  }
  return openTarget(load)
}

test.each(['http', 'client', 'mux'] as const)('%s', async (over) => {
  const target = await open(over)
  const key = (name: string): string => `${over}-${name}`
  await target.put(key('a'), value)
  for (const consistency of ['linearizable', 'stale'] as const) {
    await target.get(key('a'), consistency)
    await target.range(key('a'), 10, consistency)
    await expect(target.get(key('missing'), consistency)).rejects.toThrow(/not_found|404/)
  }
  const created = await target.update(key('b'), value, 0)
  await expect(target.update(key('b'), value, 0)).rejects.toThrow()
  const updated = await target.update(key('b'), value, created)
  expect(updated).toBeGreaterThan(created)
  await expect(target.update(key('b'), value, created)).rejects.toThrow()
  await target.update(key('b'), value, updated)
  await target.close()
})
