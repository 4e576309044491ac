// Runs test programs of etcd that start a program named `etcd`: here it is etcd.ts, a node of quorate.

import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { KV } from '../../local/kv.ts'
import { finish, scratchDirectory, succeed } from '../suites.ts'

/** The longest test waits for 66 s at most. */
const TEST_MS_MAX = 120_000
/** Many tests wait for a few seconds only, which a busy machine needs. Some fail when an id begins with zeros. */
const TRIES_MAX = 3
/** A file for what the suite prints. */
const OUTPUT = process.env.QUORATE_E2E_OUTPUT
/** Only tests whose names match. */
const CHOSEN = new RegExp(process.env.QUORATE_E2E_TESTS ?? '')

type Outcome = 'PASS' | 'FAIL' | 'SKIP'

export interface Suite {
  readonly name: string
  /** The test program. */
  readonly program: string
  /** Has `bin`, `certificates` and `tmp`. */
  readonly directory: string
  /** Below the directory: where the tests run. */
  readonly cwd: string
  readonly cannotPass: Readonly<Record<string, string>>
}

/**
 * A directory with the certificates of the suite and its program `etcd`. `ownEtcd` is etcd's own program, for the
 * proxies that stand before nodes.
 */
export async function suiteDirectory(fixtures: string, ownEtcd: string): Promise<string> {
  const directory = scratchDirectory('e2e')
  const at = (...names: string[]): string => join(directory, ...names)
  for (const name of ['bin', 'tmp']) mkdirSync(at(name))
  // Quorate refuses a private key that others can read.
  cpSync(fixtures, at('certificates'), { recursive: true, dereference: true })
  chmodSync(at('certificates'), 0o700)
  for (const name of readdirSync(at('certificates'))) chmodSync(at('certificates', name), 0o600)
  const makeCertificate = (...args: string[]) =>
    succeed(process.execPath, [KV, 'cert', ...args, '--dir', at('auto')])
  await makeCertificate('ca')
  await makeCertificate('node', 'auto', '--host', 'localhost,127.0.0.1')
  const program = join(import.meta.dirname, 'etcd.ts')
  writeFileSync(
    at('bin/etcd'),
    `#!/bin/sh\ncase "$1" in gateway|grpc-proxy) exec '${ownEtcd}' "$@";; esac\n` +
      `echo $$ > '${directory}'/tmp/$$.pid\n` +
      `AUTO_CERTIFICATES='${at('auto')}' exec '${process.execPath}' '${program}' "$@"\n`,
    { mode: 0o755 },
  )
  onTestFinished(() => endNodes(directory))
  return directory
}

/** Runs one test, in a process of its own: one that fails may leave nodes behind. */
async function runTest({ program, directory, cwd }: Suite, name: string): Promise<Outcome> {
  const args = ['-bin-dir', join(directory, 'bin'), '-cert-dir', join(directory, 'certificates'), '-test.v']
  const { output } = await finish(program, [...args, '-test.run', `^${name}$`], {
    cwd: join(directory, cwd),
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

/** Runs each test by its name. Those that cannot pass must fail, and all others pass, or skip themselves. */
export async function runSuite(suite: Suite): Promise<void> {
  const listed = await succeed(suite.program, ['-test.list', '.*'])
  const names = listed.split('\n').filter((line) => line.startsWith('Test') && CHOSEN.test(line))
  const outcomes = new Map<string, Outcome>()
  const repeated: string[] = []
  for (const name of names) {
    const isOut = suite.cannotPass[name] !== undefined
    let tries = 0
    do outcomes.set(name, await runTest(suite, name))
    while (++tries < TRIES_MAX && outcomes.get(name) === 'FAIL' && !isOut)
    if (tries > 1) repeated.push(name)
  }

  const count = (outcome: Outcome): number => names.filter((name) => outcomes.get(name) === outcome).length
  console.log(
    `${suite.name}: ${count('PASS')} pass, ${count('FAIL')} fail, ${count('SKIP')} skip themselves; ` +
      `${repeated.length} ran more than once: ${repeated.join(' ')}`,
  )
  expect(names.filter((name) => outcomes.get(name) === 'FAIL')).toEqual(
    names.filter((name) => suite.cannotPass[name] !== undefined),
  )
  expect(Object.keys(suite.cannotPass).filter((name) => CHOSEN.test(name) && !names.includes(name))).toEqual(
    [],
  )
}
