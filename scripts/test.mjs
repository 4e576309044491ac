// Runs the type check, the lint and the tests at the same time. After failures it prints what to run again. The last
// line is `N passed, N failed, N skipped`. It counts tests. A type error, a file that does not load or an unhandled
// rejection counts as failed, so 0 failed means exit code 0.
//
//   npm test                      all but *.long.test.ts; a twentieth of the runs of each property
//   npm run test:long             all tests, and all runs
//   npm run test:quick            without processes, properties and searches of the simulator
//   npm run test:durations        npm test, which also writes test/durations.json and prints what is dear
//   npm test -- test/kv -t name   arguments go to vitest

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const quick = process.argv.includes('--quick')
const long = process.argv.includes('--long')
const durations = process.argv.includes('--durations')
const vitestArgs = process.argv.slice(2).filter((arg) => !['--quick', '--long', '--durations'].includes(arg))

const scratch = mkdtempSync(join(tmpdir(), 'quorate-test-'))
const countsFile = join(scratch, 'counts.json')
const env = {
  ...process.env,
  QUORATE_TEST_COUNTS: countsFile,
  QUORATE_QUICK: quick ? '1' : '0',
  QUORATE_LONG: long ? '1' : (process.env.QUORATE_LONG ?? '0'),
  QUORATE_DURATIONS: durations ? '1' : '0',
  QUORATE_RUNS_PERCENT: long ? '100' : '5',
  // The nodes that tests start take less time to load.
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(tmpdir(), 'node-compile-cache'),
}

// Ctrl-C reaches the children too; this process stays to report what they did.
process.on('SIGINT', () => {})

const [tests, ...checks] = await Promise.all([
  run('vitest/vitest.mjs', [
    'run',
    // Off a terminal a line for each file would hide the failures.
    `--reporter=${process.stdout.isTTY ? 'default' : 'dot'}`,
    '--reporter=./scripts/count-reporter.mjs',
    ...(durations ? ['--reporter=./scripts/durations-reporter.mjs'] : []),
    ...(quick ? ['shared', 'alone', 'mocked'].map((name) => `--project=${name}`) : []),
    ...vitestArgs,
  ]),
  // More threads would take more of the time that the tests need. The next run checks what changed, and what uses it.
  check('type check', 'typescript/bin/tsc', [
    ...['-p', 'tsconfig.json', '--singleThreaded', '--incremental'],
    ...['--tsBuildInfoFile', 'node_modules/.cache/quorate/types.tsbuildinfo'],
  ]),
  check('type check without Node', 'typescript/bin/tsc', ['-p', 'tsconfig.pure.json']),
  check('type check of the report', 'typescript/bin/tsc', ['-p', 'tsconfig.page.json']),
  check('type check of the console', 'typescript/bin/tsc', ['-p', 'tsconfig.web.json']),
  check('lint', '@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']),
])

const counts = readCounts()
for (const { title, passed, output } of checks) {
  if (passed) continue
  counts.failed += 1
  console.log(`The ${title} failed:\n\n${output}`)
}
if (counts.failedFiles.length > 0)
  console.log(`To run what failed again:\n\n  npm test -- ${counts.failedFiles.join(' ')}\n`)
if (tests !== 0 && counts.failed === 0) counts.failed = 1
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed === 0 ? 0 : 1

async function check(title, script, args) {
  const output = []
  const exitCode = await run(script, args, output)
  return { title, passed: exitCode === 0, output: Buffer.concat(output).toString() }
}

/** Runs a program of a dependency; what it prints goes to the terminal, or into `output`. */
function run(script, args, output) {
  const child = spawn(process.execPath, [join(root, 'node_modules', script), ...args], {
    cwd: root,
    env,
    stdio: output ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
  })
  child.stdout?.on('data', (chunk) => output.push(chunk))
  child.stderr?.on('data', (chunk) => output.push(chunk))
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`${script} could not be started: ${error.message}`)
      resolve(1)
    })
    child.on('close', resolve)
  })
}

/** A vitest that died has written no counts. */
function readCounts() {
  try {
    return JSON.parse(readFileSync(countsFile, 'utf8'))
  } catch {
    return { passed: 0, failed: 1, skipped: 0, failedFiles: [] }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
