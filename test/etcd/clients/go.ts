// Suites of Go modules. Go downloads and compiles them.

import { mkdirSync } from 'node:fs'
import { basename, delimiter, join } from 'node:path'
import { finish, requireGo, succeed } from '../suites.ts'
import { type Outcome, type RunSuite, readOutcomes } from './suite.ts'

/** A line of `go test -v` with the outcome of a test. */
export const GO_LINE = /^ *--- (?<outcome>PASS|FAIL|SKIP): (?<name>\S+) \(/gm

interface GoSuite {
  /** The module with its version. */
  readonly module: string
  /** Paths of the packages with the tests. */
  readonly packages: readonly string[]
  /** Paths of programs that the tests start. */
  readonly programs?: readonly string[]
  /** Further flags of `go test`. */
  readonly flags?: readonly string[]
  readonly variables?: NodeJS.ProcessEnv
}

/** Prepares the tests of packages. The first call compiles for some minutes. */
export async function prepareGo(
  directory: string,
  { module, packages, programs = [], flags = [], variables }: GoSuite,
): Promise<RunSuite> {
  requireGo(26)
  const described = await succeed('go', ['mod', 'download', '-json', module], { cwd: directory })
  const { Dir: sources } = JSON.parse(described) as { readonly Dir: string }
  const built = join(directory, 'built')
  mkdirSync(built)
  const build = (command: readonly string[], paths: readonly string[]) => {
    const args = ['-p', '2', '-o', `${built}/`, ...paths.map((path) => `./${path}`)]
    return succeed('nice', ['-n', '10', 'go', ...command, ...args], { cwd: sources })
  }
  // Vet would read all sources once more.
  await build(['test', '-c', '-vet=off', ...flags], packages)
  if (programs.length > 0) await build(['build'], programs)
  return async (environment) => {
    const env = { ...environment, ...variables, PATH: `${built}${delimiter}${environment.PATH}` }
    const outcomes = new Map<string, Outcome>()
    let output = ''
    for (const path of packages) {
      const name = basename(path)
      const run = await finish(join(built, `${name}.test`), ['-test.v'], { cwd: join(sources, path), env })
      output += run.output
      // Packages have tests of the same name.
      for (const [test, outcome] of readOutcomes(run.output, GO_LINE))
        outcomes.set(`${name}.${test}`, outcome)
    }
    return { output, outcomes }
  }
}
