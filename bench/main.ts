// npm run bench: measures quorate on this machine, alone or beside other systems. bench/README.md says how.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fdatasyncMs, fileSystemOf, isInMemory } from './measure/disk.ts'
import { type BenchOptions, helpText, optionsOf, UsageError } from './options.ts'
import { report } from './report/report.ts'
import type { Result } from './report/result.ts'
import { run } from './run.ts'
import type { Scenario, Side } from './scenarios/scenario.ts'
import { sidesFor } from './sides.ts'
import { atTheEnd, undoAll } from './undo.ts'

/** Directory that is on a disk, where /tmp may be in memory. */
const DISK_DIRECTORY = '/var/tmp'

const progress = (line: string): void => void process.stderr.write(`${line}\n`)

async function measure(options: BenchOptions): Promise<Result> {
  const { scenarios, rounds, keys, valueBytes, seconds, warmupSeconds, rate } = options
  if (process.platform !== 'linux') throw new Error('npm run bench reads /proc: it runs on Linux only.')
  const started = new Date().toISOString()
  const directory = await workDirectory(options.directory)
  const machine = machineOf(directory)
  const setting = { keys, valueBytes, seconds, warmupSeconds, rate, directory }
  const sides = await sidesFor(options, setting, progress)
  const measurements = await run({ scenarios, sides, rounds, setting, progress })
  return {
    started,
    machine,
    versions: {
      node: process.version,
      ...Object.fromEntries(sides.map(({ cluster }) => [cluster.system, cluster.version])),
    },
    given: Object.fromEntries(sides.map((side) => [side.name, side.about])),
    left_out: leftOut(scenarios, sides),
    settings: {
      keys,
      value_bytes: valueBytes,
      seconds,
      warmup_seconds: warmupSeconds,
      rounds,
      ...(rate !== null && { rate }),
    },
    measurements,
  }
}

function leftOut(scenarios: readonly Scenario[], sides: readonly Side[]): Result['left_out'] {
  return sides.flatMap(({ name: system, without }) =>
    scenarios.flatMap(({ name: scenario }) => {
      const reason = without[scenario]
      return reason === undefined ? [] : [{ system, scenario, reason }]
    }),
  )
}

async function workDirectory(parent: string | undefined): Promise<string> {
  if (parent !== undefined) await mkdir(parent, { recursive: true })
  const make = (base: string): Promise<string> => mkdtemp(join(base, 'quorate-bench-'))
  const directory = await (parent === undefined
    ? make(DISK_DIRECTORY).catch(() => make(tmpdir()))
    : make(parent))
  atTheEnd(() => rm(directory, { recursive: true, force: true }))
  return directory
}

function machineOf(directory: string): Result['machine'] {
  const fileSystem = fileSystemOf(directory)
  if (isInMemory(fileSystem))
    progress(`${directory} is in memory (${fileSystem}), where syncs cost nothing. --dir names another one.`)
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model ?? 'unknown',
    memory_gb: totalmem() / 1e9,
    kernel: release(),
    file_system: fileSystem,
    fdatasync_ms: fdatasyncMs(directory),
  }
}

class Interrupted extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('interrupted')
    this.exitCode = exitCode
  }
}

/**
 * Rejects at Ctrl-C, at the end of the terminal, and at an uncaught error, so that the program ends its processes and
 * removes its files. npm repeats the signal; later ones change nothing.
 */
const interruption = new Promise<never>((_, reject) => {
  process.on('uncaughtException', reject)
  process.on('SIGINT', () => reject(new Interrupted(130)))
  process.on('SIGTERM', () => reject(new Interrupted(143)))
  process.on('SIGHUP', () => reject(new Interrupted(129)))
})

function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode
  return error instanceof UsageError ? 2 : 1
}

try {
  const options = optionsOf(process.argv.slice(2))
  if (options.help) console.log(helpText())
  else if (options.list) {
    for (const { name, about } of options.scenarios) console.log(`${name.padEnd(12)} ${about}`)
  } else {
    const result = await Promise.race([measure(options), interruption])
    await writeFile(options.out, `${JSON.stringify(result, undefined, 2)}\n`)
    console.log(options.json ? JSON.stringify(result) : report(result))
    progress(`\nall figures of all rounds: ${options.out}`)
  }
} catch (error) {
  progress(error instanceof Error ? error.message : String(error))
  process.exitCode = exitCodeOf(error)
} finally {
  await undoAll(progress)
}
// An interrupted measurement may still hold timers or sockets.
process.exit()
