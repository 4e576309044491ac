// Writes as fast as a number of clients can, each waiting for its answer before it writes again (a closed loop).
// bench/README.md says how to use it and how to read what it prints.

import { latencyOf } from '../jepsen-lite/local/run-stats.ts'
import { flagsOf } from './flags.ts'
import { HttpConnection } from './http-connection.ts'
import { clusterStatus } from './local-cluster.ts'
import { cpuMicros } from './server-cpu.ts'

const flags = flagsOf({
  data: { type: 'string', default: '.kv/cluster' },
  endpoints: { type: 'string' },
  all: { type: 'boolean', default: false },
  pids: { type: 'string' },
  connections: { type: 'string', default: '64' },
  'value-bytes': { type: 'string', default: '256' },
  keys: { type: 'string', default: '100000' },
  seconds: { type: 'string', default: '10' },
  warmup: { type: 'string', default: '2' },
  output: { type: 'string', short: 'o', default: 'table' },
})

interface Target {
  readonly urls: readonly string[]
  readonly processes: readonly { readonly name: string; readonly pid: number }[]
}

/** Given endpoints and pids, or those of the local cluster: its leader, or with --all every node. */
async function findTarget(): Promise<Target> {
  const pids = flags.pids?.split(',').map((pid) => ({ name: pid, pid: Number(pid) }))
  if (flags.endpoints !== undefined) return { urls: flags.endpoints.split(','), processes: pids ?? [] }
  const { leader, nodes } = await clusterStatus(flags.data)
  const asked = nodes.filter(({ name, pid }) => pid !== null && (flags.all || name === leader))
  if (asked.length === 0) throw new Error('the local cluster has no leader')
  const running = nodes.flatMap(({ name, pid }) => (pid === null ? [] : [{ name, pid }]))
  return { urls: asked.map(({ url }) => url), processes: pids ?? running }
}

interface LoadStats {
  latenciesMs: number[]
  readonly errors: Map<string, number>
  counting: boolean
}

const KEY_DIGITS = 10
const RECONNECT_MS = 20

/** Writes over one connection, again and again, until `running` is false. */
function client(url: string, stats: LoadStats, running: () => boolean): void {
  const value = Buffer.alloc(Number(flags['value-bytes']), 'quorate ')
  const keys = Number(flags.keys)
  const failed = (why: string): void => {
    if (stats.counting) stats.errors.set(why, (stats.errors.get(why) ?? 0) + 1)
  }
  const connection = new HttpConnection(url, (why) => {
    if (!running()) return
    failed(why)
    setTimeout(() => client(url, stats, running), RECONNECT_MS)
  })
  const { bytes, keyAt } = connection.putRequest(`bench-${'0'.repeat(KEY_DIGITS)}`, value)
  const digitsAt = keyAt + 'bench-'.length

  const write = (): void => {
    if (!running()) {
      connection.close()
      return
    }
    const key = String(Math.floor(Math.random() * keys)).padStart(KEY_DIGITS, '0')
    bytes.write(key, digitsAt, 'latin1')
    const begun = performance.now()
    connection.ask(bytes, (status) => {
      if (status !== 200) failed(`status ${status}`)
      else if (stats.counting) stats.latenciesMs.push(performance.now() - begun)
      write()
    })
  }
  write()
}

const pause = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000))

async function measure({ urls, processes }: Target): Promise<object> {
  let running = true
  const stats: LoadStats = { latenciesMs: [], errors: new Map(), counting: false }
  for (let number = 0; number < Number(flags.connections); number++) {
    client(urls[number % urls.length] ?? '', stats, () => running)
  }
  await pause(Number(flags.warmup))

  const cpuBefore = processes.map(({ pid }) => cpuMicros(pid))
  const ownBefore = process.cpuUsage()
  const begun = performance.now()
  stats.counting = true
  await pause(Number(flags.seconds))
  stats.counting = false
  const seconds = (performance.now() - begun) / 1000
  const own = process.cpuUsage(ownBefore)
  const cpu = processes.map(({ pid }, at) => cpuMicros(pid) - (cpuBefore[at] ?? 0))
  running = false

  const { count: writes, ...latency } = latencyOf(stats.latenciesMs)
  const perWrite = (micros: number): number => Math.round((10 * micros) / writes) / 10
  return {
    connections: Number(flags.connections),
    endpoints: urls,
    value_bytes: Number(flags['value-bytes']),
    seconds: Math.round(seconds * 100) / 100,
    writes,
    writes_per_second: Math.round(writes / seconds),
    latency_ms: writes === 0 ? null : latency,
    errors: Object.fromEntries(stats.errors),
    server_cpu_us_per_write: perWrite(cpu.reduce((sum, each) => sum + each, 0)),
    cpu_us_per_write_by_node: Object.fromEntries(
      processes.map(({ name }, at) => [name, perWrite(cpu[at] ?? 0)]),
    ),
    generator_cpu_us_per_write: perWrite(own.user + own.system),
  }
}

try {
  const report = await measure(await findTarget())
  if (flags.output === 'json') console.log(JSON.stringify(report))
  else console.log(Object.entries(report).map(line).join('\n'))
  process.exit(0)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}

function line([name, value]: [string, unknown]): string {
  const shown =
    typeof value !== 'object' || value === null
      ? String(value)
      : Array.isArray(value)
        ? value.join(' ')
        : Object.entries(value)
            .map(([key, each]) => `${key} ${each}`)
            .join('  ') || 'none'
  return `${name.replaceAll('_', ' ').padEnd(28)} ${shown}`
}
