// Gateways apply the limits of customers, which an operator changes now and then.
//
// The bug: a gateway reads the limits, applies them, and only then begins to watch. It misses a change in between.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../../src/client/index.ts'
import { type Service, supervised } from './service.ts'

const GATEWAYS = ['eu', 'us', 'asia']
const CUSTOMERS = Array.from({ length: 30 }, (_, index) => `c${index}`)

async function gateway(
  self: ProcessSelf,
  endpoints: readonly string[],
  applied: Map<string, string>,
  missesNothing: boolean,
): Promise<void> {
  const kv = new Client({ endpoints })
  const apply = (key: string, limits: string) => applied.set(`${self.name} ${key}`, limits)
  await supervised(self.signal, async () => {
    let revision = 0
    const records = kv.list({
      prefix: 'limits/',
      onAnswer: (answer) => {
        revision = answer.revision ?? 0
      },
    })
    for await (const record of records) apply(record.key, record.text())
    await sleep(30) // opens its pools of connections
    const from = missesNothing ? { fromRevision: revision + 1 } : {}
    for await (const { events } of kv.watch({ prefix: 'limits/', ...from }))
      for (const event of events) if (event.type === 'put') apply(event.key, event.kv.text())
  })
}

async function operator(
  self: ProcessSelf,
  endpoints: readonly string[],
  decided: Map<string, string>,
): Promise<void> {
  const kv = new Client({ endpoints })
  for (const customer of CUSTOMERS) {
    const key = `limits/${customer}`
    const limits = String(1 + Math.floor(Math.random() * 100))
    await supervised(self.signal, () => kv.put(key, limits))
    decided.set(key, limits)
    await sleep(Math.random() * 300)
  }
}

async function run(world: World, missesNothing: boolean): Promise<void> {
  const applied = new Map<string, string>()
  const decided = new Map<string, string>()
  for (const name of GATEWAYS)
    world.process(name, (self) => gateway(self, world.endpoints, applied, missesNothing))
  const operating = world.process('operator', (self) => operator(self, world.endpoints, decided))
  await operating.ended
  await world.eventually('every gateway has the limits of every customer', () =>
    GATEWAYS.every((name) => [...decided].every(([key, limits]) => applied.get(`${name} ${key}`) === limits)),
  )
}

export const limitsReloader: Service = {
  processes: [...GATEWAYS, 'operator'],
  right: (world) => run(world, true),
  wrong: (world) => run(world, false),
}
