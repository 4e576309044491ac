import { setTimeout as sleep } from 'node:timers/promises'
import { processExists } from '../../src/local/processes.ts'
import { type Cluster, type ClusterNode, kill, settled } from '../clusters/cluster.ts'
import { sample } from '../measure/processes.ts'
import { fill } from './fill.ts'
import { type LoadWish, start } from './measure-load.ts'
import type { Scenario } from './scenario.ts'

/** Together 1 GiB. So many entries that etcd, too, sends a snapshot instead of its log. */
const KEYS = 262_144
const VALUE_BYTES = 4096
const LOOK_EVERY_MS = 50

/** The load before and during the catch-up: an open loop, so that a stall of the leader shows in full. */
const LOAD: LoadWish = { in_flight: 64, rate: 1000 }

export const CATCH_UP: Scenario = {
  name: 'catch-up',
  about: 'a follower was away while 1 GiB was written, and comes back under a load of 1,000 puts/s',
  store: 'filled',
  per: 'system',
  breaksNodes: true,
  async measure(side, setting) {
    const { cluster } = side
    const before = await (await start(side, setting, LOAD)).report
    const [leader, away] = await settled(cluster)
    if (away === undefined) throw new Error('there is no follower that could catch up')
    kill(away)
    // The follower that is away is not ready, so these say whom they ask.
    const endpoints = [leader.url]
    await fill(side, setting, { endpoints, fill_from: 0, keys: KEYS, value_bytes: VALUE_BYTES })

    const then = await cluster.view(leader)
    const load = await start(side, setting, { ...LOAD, endpoints, warmup_seconds: 0, seconds: null })
    await load.begun
    const begin = performance.now()
    const restarted = cluster.restart(away.name)
    const memory = watchMemory(await newPid(cluster, away))
    while ((await appliedBy(cluster, away)) < then.applied) await sleep(LOOK_EVERY_MS)
    const seconds = (performance.now() - begin) / 1000
    const peakMb = memory.peakMb()
    load.stop()
    const during = await load.report
    await restarted
    const now = await cluster.view(leader)
    return {
      figures: {
        caught_up_s: seconds,
        elections: now.term - then.term,
        p99_before_ms: before.p99_ms,
        p99_during_ms: during.p99_ms,
        follower_peak_rss_anon_mb: peakMb,
      },
      errors: during.errors,
    }
  },
}

/** 0 when it does not answer. */
export const appliedBy = (cluster: Cluster, node: ClusterNode): Promise<number> =>
  cluster.view(node).then(
    ({ applied }) => applied,
    () => 0,
  )

/** The node may not answer for long, so its memory is read by a timer. */
export function watchMemory(pid: number): { peakMb(): number } {
  let peak = 0
  const timer = setInterval(() => {
    if (processExists(pid)) peak = Math.max(peak, sample(pid).rssAnonMb)
  }, LOOK_EVERY_MS)
  return {
    peakMb() {
      clearInterval(timer)
      return peak
    },
  }
}

/** The process that has replaced the one that was killed. */
export async function newPid(cluster: Cluster, { name, pid: old }: ClusterNode): Promise<number> {
  for (;;) {
    const pid = (await cluster.nodes()).find((node) => node.name === name)?.pid
    if (pid !== undefined && pid !== old) return pid
    await sleep(LOOK_EVERY_MS)
  }
}
