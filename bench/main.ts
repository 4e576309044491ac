// npm run bench: measures quorate on this machine, alone or against etcd. bench/README.md says how.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { bestConnections } from './calibrate.ts'
import type { Cluster } from './clusters/cluster.ts'
import { ETCD_QUOTA_BYTES, startEtcd } from './clusters/etcd.ts'
import { buildEtcdGenerator } from './clusters/etcd-generator.ts'
import { givenQuorate, startQuorate } from './clusters/quorate.ts'
import { NODE_GENERATOR } from './load/run-generator.ts'
import { fdatasyncMs, fileSystemOf, isInMemory } from './measure/disk.ts'
import { type Options, optionsOf, UsageError } from './options.ts'
import { report } from './report/report.ts'
import type { Result } from './report/result.ts'
import { run } from './run.ts'
import type { Setting, Side } from './scenarios/scenario.ts'

const progress = (line: string): void => void process.stderr.write(`${line}\n`)

/** Undone at the end, the last thing first, whatever the end is. */
const undo: (() => Promise<unknown>)[] = []

async function cleanUp(): Promise<void> {
  for (let last = undo.pop(); last !== undefined; last = undo.pop()) await last().catch(progress)
}

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    progress('ending the clusters …')
    void cleanUp().then(() => process.exit(exitCode))
  })
}

async function main(options: Options): Promise<void> {
  const started = new Date().toISOString()
  const directory = await workDirectory(options.directory)
  const file_system = fileSystemOf(directory)
  if (isInMemory(file_system))
    progress(
      `${directory} is in memory (${file_system}): syncs cost nothing there. --dir chooses a directory on a disk.`,
    )
  const { keys, valueBytes, seconds, warmupSeconds, rounds } = options
  const setting = { keys, valueBytes, seconds, warmupSeconds, directory }
  const fdatasync_ms = fdatasyncMs(directory)
  const sides = [...(await quorateSides(options, directory)), ...(await etcdSides(options, setting))]
  const measurements = await run({ scenarios: options.scenarios, sides, rounds, setting, progress })
  const result: Result = {
    started,
    machine: {
      cores: availableParallelism(),
      processor: cpus()[0]?.model ?? 'unknown',
      memory_gb: totalmem() / 1e9,
      kernel: release(),
      file_system,
      fdatasync_ms,
    },
    versions: {
      node: process.version,
      ...Object.fromEntries(sides.map(({ cluster }) => [cluster.system, cluster.version])),
    },
    given: Object.fromEntries(sides.map((side) => [side.name, given(side)])),
    settings: { keys, value_bytes: valueBytes, seconds, warmup_seconds: warmupSeconds, rounds },
    measurements,
  }
  await writeFile(options.out, `${JSON.stringify(result, undefined, 2)}\n`)
  console.log(options.json ? JSON.stringify(result) : report(result))
  progress(`all figures of all rounds: ${options.out}`)
}

/** /var/tmp keeps its files over a restart, so it is on a disk where /tmp may not be. */
async function workDirectory(parent: string | undefined): Promise<string> {
  if (parent !== undefined) await mkdir(parent, { recursive: true })
  const make = (base: string): Promise<string> => mkdtemp(join(base, 'quorate-bench-'))
  const directory = await (parent === undefined ? make('/var/tmp').catch(() => make(tmpdir())) : make(parent))
  undo.push(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function quorateSides({ endpoints, pids, over }: Options, directory: string): Promise<Side[]> {
  const isGiven = endpoints.length > 0
  if (!isGiven) progress('starting quorate')
  const cluster = isGiven ? await givenQuorate(endpoints, pids) : await startQuorate(directory)
  undo.push(() => cluster.stop())
  return over.map((protocol) => ({
    name: `quorate ${protocol}`,
    cluster,
    over: protocol,
    generator: NODE_GENERATOR,
    to: protocol === 'client' ? 'all' : 'leader',
    connections: { writes: 1, reads: 1 },
  }))
}

async function etcdSides({ againstEtcd, etcdConnections }: Options, setting: Setting): Promise<Side[]> {
  if (!againstEtcd) return []
  progress('starting etcd')
  const built = await buildEtcdGenerator(setting.directory)
  const side = {
    name: built === undefined ? 'etcd json' : 'etcd',
    over: built === undefined ? 'gateway' : 'etcd',
    generator: built ?? NODE_GENERATOR,
    to: 'leader',
  } as const
  const connections = etcdConnections ?? (built === undefined ? 1 : await calibrated({ ...side }, setting))
  const both = typeof connections === 'number' ? { writes: connections, reads: connections } : connections
  return [{ ...side, cluster: await etcdIn(setting.directory), connections: both }]
}

async function calibrated(side: Omit<Side, 'cluster' | 'connections'>, setting: Setting) {
  progress('how many connections suit etcd')
  const directory = await mkdtemp(join(setting.directory, 'calibration-'))
  const cluster = await etcdIn(directory)
  const best = await bestConnections({ ...side, cluster }, setting)
  await cluster.stop()
  await rm(directory, { recursive: true })
  return best
}

async function etcdIn(directory: string): Promise<Cluster> {
  const cluster = await startEtcd(directory)
  undo.push(() => cluster.stop())
  return cluster
}

/** What a side was given, in a sentence. */
function given({ over, to, connections, cluster }: Side): string {
  const where = to === 'leader' ? 'to the leader' : 'to all nodes'
  const etcd = `${where}; quota ${ETCD_QUOTA_BYTES / 1024 ** 3} GiB, all else of etcd by default`
  switch (over) {
    case 'http':
      return `HTTP over bare sockets, one connection for each in flight, ${where}`
    case 'client':
      return 'the client library, which knows all nodes and chooses; no limit of calls'
    case 'etcd':
      return `etcd's Go client, ${connections.writes} connections for writes and ${connections.reads} for reads, ${etcd}`
    case 'gateway':
      return `no Go here: etcd's JSON gateway over bare sockets, ${etcd}, ${cluster.version}`
  }
}

try {
  const options = optionsOf(process.argv.slice(2))
  if (options.list)
    for (const { name, about } of options.scenarios) console.log(`${name.padEnd(12)} ${about}`)
  else await main(options)
} catch (error) {
  progress(error instanceof Error ? error.message : String(error))
  process.exitCode = error instanceof UsageError ? 2 : 1
} finally {
  await cleanUp()
}
process.exit()
