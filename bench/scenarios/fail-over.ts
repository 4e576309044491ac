import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, type ClusterNode, kill, settled } from '../clusters/cluster.ts'
import { keyName } from '../load/load.ts'
import { median } from '../report/median.ts'
import type { Scenario } from './scenario.ts'

const TIMES = 5
const WRITE_EVERY_MS = 10
const WRITE_WITHIN_MS = 60_000

export const FAIL_OVER: Scenario = {
  name: 'fail-over',
  about: `kill -9 of the leader, ${TIMES} times: time until a write succeeds that began after it`,
  store: 'filled',
  per: 'system',
  breaksNodes: true,
  async measure({ cluster }) {
    const times: number[] = []
    for (let time = 0; time < TIMES; time++) {
      const [leader, ...others] = await settled(cluster)
      kill(leader)
      times.push(await untilWritten(cluster, others))
      await cluster.restart(leader.name)
    }
    await settled(cluster)
    return { figures: { written_after_ms: median(times), worst_ms: Math.max(...times) } }
  },
}

/**
 * Through the other nodes in turn. A new write begins every few milliseconds, since a node may hold a write that
 * it has sent to the dead leader until it times out.
 */
async function untilWritten(cluster: Cluster, nodes: readonly ClusterNode[]): Promise<number> {
  const begin = performance.now()
  let endedAt: number | undefined
  for (let count = 0; endedAt === undefined; count++) {
    const node = nodes[count % nodes.length]
    if (node === undefined) throw new Error('there is no other node')
    cluster.put(node, keyName(0), 'fail-over').then(
      () => {
        endedAt ??= performance.now()
      },
      () => {},
    )
    await sleep(WRITE_EVERY_MS)
    if (performance.now() - begin > WRITE_WITHIN_MS)
      throw new Error(`no write succeeded for a minute after the leader of ${cluster.system} was killed`)
  }
  return endedAt - begin
}
