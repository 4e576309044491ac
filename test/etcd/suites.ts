// Helpers of the scripts that run other people's suites: installed programs, child processes, and nodes.

import { type ChildProcess, execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { freePorts, KV } from '../local/kv.ts'

/** Throws with the way to install it when a program is neither a file nor on the path. */
export function requireProgram(program: string, debianPackage: string): void {
  const places = program.includes('/')
    ? [program]
    : (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, program))
  const isThere = places.some((place) => {
    try {
      accessSync(place, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  if (!isThere) throw missing(program, debianPackage)
}

export function requireFile(file: string, debianPackage: string): void {
  if (!existsSync(file)) throw missing(file, debianPackage)
}

const missing = (what: string, debianPackage: string): Error =>
  new Error(`this test needs ${what}, of Debian's package: apt-get install ${debianPackage}`)

/** Throws unless there is Go of this release, 1.MINOR, or a newer one. */
export function requireGo(minor: number): void {
  const [, found = '0'] =
    /go1\.(\d+)/.exec(spawnSync('go', ['version'], { encoding: 'utf8' }).stdout ?? '') ?? []
  if (Number(found) < minor) throw new Error(`this test needs Go 1.${minor} or newer: https://go.dev/dl`)
}

/** A directory of a test, removed at its end. */
export function scratchDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `quorate-${name}-`))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A directory that stays, for what takes minutes to download or build. Its name says which version it has. */
export function cacheDirectory(name: string): string {
  const directory = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'quorate', name)
  mkdirSync(directory, { recursive: true })
  return directory
}

export interface Finished {
  /** null: a signal ended it. */
  readonly code: number | null
  /** Lines of both of its streams, in order. */
  readonly output: string
}

/** Runs a program until it ends. The signal ends it, and all that it started. */
export async function finish(
  program: string,
  args: readonly string[],
  {
    onOutput,
    signal,
    input,
    ...options
  }: SpawnOptions & {
    readonly onOutput?: (output: string) => void
    readonly input?: string
  } = {},
): Promise<Finished> {
  const stdin = input === undefined ? 'ignore' : 'pipe'
  const child = spawn(program, args, { ...options, detached: true, stdio: [stdin, 'pipe', 'pipe'] })
  const end = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }
  if (signal?.aborted) end()
  else signal?.addEventListener('abort', end)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
      onOutput?.(output)
    })
  child.stdin?.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  signal?.removeEventListener('abort', end)
  return { code, output }
}

/** The same for a program that must succeed. */
export async function succeed(...call: Parameters<typeof finish>): Promise<string> {
  const { code, output } = await finish(...call)
  if (code === 0) return output
  throw new Error(`${call[0]} ${call[1].join(' ')}: exit code ${code}\n${output}`)
}

/** Downloads packages of Debian and unpacks them into the directory; nothing is installed. */
export function unpackDebianPackages(directory: string, packages: readonly string[]): string {
  requireProgram('apt-get', 'apt')
  const downloads = join(directory, 'packages')
  mkdirSync(downloads, { recursive: true })
  execFileSync('apt-get', ['download', ...packages], { cwd: downloads, stdio: 'ignore' })
  const root = join(directory, 'root')
  for (const file of readdirSync(downloads)) execFileSync('dpkg-deb', ['-x', join(downloads, file), root])
  return root
}

export interface StartedNode {
  readonly name: string
  /** host:port for clients. */
  readonly address: string
  readonly child: ChildProcess
}

/**
 * Starts a cluster of nodes with these names, as processes that end with the test. `firstPort`: where clients reach the
 * first one.
 */
export async function startNodes(
  directory: string,
  names: readonly string[],
  { flags = [], firstPort }: { readonly flags?: readonly string[]; readonly firstPort?: number } = {},
): Promise<readonly StartedNode[]> {
  const port = await freePorts(3 * names.length)
  const addresses = names.map((_, at) => `127.0.0.1:${at === 0 ? (firstPort ?? port) : port + 3 * at}`)
  const nodes = names.map((name, at) => {
    const founding = at === 0 ? ['--bootstrap'] : ['--join', `http://${addresses[0]}`]
    const [address = '', peer, probe] = [addresses[at], port + 3 * at + 1, port + 3 * at + 2]
    const args = [
      ...[
        'node',
        'start',
        '--name',
        name,
        '--data',
        join(directory, name),
        '--log-level',
        'warn',
        ...founding,
      ],
      ...[
        '--listen',
        address,
        '--peer-listen',
        `127.0.0.1:${peer}`,
        '--metrics-listen',
        `127.0.0.1:${probe}`,
      ],
      ...flags,
    ]
    const child = spawn(process.execPath, [KV, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
    onTestFinished(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      // The next test may need its port.
      await once(child, 'exit')
    })
    return { name, address, child, probe: `http://127.0.0.1:${probe}/readyz` }
  })
  for (const { name, child, probe } of nodes) {
    while (!(await fetch(probe).catch(() => undefined))?.ok) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`node ${name} has ended`)
      await sleep(20)
    }
  }
  return nodes
}
