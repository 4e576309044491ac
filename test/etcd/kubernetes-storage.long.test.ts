// The tests of Kubernetes' storage layer, unmodified, on nodes of quorate, and on the etcd that they start otherwise.
// Those that cannot pass stand in kubernetes/cannot-pass.ts: one of them that passes is a failure too. The first run
// compiles Kubernetes for some minutes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { CANNOT_PASS, CANNOT_PASS_1_20, FAILS_ALONE } from './kubernetes/cannot-pass.ts'
import { buildSuite, KUBERNETES_1_20, KUBERNETES_1_37 } from './kubernetes/suite.ts'
import { finish, succeed } from './suites.ts'

const TEST_MS_MAX = 900_000
const HOURS = 3 * 3_600_000
/** Many tests expect an event within seconds, which a busy machine may need for other work. */
const TRIES_MAX = 3
/** A file for what the tests print. */
const OUTPUT = process.env.QUORATE_KUBERNETES_OUTPUT
/** Only tests whose names match. */
const CHOSEN = new RegExp(process.env.QUORATE_KUBERNETES_TESTS ?? '')

type Outcome = 'PASS' | 'FAIL' | 'SKIP'
/** The outcome of a test and of each of its parts, by their names. */
type Outcomes = ReadonlyMap<string, Outcome>

const STORE = ['pkg/storage/etcd3']
const CASES = [
  { on: '1.37 on one node', suite: KUBERNETES_1_37, members: 1, cannotPass: CANNOT_PASS },
  { on: '1.37 on three nodes', suite: KUBERNETES_1_37, members: 3, packages: STORE, cannotPass: CANNOT_PASS },
  { on: '1.37 on its own etcd', suite: KUBERNETES_1_37, members: 0, cannotPass: FAILS_ALONE },
  { on: '1.20 on one node', suite: KUBERNETES_1_20, members: 1, cannotPass: CANNOT_PASS_1_20 },
  { on: '1.20 on its own etcd', suite: KUBERNETES_1_20, members: 0, cannotPass: {} },
]

test.each(CASES)('the storage of Kubernetes $on', { timeout: HOURS }, async (run) => {
  const { on, suite, members, packages = suite.packages, cannotPass } = run
  const { sources, programs } = await buildSuite(suite, packages, { isControl: members === 0 })
  const nodes = members === 0 ? '' : await runNodes(members)

  /** Runs one test, in a process of its own. */
  const runTest = async (path: string, name: string): Promise<Outcomes> => {
    const args = ['-test.v', '-test.run', `^${name}$`, '-test.timeout', '0']
    const { output } = await finish(programs.get(path) ?? '', args, {
      cwd: join(sources, path),
      env: { ...process.env, QUORATE_NODES: nodes },
      signal: AbortSignal.timeout(TEST_MS_MAX),
    })
    if (OUTPUT !== undefined) appendFileSync(OUTPUT, output)
    // Packages have tests of the same name.
    const inPackage = (part: string): string => `${basename(path)}.${part}`
    const outcomes = new Map<string, Outcome>([[inPackage(name), 'FAIL']])
    for (const [, outcome, part = ''] of output.matchAll(/--- (PASS|FAIL|SKIP): (\S+) \(/g))
      outcomes.set(inPackage(part), outcome as Outcome)
    return outcomes
  }

  const tests: { readonly name: string; readonly path: string }[] = []
  for (const [path, program] of programs) {
    const listed = await succeed(program, ['-test.list', '^Test'], { cwd: join(sources, path) })
    for (const name of listed.split('\n'))
      if (name.startsWith('Test') && CHOSEN.test(name)) tests.push({ name, path })
  }
  const outcomes = new Map<string, Outcome>()
  const repeated: string[] = []
  const queue = tests.values()
  const runTests = async (): Promise<void> => {
    for (const { name, path } of queue) {
      let parts = await runTest(path, name)
      for (let tries = 1; tries < TRIES_MAX && failed(parts).some((part) => !(part in cannotPass)); tries++) {
        repeated.push(name)
        parts = await runTest(path, name)
      }
      for (const [part, outcome] of parts) outcomes.set(part, outcome)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, runTests))

  const count = (outcome: Outcome): number => [...outcomes.values()].filter((each) => each === outcome).length
  console.log(
    `Kubernetes ${on}: ${tests.length} tests; with their parts, ${count('PASS')} pass, ` +
      `${count('FAIL')} fail, ${count('SKIP')} skip themselves; ran again: ${repeated.join(' ') || 'none'}`,
  )
  expect(tests.length).toBeGreaterThan(0)
  const listed = Object.keys(cannotPass).filter((part) => outcomes.has(part.split('/')[0] ?? ''))
  expect(failed(outcomes).toSorted()).toEqual(listed.toSorted())
})

/** Runs the program that starts nodes. Returns its address. */
async function runNodes(members: number): Promise<string> {
  const program = join(import.meta.dirname, 'kubernetes/nodes.ts')
  const child = spawn(process.execPath, [program, String(members)], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [address] = await once(createInterface(child.stdout), 'line')
  return address
}

/** The smallest parts that have failed. */
function failed(outcomes: Outcomes): readonly string[] {
  const names = [...outcomes].filter(([, outcome]) => outcome === 'FAIL').map(([name]) => name)
  return names.filter((name) => !names.some((other) => other.startsWith(`${name}/`)))
}
