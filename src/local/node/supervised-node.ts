// One node of a local cluster: its ports, its stage, and its process, a child of this process. The node is started and
// ended on request and never restarted by itself.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import type { Founding, ListenAddress, NodeEnd, NodeOptions } from '../../server/options.ts'
import { SMALL_HEAP_ENV, SMALL_HEAP_FLAGS } from '../../server/process/small-heap.ts'
import { HOST, localUrl, parsePort } from '../addresses.ts'
import { compileCacheEnv, siblingModule } from '../child-module.ts'
import { clientTls, nodeTls } from '../directory/certificates.ts'
import type { Stage } from '../directory/cluster-file.ts'
import type { NodePlan } from '../directory/plan.ts'
import { processState } from '../processes.ts'
import type { FromNode, PeerAddresses, ToNode } from './node-messages.ts'
import type { NodeReport, NodeView } from './node-view.ts'

/** Time for a node to stop in order; then it is killed. It loses nothing by that. */
const STOP_TIMEOUT_MS = 10_000
/** Time for a node to report its state, also on a busy machine. One that needs longer is stuck. */
const REPORT_TIMEOUT_MS = 5_000
/** A log that is larger when its node starts is moved to `.old`. */
const LOG_BYTES_MAX = 16 * 1024 * 1024

/** Why a process ended. `failed`: the user should look at it. */
interface ExitReason {
  readonly reason: string
  readonly failed: boolean
  /** Ended by SIGKILL. */
  readonly killed?: boolean
}

export type NodeEvent =
  | { readonly kind: 'started'; readonly clusterId: string }
  | { readonly kind: 'view'; readonly view: NodeView; readonly before: NodeView | undefined }
  | ({ readonly kind: 'ended' } & ExitReason)

/** One process of the node. */
interface NodeProcess {
  readonly child: ChildProcess
  readonly exited: Promise<void>
  /** Whether the process has reported that it listens. */
  listening: boolean
  /** Paused by `pause()`. */
  paused: boolean
  /** The last report of the node itself. */
  end: NodeEnd | undefined
  /** The request of the supervisor that ends it. */
  request: 'kill' | 'stop' | undefined
}

interface SupervisedNodePlan extends NodePlan {
  /** Whether it serves clients of etcd. Default: true. */
  readonly etcdApi?: boolean | undefined
}

export class SupervisedNode {
  readonly name: string
  /** Port of its HTTP API. */
  readonly port: number
  readonly url: string
  readonly dataDir: string
  readonly logFile: string
  stage: Stage
  /** Port of its peer listener; 0 until the system has chosen it. */
  peerPort: number
  /** A restart or rejoin of it is in progress. */
  busy = false
  readonly #onEvent: (event: NodeEvent) => void
  readonly #options: Pick<NodeOptions, 'tls' | 'peerTls' | 'etcdApi'>
  readonly #clusterDir: string
  #requests: SecureContextOptions | undefined
  readonly #env: NodeJS.ProcessEnv
  #process: NodeProcess | undefined
  #view: NodeView | undefined
  #lastExit: ExitReason | undefined

  /** Its data and its log are in `clusterDir`. `env` is added to the environment of its process. */
  constructor(
    { name, port, peerPort, stage, tls = false, etcdApi }: SupervisedNodePlan,
    clusterDir: string,
    onEvent: (event: NodeEvent) => void,
    env: NodeJS.ProcessEnv = {},
  ) {
    this.name = name
    this.port = port
    this.url = localUrl(port, tls)
    this.#options = { ...(tls ? nodeTls(clusterDir, name) : {}), etcdApi }
    this.#clusterDir = clusterDir
    this.#requests = tls ? clientTls(clusterDir) : undefined
    this.stage = stage
    this.peerPort = peerPort
    this.dataDir = join(clusterDir, name)
    this.logFile = join(clusterDir, `${name}.log`)
    this.#onEvent = onEvent
    this.#env = env
  }

