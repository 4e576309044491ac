import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// The file name decides how a test runs: *.test.ts (unit, golden), *.prop.test.ts (properties), *.int.test.ts
// (processes, sockets, timeouts), *.vm.test.ts (in a context with other globals), *.long.test.ts (like *.int.test.ts,
// but too slow for each run: only with QUORATE_LONG=1, which `npm run test:long` sets). More files run at a time than
// there are cores, since some wait. Limits of time only end what has failed: they allow for a busy machine.

const testFiles = (names: readonly string[]): string[] => names.map((name) => `test/${name}.test.ts`)
// Files share processes, so that each compiles the code once. So a test leaves no state behind in a module or a global
// object. Vitest ends a process when the next file is of another project: hence one project for all that share. Files
// that replace global functions, change the working directory, or look at the heap or the handles of the whole process
// run in processes of their own.
const ALONE = testFiles([
  'client/alive',
  'client/transport/http-transport',
  'jepsen-lite/commands/check',
  'jepsen-lite/recipes/recipes',
  'server/node/collection',
  'server/node/disk-space.int',
])
// So do files that mock a module.
const MOCKED = testFiles([
  'backup/killed.int',
  'client/session-end',
  'embed/full-disk.int',
  'jepsen-lite/sim/oracle',
  'local/node-start.int',
  'server/auth/passwords',
  'server/etcd/attacks-node.int',
  'server/etcd/identity.int',
  'server/etcd/opening.int',
  'server/http/loading.int',
  'storage/directory',
  'storage/level/skipped-wals',
])
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
          setupFiles: ['test/shared-process.ts'],
          isolate: false,
          experimental: NATIVE,
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: ALONE, exclude: QUICK_EXCLUDES, experimental: NATIVE },
      },
      { extends: true, test: { name: 'mocked', include: [...MOCKED, ...LONG], exclude: QUICK_EXCLUDES } },
      { extends: true, test: { name: 'vm', include: ['test/**/*.vm.test.ts'], pool: 'vmForks' } },
    ],
  },
})

/**
 * Files with a process of their own begin first: one that begins later ends a process that others share. A long file
 * that begins last runs alone at the end. So the longest begin next, and then the rest. What computes and what waits
 * for processes take turns, so that the processor always has work.
 */
function longestFirst() {
  const longest = [
    'etcd/e2e.long',
    'etcd/python-etcd3.long',
    'local/cluster.int',
    'local/interrupted-start.long',
    'local/grown-cluster.long',
    'web/speed-live.long',
    'jepsen-lite/recipes/recipes',
    'jepsen-lite/local/run.int',
    'jepsen-lite/sim/search.prop',
    'jepsen-lite/mutants/planted.long',
    'local/console.int',
    'storage/damage.int',
    'web/overview.int',
    'jepsen-lite/sim/triggers',
    'client/every-call.int',
    'etcd/recorded.int',
    'server/api/conformance.int',
    'docs/programs.int',
    'jepsen-lite/local/grpc-run.int',
    'jepsen-lite/testing/guide/counter.long',
    'jepsen-lite/local/broken-servers.int',
    'cli/recipes.int',
    'jepsen-lite/sim/store',
    'web/security.int',
    'storage/level',
    'web/transaction.int',
    'recipes/process-end.int',
    'jepsen-lite/checker/search.prop',
    'docs/commands.long',
    'cli/commands.int',
    'jepsen-lite/power/recording.long',
    'kv/store.prop',
    'web/keys.int',
    'jepsen-lite/testing/recorded-txn.int',
    'client/lease-sessions.int',
    'recipes/topic-restored',
    'cli/files.int',
    'jepsen-lite/sim/wrong-servers',
    'embed/cluster.int',
    'server/cost/counts',
    'recipes/unknown-outcomes.int',
    'jepsen-lite/sim/coverage',
    'server/http/slow-clients.int',
    'server/http/raw-connection.int',
    'client/multiplexed',
    'jepsen-lite/sim/harness',
  ].map((file) => `/test/${file}.test.ts`)
  const rank = ({ moduleId }: TestSpecification): number =>
    longest.findIndex((path) => moduleId.endsWith(path)) + 1 || longest.length + 1
  const isLong = (file: TestSpecification): boolean => rank(file) <= longest.length
  /** Each file with its place from 0 to 1. */
  const places = (files: readonly TestSpecification[]) =>
    files.map((file, at) => ({ file, place: (at + 0.5) / files.length }))
  return class extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      const sorted = (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
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
