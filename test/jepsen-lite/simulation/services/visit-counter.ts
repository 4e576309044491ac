// Two web servers count visits.
//
// The bug: the counter reads the number and writes the next one, without a condition.

import { setTimeout as sleep } from 'node:timers/promises'
import {
  checkLinearizable,
  checkTransactions,
  type ProcessSelf,
  recorded,
  type World,
} from '../../../../jepsen-lite/testing/index.ts'
import { type Client, PreconditionFailedError } from '../../../../src/client/index.ts'
import { type Service, supervised } from './service.ts'

const VISITS = 15

async function count(kv: Client, isConditional: boolean): Promise<number> {
  for (;;) {
    const record = await kv.get('visits')
    const visits = Number(record?.text() ?? 0) + 1
    if (!isConditional) {
      await kv.put('visits', String(visits))
      return visits
    }
    try {
      const unchanged = record === undefined ? { ifAbsent: true } : { ifRevision: record.modRevision }
      await kv.put('visits', String(visits), unchanged)
      return visits
    } catch (error) {
      if (!(error instanceof PreconditionFailedError)) throw error
    }
  }
}

async function server(self: ProcessSelf, world: World, isConditional: boolean) {
  const kv = recorded(self.client(), { history: world.history })
  for (let visit = 0; visit < VISITS; visit++) {
    await supervised(self.signal, () => world.history.transaction(() => count(kv, isConditional)))
    await sleep(Math.random() * 150)
  }
}

async function run(world: World, isConditional: boolean): Promise<void> {
  const servers = ['web-1', 'web-2'].map((name) =>
    world.process(name, (self) => server(self, world, isConditional)),
  )
  await Promise.all(servers.map(({ ended }) => ended))
  checkLinearizable(world.history)
  checkTransactions(world.history)
}

export const visitCounter: Service = {
  processes: ['web-1', 'web-2'],
  right: (world) => run(world, true),
  wrong: (world) => run(world, false),
}
