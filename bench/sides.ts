// The sides of the comparison: each protocol of quorate, and etcd. Each gets the connections and settings best for it.

import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { type EtcdPrograms, etcdPrograms } from '../test/etcd/etcd-programs.ts'
import { bestConnections } from './calibrate.ts'
import { type Cluster, signalAll } from './clusters/cluster.ts'
import { ETCD_QUOTA_BYTES, type EtcdCluster, startEtcd } from './clusters/etcd.ts'
import { buildEtcdGenerator } from './clusters/etcd-generator.ts'
import { givenQuorate, startQuorate, stopQuorate } from './clusters/quorate.ts'
import { NODE_GENERATOR } from './load/run-generator.ts'
import type { BenchOptions } from './options.ts'
import type { Setting, Side } from './scenarios/scenario.ts'
import { atTheEnd } from './undo.ts'

export type ProgressSink = (line: string) => void

export async function sidesFor(
  options: BenchOptions,
  setting: Setting,
  progress: ProgressSink,
): Promise<Side[]> {
  // Fails before anything is started if etcd is missing.
  const etcd = options.againstEtcd === undefined ? undefined : await etcdPrograms(options.againstEtcd)
  const quorate = await quorateSides(options, setting, progress)
  return etcd === undefined ? quorate : [...quorate, await etcdSide(etcd, options, setting, progress)]
}

async function quorateSides(
  { endpoints, pids, over, connections }: BenchOptions,
  setting: Setting,
  progress: ProgressSink,
): Promise<Side[]> {
  const { directory } = setting
  const grpc = over.includes('grpc') ? await grpcSide() : undefined
  const cluster = endpoints.length > 0 ? await givenQuorate(endpoints, pids) : await started(directory)
  atTheEnd(() => signalAll(cluster, 'SIGCONT'))
  return over.map((protocol) => ({
    name: `quorate ${protocol}`,
    cluster,
    over: protocol,
    generator: NODE_GENERATOR,
    to: protocol === 'client' ? 'all' : 'leader',
    connections: { writes: connections ?? 1, reads: connections ?? 1 },
    ...(protocol === 'grpc' && grpc),
  }))

  async function grpcSide(): Promise<Pick<Side, 'generator' | 'connections'>> {
    const generator = await buildEtcdGenerator(setting.directory)
    if (generator === undefined) throw new Error('--over grpc needs Go, which builds the client of etcd')
    if (connections !== undefined)
      return { generator, connections: { writes: connections, reads: connections } }
    progress('finding the best number of connections of the client of etcd for quorate')
    const place = await mkdtemp(join(directory, 'calibration-'))
    const candidate = { name: 'quorate grpc', over: 'grpc', generator, to: 'leader' } as const
    const best = await bestConnections({ ...candidate, cluster: await started(place) }, setting)
    await stopQuorate(place)
    return { generator, connections: best }
  }

  function started(place: string): Promise<Cluster> {
    progress('starting quorate')
    atTheEnd(() => stopQuorate(place))
    return startQuorate(place)
  }
}

async function etcdSide(
  programs: EtcdPrograms,
  { connections }: BenchOptions,
  setting: Setting,
  progress: ProgressSink,
): Promise<Side> {
  progress(`starting etcd ${programs.version}`)
  const built = await buildEtcdGenerator(setting.directory)
  if (built === undefined) progress('without Go: etcd through its JSON gateway')
  const side =
    built === undefined
      ? ({ name: 'etcd json', over: 'gateway', generator: NODE_GENERATOR, to: 'leader' } as const)
      : ({ name: 'etcd', over: 'grpc', generator: built, to: 'leader' } as const)
  const connectionCount = built === undefined ? 1 : connections
  const found =
    connectionCount === undefined ? await calibrated() : { writes: connectionCount, reads: connectionCount }
  return { ...side, cluster: await etcdIn(setting.directory, programs), connections: found }

  async function calibrated() {
    progress('finding the best number of connections for etcd')
    const cluster = await etcdIn(await mkdtemp(join(setting.directory, 'calibration-')), programs)
    const best = await bestConnections({ ...side, cluster }, setting)
    await cluster.stop()
    return best
  }
}

async function etcdIn(directory: string, programs: EtcdPrograms): Promise<EtcdCluster> {
  const cluster = await startEtcd(directory, programs)
  atTheEnd(() => cluster.stop())
  return cluster
}

/** Describes the connections and settings of a side, for the report. */
export function describeSide({ over, connections, cluster }: Side): string {
  const etcd = `quota ${ETCD_QUOTA_BYTES / 1024 ** 3} GiB, else defaults`
  switch (over) {
    case 'http':
      return 'bare sockets, one connection for each in flight, to the leader'
    case 'client':
      return 'the client library, which knows all nodes and chooses; no limit of calls'
    case 'mux':
      return `the bare multiplexed connection, ${connections.writes} of them, to the leader; writes without identity`
    case 'grpc': {
      const client = `etcd's client in Go, ${connections.writes} connections for writes, ${connections.reads} for reads`
      return cluster.system === 'etcd' ? `${client}, to the leader; ${etcd}` : `${client}, to the leader`
    }
    case 'wrong-logins':
      return 'logins over bare sockets'
    case 'gateway':
      return `JSON gateway over bare sockets, to the leader; ${etcd}`
  }
}
