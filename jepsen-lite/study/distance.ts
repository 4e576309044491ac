// Messages between nodes on one machine take almost no time. A hop in every link delays each byte. Then a round trip to
// a majority takes as long as between buildings or cities. The study shows how much time a level saves without it.

import type { LocalCluster } from '../local/cluster.ts'
import { createDelayHop, type DelayHop } from './delay-hop.ts'

/**
 * Resolves when every link leads through its hop. Existing connections are closed and made again. The function that it
 * returns closes the hops.
 */
export async function setApart(cluster: LocalCluster, delayMs: number): Promise<() => Promise<void>> {
  if (delayMs === 0) return async () => {}
  const hops: DelayHop[] = await Promise.all(
    cluster.network
      .between(() => true)
      .map(async (link) => {
        const hop = await createDelayHop(delayMs, () => cluster.node(link.to).peerListener)
        link.lead(hop.address)
        return hop
      }),
  )
  return async () => {
    await Promise.all(hops.map((hop) => hop.close()))
  }
}
