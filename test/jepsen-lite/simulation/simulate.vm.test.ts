// Simulations in a context of node:vm, where a module is loaded in several turns of the event loop.

import { expect, test } from 'vitest'
import { simulate } from '../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../src/client/index.ts'
import { lock, queue } from '../../../src/recipes/index.ts'

test('the first run of a client does not wait for modules', async () => {
  const { virtualMs, processes } = await simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', async (self) => {
      await using kv = self.client()
      await using held = await lock(kv, 'job', { signal: self.signal })
      await held.put('owner', self.name)
      await kv.compact(held.token)
    })
    await worker.ended
  })
  expect(processes).toEqual(['worker'])
  expect(virtualMs).toBeLessThan(5_000)
})

test('clients and recipes draw random numbers from the seed', async () => {
  const pushItems = async () => {
    const keys: string[] = []
    const { traceHash } = await simulate({ seed: 1 }, async (world) => {
      await using kv = new Client({ endpoints: world.endpoints })
      const jobs = queue(kv, 'jobs')
      for (let n = 0; n < 3; n++) await jobs.push(`${n}`)
      for await (const { key } of kv.list({ prefix: '' })) keys.push(key)
    })
    return { keys, traceHash }
  }
  const first = await pushItems()
  expect(first.keys.length).toBeGreaterThanOrEqual(3)
  expect(await pushItems()).toEqual(first)
})
