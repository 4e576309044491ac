// Suites of crates, whose packages have their tests. Cargo downloads and compiles them.

import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cacheDirectory, finish, requireProgram, succeed } from '../suites.ts'
import { type RunSuite, readOutcomes } from './suite.ts'

/** A line of `cargo test` with the outcome of a test. */
export const CARGO_LINE = /^test (?<name>\S+) \.\.\. (?<outcome>ok|FAILED|ignored)/gm

/** Prepares the tests of a crate. The first call compiles for some minutes. */
export async function prepareCrate(
  name: string,
  version: string,
  args: readonly string[],
): Promise<RunSuite> {
  requireProgram('cargo', 'cargo')
  requireProgram('protoc', 'protobuf-compiler')
  const cache = cacheDirectory(`crate-${name}-${version}`)
  // Cargo downloads only what a package depends on.
  writeFileSync(join(cache, 'lib.rs'), '')
  writeFileSync(
    join(cache, 'Cargo.toml'),
    '[package]\nname = "suites"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n' +
      `[dependencies]\n${name} = "=${version}"\n`,
  )
  await succeed('cargo', ['fetch'], { cwd: cache })
  const described = await succeed('cargo', ['metadata', '--format-version', '1', '--offline', '--quiet'], {
    cwd: cache,
  })
  const { packages } = JSON.parse(described) as {
    readonly packages: readonly { readonly name: string; readonly manifest_path: string }[]
  }
  const manifest = packages.find((each) => each.name === name)?.manifest_path
  if (manifest === undefined) throw new Error(`cargo did not download ${name}`)
  const test = [
    'test',
    '--locked',
    '--manifest-path',
    manifest,
    '--target-dir',
    join(cache, 'target'),
    '--tests',
  ]
  await succeed('nice', ['-n', '10', 'cargo', ...test, '--no-run'], { cwd: dirname(manifest) })
  return async (env) => {
    const { output } = await finish('cargo', [...test, '--no-fail-fast', '--', '--test-threads=1', ...args], {
      cwd: dirname(manifest),
      env,
    })
    return { output, outcomes: readOutcomes(output, CARGO_LINE) }
  }
}
