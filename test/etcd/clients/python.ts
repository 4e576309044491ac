// Suites of Python packages, which run under pytest.

import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { finish, requireProgram, succeed } from '../suites.ts'
import { type RunSuite, readOutcomes } from './suite.ts'

/** A line of `pytest -rA` with the outcome of a test. Its files have tests of the same name. */
export const PYTEST_LINE = /^(?<outcome>PASSED|FAILED|ERROR|SKIPPED) (?:\S*\/)?(?<name>[^\s/]+::\S+)/gm

/** Runs pytest in a directory. */
export function runPytest(python: string, args: readonly string[], cwd: string): RunSuite {
  return async (env) => {
    const flags = ['-m', 'pytest', '-rA', '--tb=short', '-p', 'no:cacheprovider']
    const { output } = await finish(python, [...flags, ...args], { cwd, env })
    return { output, outcomes: readOutcomes(output, PYTEST_LINE) }
  }
}

/** Prepares the tests that are in the source of a package of PyPI. `needs`: further packages, with their versions. */
export async function preparePyPi(
  directory: string,
  {
    pin,
    needs,
    args,
  }: {
    readonly pin: string
    readonly needs: readonly string[]
    readonly args: readonly string[]
  },
): Promise<RunSuite> {
  requireProgram('python3', 'python3-venv')
  requireProgram('tar', 'tar')
  const [environment, source] = [join(directory, 'environment'), join(directory, 'source')]
  await succeed('python3', ['-m', 'venv', environment])
  const pip = (...of: string[]) => succeed(join(environment, 'bin/pip'), [...of], { cwd: directory })
  await pip('install', '--quiet', pin, ...needs)
  await pip('download', '--quiet', '--no-deps', '--no-binary', ':all:', '--dest', 'download', pin)
  const [archive = ''] = readdirSync(join(directory, 'download'))
  mkdirSync(source)
  const from = join(directory, 'download', archive)
  await succeed('tar', ['-xf', from, '-C', source, '--strip-components=1'])
  return runPytest(join(environment, 'bin/python'), args, source)
}
