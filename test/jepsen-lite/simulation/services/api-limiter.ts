// Two processes call an API that allows five requests a second.
//
// The bug: a bucket of tokens is filled by the time since its last use, by the clocks of different processes. The
// process whose clock is ahead fills it each time.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../../src/client/index.ts'
import { rateLimiter } from '../../../../src/recipes/index.ts'
import { type Service, supervised } from './service.ts'

const LIMIT = 5
const WINDOW_MS = 1_000

function clusterWindows(kv: Client): () => Promise<boolean> {
  const limiter = rateLimiter(kv, 'api', { limit: LIMIT, windowMs: WINDOW_MS })
  return async () => (await limiter.take()).allowed
}

/** Tokens come back with time. */
function tokenBucket(kv: Client): () => Promise<boolean> {
  return () =>
    kv.transact(async (tx) => {
      const now = Date.now()
      const stored = (await tx.get('api'))?.json() as { tokens: number; at: number } | undefined
      const { tokens, at } = stored ?? { tokens: LIMIT, at: now }
      const left = Math.min(LIMIT, tokens + (LIMIT * Math.max(0, now - at)) / WINDOW_MS)
      if (left < 1) return false
      tx.put('api', JSON.stringify({ tokens: left - 1, at: now }))
      return true
    })
}

async function caller(
  self: ProcessSelf,
  endpoints: readonly string[],
  request: () => void,
  trustsLocalClock: boolean,
) {
  const kv = new Client({ endpoints })
  const take = trustsLocalClock ? tokenBucket(kv) : clusterWindows(kv)
  while (!self.signal.aborted) {
    if ((await supervised(self.signal, take)) === true) request()
    await sleep(100)
  }
}

async function run(world: World, trustsLocalClock: boolean): Promise<void> {
  const requests: number[] = []
  for (const name of ['c1', 'c2'])
    world.process(name, (self) =>
      caller(self, world.endpoints, () => requests.push(world.now), trustsLocalClock),
    )
  // The clock of a node may be fast, and a window begins with its first request.
  world.always('the API gets five requests a second', () => {
    const [first] = requests
    if (first === undefined) return true
    return requests.length <= LIMIT * (1 + Math.ceil((1.3 * (world.now - first)) / WINDOW_MS))
  })
  await world.after(6_000)
  const before = requests.length
  await world.eventually('requests are made again', () => requests.length > before)
}

export const apiLimiter: Service = {
  processes: ['c1', 'c2'],
  right: (world) => run(world, false),
  wrong: (world) => run(world, true),
}
