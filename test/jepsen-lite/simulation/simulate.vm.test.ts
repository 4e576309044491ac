// Simulations in a context of node:vm, where a module is loaded in several turns of the event loop.

import { expect, test } from 'vitest'
import { simulate } from '../../../jepsen-lite/testing/index.ts'
import { lock } from '../../../src/recipes/index.ts'

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
