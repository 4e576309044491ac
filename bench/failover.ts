// How long the cluster cannot be written to when its leader goes: killed, paused, or restarted in an orderly way under
// load. Runs against a local cluster of `kv cluster start`; bench/README.md says how to use it.

import { latencyOf } from '../jepsen-lite/local/run-stats.ts'
import { Client } from '../src/client/index.ts'
import { flagsOf } from './flags.ts'
import { HttpConnection } from './http-connection.ts'
import { type BenchCluster, type BenchNode, clusterStatus, kvCluster, settled } from './local-cluster.ts'

const flags = flagsOf({
  data: { type: 'string', default: '.kv/cluster' },
  kind: { type: 'string', default: 'kill' },
  times: { type: 'string', default: '20' },
  connections: { type: 'string', default: '8' },
  clients: { type: 'string', default: '4' },
})

const RETRY_MS = 2
const value = Buffer.alloc(256, 'failover')
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A leader that runs, and another node to write through. */
async function leaderAndOther(): Promise<{ leader: BenchNode; pid: number; other: BenchNode }> {
  const cluster = await clusterStatus(flags.data)
  const name = await settled(cluster)
  const leader = cluster.nodes.find((node) => node.name === name)
  const other = cluster.nodes.find((node) => node.name !== name)
  if (leader === undefined || leader.pid === null || other === undefined) {
    throw new Error('a local cluster of two or more running nodes is needed')
  }
  return { leader, pid: leader.pid, other }
}

/** Milliseconds from now until a write through `url` that begins now or later has succeeded. */
function untilWritten(connection: HttpConnection): Promise<number> {
  const begun = performance.now()
  const { bytes } = connection.putRequest('failover', value)
  return new Promise((resolve) => {
    const write = (): void =>
      connection.ask(bytes, (status) => {
        if (status === 200) resolve(performance.now() - begun)
        else setTimeout(write, RETRY_MS)
      })
    write()
  })
}

/** Takes the leader away with `signal`, `times` over, and brings it back with `kv cluster <back>`. */
async function sudden(signal: 'SIGKILL' | 'SIGSTOP', back: 'restart' | 'resume'): Promise<void> {
  const gapsMs: number[] = []
  for (let count = 0; count < Number(flags.times); count++) {
    const { leader, pid, other } = await leaderAndOther()
    const connection = new HttpConnection(other.url, (why) => {
      throw new Error(`the connection to ${other.name} broke: ${why}`)
    })
    await untilWritten(connection)
    process.kill(pid, signal)
    const gapMs = await untilWritten(connection)
    connection.close()
    gapsMs.push(gapMs)
    console.log(
      `${String(count + 1).padStart(3)}  ${signal} ${leader.name}, written through ${other.name} after ${gapMs.toFixed(0)} ms`,
    )
    await kvCluster(flags.data, back, leader.name)
  }
  const { p50, max, count } = latencyOf(gapsMs)
  console.log(`${signal}: median ${p50.toFixed(0)} ms, worst ${max.toFixed(0)} ms of ${count}`)
}

interface Load {
  answered: number
  readonly failures: string[]
  longestGapMs: number
  /** When the longest gap began. */
  gapAtMs: number
  lastMs: number
}

const newLoad = (): Load => ({
  answered: 0,
  failures: [],
  longestGapMs: 0,
  gapAtMs: 0,
  lastMs: performance.now(),
})

function succeeded(load: Load): void {
  const now = performance.now()
  load.answered++
  if (now - load.lastMs > load.longestGapMs) {
    load.longestGapMs = now - load.lastMs
    load.gapAtMs = load.lastMs
  }
  load.lastMs = now
}

/**
 * Restarts the leader while plain HTTP clients write through the other nodes and our client library through all of
 * them.
 */
async function graceful(): Promise<void> {
  for (let count = 0; count < Number(flags.times); count++) {
    const cluster = await clusterStatus(flags.data)
    const leader = await settled(cluster)
    const [http, library] = [newLoad(), newLoad()]
    let running = true
    const writers = [
      ...httpWriters(cluster, leader, http, () => running),
      ...clientWriters(cluster, library, () => running),
    ]
    await pause(500)
    const begunMs = performance.now()
    for (const load of [http, library]) Object.assign(load, { longestGapMs: 0, lastMs: begunMs })
    await kvCluster(flags.data, 'restart', leader)
    await pause(500)
    running = false
    await Promise.all(writers)
    console.log(
      `${String(count + 1).padStart(3)}  restarted ${leader}  http: ${summary(http, begunMs)}  client: ${summary(library, begunMs)}`,
    )
  }
}

const summary = ({ answered, failures, longestGapMs, gapAtMs }: Load, begunMs: number): string =>
  `${answered} written, ${failures.length} failed${failures.length > 0 ? ` (${failures[0]})` : ''}, longest pause ${longestGapMs.toFixed(0)} ms (from ${(gapAtMs - begunMs).toFixed(0)} ms on)`

function httpWriters(
  cluster: BenchCluster,
  leader: string,
  load: Load,
  running: () => boolean,
): Promise<void>[] {
  const others = cluster.nodes.filter(({ name }) => name !== leader)
  return Array.from({ length: Number(flags.connections) }, (_, number) => {
    const url = others[number % others.length]?.url ?? ''
    return new Promise<void>((resolve) => {
      const connection = new HttpConnection(url, (why) => {
        load.failures.push(why)
        resolve()
      })
      const { bytes } = connection.putRequest(`http-${number}`, value)
      const write = (): void => {
        if (!running()) {
          connection.close()
          resolve()
          return
        }
        connection.ask(bytes, (status, body) => {
          if (status === 200) succeeded(load)
          else load.failures.push(`${status} ${body.toString()}`)
          write()
        })
      }
      write()
    })
  })
}

function clientWriters(cluster: BenchCluster, load: Load, running: () => boolean): Promise<void>[] {
  return Array.from({ length: Number(flags.clients) }, async (_, number) => {
    const client = new Client({ endpoints: cluster.nodes.map(({ url }) => url) })
    while (running()) {
      try {
        await client.put(`client-${number}`, value)
        succeeded(load)
      } catch (error) {
        load.failures.push(String(error))
      }
    }
  })
}

try {
  if (flags.kind === 'kill') await sudden('SIGKILL', 'restart')
  else if (flags.kind === 'pause') await sudden('SIGSTOP', 'resume')
  else if (flags.kind === 'restart') await graceful()
  else throw new Error('--kind is kill, pause or restart')
  process.exit(0)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
