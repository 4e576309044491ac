// One load on one side: the figures of the generator, and the cost for the nodes.

import { type Cluster, type ClusterNode, settled } from '../clusters/cluster.ts'
import type { Load } from '../load/load.ts'
import { type RunningLoad, startLoad } from '../load/run-generator.ts'
import { type ProcessSample, sample } from '../measure/processes.ts'
import { type Figures, type Measured, type Setting, type Side, urlsFor } from './scenario.ts'

/** The part of a load that a scenario decides. The rest comes from the side, the setting and the nodes. */
export type LoadWish = Pick<Load, 'in_flight'> & Partial<Load>

export async function loadFor(side: Side, setting: Setting, wish: LoadWish): Promise<Load> {
  const { writes, reads } = side.connections
  const connections = wish.reads === 1 ? reads : writes
  return {
    over: side.over,
    endpoints: wish.endpoints ?? urlsFor(side, await settled(side.cluster)),
    connections: Math.min(connections, wish.in_flight),
    rate: setting.rate,
    reads: 0,
    consistency: 'linearizable',
    writes: 'put',
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
    errors: sum(Object.values(errors)),
  }
  return { figures, errors }
}

interface NodeSample {
  readonly process: ProcessSample | undefined
  readonly syncs: number | undefined
}

function samplesOf(cluster: Cluster, nodes: readonly ClusterNode[]): Promise<NodeSample[]> {
  return Promise.all(
    nodes.map(async (node) => ({
      process: node.pid === undefined ? undefined : sample(node.pid),
      syncs: await cluster.syncs(node),
    })),
  )
}

/** By operation, of each node and of all: the leader first, then the followers. */
function costs(before: readonly NodeSample[], after: readonly NodeSample[], operations: number): Figures {
  const figures: Record<string, number> = {}
  for (const [at, now] of after.entries()) {
    const then = before[at]
    const role = roleOf(at)
    const perOperation = (name: string, read: (sample: NodeSample) => number | undefined): void => {
      const grown = (read(now) ?? Number.NaN) - ((then && read(then)) ?? Number.NaN)
      if (!Number.isNaN(grown)) figures[`${role}.${name}`] = grown / operations
    }
    perOperation('cpu_us', ({ process }) => process?.cpuMicros)
    perOperation('written_bytes_per_op', ({ process }) => process?.writtenBytes)
    perOperation('syncs_per_op', ({ syncs }) => syncs)
    if (now.process !== undefined) Object.assign(figures, memoryFigures(role, now.process))
  }
  const cpu = Object.keys(figures).filter((name) => name.endsWith('.cpu_us'))
  if (cpu.length === after.length) figures.server_cpu_us = sum(cpu.map((name) => figures[name] ?? 0))
  return figures
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

export const roleOf = (at: number): string => (at === 0 ? 'leader' : `follower${at}`)

export const memoryFigures = (role: string, { rssAnonMb, vmRssMb }: ProcessSample): Figures => ({
  [`${role}.rss_anon_mb`]: rssAnonMb,
  [`${role}.vm_rss_mb`]: vmRssMb,
})
