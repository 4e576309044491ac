// Workers take mails from a queue and send them.
//
// The bug: a worker acknowledges a mail before it sends it. A worker that ends in between loses the mail.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client, QuorateError } from '../../../../src/client/index.ts'
import { type QueueItem, queue } from '../../../../src/recipes/index.ts'
import { type Service, supervised } from './service.ts'

const MAILS = 30
const OPTIONS = { visibilityMs: 2_000, attemptsMax: 1_000 }

async function producer(self: ProcessSelf, endpoints: readonly string[], pushed: Set<string>) {
  const mails = queue(new Client({ endpoints }), 'mails', OPTIONS)
  for (let mail = 1; mail <= MAILS; mail++) {
    await supervised(self.signal, () => mails.push(`mail ${mail}`))
    pushed.add(`mail ${mail}`)
    await sleep(80)
  }
}

async function worker(
  self: ProcessSelf,
  endpoints: readonly string[],
  sent: Set<string>,
  acknowledgesFirst: boolean,
) {
  const mails = queue(new Client({ endpoints }), 'mails', OPTIONS)
  const send = async (mail: QueueItem) => {
    await sleep(120) // SMTP
    sent.add(mail.text())
  }
  while (!self.signal.aborted) {
    const mail = await supervised(self.signal, () => mails.pop({ waitMs: 5_000, signal: self.signal }))
    if (mail === undefined) continue
    try {
      if (acknowledgesFirst) await mail.ack()
      await send(mail)
      if (!acknowledgesFirst) await mail.ack()
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error // another worker gets the mail
    }
  }
}

async function run(world: World, acknowledgesFirst: boolean): Promise<void> {
  const pushed = new Set<string>()
  const sent = new Set<string>()
  for (const name of ['w1', 'w2'])
    world.process(name, (self) => worker(self, world.endpoints, sent, acknowledgesFirst))
  world.process('producer', (self) => producer(self, world.endpoints, pushed))
  await world.after(2_500)
  await world.eventually('all mails are pushed', () => pushed.size === MAILS, { ms: 60_000 })
  await world.eventually('all mails are sent', () => [...pushed].every((mail) => sent.has(mail)), {
    ms: 20_000,
  })
}

export const mailWorker: Service = {
  processes: ['w1', 'w2', 'producer'],
  right: (world) => run(world, false),
  wrong: (world) => run(world, true),
}
