// One node of a local cluster as its supervisor sees it: a child process, started and ended on request, never restarted
// by itself.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { getCompileCacheDir } from 'node:module'
import { join } from 'node:path'
import { OPEN_FILE } from '../server/inspect-data-directory.ts'
import type { NodeEnd } from '../server/node/types.ts'
import { directoryId, fileId } from './directory-id.ts'
import type { FromNode, NodeOrder, PeerAddresses, ToNode } from './node-messages.ts'
import type { NodeView } from './node-view.ts'
import { stateOf } from './processes.ts'
import { siblingModule } from './sibling-module.ts'
import { SMALL_HEAP_ENV, SMALL_HEAP_FLAGS } from './small-heap.ts'

/** A node that was asked to stop and has not ended after this time is killed. It loses nothing by that. */
const STOP_LIMIT_MS = 10_000
/** A log that is larger when its node starts is moved to `.old`. */
const LOG_BYTES_MAX = 16 * 1024 * 1024

/** Why a process ended, in words; `failed`: the user should look at it. */
export interface ExitReason {
  readonly reason: string
  readonly failed: boolean
}

export type NodeEvent =
  | { readonly kind: 'started'; readonly clusterId: string; readonly peer: string }
  | { readonly kind: 'view'; readonly view: NodeView; readonly before: NodeView | undefined }
  | ({ readonly kind: 'ended' } & ExitReason)

/** One process of the node. */
interface Run {
  readonly child: ChildProcess
  readonly exited: Promise<void>
  /** Stopped by a signal of the supervisor. */
  paused: boolean
  /** What the node itself reported last. */
  end: NodeEnd | undefined
  /** What the supervisor did to it, for the reason shown when it ends. */
  ending: 'kill' | 'stop' | 'away' | undefined
  /** The file that it has open, as soon as it is open (`homeOf`). */
  home: string | undefined
}

export class SupervisedNode {
  readonly name: string
  readonly dataDir: string
  readonly logFile: string
  readonly #onEvent: (event: NodeEvent) => void
  readonly #env: NodeJS.ProcessEnv
  #run: Run | undefined
  #view: NodeView | undefined
  #lastExit: ExitReason | undefined

  /** `env` is for its process alone, beside what is inherited. */
  constructor(name: string, clusterDir: string, onEvent: (event: NodeEvent) => void, env: NodeJS.ProcessEnv) {
    this.#env = env
    this.name = name
    this.dataDir = join(clusterDir, name)
    this.logFile = join(clusterDir, `${name}.log`)
    this.#onEvent = onEvent
  }

  /** Of the process that serves; undefined when there is none. */
  get pid(): number | undefined {
    return this.#run?.child.pid
  }

  get view(): NodeView | undefined {
    return this.#view
  }

  /** A voter that knows a leader and is up to date. */
  get ready(): boolean {
    return this.#view !== undefined && this.#view.notReady.length === 0 && !this.paused
  }

  get paused(): boolean {
    return this.#run !== undefined && (isStopped(this.#run.child.pid) ?? this.#run.paused)
  }

  /** Why the last process ended. Undefined while one runs, and when none ever did. */
  get lastExit(): ExitReason | undefined {
    return this.#lastExit
  }

