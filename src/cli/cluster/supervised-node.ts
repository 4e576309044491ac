// One node of a local cluster as its supervisor sees it: a child process, started and ended on demand, never restarted
// by itself.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { getCompileCacheDir } from 'node:module'
import { extname, join } from 'node:path'
import { OPEN_FILE } from '../../server/holds-node.ts'
import type { NodeEnd } from '../../server/types.ts'
import { SMALL_HEAP_ENV, SMALL_HEAP_FLAGS } from '../small-heap.ts'
import { directoryId, fileId } from './directory-id.ts'
import type { FromNode, NodeOrder, NodeView, PeerAddresses, ToNode } from './node-messages.ts'

/** A node that was asked to stop and has not ended after this is killed: it loses nothing by that. */
const STOP_LIMIT_MS = 10_000
/** A log that is larger when its node starts is moved to `.old`. */
const LOG_BYTES_MAX = 16 * 1024 * 1024

/** Why a process ended, in words; `failed`: somebody should look at it. */
export interface Epitaph {
  readonly reason: string
  readonly failed: boolean
}

export type NodeEvent =
  | { readonly kind: 'started'; readonly clusterId: string; readonly peer: string }
  | { readonly kind: 'view'; readonly view: NodeView; readonly before: NodeView | undefined }
  | ({ readonly kind: 'ended' } & Epitaph)

interface Life {
  readonly child: ChildProcess
  readonly gone: Promise<void>
  /** By us. */
  paused: boolean
  /** The last word of the node itself. */
  end: NodeEnd | undefined
  /** What we did to it, for the reason shown when it ends. */
  ending: 'kill' | 'stop' | 'away' | undefined
  /** What it has open, once it has (`homeOf`). */
  home: string | undefined
}

export class SupervisedNode {
  readonly name: string
  readonly dataDir: string
  readonly logFile: string
  readonly #onEvent: (node: SupervisedNode, event: NodeEvent) => void
  readonly #env: NodeJS.ProcessEnv
  #life: Life | undefined
  #view: NodeView | undefined
  #lastEnd: Epitaph | undefined

  /** `env` is for its process alone, beside what is inherited. */
  constructor(
    name: string,
    clusterDir: string,
    onEvent: (node: SupervisedNode, event: NodeEvent) => void,
    env: NodeJS.ProcessEnv = {},
  ) {
    this.#env = env
    this.name = name
    this.dataDir = join(clusterDir, name)
    this.logFile = join(clusterDir, `${name}.log`)
    this.#onEvent = onEvent
  }

  /** Of the process that serves; undefined when there is none. */
  get pid(): number | undefined {
    return this.#life?.child.pid
  }

  get view(): NodeView | undefined {
    return this.#view
  }

  /** A voter that knows a leader and is up to date. */
  get ready(): boolean {
    return this.#view !== undefined && this.#view.notReady.length === 0 && !this.paused
  }

  get paused(): boolean {
    return this.#life !== undefined && (isStopped(this.#life.child.pid) ?? this.#life.paused)
  }

  /** Why the last process ended; undefined while one runs or none ever did. */
  get lastEnd(): Epitaph | undefined {
    return this.#lastEnd
  }

