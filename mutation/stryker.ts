// Runs Stryker on a part of the sources. The first run installs it in this folder, apart from the dependencies of the
// project.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Target } from './areas.ts'

export const ROOT = join(import.meta.dirname, '..')
const REPORTS = join(import.meta.dirname, 'reports')

interface Position {
  /** Line and column count from 1. */
  readonly line: number
  readonly column: number
}

export interface StrykerMutant {
  readonly mutatorName: string
  readonly replacement: string
  readonly status: string
  readonly location: { readonly start: Position; readonly end: Position }
}

/** Source files by path, each with its text and the results of its mutants. */
export type StrykerFiles = Readonly<
  Record<string, { readonly source: string; readonly mutants: readonly StrykerMutant[] }>
>

export function install(): void {
  const lock = join(import.meta.dirname, 'package-lock.json')
  const installed = join(import.meta.dirname, 'node_modules/.package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  console.error('Installing Stryker (npm ci) …')
  run('npm', ['ci'], import.meta.dirname)
}

/** Runs the tests of an area without a mutant, and then for each mutant the tests that reach it. */
export function mutate({ area, mutate: globs }: Target, jobs: number): StrykerFiles {
  const name = area.path.replaceAll('/', '-')
  const [config, report] = [join(REPORTS, `${name}.config.json`), join(REPORTS, `${name}.json`)]
  mkdirSync(REPORTS, { recursive: true })
  const options = {
    testRunner: 'vitest',
    plugins: [
      join(import.meta.dirname, 'node_modules/@stryker-mutator/vitest-runner/dist/src/index.js'),
      join(import.meta.dirname, 'ignored.mjs'),
    ],
    ignorers: ['texts', 'unreachable'],
    vitest: { configFile: 'mutation/vitest.config.ts', related: false },
    mutate: globs,
    coverageAnalysis: 'perTest',
    // Added to the time without a mutant. A busy machine must not look like an endless loop.
    timeoutMS: 15_000,
    concurrency: jobs,
    tempDirName: 'mutation/reports/sandbox',
    ignorePatterns: ['/mutation/reports', '/mutation/node_modules'],
    // A file that does not exist: Stryker reads it with an API that TypeScript 7 does not have.
    tsconfigFile: 'mutation/no-tsconfig.json',
    reporters: ['json', 'progress-append-only'],
    jsonReporter: { fileName: report },
    allowConsoleColors: false,
    disableTypeChecks: false,
  }
  writeFileSync(config, JSON.stringify(options))
  const program = join(import.meta.dirname, 'node_modules/@stryker-mutator/core/bin/stryker.js')
  run(process.execPath, [program, 'run', config], ROOT, {
    QUORATE_MUTATION_TESTS: area.tests.join(','),
    QUORATE_RUNS_PERCENT: '10',
  })
  return JSON.parse(readFileSync(report, 'utf8')).files
}

function run(program: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): void {
  const { status, error } = spawnSync(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 2, 2],
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`)
}
