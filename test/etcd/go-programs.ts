// Programs in Go, from modules whose versions a go.mod of ours pins: built once, into a directory of caches outside the
// repository.

import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024

/**
 * Builds what is not there yet, and returns the directory. `packages`: by the name of the program; `module`: the
 * directory of the go.mod. Two processes may build at the same time.
 */
export async function cachedPrograms(
  name: string,
  packages: Readonly<Record<string, string>>,
  module: string,
): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'quorate')
  const directory = join(cache, name)
  await mkdir(directory, { recursive: true })
  for (const [program, path] of Object.entries(packages)) {
    const target = join(directory, program)
    if (await exists(target)) continue
    console.error(`building ${program} into ${directory}: some minutes, once`)
    const scratch = await mkdtemp(join(cache, 'build-'))
    try {
      await buildGo(join(scratch, program), [path], module)
      await rename(join(scratch, program), target)
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  }
  return directory
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** The one version that the go.mod requires of these modules. */
export async function pinnedVersion(module: string, names: readonly string[]): Promise<string> {
  const text = await readFile(join(module, 'go.mod'), 'utf8')
  const versions = names.map((name) => new RegExp(`\\s${name} v(\\S+)`).exec(text)?.[1] ?? 'none')
  const [version = ''] = versions
  if (version !== 'none' && versions.every((each) => each === version)) return version
  throw new Error(`${module}/go.mod must pin one version of ${names.join(', ')}: ${versions.join(', ')}`)
}

/**
 * Builds a program: a package, or Go files of one directory. Their imports are those of the go.mod in `module`. Rejects
 * with what to install when Go is missing.
 */
export async function buildGo(output: string, sources: readonly string[], module: string): Promise<void> {
  try {
    await run('go', ['version'])
  } catch (cause) {
    throw new Error('Go 1.26 or later is missing, which builds it: install it from go.dev.', { cause })
  }
  await run('go', ['build', '-C', module, '-o', output, ...sources], { maxBuffer: OUTPUT_BYTES_MAX })
}