  start(order: NodeOrder): void {
    if (this.#life !== undefined) throw new Error(`${this.name} runs already`)
    const log = openLog(this.logFile)
    const child = spawn(process.execPath, [...SMALL_HEAP_FLAGS, siblingModule('node-process'), this.name], {
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...SMALL_HEAP_ENV, ...process.env, NODE_COMPILE_CACHE: getCompileCacheDir(), ...this.#env },
    })
    closeSync(log)
    const life: Life = {
      child,
      gone: goneOf(child),
      paused: false,
      end: undefined,
      ending: undefined,
      home: undefined,
    }
    this.#life = life
    this.#lastEnd = undefined
    child.on('message', (message: FromNode) => this.#hear(life, message))
    child.on('error', (error) => {
      life.end ??= { kind: 'failed', reason: error.message }
    })
    void life.gone.then(() => this.#bury(life))
    this.#tell({ kind: 'start', order, supervisor: process.pid })
  }

  setPeers(peers: PeerAddresses): void {
    this.#tell({ kind: 'peers', peers })
  }

  /**
   * It is killed when its files are no longer where they were: what it acknowledged from then on would be found by
   * nobody.
   */
  endWhenAway(): void {
    const life = this.#life
    if (life?.home === undefined || life.ending !== undefined || homeOf(this.dataDir) === life.home) return
    life.ending = 'away'
    life.child.kill('SIGKILL')
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    const life = this.#life
    if (life === undefined) return
    life.ending ??= 'kill'
    life.child.kill('SIGKILL')
    await life.gone
  }

  /** Lets the node close, and hand leadership over before; one that is paused or does not come to an end is killed. */
  async stop({ handOver }: { handOver: boolean }): Promise<void> {
    const life = this.#life
    if (life === undefined) return
    if (this.paused) return this.kill()
    life.ending ??= 'stop'
    this.#tell({ kind: 'stop', handOver })
    const timer = setTimeout(() => life.child.kill('SIGKILL'), STOP_LIMIT_MS)
    await life.gone
    clearTimeout(timer)
  }

  pause(): void {
    const life = this.#life
    if (life?.child.pid === undefined) return
    life.paused = true
    life.child.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#life === undefined) return
    this.#life.child.kill('SIGCONT')
    this.#life.paused = false
  }

  #tell(message: ToNode): void {
    const child = this.#life?.child
    // The channel of a process that has just died: its end is reported anyway.
    if (child?.connected) child.send(message, () => {})
  }

  #hear(life: Life, message: FromNode): void {
    if (life !== this.#life) return
    switch (message.kind) {
      case 'started':
        life.home = homeOf(this.dataDir)
        this.#onEvent(this, { kind: 'started', clusterId: message.clusterId, peer: message.peer })
        break
      case 'view': {
        const before = this.#view
        this.#view = message.view
        this.#onEvent(this, { kind: 'view', view: message.view, before })
        break
      }
      case 'ended':
        life.end = message.end
        break
    }
  }

  #bury(life: Life): void {
    this.#life = undefined
    this.#view = undefined
    this.#lastEnd = epitaph(life, this)
    this.#onEvent(this, { kind: 'ended', ...this.#lastEnd })
  }
}

/** Runs from src/ in a clone, from dist/ in the package: the extension is ours. */
export function siblingModule(name: string): string {
  return join(import.meta.dirname, name + extname(import.meta.filename))
}

function epitaph({ child, end, ending }: Life, { logFile, dataDir }: SupervisedNode): Epitaph {
  if (ending === 'kill') return { reason: 'killed', failed: false }
  if (ending === 'away') return { reason: `${dataDir} was moved, replaced, emptied or deleted`, failed: true }
  if (end?.kind === 'failed') return { reason: end.reason, failed: true }
  if (ending === 'stop' || end !== undefined) return { reason: 'stopped', failed: false }
  const how = child.signalCode ?? `exit code ${child.exitCode}`
  if (how === 'SIGKILL') return { reason: 'somebody killed it (SIGKILL)', failed: false }
  // LevelDB is native code: on files that it cannot make sense of it may abort the process instead of reporting an
  // error.
  const what =
    how === 'SIGABRT' || how === 'SIGBUS' || how === 'SIGSEGV'
      ? `LevelDB ended the process (${how}), so its files are probably damaged`
      : `its process ended by ${how}`
  return { reason: `${what}; see ${logFile}`, failed: true }
}

function goneOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    // Its last words may still be in the channel when it is already gone.
    child.once('exit', () => (child.connected ? child.once('disconnect', resolve) : resolve()))
    // It could not be spawned at all: then there is no exit.
    child.once('error', () => {
      if (child.pid === undefined) resolve()
    })
  })
}

/**
 * The directory of a node and a file in it that the node keeps open, and changes with all that it writes: whoever
 * empties the directory deletes that, and whoever puts back what has changed since a copy was made replaces it.
 */
const homeOf = (dataDir: string): string => `${directoryId(dataDir)} ${fileId(join(dataDir, OPEN_FILE))}`

function openLog(path: string): number {
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES_MAX) renameSync(path, `${path}.old`)
  return openSync(path, 'a', 0o600)
}

/** Whether the process is stopped, by whomever; undefined where the system does not tell. */
function isStopped(pid: number | undefined): boolean | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // "pid (name) state …": the name may hold anything, parentheses too.
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')
  } catch {
    return undefined
  }
}
