// Orders as sagas: the bank is charged, the parcel is sent, and the charge is refunded if there is no stock.
//
// The bug: a refund has a new key each time. When the process ends between a refund and its record, the process that
// resumes the saga compensates a second time.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../../src/client/index.ts'
import { saga } from '../../../../src/recipes/index.ts'
import { type Service, supervised } from './service.ts'

const ORDERS = 8
const PRICE = 10

/** A bank, which does each payment once for each idempotency key. */
class Bank {
  readonly #payments = new Map<string, number>()
  readonly #paid = new Map<string, number>()

  async pay(key: string, order: string, amount: number): Promise<void> {
    await sleep(40) // the request
    if (!this.#payments.has(key)) {
      this.#payments.set(key, amount)
      this.#paid.set(order, (this.#paid.get(order) ?? 0) + amount)
    }
    await sleep(40) // the answer
  }

  get balances(): readonly number[] {
    return [...this.#paid.values()]
  }

  paidFor(order: string): number {
    return this.#paid.get(order) ?? 0
  }
}

interface Order {
  readonly inStock: boolean
}

const orders = (kv: Client, bank: Bank, isIdempotent: boolean) =>
  saga<Order>(
    kv,
    'order',
    [
      {
        name: 'charge',
        run: ({ id, token }) => bank.pay(token, id, PRICE).then(() => ({ paid: PRICE })),
        compensate: ({ id, token }) => bank.pay(isIdempotent ? token : randomUUID(), id, -PRICE),
      },
      {
        name: 'parcel',
        run: async ({ input }) => {
          if (!input.inStock) throw new Error('out of stock')
          return null
        },
      },
    ],
    { ttlMs: 2_000 },
  )

async function shop(
  self: ProcessSelf,
  endpoints: readonly string[],
  bank: Bank,
  isIdempotent: boolean,
  ended: Set<string>,
) {
  const kv = new Client({ endpoints })
  const sagas = orders(kv, bank, isIdempotent)
  for (let order = 1; order <= ORDERS; order++) {
    const id = `${self.name}-${order}`
    await supervised(self.signal, () => sagas.run(id, { inStock: order % 3 === 0 }))
    ended.add(id)
  }
}

async function backOffice(
  self: ProcessSelf,
  endpoints: readonly string[],
  bank: Bank,
  isIdempotent: boolean,
) {
  const kv = new Client({ endpoints })
  await supervised(self.signal, () =>
    orders(kv, bank, isIdempotent).keepResuming({ signal: self.signal, onError: () => {} }),
  )
}

async function run(world: World, isIdempotent: boolean): Promise<void> {
  const bank = new Bank()
  const ended = new Set<string>()
  for (const name of ['shop-1', 'shop-2'])
    world.process(name, (self) => shop(self, world.endpoints, bank, isIdempotent, ended))
  world.process('back-office', (self) => backOffice(self, world.endpoints, bank, isIdempotent))
  world.always('nobody gets back more than was paid', () => bank.balances.every((paid) => paid >= 0))
  await world.after(3_000)
  await world.eventually('every order has ended', () => ended.size === 2 * ORDERS, { ms: 60_000 })
  for (const id of ended) {
    const expected = Number(id.slice(id.lastIndexOf('-') + 1)) % 3 === 0 ? PRICE : 0
    if (bank.paidFor(id) !== expected) throw new Error(`the order ${id} cost ${bank.paidFor(id)}`)
  }
}

export const orderSaga: Service = {
  processes: ['shop-1', 'shop-2', 'back-office'],
  right: (world) => run(world, true),
  wrong: (world) => run(world, false),
}
