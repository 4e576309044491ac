// Properties of the virtual cluster on which the other tests of recipes rely.

import { expect, it } from 'vitest'
import { stream } from '../../jepsen-lite/workload/random.ts'
import { lock, queue } from '../../src/recipes/index.ts'
import { unsure } from './unsure-client.ts'
import { seedTest, sleep, VirtualCluster, virtualCluster } from './virtual-cluster.ts'

// For its virtual clock.
virtualCluster()

const CLIENTS = 4
const TURNS = 3
const TTL_MS = 2_000
/** Longer than the lease of a holder, and than the time of a call. */
const OUTAGE_MS = 5_000
const TIMEOUT_MS = 1_000

/** The requests that clients of a lock and a queue send, with their virtual times, before an outage and after it. */
async function requestsOfOutage(seed: number): Promise<readonly string[]> {
  seedTest(seed)
  const draw = stream(seed, 1, 0)
  const beganAt = performance.now()
  const requests: string[] = []
  await using cluster = new VirtualCluster()
  cluster.onRequest = ({ method, target, headers, body }) => {
    const at = performance.now() - beganAt
    requests.push([at, method, target, JSON.stringify(headers), Buffer.from(body ?? '')].join(' '))
  }
  const work = async () => {
    const { kv } = unsure(cluster.client({ timeoutMs: TIMEOUT_MS }), draw, 0.1)
    const items = queue(kv, 'items')
    for (let n = 0; n < TURNS; n++) {
      const held = await lock(kv, 'shared', { ttlMs: TTL_MS }).catch(() => undefined)
      await items.push('x').catch(() => undefined)
      await held?.release()
    }
  }
  const working = Promise.all(Array.from({ length: CLIENTS }, work))
  await sleep(50)
  cluster.isDown = true
  await sleep(OUTAGE_MS)
  cluster.isDown = false
  await working
  return requests
}

it('sends the same requests at the same times again with the same seed, and others with another', async () => {
  const requests = await requestsOfOutage(1)
  expect(requests.length).toBeGreaterThan(CLIENTS * TURNS)
  expect(await requestsOfOutage(1)).toEqual(requests)
  expect(await requestsOfOutage(2)).not.toEqual(requests)
})
