// Programs in Go: built once, into a directory of caches outside the repository. A go.mod of ours pins their modules,
// or the go.mod of their release does.

import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
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
  const directory = join(cache(), name)
  for (const [program, path] of Object.entries(packages))
    await buildOnce(directory, program, (output) => buildGo(output, [path], module))
  return directory
}

/** A release of a module that no go.mod of ours requires. */
export interface Release {
  readonly module: string
  readonly version: string
  /** Directory of the main package, within the module. */
  readonly directory?: string
  /** Lines of go.sum that its own one lacks: for itself, and for what its go.mod replaces by directories. */
  readonly sums: readonly string[]
}

/** Builds a release with the versions that its own go.mod requires, if it is not there yet, and returns the path. */
export async function cachedRelease(program: string, release: Release): Promise<string> {
  const { module, version, directory } = release
  const cached = join(cache(), `${program}-${version}`)
  await buildOnce(cached, program, async (output, scratch) => {
    await requireRelease(release, scratch)
    const path = directory === undefined ? module : `${module}/${directory}`
    await buildGo(output, [path], scratch)
  })
  return join(cached, program)
}

/**
 * Writes a go.mod that requires a release and what its go.mod requires. It does not have its replacements by
 * directories of its repository, which are not in the module.
 */
async function requireRelease({ module, version, sums }: Release, scratch: string): Promise<void> {
  await checkGo()
  const go = async (...args: string[]): Promise<string> => (await run('go', args, { cwd: scratch })).stdout
  const { Dir: source } = JSON.parse(await go('mod', 'download', '-json', `${module}@v${version}`))
  const textOf = (name: string): Promise<string> => readFile(join(source, name), 'utf8')
  await writeFile(join(scratch, 'go.mod'), await textOf('go.mod'))
  await writeFile(join(scratch, 'go.sum'), `${await textOf('go.sum')}${sums.join('\n')}\n`)
  const { Replace: replacements }: GoMod = JSON.parse(await go('mod', 'edit', '-json'))
  const drops = (replacements ?? [])
    .filter(({ New }) => New.Version === undefined)
    .map(({ Old }) => `-dropreplace=${Old.Path}`)
  await go('mod', 'edit', '-module=release', `-require=${module}@v${version}`, ...drops)
}

interface GoMod {
  readonly Replace:
    | null
    | readonly {
        readonly Old: { readonly Path: string }
        /** A directory has no version. */
        readonly New: { readonly Version?: string }
      }[]
}

const cache = (): string => join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'quorate')

/** Builds a program that is not there yet. The scratch directory is removed. */
async function buildOnce(
  directory: string,
  program: string,
  build: (output: string, scratch: string) => Promise<void>,
): Promise<void> {
  const target = join(directory, program)
  if (await exists(target)) return
  await mkdir(directory, { recursive: true })
  console.error(`building ${program} into ${directory}: some minutes, once`)
  const scratch = await mkdtemp(join(cache(), 'build-'))
  try {
    await build(join(scratch, program), scratch)
    await rename(join(scratch, program), target)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
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
  await checkGo()
  await run('go', ['build', '-C', module, '-o', output, ...sources], { maxBuffer: OUTPUT_BYTES_MAX })
}

async function checkGo(): Promise<void> {
  try {
    await run('go', ['version'])
  } catch (cause) {
    throw new Error('Go 1.26 or later is missing, which builds it: install it from go.dev.', { cause })
  }
}