  /** Certificates for requests to it, as they are now; undefined: it has no TLS. */
  get requests(): SecureContextOptions | undefined {
    if (this.#requests === undefined) return undefined
    try {
      this.#requests = clientTls(this.#clusterDir)
    } catch {
      // They are being replaced. The old ones hold until then.
    }
    return this.#requests
  }

  /** undefined while no process runs. */
  get pid(): number | undefined {
    return this.#process?.child.pid
  }

  get view(): NodeView | undefined {
    return this.#view
  }

  /** A voter that knows a leader and is up to date. */
  get ready(): boolean {
    return this.#view !== undefined && this.#view.notReady.length === 0 && !this.paused
  }

  /** Stopped by a signal, of whatever process. */
  get paused(): boolean {
    if (this.#process === undefined) return false
    const state = this.pid === undefined ? undefined : processState(this.pid)
    return state === undefined ? this.#process.paused : state === 'T'
  }

  /** Why the last process ended. Undefined while one runs, and when none ever ran. */
  get lastExit(): ExitReason | undefined {
    return this.#lastExit
  }

  /** Address of its peer listener; undefined while it does not listen. */
  get peerListener(): ListenAddress | undefined {
    return this.#process?.listening ? { host: HOST, port: this.peerPort } : undefined
  }

  start(founding: Founding, peers: PeerAddresses): void {
    if (this.#process !== undefined) throw new Error(`${this.name} runs already`)
    const log = openLog(this.logFile)
    const args = [...SMALL_HEAP_FLAGS, siblingModule(import.meta, 'node-process'), this.name]
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...SMALL_HEAP_ENV, ...process.env, ...compileCacheEnv(), ...this.#env },
    })
    closeSync(log)
    // Each command that waits for a report listens.
    child.setMaxListeners(0)
    const nodeProcess: NodeProcess = {
      child,
      exited: awaitExit(child),
      listening: false,
      paused: false,
      end: undefined,
      request: undefined,
    }
    this.#process = nodeProcess
    this.#lastExit = undefined
    child.on('message', (message: FromNode) => this.#receive(nodeProcess, message))
    child.on('error', (error) => {
      nodeProcess.end ??= { kind: 'failed', reason: error.message }
    })
    void nodeProcess.exited.then(() => this.#onExit(nodeProcess))
    const order = {
      name: this.name,
      dataDir: this.dataDir,
      listen: { host: HOST, port: this.port },
      peerListen: { host: HOST, port: this.peerPort },
      founding,
      peers,
      ...this.#options,
    }
    this.#send({ kind: 'start', order, supervisor: process.pid })
  }

  setPeers(peers: PeerAddresses): void {
    this.#send({ kind: 'peers', peers })
  }

  /** State of the node now; undefined: it does not run, does not serve yet, or does not answer in time. */
  report(): Promise<NodeReport | undefined> {
    const child = this.#process?.child
    if (child === undefined) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const end = (report?: NodeReport): void => {
        clearTimeout(timer)
        child.off('message', receive).off('exit', exit)
        resolve(report)
      }
      const exit = (): void => end()
      const receive = (message: FromNode): void => {
        if (message.kind === 'report') end(message.report)
      }
      const timer = setTimeout(end, REPORT_TIMEOUT_MS)
      // Not `exited.then`: a promise keeps its callbacks, and a script may request reports for days.
      child.on('message', receive).on('exit', exit)
      this.#send({ kind: 'report' })
    })
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    const nodeProcess = this.#process
    if (nodeProcess === undefined) return
    nodeProcess.request ??= 'kill'
    nodeProcess.child.kill('SIGKILL')
    await nodeProcess.exited
  }

  /** Stops the node in order. A node that is paused, or does not end in time, is killed. */
  async stop(options: { readonly transferLeadership: boolean }): Promise<void> {
    const nodeProcess = this.#process
    if (nodeProcess === undefined) return
    if (this.paused) return this.kill()
    nodeProcess.request ??= 'stop'
    this.#send({ kind: 'stop', ...options })
    const timer = setTimeout(() => nodeProcess.child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await nodeProcess.exited
    clearTimeout(timer)
  }

  pause(): void {
    if (this.#process === undefined) return
    this.#process.paused = true
    this.#process.child.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#process === undefined) return
    this.#process.child.kill('SIGCONT')
    this.#process.paused = false
  }

  /** Makes it a member once it is ready. Returns whether that changed its stage. */
  becameMember(): boolean {
    if (this.stage === 'member' || !this.ready) return false
    this.stage = 'member'
    return true
  }

  #send(message: ToNode): void {
    const child = this.#process?.child
    // A failed send means that the process has just died. Its end is reported anyway.
    if (child?.connected) child.send(message, () => {})
  }

  #receive(nodeProcess: NodeProcess, message: FromNode): void {
    if (nodeProcess !== this.#process) return
    switch (message.kind) {
      case 'started':
        nodeProcess.listening = true
        this.peerPort = parsePort(message.peer)
        this.#onEvent({ kind: 'started', clusterId: message.clusterId })
        break
      case 'view': {
        const before = this.#view
        this.#view = message.view
        this.#onEvent({ kind: 'view', view: message.view, before })
        break
      }
      case 'ended':
        nodeProcess.end = message.end
        break
    }
  }

  #onExit(nodeProcess: NodeProcess): void {
    this.#process = undefined
    this.#view = undefined
    this.#lastExit = exitReason(nodeProcess, this.logFile)
    this.#onEvent({ kind: 'ended', ...this.#lastExit })
  }
}

function exitReason({ child, end, request }: NodeProcess, logFile: string): ExitReason {
  if (request === 'kill') return { reason: 'killed', failed: false, killed: true }
  if (end?.kind === 'failed') return { reason: end.reason, failed: true }
  if (request === 'stop' || end !== undefined) return { reason: 'stopped', failed: false }
  const cause = child.signalCode ?? `exit code ${child.exitCode}`
  if (cause === 'SIGKILL')
    return { reason: 'another program killed it (SIGKILL)', failed: false, killed: true }
  // LevelDB is native code: on damaged files it may abort the process instead of reporting an error.
  const isAbort = cause === 'SIGABRT' || cause === 'SIGBUS' || cause === 'SIGSEGV'
  const reason = isAbort
    ? `LevelDB aborted the process (${cause}), so its files are probably damaged`
    : `its process ended with ${cause}`
  return { reason: `${reason}; see ${logFile}`, failed: true }
}

function awaitExit(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    // Its last messages may still be in the channel when the process is gone.
    child.once('exit', () => (child.connected ? child.once('disconnect', resolve) : resolve()))
    // A process that could not be spawned has no exit.
    child.once('error', () => {
      if (child.pid === undefined) resolve()
    })
  })
}

function openLog(path: string): number {
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES_MAX) renameSync(path, `${path}.old`)
  return openSync(path, 'a', 0o600)
}
