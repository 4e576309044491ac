// The cache of docs/guides/simulated-services.md: what it read before a change arrives after the event of the change.

import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'vitest'
import { simulate } from '../../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../../src/index.ts'
import { cache } from '../../../../src/recipes/index.ts'
import { Prices } from './prices.ts'
import { expectShown, failureOf } from './shown.ts'

const simulateShop = (seed: number, create: (kv: Client) => Pick<Prices, 'get'>) =>
  simulate({ seed }, async (world) => {
    const kv = new Client({ endpoints: world.endpoints })
    await kv.put('prices/tea', '4 €')
    let shown: string | undefined
    world.process('shop', async (self) => {
      const prices = create(self.client())
      while (!self.signal.aborted) {
        shown = await prices.get('tea')
        await sleep(10)
      }
    })
    await kv.put('prices/tea', '5 €')
    await world.eventually('the shop shows the new price', () => shown === '5 €', { ms: 10_000 })
  })

async function findStale(create: (kv: Client) => Pick<Prices, 'get'>) {
  for (let seed = 1; seed <= 20; seed++) await simulateShop(seed, create)
}

const createCache = (kv: Client): Pick<Prices, 'get'> => {
  const prices = cache(kv, { prefix: 'prices/' })
  return { get: async (name) => (await prices.get(name))?.text() }
}

test('the value of before a change stays', async () => {
  const error = await failureOf(findStale((kv) => new Prices(kv)))
  expectShown('docs/guides/simulated-services.md', String(error))
})

test('the cache of the recipes shows the new one', async () => {
  await findStale(createCache)
})
