import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// The file name decides how a test runs: *.test.ts (unit, golden), *.prop.test.ts (properties), *.int.test.ts
// (processes, sockets, timeouts), *.vm.test.ts (in a context with other globals), *.long.test.ts (like *.int.test.ts,
// but too slow for each run: only with QUORATE_LONG=1, which `npm run test:long` sets). More files run at a time than
// there are cores, since some wait. Limits of time only end what has failed: they allow for a busy machine.

const ROOT = import.meta.dirname
const TEST_FILES = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => /(?<!\.(?:long|vm))\.test\.ts$/.test(name))
  .map((name) => `test/${name.replaceAll('\\', '/')}`)
const filesWith = (call: RegExp): string[] =>
  TEST_FILES.filter((path) => call.test(readFileSync(join(ROOT, path), 'utf8')))
// Files share processes, so that each compiles the code once. So a test leaves no state behind in a module or a global
// object. Vitest ends a process when the next file is of another project: hence one project for all that share. What a
// file calls shows whether it needs a process of its own: when it mocks a module, or changes or counts what its whole
// process has (the directory, flags, handles, the clock of a simulated recipe).
const MOCKED = filesWith(/\bvi\.(?:mock|doMock)\b/)
const ALONE = filesWith(/\b(?:chdir|setFlagsFromString|getActiveResourcesInfo|runRecipes)\(/).filter(
  (path) => !MOCKED.includes(path),
)
const ISOLATED = [...ALONE, ...MOCKED]
/**
 * Node loads the modules itself, and not Vitest, which would turn each import into an access to an object. Simulations
 * take a fifth less time so. No module can be mocked.
 */
const NATIVE = { viteModuleRunner: false, nodeLoader: false }
const LONG = process.env.QUORATE_LONG === '1' ? ['test/**/*.long.test.ts'] : []
/** Tests that compute for seconds: random ones, whole simulated clusters, every planted bug. */
const QUICK_EXCLUDES =
  process.env.QUORATE_QUICK === '1'
    ? [
        '**/*.int.test.ts',
        '**/*.prop.test.ts',
        'test/jepsen-lite/{sim,recipes,mutants}/**',
        'test/server/cost/**',
      ]
    : []
/** The longest files take more than so many times as long as half of all do. */
const LONG_IN_MEDIANS = 10
/** `npm run test:durations` measures the processor time of each file. */
const MEASURING = process.env.QUORATE_DURATIONS === '1' ? ['test/processor-time.ts'] : []

export default defineConfig({
  test: {
    // A number: vitest takes no percentage above 100.
    maxWorkers: Math.ceil(availableParallelism() * 2),
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { interval: 10, timeout: 60_000 } },
    sequence: { sequencer: longestFirst() },
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['test/**/*.test.ts'],
          exclude: [...ISOLATED, 'test/**/*.{long,vm}.test.ts', ...QUICK_EXCLUDES],
          setupFiles: [...MEASURING, 'test/shared-process.ts'],
          isolate: false,
          experimental: NATIVE,
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: ALONE,
          exclude: QUICK_EXCLUDES,
          setupFiles: MEASURING,
          experimental: NATIVE,
        },
      },
      {
        extends: true,
        test: {
          name: 'mocked',
          include: [...MOCKED, ...LONG],
          exclude: QUICK_EXCLUDES,
          setupFiles: MEASURING,
        },
      },
      {
        extends: true,
        test: { name: 'vm', include: ['test/**/*.vm.test.ts'], setupFiles: MEASURING, pool: 'vmForks' },
      },
    ],
  },
})

/**
 * Files with a process of their own begin first: one that begins later ends a process that others share. A long file
 * that begins last runs alone at the end. So the longest begin next, and then the rest. What computes and what waits
 * for processes take turns, so that the processor always has work. `npm run test:durations` measures the files.
 */
function longestFirst() {
  const durations: Record<string, number> = JSON.parse(
    readFileSync(join(ROOT, 'test/durations.json'), 'utf8'),
  )
  const sorted = Object.values(durations).sort((a, b) => a - b)
  const median = sorted[sorted.length >> 1] ?? 0
  /** Seconds that the file took when it was measured; the median for a file that was not. */
  const duration = ({ moduleId }: TestSpecification): number =>
    durations[relative(ROOT, moduleId).replaceAll('\\', '/')] ?? median
  const isLong = (file: TestSpecification): boolean => duration(file) > LONG_IN_MEDIANS * median
  /** Each file with its place from 0 to 1. */
  const places = (files: readonly TestSpecification[]) =>
    files.map((file, at) => ({ file, place: (at + 0.5) / files.length }))
  return class extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      const sorted = files.toSorted((a, b) => duration(b) - duration(a) || (a.moduleId < b.moduleId ? -1 : 1))
      const [shared, own] = partition(sorted, ({ project }) => project.name === 'shared')
      const [long, others] = partition(shared, isLong)
      const [waiting, computing] = partition(others, ({ moduleId }) => moduleId.endsWith('.int.test.ts'))
      const inTurn = [...places(waiting), ...places(computing)].sort((a, b) => a.place - b.place)
      return [...own, ...long, ...inTurn.map(({ file }) => file)]
    }
  }
}

const partition = <T>(all: readonly T[], isFirst: (one: T) => boolean): [T[], T[]] => [
  all.filter(isFirst),
  all.filter((one) => !isFirst(one)),
]
