// A scheduler sends the invoices of each month, at most once.
//
// The bug: it stores that the month is done when all is sent. A process that starts again in between sends twice.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client, PreconditionFailedError } from '../../../../src/client/index.ts'
import { type Service, supervised } from './service.ts'

const MONTH_MS = 200
const MONTHS = 14

async function scheduler(
  self: ProcessSelf,
  endpoints: readonly string[],
  send: (month: number) => void,
  claimsFirst: boolean,
) {
  const kv = new Client({ endpoints })
  for (let month = 1; month <= MONTHS; month++) {
    const key = `invoices/${month}`
    const isDone = await supervised(self.signal, async () => (await kv.get(key)) !== undefined)
    if (isDone !== false) continue
    if (claimsFirst && !(await claim(kv, key))) continue
    await sleep(100) // makes the documents
    send(month)
    await sleep(100) // waits for the answer of the post office
    if (!claimsFirst) await supervised(self.signal, () => kv.put(key, 'sent'))
    await sleep(MONTH_MS)
  }
}

/** `false`: another run has the month, or may have it. */
async function claim(kv: Client, key: string): Promise<boolean> {
  try {
    await kv.put(key, 'claimed', { ifAbsent: true })
    return true
  } catch (error) {
    if (error instanceof PreconditionFailedError || (error as { written?: unknown }).written !== undefined)
      return false
    throw error
  }
}

async function run(world: World, claimsFirst: boolean): Promise<void> {
  const sent: number[] = []
  const scheduling = world.process('scheduler', (self) =>
    scheduler(self, world.endpoints, (month) => sent.push(month), claimsFirst),
  )
  world.always('no month is sent twice', () => new Set(sent).size === sent.length)
  await scheduling.ended
}

export const invoiceScheduler: Service = {
  processes: ['scheduler'],
  right: (world) => run(world, true),
  wrong: (world) => run(world, false),
}
