// The kv command in a new directory: in this process, or the real program as a user runs it.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { isFree } from '../../src/local/addresses.ts'
import { processExists, processState } from '../../src/local/processes.ts'
import { stopCluster } from '../../src/local/supervisor/stop-cluster.ts'
import { Supervisor } from '../../src/local/supervisor/supervisor.ts'
import { findSupervisor } from '../../src/local/supervisor/supervisor-lock.ts'
import { sendCommand } from '../../src/local/supervisor/supervisor-socket.ts'
import {
  type ControlReply,
  type ControlRequest,
  LocalClusterDocument,
  type LocalClusterStatus,
  type LocalNodeStatus,
} from '../../src/operations/documents/supervisor.ts'
import { kv as runInProcess } from '../cli/run-kv.ts'

export const KV = join(import.meta.dirname, '../../bin/kv.js')

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A working directory with a local cluster in it. */
export class Workspace {
  readonly dir = mkdtempSync(join(tmpdir(), 'quorate-cluster-'))
  readonly port: number
  /** The path by which the command is called. */
  program = KV
  /** Added to the inherited environment. */
  env: NodeJS.ProcessEnv = {}
  readonly #children = new Set<ChildProcess>()

  private constructor(port: number) {
    this.port = port
  }

  /** Removed at the end of the test, with everything that runs there. */
  static async open(): Promise<Workspace> {
    const space = await Workspace.openForFile()
    // Also after a test that timed out.
    onTestFinished(() => space.close())
    return space
  }

  /** For a file whose tests share a cluster: it must call `close`. */
  static async openForFile(): Promise<Workspace> {
    return new Workspace(await freePorts(5))
  }

  /** Starts a command and returns at once. */
  spawn(...args: string[]): ChildProcess {
    return this.#spawn(args, false)
  }

  /** Runs a command on a terminal; `script` passes on its exit code and its output. */
  spawnOnTerminal(...args: string[]): ChildProcess {
    const command = [process.execPath, this.program, ...args].map((word) => `'${word}'`).join(' ')
    return this.#watch(spawn('script', ['-qefc', command, '/dev/null'], this.#options(false)))
  }

  /** Starts a command in a new process group, as in a terminal. */
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

  /** Runs a command until it has ended: in this process, if it needs no program or environment of its own. */
  async kv(...args: string[]): Promise<CommandResult> {
    if (this.program !== KV || Object.keys(this.env).length > 0) return this.spawned(...args)
    // A cluster that was just changed may need seconds on a busy machine.
    const env = { NO_COLOR: '1', KV_TIMEOUT: '60s' }
    const { code, out, err } = await runInProcess(args, { cwd: this.dir, env })
    return { code, stdout: out, stderr: err }
  }

  /** The same in a process of its own. No other process may hold its output open. */
  spawned(...args: string[]): Promise<CommandResult> {
    return outcomeOf(this.spawn(...args))
  }

  /** The status that `kv cluster status` shows, from the supervisor, without a process for the command. */
  async status(): Promise<LocalClusterStatus> {
    const reply = await this.send({ command: 'status' })
    if (!reply.ok || !reply.status) throw new Error(reply.message)
    return reply.status
  }

  /** Sends a request as `kv cluster …` does, without a process for the command. */
  async send(request: ControlRequest): Promise<ControlReply> {
    const supervisor = await findSupervisor(this.path())
    if (supervisor === undefined) throw new Error('no supervisor runs')
    return sendCommand(supervisor, request)
  }

  /** The same for a request that must succeed. Returns its message. */
  async execute(request: ControlRequest): Promise<string> {
    const reply = await this.send(request)
    if (!reply.ok) throw new Error(`${JSON.stringify(request)}: ${reply.message}`)
    return reply.message
  }

  /** Starts a cluster and leaves it running. */
  async start(...args: string[]): Promise<LocalClusterStatus> {
    const flags = ['--detach', '--port', String(this.port), '-o', 'json']
    const { code, stdout, stderr } = await this.kv('cluster', 'start', ...flags, ...args)
    if (code !== 0) throw new Error(`kv cluster start: exit code ${code}\n${stderr}`)
    return LocalClusterDocument.decode(JSON.parse(stdout))
  }

