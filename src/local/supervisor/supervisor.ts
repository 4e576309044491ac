// The supervisor of a local cluster: locks its directory, starts one process for each node as planned (plan.ts), waits
// until they form a cluster, and executes commands. It never restarts a node by itself: a node that died shows how a
// cluster works without it.
//
//             every process started         every node ready
//   start() ────────────────────────► forming ─────────────► formed
//      │                                │ a new cluster fails   │
//      │ fails                          ▼                       ▼ stop()
//      └─────────► ended            stopping ◄──────────────────┘
//                                       │ every process has ended
//                                       ▼
//                                   stopped: cluster.json written, lock released

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DoneAction } from '../../operations/documents/control.ts'
import type {
  ControlReply,
  ControlRequest,
  FaultRequest,
  LocalClusterStatus,
} from '../../operations/documents/supervisor.ts'
import { holdsNode, readClusterId } from '../../server/replica/inspect-data-directory.ts'
import { randomId } from '../../system/random-id.ts'
import { ORPHAN_EXIT_TIMEOUT_MS, waitUntilFree } from '../addresses.ts'
import { ClusterNodes, READY_TIMEOUT_MS, type SupervisorEvent } from '../cluster/cluster-nodes.ts'
import { describeFault, failed, succeeded } from '../cluster/control-protocol.ts'
import type { Console } from '../console/console-server.ts'
import { makeCertificates } from '../directory/certificates.ts'
import {
  type ClusterFile,
  type ControlAddress,
  consolePage,
  readClusterFile,
} from '../directory/cluster-file.ts'
import { createDataDirectory, diskSpaceFault } from '../directory/data-directory.ts'
import { DEFAULT_PORT, type NodePlan, type PlanOptions, planNodes } from '../directory/plan.ts'
import { asFailure, Failure, failureMessage } from '../failure.ts'
import { isUrlKnown } from '../node/node-view.ts'
import { foreignNodes, readyOnlyWithQuorum, withRecoveryHint } from '../node/recovery-hints.ts'
import type { SupervisedNode } from '../node/supervised-node.ts'
import { PROGRAM } from '../program-name.ts'
import { ControlCommands } from './control-commands.ts'
import { type DirectoryLock, lockDirectory } from './supervisor-lock.ts'

/** Ports that a message suggests are so much higher than those in use. */
const OTHER_PORTS_AFTER = 100

export interface SupervisorOptions extends PlanOptions {
  /** Without relays: peers connect directly, and partitions are not possible. */
  readonly direct: boolean
  /** The header with which new nodes join: rights may be checked in a cluster that was restored. */
  readonly authorization?: string | undefined
  /** Serve a console. */
  readonly console?: boolean | undefined
  /** Whether the nodes serve clients of etcd. Default: true. */
  readonly etcdApi?: boolean | undefined
}

export interface FormedCluster {
  readonly status: LocalClusterStatus
  /** Reasons why single nodes of an existing cluster do not serve, while the others do. */
  readonly problems: readonly string[]
  /** Address of the console, with its token; undefined: none runs. */
  readonly console: string | undefined
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #lock: DirectoryLock
  readonly #cluster: ClusterNodes
  readonly #commands: ControlCommands
  readonly #stopped = Promise.withResolvers<void>()
  #formed: Promise<FormedCluster> | undefined
  #console: Promise<Console | undefined> | undefined

  /**
   * Locks the directory and starts the processes. Returns the address of the holder instead when another supervisor
   * holds the directory.
   */
  static async start(options: SupervisorOptions): Promise<Supervisor | { readonly holder: ControlAddress }> {
    const { dataDir } = options
    createDataDirectory(dataDir)
    const started = Promise.withResolvers<Supervisor>()
    // No command may be waiting for it.
    started.promise.catch(() => {})
    const handle = async (request: ControlRequest): Promise<ControlReply> => {
      const supervisor = await started.promise.catch((error: unknown) => asFailure(error))
      if (supervisor instanceof Failure) return { ...failed(1, supervisor.message), supervisor: 'ended' }
      return supervisor.#handle(request)
    }
    let lock: Awaited<ReturnType<typeof lockDirectory>>
    try {
      lock = await lockDirectory(dataDir, handle)
    } catch (error) {
      // A `destroy` has just deleted the directory.
      if (!existsSync(dataDir)) return Supervisor.start(options)
      throw error
    }
    if ('holder' in lock) return lock
    try {
      const supervisor = await Supervisor.#startLocked(options, lock)
      started.resolve(supervisor)
      return supervisor
    } catch (error) {
      lock.release()
      started.reject(error)
      throw error
    }
  }

