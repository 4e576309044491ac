// The sides of the comparison: each protocol of quorate, and each other system. Each gets the connections and settings
// best for it.

import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { bestConnections } from './calibrate.ts'
import { type Cluster, signalAll } from './clusters/cluster.ts'
import { givenQuorate, startQuorate } from './clusters/quorate.ts'
import { ETCD_ONLY, type StartedCluster, type System } from './clusters/system.ts'
import { buildGoGenerator } from './load/go-generator.ts'
import type { Over } from './load/load.ts'
import { NODE_GENERATOR } from './load/run-generator.ts'
import type { BenchOptions } from './options.ts'
import type { ConnectionCounts, Setting, Side } from './scenarios/scenario.ts'
import { atTheEnd } from './undo.ts'

export type ProgressSink = (line: string) => void
type StartCluster = (directory: string) => Promise<StartedCluster>

export async function sidesFor(
  options: BenchOptions,
  setting: Setting,
  progress: ProgressSink,
): Promise<Side[]> {
  const { endpoints, pids, over, against, connections } = options
  const { directory } = setting
  // These fail before anything is started if a program is missing.
  const prepared: [System, StartCluster][] = []
  for (const system of against) prepared.push([system, await system.prepare()])
  const needsGo = against.length > 0 || over.includes('grpc')
  const goGenerator = needsGo ? await buildGoGenerator(directory) : NODE_GENERATOR

  const cluster = endpoints.length > 0 ? await givenQuorate(endpoints, pids) : await started()
  atTheEnd(() => signalAll(cluster, 'SIGCONT'))
  const sides: Side[] = []
  for (const protocol of over) {
    const name = `quorate ${protocol}`
    const generator = protocol === 'grpc' ? goGenerator : NODE_GENERATOR
    const to = protocol === 'client' ? 'all' : 'leader'
    const without = protocol === 'grpc' ? {} : ETCD_ONLY
    const side = { name, over: protocol, generator, to, without } as const
    const counts = protocol === 'grpc' ? await best(side, startQuorate) : fixed(connections ?? 1)
    sides.push({ ...side, cluster, connections: counts, about: aboutQuorate(protocol, counts) })
  }
  for (const [system, start] of prepared) {
    const { name, over, without, connectionPerOperation } = system
    const side = { name, over, generator: goGenerator, to: 'leader', without } as const
    const counts = connectionPerOperation ? fixed(connections ?? 1) : await best(side, start)
    progress(`starting ${name}`)
    const other = await startIn(name, start)
    sides.push({
      ...side,
      cluster: other,
      connections: counts,
      about: `${system.about}; ${connectionPerOperation ? PER_OPERATION : shown(counts)}`,
    })
  }
  return sides

  /** The best numbers of connections of a client in Go, unless the user has chosen one. */
  async function best(
    side: Omit<Side, 'about' | 'cluster' | 'connections'>,
    start: StartCluster,
  ): Promise<ConnectionCounts> {
    if (connections !== undefined) return fixed(connections)
    progress(`finding the best number of connections for ${side.name}`)
    const candidate = await startIn('calibration', start)
    const found = await bestConnections({ ...side, about: '', cluster: candidate }, setting)
    await candidate.stop()
    return found
  }

  function started(): Promise<Cluster> {
    progress('starting quorate')
    return startQuorate(directory)
  }

  async function startIn(name: string, start: StartCluster): Promise<StartedCluster> {
    return start(await mkdtemp(join(directory, `${name.replace(':', '-')}-`)))
  }
}

const fixed = (count: number): ConnectionCounts => ({ writes: count, reads: count })

const PER_OPERATION = 'client in Go, one connection for each in flight, to the leader'

const shown = ({ writes, reads }: ConnectionCounts): string =>
  `client in Go, ${writes} connections for writes, ${reads} for reads, to the leader`

function aboutQuorate(over: Over, counts: ConnectionCounts): string {
  switch (over) {
    case 'http':
      return 'bare sockets, one connection for each in flight, to the leader'
    case 'client':
      return 'the client library, which knows all nodes and chooses; no limit of calls'
    case 'mux':
      return `the bare multiplexed connection, ${counts.writes} of them, to the leader; writes without identity`
    default:
      return `etcd's ${shown(counts)}`
  }
}
