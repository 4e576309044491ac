// A process that writes for the tests of speed: `node speed-writer.ts URL`. Each message of its parent is a round of
// puts; the answer is the time that it took.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from '../../src/client/index.ts'

export interface WriteRound {
  readonly prefix: string
  readonly count: number
  /** undefined: as fast as it can. */
  readonly perSecond: number | undefined
}

export interface WrittenRound {
  readonly ms: number
}

/** Puts that begin together are one batch. */
const BATCH = 200
const BATCHES_IN_FLIGHT = 4
const KEYS = 1_000

const [, , url = ''] = process.argv
const kv = new Client({ endpoints: [url], timeoutMs: 60_000 })

async function write({ prefix, count, perSecond }: WriteRound): Promise<WrittenRound> {
  const begin = performance.now()
  const inFlight = new Set<Promise<unknown>>()
  for (let at = 0; at < count; at += BATCH) {
    if (perSecond !== undefined)
      await sleep(Math.max(0, begin + (at / perSecond) * 1_000 - performance.now()))
    if (inFlight.size >= BATCHES_IN_FLIGHT) await Promise.race(inFlight)
    const numbers = Array.from({ length: Math.min(BATCH, count - at) }, (_, number) => at + number)
    const batch = Promise.all(
      numbers.map((number) => kv.put(`${prefix}${number % KEYS}`, `the value of change ${number}`)),
    ).finally(() => inFlight.delete(batch))
    inFlight.add(batch)
  }
  await Promise.all(inFlight)
  return { ms: performance.now() - begin }
}

process.on('message', (round: WriteRound) => {
  void write(round).then((written) => process.send?.(written))
})
process.once('disconnect', () => void kv.close())