  static async #startLocked(options: SupervisorOptions, lock: DirectoryLock): Promise<Supervisor> {
    const file = readClusterFile(options.dataDir)
    const plans = planNodes(options, file, holdsNode)
    const names = plans.map(({ name }) => name)
    const foreign = foreignNodes(options.dataDir, names, file?.cluster_id ?? null)
    if (foreign !== undefined) throw new Failure(1, foreign)
    if (plans.some(({ tls }) => tls === true)) await makeCertificates(options.dataDir, names)
    const supervisor = new Supervisor(options, lock, file, plans)
    try {
      await supervisor.#launch(file)
      return supervisor
    } catch (error) {
      await supervisor.#cluster.kill()
      throw error
    }
  }

  private constructor(
    options: SupervisorOptions,
    lock: DirectoryLock,
    file: ClusterFile | undefined,
    plans: readonly NodePlan[],
  ) {
    const { dataDir, etcdApi } = options
    this.#options = options
    this.#lock = lock
    const clusterId = plannedClusterId(dataDir, plans, file)
    this.#cluster = new ClusterNodes(
      { dataDir, clusterId, plans, etcdApi, address: lock.address },
      // A node that was recovered is of a new cluster, and may be the only one that is left.
      file?.cluster_id == null ? null : clusterId,
    )
    this.#commands = new ControlCommands(this.#cluster)
  }

  /** Resolves when every process has ended, the ports are free and the directory is released. */
  get stopped(): Promise<void> {
    return this.#stopped.promise
  }

  watch(watcher: (event: SupervisorEvent) => void): void {
    this.#cluster.watch(watcher)
  }

  async stop(): Promise<void> {
    if (this.#cluster.stopping) return this.stopped
    await Promise.all([this.#cluster.stop(), this.#closeConsole()])
    // While the control socket answers, no other supervisor takes the lock.
    this.#cluster.trySave({ running: false })
    this.#lock.release()
    this.#stopped.resolve()
  }

  /** For the second Ctrl-C: ends the nodes at once. */
  killAll(): Promise<void> {
    return this.#cluster.kill()
  }

  /** Waits until every node is a voter that knows a leader. A new cluster forms whole or not at all. */
  formed(): Promise<FormedCluster> {
    this.#formed ??= this.#form()
    return this.#formed
  }

  async #launch(file: ClusterFile | undefined): Promise<void> {
    const { nodes } = this.#cluster
    const isNew = this.#cluster.clusterId === null && !nodes.some(({ dataDir }) => holdsNode(dataDir))
    const lack = isNew && nodes.length > 1 ? diskSpaceFault(this.#options.dataDir) : undefined
    if (lack !== undefined) throw new Failure(1, `${lack}; free some, or choose another disk with --data`)
    // The nodes of a killed supervisor may still be ending.
    const timeoutMs = file?.supervisor ? ORPHAN_EXIT_TIMEOUT_MS : 0
    const otherPort = (nodes[0]?.port ?? DEFAULT_PORT) + OTHER_PORTS_AFTER
    for (const { name, port } of nodes) {
      if (await waitUntilFree(port, timeoutMs)) continue
      throw new Failure(
        1,
        `port ${port}, the client port of ${name}, is in use by another program, perhaps another cluster; end it, or start at other ports with --port ${otherPort}`,
      )
    }
    if (!this.#options.direct) await this.#cluster.openRelays()
    // The plan is written before the first node exists, so the next start knows what it may find after any crash.
    this.#cluster.save({ running: true })
    const { authorization } = this.#options
    for (const node of nodes)
      await this.#cluster.launch(node, { founds: isNew && node === nodes[0], authorization })
    this.#cluster.save({ running: true })
    // The nodes start in the meantime.
    if (this.#options.console === true && !this.#cluster.stopping) this.#console = this.#openConsole()
  }

  /** A cluster works without a console too. */
  async #openConsole(): Promise<Console | undefined> {
    try {
      const { openConsole } = await import('../console/console-server.ts')
      const opened = await openConsole({
        cluster: this.#cluster,
        execute: (request) => this.#execute(request, 'console'),
        port: (this.#cluster.nodes[0]?.port ?? DEFAULT_PORT) - 1,
      })
      this.#cluster.console = opened.address
      if (!this.#cluster.stopping) this.#cluster.trySave()
      return opened
    } catch (error) {
      this.#cluster.emit({ kind: 'console-failed', reason: failureMessage(error) })
      return undefined
    }
  }

  async #closeConsole(): Promise<void> {
    const opened = await this.#console
    await opened?.close()
  }

  get #consolePage(): string | undefined {
    const { console } = this.#cluster
    return console === undefined ? undefined : consolePage(console)
  }

  async #form(): Promise<FormedCluster> {
    const { nodes } = this.#cluster
    const isNew = this.#cluster.clusterId === null
    try {
      const checks = await Promise.all(nodes.map((node) => this.#findProblem(node, isNew)))
      const problems = checks.filter((problem) => problem !== undefined)
      if (!(await this.#urlsKnown()))
        problems.push('some nodes still report old URLs of the others, so clients may try those')
      await this.#console
      return { status: await this.#cluster.status(), problems, console: this.#consolePage }
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async #findProblem(node: SupervisedNode, isNew: boolean): Promise<string | undefined> {
    const problem = await this.#cluster.becomesReady(node, { needsQuorum: isNew })
    if (problem === undefined) return node.ready ? undefined : readyOnlyWithQuorum(node)
    if (this.#cluster.stopping) throw new Failure(1, 'the cluster was stopped before it was ready')
    if (!isNew) return withRecoveryHint(problem, node)
    throw new Failure(
      1,
      `the cluster could not be formed: ${problem}; the logs are in ${this.#options.dataDir}; another start continues with it, ${PROGRAM} cluster destroy deletes it`,
    )
  }

  /**
   * Waits until every node reports the present URLs to clients. After a start at other ports it reports the old ones
   * until the change is committed. Returns false after a timeout.
   */
  async #urlsKnown(): Promise<boolean> {
    const check = (): true | undefined => {
      const ready = this.#cluster.nodes.filter((node) => node.ready)
      return ready.every((node) => isUrlKnown(node, ready)) || this.#cluster.stopping || undefined
    }
    return (await this.#cluster.poll(check, READY_TIMEOUT_MS)) ?? false
  }

  async #handle(request: ControlRequest): Promise<ControlReply> {
    switch (request.command) {
      case 'status': {
        const foreign = this.#cluster.foreignNodes()
        const messages = [...(foreign === undefined ? [] : [foreign]), ...this.#failures()]
        return this.#withStatus(messages.join('\n'))
      }
      case 'stop':
        await this.stop()
        return succeeded('the cluster is stopped')
    }
    if (this.#cluster.stopping) return stopping('the cluster is being stopped')
    if (request.command === 'formed') {
      try {
        await this.formed()
      } catch (error) {
        return stopping(asFailure(error).message)
      }
      const unmet = this.#unmetBy(request)
      if (unmet !== undefined) return failed(2, unmet)
      return this.#withStatus('')
    }
    return this.#execute(request, 'command')
  }

  async #withStatus(message: string): Promise<ControlReply> {
    return { ok: true, message, status: await this.#cluster.status(), console: this.#consolePage }
  }

  async #execute(request: FaultRequest, by: DoneAction['by']): Promise<ControlReply> {
    if (this.#cluster.stopping) return stopping('the cluster is being stopped')
    const timeMs = Date.now()
    const reply = await this.#commands.execute(request)
    const { message } = reply
    if (reply.ok) this.#cluster.emit({ kind: 'command', message, timeMs, action: describeFault(request), by })
    return reply
  }

  #unmetBy({ tls, direct, etcdApi }: Extract<ControlRequest, { command: 'formed' }>): string | undefined {
    const { dataDir } = this.#options
    const again = `${PROGRAM} cluster stop, then start it with`
    if (tls === true && this.#cluster.nodes.some(({ requests }) => requests === undefined))
      return `the cluster in ${dataDir} runs without TLS; ${again} --tls`
    if (direct === true && this.#cluster.mesh !== undefined)
      return `the cluster in ${dataDir} runs with relays; ${again} --direct`
    if (etcdApi === false && this.#options.etcdApi !== false)
      return `the cluster in ${dataDir} serves clients of etcd; ${again} --no-etcd-api`
    return undefined
  }

  /** One sentence for each node that ended without a command. */
  #failures(): string[] {
    return this.#cluster.nodes.flatMap((node) => {
      const { lastExit } = node
      return lastExit?.failed ? [withRecoveryHint(`${node.name} ended: ${lastExit.reason}`, node)] : []
    })
  }
}

const stopping = (message: string): ControlReply => ({ ...failed(1, message), supervisor: 'stopping' })

/** The cluster that nodes with empty directories found or join: the one of the nodes that hold data, or a new one. */
function plannedClusterId(
  dataDir: string,
  plans: readonly { readonly name: string }[],
  file: ClusterFile | undefined,
): string {
  const found = plans.flatMap(({ name }) => readClusterId(join(dataDir, name)) ?? [])
  return found[0] ?? file?.cluster_id ?? randomId()
}