  start(order: NodeOrder): void {
    if (this.#run !== undefined) throw new Error(`${this.name} runs already`)
    const log = openLog(this.logFile)
    const child = spawn(
      process.execPath,
      [...SMALL_HEAP_FLAGS, siblingModule(import.meta, 'node-process'), this.name],
      {
        stdio: ['ignore', log, log, 'ipc'],
        env: { ...SMALL_HEAP_ENV, ...process.env, NODE_COMPILE_CACHE: getCompileCacheDir(), ...this.#env },
      },
    )
    closeSync(log)
    const run: Run = {
      child,
      exited: exitOf(child),
      paused: false,
      end: undefined,
      ending: undefined,
      home: undefined,
    }
    this.#run = run
    this.#lastExit = undefined
    child.on('message', (message: FromNode) => this.#hear(run, message))
    child.on('error', (error) => {
      run.end ??= { kind: 'failed', reason: error.message }
    })
    void run.exited.then(() => this.#onExit(run))
    this.#tell({ kind: 'start', order, supervisor: process.pid })
  }

  setPeers(peers: PeerAddresses): void {
    this.#tell({ kind: 'peers', peers })
  }

  /** Kills it when its files are no longer where they were: what it acknowledged from then on would be lost. */
  endWhenAway(): void {
    const run = this.#run
    if (run?.home === undefined || run.ending !== undefined || homeOf(this.dataDir) === run.home) return
    run.ending = 'away'
    run.child.kill('SIGKILL')
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    const run = this.#run
    if (run === undefined) return
    run.ending ??= 'kill'
    run.child.kill('SIGKILL')
    await run.exited
  }

  /**
   * Asks the node to close, and to hand leadership over before. A node that is paused, or does not end in time, is
   * killed.
   */
  async stop({ handOver }: { handOver: boolean }): Promise<void> {
    const run = this.#run
    if (run === undefined) return
    if (this.paused) return this.kill()
    run.ending ??= 'stop'
    this.#tell({ kind: 'stop', handOver })
    const timer = setTimeout(() => run.child.kill('SIGKILL'), STOP_LIMIT_MS)
    await run.exited
    clearTimeout(timer)
  }

  pause(): void {
    const run = this.#run
    if (run?.child.pid === undefined) return
    run.paused = true
    run.child.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#run === undefined) return
    this.#run.child.kill('SIGCONT')
    this.#run.paused = false
  }

  #tell(message: ToNode): void {
    const child = this.#run?.child
    // A failed send means that the process has just died. Its end is reported anyway.
    if (child?.connected) child.send(message, () => {})
  }

  #hear(run: Run, message: FromNode): void {
    if (run !== this.#run) return
    switch (message.kind) {
      case 'started':
        run.home = homeOf(this.dataDir)
        this.#onEvent({ kind: 'started', clusterId: message.clusterId, peer: message.peer })
        break
      case 'view': {
        const before = this.#view
        this.#view = message.view
        this.#onEvent({ kind: 'view', view: message.view, before })
        break
      }
      case 'ended':
        run.end = message.end
        break
    }
  }

  #onExit(run: Run): void {
    this.#run = undefined
    this.#view = undefined
    this.#lastExit = exitReason(run, this)
    this.#onEvent({ kind: 'ended', ...this.#lastExit })
  }
}

function exitReason({ child, end, ending }: Run, { logFile, dataDir }: SupervisedNode): ExitReason {
  if (ending === 'kill') return { reason: 'killed', failed: false }
  if (ending === 'away') return { reason: `${dataDir} was moved, replaced, emptied or deleted`, failed: true }
  if (end?.kind === 'failed') return { reason: end.reason, failed: true }
  if (ending === 'stop' || end !== undefined) return { reason: 'stopped', failed: false }
  const how = child.signalCode ?? `exit code ${child.exitCode}`
  if (how === 'SIGKILL') return { reason: 'somebody killed it (SIGKILL)', failed: false }
  // LevelDB is native code: on damaged files it may abort the process instead of reporting an error.
  const what =
    how === 'SIGABRT' || how === 'SIGBUS' || how === 'SIGSEGV'
      ? `LevelDB ended the process (${how}), so its files are probably damaged`
      : `its process ended by ${how}`
  return { reason: `${what}; see ${logFile}`, failed: true }
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    // Its last messages may still be in the channel when the process is already gone.
    child.once('exit', () => (child.connected ? child.once('disconnect', resolve) : resolve()))
    // It could not be spawned, so there is no exit.
    child.once('error', () => {
      if (child.pid === undefined) resolve()
    })
  })
}

/**
 * The ids of a node's directory, and of a file in it that the node keeps open and changes with every write. Emptying
 * the directory deletes this file, and putting back an older copy of the files replaces it.
 */
const homeOf = (dataDir: string): string => `${directoryId(dataDir)} ${fileId(join(dataDir, OPEN_FILE))}`

function openLog(path: string): number {
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES_MAX) renameSync(path, `${path}.old`)
  return openSync(path, 'a', 0o600)
}

/** Whether the process is stopped, by any signal; undefined where the system does not tell. */
function isStopped(pid: number | undefined): boolean | undefined {
  const state = pid === undefined ? undefined : stateOf(pid)
  return state === undefined ? undefined : state === 'T'
}
