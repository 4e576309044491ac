// `begun` of a double barrier has no lease, so an import restores it: that must start no round.

import { beforeAll, expect, it, vi } from 'vitest'
import { doubleBarrier } from '../../src/recipes/index.ts'
import { sleep, virtualCluster } from './virtual-cluster.ts'

const cluster = virtualCluster()
const kv = cluster.client()
beforeAll(() => void vi.spyOn(process, 'emitWarning').mockImplementation(() => {}))

it('one process passes a double barrier of three alone when an import restores the begun of a former round', async () => {
  // A backup that was made during a round: what `kv export` prints, without the records that have a lease.
  const backup: (readonly [Uint8Array, Uint8Array])[] = []
  const round = await Promise.all([1, 2, 3].map(() => doubleBarrier(cluster.client(), 'd', 3).enter()))
  for await (const { keyBytes, value, lease } of kv.list({ prefix: 'doublebarrier/d/' }))
    if (lease === undefined) backup.push([keyBytes, value])
  await Promise.all(round.map((each) => each.leave()))
  // A process waits for two others. Then the backup is imported.
  const end = new AbortController()
  const enters = doubleBarrier(kv, 'd', 3).enter({ signal: end.signal })
  enters.catch(() => {})
  await sleep(1_000)
  for (const [key, value] of backup) await kv.put(key, value)
  const ends = await Promise.race([enters.then(() => 'enters alone'), sleep(60_000).then(() => 'waits')])
  end.abort()
  expect(ends).toBe('waits')
})
