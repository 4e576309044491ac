// The kv command as a user runs it: the real program in a new process and a new directory.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import type { ClusterStatus } from '../../src/local/cluster-status.ts'
import { ask } from '../../src/local/control-client.ts'
import type { ControlRequest } from '../../src/local/control-messages.ts'
import { stopCluster } from '../../src/local/stop.ts'
import { findSupervisor } from '../../src/local/supervisor-lock.ts'

export const KV = join(import.meta.dirname, '../../bin/kv.js')

export interface Done {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export type StatusJson = ClusterStatus

/** A working directory with a local cluster in it, removed with everything that runs there. */
export class Workspace {
  readonly dir = mkdtempSync(join(tmpdir(), 'quorate-cluster-'))
  readonly port: number
  /** The path by which the command is called. */
  program = KV
  /** Beside what is inherited. */
  env: NodeJS.ProcessEnv = {}
  readonly #children = new Set<ChildProcess>()

  private constructor(port: number) {
    this.port = port
  }

  static async open(): Promise<Workspace> {
    const space = new Workspace(await freePorts(5))
    // After a test that timed out as well.
    onTestFinished(() => space.#close())
    return space
  }

  /** Starts a command and returns at once. */
  spawn(...args: string[]): ChildProcess {
    return this.#spawn(args, false)
  }

  /** On a terminal; its exit code and all that it shows come from `script`. */
  spawnOnTerminal(...args: string[]): ChildProcess {
    const command = [process.execPath, this.program, ...args].map((word) => `'${word}'`).join(' ')
    return this.#watch(spawn('script', ['-qefc', command, '/dev/null'], this.#options(false)))
  }

  /** In a new process group, as in a terminal. */
  spawnGroup(...args: string[]): ChildProcess {
    return this.#spawn(args, true)
  }

  #spawn(args: readonly string[], detached: boolean): ChildProcess {
    return this.#watch(spawn(process.execPath, [this.program, ...args], this.#options(detached)))
  }

  #options(detached: boolean): SpawnOptions {
    const env = { ...process.env, NO_COLOR: '1', KV_ENDPOINTS: '', ...this.env }
    return { cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'], env, detached }
  }

  #watch(child: ChildProcess): ChildProcess {
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** Runs a command to its end, which includes the end of its output: nobody else may hold it open. */
  kv(...args: string[]): Promise<Done> {
    return outcomeOf(this.spawn(...args))
  }

  async status(): Promise<StatusJson> {
    const { stdout, stderr, code } = await this.kv('cluster', 'status', '-o', 'json')
    if (code !== 0) throw new Error(`kv cluster status: ${stderr}`)
    return JSON.parse(stdout)
  }

  /** The same, asked without a process in between: for looking often. */
  async peek(): Promise<StatusJson> {
    const supervisor = await findSupervisor(this.path())
    const reply = supervisor && (await ask(supervisor, { command: 'status' }))
    if (!reply?.ok || !reply.status) throw new Error('the supervisor does not answer')
    return reply.status
  }

  /** As `kv cluster …` asks it, without a process in between; throws what the command would say of a failure. */
  async tell(request: ControlRequest): Promise<string> {
    const supervisor = await findSupervisor(this.path())
    const reply = supervisor && (await ask(supervisor, request))
    if (!reply?.ok) throw new Error(`${JSON.stringify(request)}: ${reply?.said}`)
    return reply.said
  }

  /** Starts a cluster and leaves it running. */
  async start(...args: string[]): Promise<StatusJson> {
    const started = await this.kv(
      'cluster',
      'start',
      '--detach',
      '--port',
      String(this.port),
      '-o',
      'json',
      ...args,
    )
    if (started.code !== 0) throw new Error(`kv cluster start: exit code ${started.code}\n${started.stderr}`)
    return JSON.parse(started.stdout)
  }

  path(...parts: string[]): string {
    return join(this.dir, '.kv/cluster', ...parts)
  }

  async #close(): Promise<void> {
    // The directory may hold anything by now.
    await stopCluster(this.path()).catch(() => {})
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }
}

export function outcomeOf(child: ChildProcess): Promise<Done> {
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
  })
}

/**
 * Looks until it sees what it looks for; the limit only ends a test that has failed. What may pass soon needs a short
 * pause. Without a pause the looks would take the processor away from what they wait for.
 */
export async function eventually<T>(
  look: () => Promise<T | undefined | false> | T | undefined | false,
  pauseMs = 20,
): Promise<T> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    if (performance.now() > deadline) throw new Error(`never seen: ${look}`)
    await sleep(pauseMs)
  }
}

/** A process that is gone; one that only waits for a parent to take note (a zombie) is gone too. */
export async function isGone(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch {
    return true
  }
  const { stdout } = await outcomeOf(spawn('ps', ['-o', 'stat=', '-p', String(pid)]))
  return stdout.trim() === '' || stdout.startsWith('Z')
}

export async function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

/** The first of `count` free ports in a row. */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000)
    const free = await Promise.all(Array.from({ length: count }, (_, at) => isFree(first + at)))
    if (free.every(Boolean)) return first
  }
}

export function leaderOf(status: StatusJson): string {
  return status.leader ?? 'none'
}

export function followersOf(status: StatusJson): [string, string] {
  const [one, two] = status.nodes.filter(({ name }) => name !== status.leader)
  if (!one || !two) throw new Error('there are no two followers')
  return [one.name, two.name]
}

export function stateOf(status: StatusJson, name: string): StatusJson['nodes'][number] {
  const node = status.nodes.find((candidate) => candidate.name === name)
  if (node === undefined) throw new Error(`no ${name}`)
  return node
}

/** As this node knows them. */
export async function votersOf(url: string): Promise<string[]> {
  const { members } = JSON.parse(await (await fetch(`${url}/v1/cluster`)).text())
  return (members as { name: string; role: string }[])
    .filter(({ role }) => role === 'voter')
    .map(({ name }) => name)
    .sort()
}

export function supervisorPid(space: Workspace): number {
  return JSON.parse(readFileSync(space.path('cluster.json'), 'utf8')).supervisor.pid
}
