// One load on one side: what the generator saw, and what it cost the nodes.

import { type Cluster, type ClusterNode, settled } from '../clusters/cluster.ts'
import type { Load } from '../load/load.ts'
import { type RunningLoad, startLoad } from '../load/run-generator.ts'
import { type ProcessSample, sample } from '../measure/processes.ts'
import { type Figures, type Measured, type Setting, type Side, urlsFor } from './scenario.ts'

/** What a scenario says of its load; the rest comes from the side and the setting. */
export type LoadWish = Pick<Load, 'in_flight'> & Partial<Load>

export async function loadFor(side: Side, setting: Setting, wish: LoadWish): Promise<Load> {
  const { writes, reads } = side.connections
  const connections = wish.reads === 1 ? reads : writes
  return {
    over: side.over,
    endpoints: urlsFor(side, await settled(side.cluster)),
    connections: Math.min(connections, wish.in_flight),
    rate: setting.rate,
    reads: 0,
    consistency: 'linearizable',
    range: 1,
    keys: setting.keys,
    fill_from: null,
    value_bytes: setting.valueBytes,
    warmup_seconds: setting.warmupSeconds,
    seconds: setting.seconds,
    ...wish,
  }
}

export async function start(side: Side, setting: Setting, wish: LoadWish): Promise<RunningLoad> {
  return startLoad(side.generator, await loadFor(side, setting, wish))
}

export async function measureLoad(side: Side, setting: Setting, wish: LoadWish): Promise<Measured> {
  const nodes = await settled(side.cluster)
  const load = await start(side, setting, wish)
  await load.begun
  const before = await samplesOf(side.cluster, nodes)
  const report = await load.report
  const after = await samplesOf(side.cluster, nodes)
  const { operations, seconds, errors, cpu_us, ...latencies } = report
  const figures = {
    ops_per_s: operations / seconds,
    ...latencies,
    ...costs(before, after, operations),
    generator_cpu_us: cpu_us / operations,
    errors: Object.values(errors).reduce((sum, count) => sum + count, 0),
  }
  return { figures, errors }
}

interface NodeSample {
  readonly process: ProcessSample | undefined
  readonly syncs: number
}

function samplesOf(cluster: Cluster, nodes: readonly ClusterNode[]): Promise<NodeSample[]> {
  return Promise.all(
    nodes.map(async (node) => ({
      process: node.pid === undefined ? undefined : sample(node.pid),
      syncs: await cluster.syncs(node),
    })),
  )
}

const total = (numbers: readonly number[]): number => numbers.reduce((sum, each) => sum + each, 0)

/** By operation and node: the leader first, then the followers. */
function costs(before: readonly NodeSample[], after: readonly NodeSample[], operations: number): Figures {
  const figures: Record<string, number> = {}
  const cpu: number[] = []
  for (const [at, { process, syncs }] of after.entries()) {
    const role = roleOf(at)
    const earlier = before[at]
    if (earlier === undefined) continue
    figures[`${role}.syncs_per_op`] = (syncs - earlier.syncs) / operations
    if (process === undefined || earlier.process === undefined) continue
    const cpuUs = (process.cpuMicros - earlier.process.cpuMicros) / operations
    cpu.push(cpuUs)
    figures[`${role}.cpu_us`] = cpuUs
    Object.assign(figures, memoryFigures(role, process))
    if (process.writtenBytes === undefined || earlier.process.writtenBytes === undefined) continue
    figures[`${role}.written_bytes_per_op`] =
      (process.writtenBytes - earlier.process.writtenBytes) / operations
  }
  return cpu.length === 0 ? figures : { server_cpu_us: total(cpu), ...figures }
}

export const roleOf = (at: number): string => (at === 0 ? 'leader' : `follower${at}`)

export const memoryFigures = (role: string, { rssAnonMb, vmRssMb }: ProcessSample): Figures => ({
  [`${role}.rss_anon_mb`]: rssAnonMb,
  [`${role}.vm_rss_mb`]: vmRssMb,
})
