// Nodes on one machine are nearer to each other than any network allows. A hop of its own in every link hands on each
// byte so much later: then a round trip to a majority costs what it costs between buildings or cities, and what one
// saves by doing without can be seen.

import type { LocalCluster } from '../local/cluster.ts'
import { createMangler, type Mangler } from '../local/mangler.ts'
import { Random } from '../local/random.ts'

/**
 * Resolves when every link leads through its hop; connections that stood begin anew. The function returned takes the
 * hops away.
 */
export async function setApart(cluster: LocalCluster, delayMs: number): Promise<() => Promise<void>> {
  if (delayMs === 0) return async () => {}
  const measure = { probability: 1, delayMs: [delayMs, delayMs], bytesPerSecond: 0 } as const
  const hops: Mangler[] = await Promise.all(
    cluster.network
      .between(() => true)
      .map(async (link) => {
        const hop = await createMangler(
          'delay',
          measure,
          new Random(0),
          () => cluster.node(link.to).peerListener,
        )
        link.lead(hop.address)
        return hop
      }),
  )
  return async () => {
    await Promise.all(hops.map((hop) => hop.close()))
  }
}
