// A shop pays its orders at a bank, over HTTP. The bank stores each payment under the idempotency key of the request.
//
// The bug: the shop makes a new key when it tries again. A payment whose answer was lost is made twice.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client, QuorateError } from '../../../../src/client/index.ts'
import type { Service } from './service.ts'

const ORDERS = 15

async function bank(self: ProcessSelf, world: World): Promise<void> {
  const kv = new Client({ endpoints: world.endpoints })
  world.connect(async (request) => {
    const { order, key } = (await request.json()) as { order: string; key: string }
    try {
      await kv.transact(
        async (tx) => {
          if ((await tx.get(`payment/${key}`)) !== undefined) return
          const times = Number((await tx.get(`paid/${order}`))?.text() ?? 0)
          tx.put(`payment/${key}`, order)
          tx.put(`paid/${order}`, String(times + 1))
        },
        { timeoutMs: 2_000 },
      )
      return Response.json({ paid: true })
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error
      return Response.json({ error: error.code }, { status: 503 })
    }
  })
  await once(self.signal, 'abort')
}

async function shop(paid: Set<string>, keepsKey: boolean): Promise<void> {
  for (let order = 1; order <= ORDERS; order++) {
    const id = `order-${order}`
    while (!paid.has(id)) {
      const answer = await fetch('http://bank/payments', {
        method: 'POST',
        body: JSON.stringify({ order: id, key: keepsKey ? id : randomUUID() }),
        signal: AbortSignal.timeout(500),
      }).catch(() => undefined)
      if (answer?.ok) paid.add(id)
      else await sleep(100)
    }
    await sleep(100)
  }
}

async function run(world: World, keepsKey: boolean): Promise<void> {
  const paid = new Set<string>()
  world.process('bank', (self) => bank(self, world))
  world.process('shop', () => shop(paid, keepsKey))
  await world.after(3_000)
  await world.eventually('every order is paid', () => paid.size === ORDERS, { ms: 60_000 })
  const kv = new Client({ endpoints: world.endpoints })
  for await (const { key, text } of kv.list({ prefix: 'paid/' }))
    if (text() !== '1') throw new Error(`${key} ${text()} times`)
}

export const payments: Service = {
  processes: ['bank', 'shop'],
  right: (world) => run(world, true),
  wrong: (world) => run(world, false),
}
