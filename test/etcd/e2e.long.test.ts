// etcd's own end-to-end tests, unmodified, against quorate. Debian has their sources; the program `etcd` that they
// start is e2e/etcd.ts. The tests that cannot pass stand in e2e/cannot-pass.ts: one of them that passes is a failure
// too. Members have fixed ports from 20000 on.

import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { KV } from '../local/kv.ts'
import { CANNOT_PASS } from './e2e/cannot-pass.ts'
import { finish, requireFile, requireProgram, scratchDirectory, succeed } from './suites.ts'

const GOPATH = '/usr/share/gocode'
const SUITE = 'go.etcd.io/etcd/tests/e2e'
const FIXTURES = join(GOPATH, 'src/go.etcd.io/etcd/integration/fixtures')
/** The longest test waits for 66 s at most. */
const TEST_MS_MAX = 120_000
const HOUR = 3_600_000
/** Many tests wait for a few seconds only, which a busy machine needs. Some fail when an id begins with zeros. */
const TRIES_MAX = 3
/** A file for what the suite prints. */
const OUTPUT = process.env.QUORATE_E2E_OUTPUT
/** Only tests whose names match. */
const CHOSEN = new RegExp(process.env.QUORATE_E2E_TESTS ?? '')

type Outcome = 'PASS' | 'FAIL' | 'SKIP'

/** The working directory of the suite, with its program, the programs that it starts and the certificates. */
async function buildSuite(): Promise<string> {
  requireProgram('go', 'golang-go')
  requireProgram('curl', 'curl')
  requireProgram('/usr/bin/etcd', 'etcd-server')
  requireProgram('/usr/bin/etcdctl', 'etcd-client')
  requireFile(join(GOPATH, 'src', SUITE), 'golang-etcd-server-dev')
  const directory = scratchDirectory('e2e')
  const at = (...names: string[]): string => join(directory, ...names)
  for (const name of ['bin', 'tmp', 'tests/e2e']) mkdirSync(at(name), { recursive: true })
  await succeed('go', ['test', '-c', '-o', at('e2e.test'), SUITE], {
    env: { ...process.env, GO111MODULE: 'off', GOPATH },
  })
  // Quorate refuses a private key that others can read.
  cpSync(FIXTURES, at('certificates'), { recursive: true, dereference: true })
  for (const name of readdirSync(at('certificates'))) chmodSync(at('certificates', name), 0o600)
  await succeed(process.execPath, [KV, 'cert', 'ca', '--dir', at('auto')])
  await succeed(process.execPath, [
    KV,
    'cert',
    'node',
    'auto',
    '--host',
    'localhost,127.0.0.1',
    '--dir',
    at('auto'),
  ])
  symlinkSync('/usr/bin/etcdctl', at('bin/etcdctl'))
  const program = join(import.meta.dirname, 'e2e/etcd.ts')
  writeFileSync(
    at('bin/etcd'),
    // Programs before a node: they are etcd's own.
    `#!/bin/sh\ncase "$1" in gateway|grpc-proxy) exec /usr/bin/etcd "$@";; esac\n` +
      `echo $$ > '${directory}'/tmp/$$.pid\n` +
      `AUTO_CERTIFICATES='${at('auto')}' exec '${process.execPath}' '${program}' "$@"\n`,
    { mode: 0o755 },
  )
  return directory
}

/** Runs one test, in a process of its own: one that fails may leave nodes behind. */
async function runTest(directory: string, name: string): Promise<Outcome> {
  const args = ['-bin-dir', join(directory, 'bin'), '-cert-dir', join(directory, 'certificates'), '-test.v']
  const { output } = await finish(join(directory, 'e2e.test'), [...args, '-test.run', `^${name}$`], {
    cwd: join(directory, 'tests/e2e'),
    // Nodes that start for the second time take less time to load.
    env: {
      ...process.env,
      TMPDIR: join(directory, 'tmp'),
      NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
    },
    signal: AbortSignal.timeout(TEST_MS_MAX),
  })
  if (OUTPUT !== undefined) appendFileSync(OUTPUT, output)
  endNodes(directory)
  const [, outcome = 'FAIL'] = /^--- (PASS|FAIL|SKIP): /m.exec(output) ?? []
  return outcome as Outcome
}

/** Ends nodes that a failed test has left. */
function endNodes(directory: string): void {
  for (const file of readdirSync(join(directory, 'tmp')).filter((name) => name.endsWith('.pid'))) {
    const path = join(directory, 'tmp', file)
    const pid = Number(readFileSync(path, 'utf8'))
    try {
      // The number may be that of another program by now.
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('e2e/etcd.ts')) process.kill(pid, 'SIGKILL')
    } catch {}
    rmSync(path)
  }
}

test("etcd's end-to-end tests", { timeout: HOUR }, async () => {
  const directory = await buildSuite()
  onTestFinished(() => endNodes(directory))
  const listed = await succeed(join(directory, 'e2e.test'), ['-test.list', '.*'])
  const names = listed.split('\n').filter((line) => line.startsWith('Test') && CHOSEN.test(line))
  const outcomes = new Map<string, Outcome>()
  const repeated: string[] = []
  for (const name of names) {
    const isOut = CANNOT_PASS[name] !== undefined
    let tries = 0
    do outcomes.set(name, await runTest(directory, name))
    while (++tries < TRIES_MAX && outcomes.get(name) === 'FAIL' && !isOut)
    if (tries > 1) repeated.push(name)
  }

  const count = (outcome: Outcome): number => names.filter((name) => outcomes.get(name) === outcome).length
  console.log(
    `etcd's end-to-end tests: ${count('PASS')} pass, ${count('FAIL')} fail, ${count('SKIP')} skip themselves; ` +
      `${repeated.length} ran more than once: ${repeated.join(' ')}`,
  )
  expect(names.filter((name) => outcomes.get(name) === 'FAIL')).toEqual(
    names.filter((name) => CANNOT_PASS[name] !== undefined),
  )
  expect(Object.keys(CANNOT_PASS).filter((name) => CHOSEN.test(name) && !names.includes(name))).toEqual([])
})
