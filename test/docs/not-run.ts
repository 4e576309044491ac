// The blocks that neither programs.int.test.ts nor commands.long.test.ts runs, each with the reason. All others are
// run.

import { BLOCKS, type Block, blockNamed } from './blocks.ts'

export interface NotRun {
  /** The beginning of the name of the block (blocks.ts), or a page: all its blocks. */
  readonly of: string
  /** Beginning of the only command of the block that is not run. */
  readonly command?: string
  readonly because: string
  /** The test that checks the block instead, and names the page. */
  readonly test?: string
}

const CLONE = 'it works in the clone, with its data and at the default ports'
const GUIDE = 'test/jepsen-lite/testing/guide'
const COUNTER = {
  because: 'that test runs the same code, and compares the output',
  test: `${GUIDE}/counter.test.ts`,
}
const EMBEDDED = {
  because:
    'that test runs the same code with schedules that it chooses; what they print differs from run to run',
  test: `${GUIDE}/counter.long.test.ts`,
}
const FRAMES = {
  because: 'frames of a connection, and a notation for them',
  test: 'test/server/mux/operations.int.test.ts',
}

export const NOT_RUN: readonly NotRun[] = [
  {
    of: 'docs/reference/security.md: {"time"',
    because: 'a line of a file, of an earlier time',
    test: 'test/server/audit/audit.int.test.ts',
  },
  { of: 'README.md: npm start', command: 'npm start', because: CLONE },
  { of: 'docs/guides/local-cluster.md: npm start', command: 'npm start', because: CLONE },
  {
    of: 'docs/guides/local-cluster.md: curl --cacert',
    because: 'it needs a cluster that was started with --tls',
  },
  {
    of: 'docs/guides/users.md: quorate recover',
    because: 'it needs a stopped replica, and asks for a password on a terminal',
  },
  {
    of: 'docs/coming-from/etcd.md: quorate migrate',
    because: 'it needs a cluster of etcd',
    test: 'test/etcd/migrate.long.test.ts',
  },
  { of: 'docs/guides/membership.md: NODE_OPTIONS=', because: 'lines of a unit file' },
  {
    of: 'docs/guides/backup.md',
    because: 'they need files and directories of a lost cluster',
    test: 'test/cli/backup.int.test.ts',
  },
  {
    of: 'docs/guides/embedding.md: NODE_OPTIONS=',
    because: 'Jest is no dependency; that script runs it',
    test: 'scripts/check-package.mjs',
  },
  {
    of: 'docs/guides/testing-your-service.md: npm install',
    because: 'it would ask a registry',
  },
  { of: 'docs/guides/testing-your-service.md: // counter.ts (1)', ...COUNTER },
  { of: 'docs/guides/testing-your-service.md: // counter.test.ts', ...COUNTER },
  {
    of: 'docs/guides/testing-your-service.md: await fc.assert(isRight((kv) => new Counter(kv)), { seed: 4 }) (1)',
    ...COUNTER,
  },
  { of: 'docs/guides/testing-your-service.md: Property failed after 1 tests', ...COUNTER },
  { of: 'docs/guides/testing-your-service.md: SimulationError: body has thrown', ...COUNTER },
  { of: "docs/guides/testing-your-service.md: await countVisits('1 pause", ...COUNTER },
  { of: 'docs/guides/testing-your-service.md: // counter.ts (2)', ...COUNTER },
  {
    of: 'docs/guides/testing-your-service.md: await fc.assert(isRight((kv) => new SafeCounter(kv)))',
    ...COUNTER,
  },
  { of: 'docs/guides/testing-your-service.md: // counter.long.test.ts', ...EMBEDDED },
  {
    of: 'docs/guides/testing-your-service.md: await fc.assert(isRight((kv) => new Counter(kv)), { seed: 4 }) (2)',
    ...EMBEDDED,
  },
  { of: 'docs/guides/testing-your-service.md: Property failed after 2 tests', ...EMBEDDED },
  {
    of: 'docs/guides/simulated-services.md',
    because: 'those tests run the same code, and compare the output',
    test: `${GUIDE}/jobs.test.ts`,
  },
  {
    of: 'docs/reference/testing.md: 120 crash leader for 500',
    because: 'a schedule',
  },
  { of: 'docs/guides/three-machines.md', because: 'they are for three machines with systemd' },
  { of: 'docs/guides/kubernetes.md', because: 'it is for a cluster of Kubernetes' },
  { of: 'docs/guides/upgrade.md', because: 'it is for a cluster of an older version' },
  {
    of: 'docs/guides/tls.md: quorate cert ca',
    because: 'that test reads the certificates as well',
    test: 'test/cli/cert.int.test.ts',
  },
  {
    of: 'docs/guides/tls.md: quorate cert renew n1',
    because: 'that test reads the certificates as well',
    test: 'test/cli/cert.int.test.ts',
  },
  {
    of: 'docs/guides/tls.md: quorate node start --name n1',
    because: 'its addresses are those of another machine',
    test: 'test/local/node-tls.int.test.ts',
  },
  {
    of: 'docs/guides/tls.md: const kv = new Client({',
    because: 'its files and addresses are those of another machine',
    test: 'test/local/node-tls.int.test.ts',
  },
  {
    of: 'docs/guides/tracing.md',
    because: 'they need an SDK in their process; that test runs its programs together',
    test: 'test/tracing/guide.int.test.ts',
  },
  {
    of: 'docs/guides/monitoring.md',
    because: 'it is for Prometheus',
    test: 'test/server/monitoring.int.test.ts',
  },
  { of: 'docs/reference/protocol.md: [0, "welcome"', ...FRAMES },
  { of: 'docs/reference/protocol.md: 92                                      2 items (1)', ...FRAMES },
  { of: 'docs/reference/protocol.md: 92                                      2 items (2)', ...FRAMES },
  { of: 'docs/reference/protocol.md: 91 97', ...FRAMES },
  {
    of: 'docs/reference/jepsen-lite.md',
    because: 'each takes minutes, or is a form to be filled in; that test parses them',
    test: 'test/jepsen-lite/commands/flags.test.ts',
  },
]

const wholeBlocks: ReadonlySet<Block> = new Set(
  NOT_RUN.filter(({ command }) => command === undefined).flatMap(({ of }) =>
    of.endsWith('.md') ? BLOCKS.filter(({ page }) => page === of) : [blockNamed(of)],
  ),
)

export const isRun = (block: Block): boolean => !wholeBlocks.has(block)

export const isCommandRun = (block: Block, command: string): boolean =>
  !NOT_RUN.some(
    ({ of, command: listed }) =>
      listed !== undefined && command.startsWith(listed) && blockNamed(of) === block,
  )
