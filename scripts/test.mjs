// Runs everything that can fail: the type check, the lint and the tests, at the same time. The last line
// is `N passed, N failed, N skipped`. It counts tests; whatever else turns the run red (a type error, a
// file that does not load, an unhandled rejection) counts as failed, so that 0 failed means exit code 0.
//
//   npm test                      everything
//   npm run test:quick            without *.int.test.ts, and with fewer runs of each property
//   npm test -- test/kv -t name   arguments go to vitest

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const quick = process.argv.includes('--quick')
const vitestArgs = process.argv.slice(2).filter((arg) => arg !== '--quick')

const scratch = mkdtempSync(join(tmpdir(), 'quorate-test-'))
const countsFile = join(scratch, 'counts.json')
const env = { ...process.env, QUORATE_TEST_COUNTS: countsFile, ...(quick && { QUORATE_QUICK: '1' }) }

// Ctrl-C reaches the children too; this process stays to report what they did.
process.on('SIGINT', () => {})

const [tests, types, lint] = await Promise.all([
  run('vitest/vitest.mjs', [
    'run',
    '--reporter=default',
    '--reporter=./scripts/count-reporter.mjs',
    ...(quick ? ['--project=fast'] : []),
    ...vitestArgs,
  ]),
  run('typescript/bin/tsc', ['-p', 'tsconfig.json'], 'type check'),
  run('@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.'], 'lint'),
])

const counts = readCounts()
counts.failed += types + lint
if (tests !== 0 && counts.failed === 0) counts.failed = 1
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed === 0 ? 0 : 1

// Resolves to 0 or 1. With a title the output is held back, and shown only when the check fails.
function run(script, args, title) {
  const child = spawn(process.execPath, [join(root, 'node_modules', script), ...args], {
    cwd: root,
    env,
    stdio: title ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
  })
  const output = []
  child.stdout?.on('data', (chunk) => output.push(chunk))
  child.stderr?.on('data', (chunk) => output.push(chunk))
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`${script} could not be started: ${error.message}`)
      resolve(1)
    })
    child.on('close', (code) => {
      if (title && code !== 0) console.log(`\nThe ${title} failed:\n${Buffer.concat(output)}`)
      resolve(code === 0 ? 0 : 1)
    })
  })
}

// A vitest that died has written no counts.
function readCounts() {
  try {
    return JSON.parse(readFileSync(countsFile, 'utf8'))
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