  path(...parts: string[]): string {
    return join(this.dir, '.kv/cluster', ...parts)
  }

  async close(): Promise<void> {
    // The directory may hold anything by now.
    await stopCluster(this.path()).catch(() => {})
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }
}

export function outcomeOf(child: ChildProcess): Promise<CommandResult> {
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
 * Repeats `check` until it returns a value. The timeout only ends a test that has failed. The interval leaves the
 * processor to the processes that the test waits for; a state that passes soon needs a short one.
 */
export async function eventually<T>(
  check: () => Promise<T | undefined | false> | T | undefined | false,
  intervalMs = 20,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const result = await check()
    if (result !== undefined && result !== false) return result
    if (performance.now() > deadline) throw new Error(`never true: ${check}`)
    await sleep(intervalMs)
  }
}

/** A zombie is gone too. */
export function isGone(pid: number): boolean {
  return !processExists(pid) || processState(pid) === 'Z'
}

/**
 * Ports below those that the system gives to clients, and above those of etcd's end-to-end tests. Files that run at the
 * same time use different ones.
 */
const PORTS_FROM = 20_100
const PORTS_OF_WORKER = 1_000
const WORKERS = 10
const WORKER = Number(process.env.VITEST_POOL_ID ?? 0)

/** The first of `count` consecutive free ports. */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first =
      PORTS_FROM +
      PORTS_OF_WORKER * (WORKER % WORKERS) +
      Math.floor(Math.random() * (PORTS_OF_WORKER - count))
    const free = await Promise.all(Array.from({ length: count }, (_, at) => isFree(first + at)))
    if (free.every(Boolean)) return first
  }
}

export function leaderOf(status: LocalClusterStatus): string {
  return status.leader ?? 'none'
}

export function followersOf(status: LocalClusterStatus): [string, string] {
  const [one, two] = status.nodes.filter(({ name }) => name !== status.leader)
  if (!one || !two) throw new Error('there are no two followers')
  return [one.name, two.name]
}

export function nodeOf(status: LocalClusterStatus, name: string): LocalNodeStatus {
  const node = status.nodes.find((candidate) => candidate.name === name)
  if (node === undefined) throw new Error(`no ${name}`)
  return node
}

/** Mends what an earlier test has left broken, and returns a status in which every node runs and one leads. */
export async function allNodes(space: Workspace): Promise<LocalClusterStatus> {
  await space.execute({ command: 'heal', link: undefined })
  const { nodes } = await space.status()
  for (const { name, state } of nodes)
    if (state !== 'running')
      await space.execute({ command: state === 'stopped' ? 'restart' : 'resume', node: name })
  return settled(space, nodes.length)
}

/** Waits for a status in which so many nodes run and one leads. */
export function settled(space: Workspace, count: number, timeoutMs?: number): Promise<LocalClusterStatus> {
  const check = async (): Promise<LocalClusterStatus | false> => {
    const status = await space.status()
    const running = status.nodes.filter(({ state }) => state === 'running')
    return status.leader !== undefined && running.length === count && status
  }
  return eventually(check, undefined, timeoutMs)
}

export function supervisorPid(space: Workspace): number {
  return JSON.parse(readFileSync(space.path('cluster.json'), 'utf8')).supervisor.pid
}

/** A supervisor of one node in this process. */
export async function startSupervisor(space: Workspace): Promise<Supervisor> {
  const supervisor = await Supervisor.start({
    dataDir: space.path(),
    nodes: 1,
    port: space.port,
    direct: true,
  })
  if ('holder' in supervisor) throw new Error('another supervisor holds the directory')
  onTestFinished(() => supervisor.stop())
  return supervisor
}

/** Waits until all nodes have the same state at the same index. */
export async function sameHashes({ nodes }: LocalClusterStatus): Promise<void> {
  await eventually(async () => {
    const hashes = nodes.map(async ({ url }) => {
      const status = JSON.parse(await (await fetch(`${url}/v1/status`)).text())
      return `${status.applied_index} ${status.state_hash}`
    })
    return new Set(await Promise.all(hashes)).size === 1
  })
}
