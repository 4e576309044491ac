// Shops hold prices in memory. A watch invalidates those that an office has changed.
//
// The bug: a price that was read before a change is held although the event of that change came first. It stays stale.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../../src/client/index.ts'
import { type Service, supervised } from './service.ts'

const ARTICLES = Array.from({ length: 30 }, (_, index) => `a${index}`)

class PriceCache {
  readonly #kv: Client
  readonly #prices = new Map<string, string>()
  readonly #changes = new Map<string, number>()
  readonly #checksChanges: boolean

  constructor(kv: Client, checksChanges: boolean) {
    this.#kv = kv
    this.#checksChanges = checksChanges
  }

  async price(article: string): Promise<string> {
    const known = this.#prices.get(article)
    if (known !== undefined) return known
    const changes = this.#changes.get(article)
    const price = (await this.#kv.get(`price/${article}`))?.text() ?? '0'
    if (!this.#checksChanges || this.#changes.get(article) === changes) this.#prices.set(article, price)
    return price
  }

  async follow(serve: () => Promise<void>): Promise<void> {
    const watch = this.#kv.watch({ prefix: 'price/' })
    await watch.ready
    const served = serve()
    for await (const { events, revision } of watch) {
      for (const { key } of events) {
        const article = key.slice('price/'.length)
        this.#prices.delete(article)
        this.#changes.set(article, revision)
      }
    }
    await served
  }
}

async function shop(
  self: ProcessSelf,
  endpoints: readonly string[],
  shown: Map<string, string>,
  checksChanges: boolean,
) {
  const kv = new Client({ endpoints })
  await supervised(self.signal, async () => {
    const prices = new PriceCache(kv, checksChanges)
    await prices.follow(async () => {
      while (!self.signal.aborted) {
        await supervised(self.signal, async () => {
          for (const article of ARTICLES) shown.set(`${self.name}/${article}`, await prices.price(article))
        })
        await sleep(50)
      }
    })
  })
}

/** Writes each price as a draft, and then, after a look at it, as it is meant. */
async function office(self: ProcessSelf, endpoints: readonly string[], meant: Map<string, string>) {
  const kv = new Client({ endpoints })
  for (const article of ARTICLES) {
    const price = String(100 + Math.floor(Math.random() * 900))
    await supervised(self.signal, () => kv.put(`price/${article}`, `${price} (draft)`))
    await sleep(Math.random() * 10)
    await supervised(self.signal, () => kv.put(`price/${article}`, price))
    meant.set(article, price)
    await sleep(40)
  }
}

async function run(world: World, checksChanges: boolean): Promise<void> {
  const meant = new Map<string, string>()
  const shown = new Map<string, string>()
  for (const name of ['shop-1', 'shop-2'])
    world.process(name, (self) => shop(self, world.endpoints, shown, checksChanges))
  world.process('office', (self) => office(self, world.endpoints, meant))
  await world.after(3_000)
  await world.eventually('every price has been written', () => meant.size === ARTICLES.length, { ms: 30_000 })
  await world.eventually(
    'each shop shows the newest price',
    () =>
      ['shop-1', 'shop-2'].every((name) =>
        ARTICLES.every((article) => shown.get(`${name}/${article}`) === meant.get(article)),
      ),
    { ms: 20_000 },
  )
}

export const priceCache: Service = {
  processes: ['shop-1', 'shop-2', 'office'],
  right: (world) => run(world, true),
  wrong: (world) => run(world, false),
}
