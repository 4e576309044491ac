// Shops sell the same eight bicycles.
//
// The bug: a shop checks the stock in one request and takes a bicycle in another.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../../src/client/index.ts'
import { type Service, supervised } from './service.ts'

const BICYCLES = 8

const stockOf = (text: string | undefined) => Number(text ?? BICYCLES)

/** `true`: sold. */
function sellInOneTransaction(kv: Client, order: string, shop: string): Promise<boolean> {
  return kv.transact(async (tx) => {
    if ((await tx.get(`order/${order}`)) !== undefined) return true
    const stock = stockOf((await tx.get('stock'))?.text())
    if (stock === 0) return false
    tx.put('stock', String(stock - 1))
    tx.put(`order/${order}`, shop)
    return true
  })
}

async function checkAndSell(kv: Client, order: string, shop: string): Promise<boolean> {
  if ((await kv.get(`order/${order}`)) !== undefined) return true
  const stock = stockOf((await kv.get('stock'))?.text())
  if (stock === 0) return false
  await kv.txn({
    success: [
      { put: { key: 'stock', value: String(stock - 1) } },
      { put: { key: `order/${order}`, value: shop } },
    ],
  })
  return true
}

async function shop(
  self: ProcessSelf,
  endpoints: readonly string[],
  sold: Set<string>,
  sell: typeof checkAndSell,
) {
  const kv = new Client({ endpoints })
  for (;;) {
    const order = randomUUID()
    const isSold = await supervised(self.signal, () => sell(kv, order, self.name))
    if (isSold !== true) return
    sold.add(order)
    await sleep(100 + Math.random() * 700)
  }
}

async function run(world: World, sell: typeof checkAndSell): Promise<void> {
  const sold = new Set<string>()
  const shops = ['bern', 'rome'].map((name) =>
    world.process(name, (self) => shop(self, world.endpoints, sold, sell)),
  )
  world.always('no more is sold than there was', () => sold.size <= BICYCLES)
  await Promise.all(shops.map(({ ended }) => ended))
}

export const inventory: Service = {
  processes: ['bern', 'rome'],
  right: (world) => run(world, sellInOneTransaction),
  wrong: (world) => run(world, checkAndSell),
}
