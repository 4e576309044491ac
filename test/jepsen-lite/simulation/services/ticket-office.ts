// Ticket offices: the one that leads gives out numbers, which it counts in its memory.
//
// The bug: the leader continues after its lease has ended, and writes without the guard of its lead.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import type { Client } from '../../../../src/client/index.ts'
import { runAsLeader } from '../../../../src/recipes/index.ts'
import { type Service, supervised } from './service.ts'

const OFFICES = ['north', 'south', 'west']

async function lastNumber(kv: Client): Promise<number> {
  for await (const { key } of kv.list({ prefix: 'ticket/', order: 'desc', limit: 1, keysOnly: true }))
    return Number(key.slice('ticket/'.length))
  return 0
}

class Tickets {
  readonly owners = new Map<number, string>()
  readonly givenTwice: string[] = []

  give(number: number, office: string): void {
    const owner = this.owners.get(number)
    if (owner !== undefined) this.givenTwice.push(`${number} by ${owner} and ${office}`)
    this.owners.set(number, office)
  }
}

async function office(self: ProcessSelf, tickets: Tickets, isGuarded: boolean): Promise<void> {
  const kv = self.client()
  await supervised(self.signal, () =>
    runAsLeader(
      kv,
      'tickets',
      async (lead) => {
        let last = await lastNumber(kv)
        const end = isGuarded ? lead.signal : self.signal
        while (!end.aborted) {
          const key = `ticket/${String(last + 1).padStart(8, '0')}`
          if (isGuarded) await lead.put(key, self.name)
          else await kv.put(key, self.name)
          last += 1
          tickets.give(last, self.name)
          await sleep(40)
        }
      },
      { value: self.name, ttlMs: 2_000, signal: self.signal, onError: () => {} },
    ),
  )
}

async function run(world: World, isGuarded: boolean): Promise<void> {
  const tickets = new Tickets()
  for (const name of OFFICES) world.process(name, (self) => office(self, tickets, isGuarded))
  world.always('no number is given twice', () => tickets.givenTwice.length === 0)
  await world.after(6_000)
  const before = tickets.owners.size
  await world.eventually('numbers are given again', () => tickets.owners.size > before)
}

export const ticketOffice: Service = {
  processes: OFFICES,
  right: (world) => run(world, true),
  wrong: (world) => run(world, false),
}
