// The supervisor of a local cluster: holds its directory, starts one process per node (lifecycle.ts) as planned
// (plan.ts), waits until they form a cluster, does what commands ask (control-commands.ts), and writes cluster.json. It
// never restarts a node by itself: a node that died shows what a cluster is like without it.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { clusterIdOf, holdsNode } from '../server/inspect-data-directory.ts'
import { randomId } from '../server/random-id.ts'
import { readyOnlyWithMajority, withAdvice } from './advice.ts'
import { type ClusterEvent, ClusterEvents } from './cluster-events.ts'
import { type ClusterFile, type ControlAddress, readClusterFile } from './cluster-file.ts'
import { type ClusterStatus, clusterStatus, FIRST_ANSWER_LIMIT_MS } from './cluster-status.ts'
import { ControlCommands, refused } from './control-commands.ts'
import { type ControlServer, startControlServer } from './control-server.ts'
import { directoryId } from './directory-id.ts'
import { openDoor } from './door.ts'
import { Failure, failureOf } from './failure.ts'
import { becomesFree, ORPHANS_LIMIT_MS } from './free-ports.ts'
import { HeldDirectory } from './held-directory.ts'
import { Lifecycle, type ManagedNode, READY_LIMIT_MS } from './lifecycle.ts'
import { hasNoMajority } from './majority.ts'
import { makeHome } from './make-home.ts'
import { isKnown } from './node-view.ts'
import { checkOpenFiles } from './open-files.ts'
import { planOf, type Wanted } from './plan.ts'
import { PROGRAM } from './program-name.ts'
import type { NodeEvent } from './supervised-node.ts'
import { releaseLock, takeLock } from './supervisor-lock.ts'

const URLS_UNKNOWN =
  'The nodes have not heard at which URLs the others are now, so clients may look for them where they were before.'
/** How often it looks whether the directory is still there. */
const HOME_LOOK_MS = 250

export interface SupervisorOptions extends Wanted {
  /** Without relays: peers reach each other directly, and partitions are not possible. */
  readonly direct: boolean
}

export interface Formed {
  readonly status: ClusterStatus
  /** What keeps single nodes of an existing cluster from serving, while the others serve. */
  readonly problems: readonly string[]
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #directory: HeldDirectory
  readonly #control: ControlServer
  readonly #lifecycle: Lifecycle
  readonly #commands: ControlCommands
  readonly #events = new ClusterEvents()
  readonly #stopped = Promise.withResolvers<void>()
  readonly #closeDoor: () => void
  #clusterId: string | null
  #formed: Promise<Formed> | undefined
  #stopping = false
  #isLost = false
  #watch: NodeJS.Timeout | undefined

  /**
   * Takes the directory and starts the processes. If another supervisor holds the directory, the result is its address.
   */
  static async start(options: SupervisorOptions): Promise<Supervisor | { readonly running: ControlAddress }> {
    const { dataDir } = options
    makeHome(dataDir)
    const token = randomBytes(24).toString('hex')
    const starting = Promise.withResolvers<Supervisor>()
    // There may be no request that waits for it.
    starting.promise.catch(() => {})
    const directory = directoryId(dataDir)
    const control = await startControlServer(token, directory, async (request) => {
      const supervisor = await starting.promise.catch((error: unknown) => failureOf(error))
      if (supervisor instanceof Failure) return { ...refused(1, supervisor.message), ended: true }
      return supervisor.#commands.handle(request)
    })
    const self = { pid: process.pid, control: control.url, token }
    let supervisor: Supervisor | undefined
    try {
      const holder = await takeLock(dataDir, self)
      if (holder !== undefined) {
        control.close()
        return { running: holder }
      }
      const file = readClusterFile(dataDir)
      supervisor = new Supervisor(options, new HeldDirectory(dataDir, directory, self), control, file)
      await supervisor.#begin(file)
    } catch (error) {
      if (supervisor) await supervisor.#abandon()
      releaseLock(dataDir, self)
      control.close()
      starting.reject(error)
      // Another process has just deleted the directory.
      if (supervisor === undefined && directoryId(dataDir) !== directory) return Supervisor.start(options)
      throw error
    }
    starting.resolve(supervisor)
    return supervisor
  }

  private constructor(
    options: SupervisorOptions,
    directory: HeldDirectory,
    control: ControlServer,
    file: ClusterFile | undefined,
  ) {
    this.#options = options
    this.#directory = directory
    this.#control = control
    this.#clusterId = file?.cluster_id ?? null
    const plans = planOf(options, file, holdsNode)
    this.#lifecycle = new Lifecycle({
      plans,
      dataDir: options.dataDir,
      clusterId: clusterMeant(options.dataDir, plans, file),
      events: this.#events,
      onEvent: (node, event) => this.#hear(node, event),
      isStopping: () => this.#endWhenLost(),
    })
    this.#commands = new ControlCommands({
      lifecycle: this.#lifecycle,
      events: this.#events,
      endWhenLost: () => this.#endWhenLost(),
      status: () => this.status(),
      formed: () => this.formed(),
      stop: () => this.stop(),
      firstAnswers: (nodes) => this.#firstAnswers(nodes),
      save: () => this.#save(),
      trySave: () => this.#trySave(),
    })
    this.#closeDoor = openDoor(options.dataDir, () => this.#endWhenLost())
  }

  get dataDir(): string {
    return this.#options.dataDir
  }

  /** It has ended by itself because its directory was moved, replaced, emptied or deleted. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** Resolves when every process has ended, the ports are free and the directory is released. */
  get stopped(): Promise<void> {
    return this.#stopped.promise
  }

  watch(watcher: (event: ClusterEvent) => void): void {
    this.#events.watch(watcher)
  }

  status(): Promise<ClusterStatus> {
    return clusterStatus(this.#clusterId, this.#lifecycle.nodes)
  }

  async stop(): Promise<void> {
    if (this.#stopping) return this.stopped
    this.#stopping = true
    clearInterval(this.#watch)
    await this.#lifecycle.stop()
    this.#closeDoor()
    // While the address answers, no other supervisor takes the lock.
    if (!this.#isLost) this.#trySave({ runs: false })
    this.#directory.release()
    this.#control.close()
    this.#stopped.resolve()
  }

  /** For the second Ctrl-C: without asking the nodes to stop. */
  killAll(): Promise<void> {
    return this.#lifecycle.kill()
  }

  /** After a failed start: no processes, no relays. */
  async #abandon(): Promise<void> {
    clearInterval(this.#watch)
    await this.#lifecycle.abandon()
    this.#closeDoor()
  }

  async #begin(file: ClusterFile | undefined): Promise<void> {
    this.#watch = setInterval(() => this.#look(), HOME_LOOK_MS)
    const { nodes } = this.#lifecycle
    checkOpenFiles(nodes.length)
    // The nodes of a killed supervisor may still be ending.
    const patienceMs = file?.supervisor ? ORPHANS_LIMIT_MS : 0
    for (const { name, port } of nodes) {
      if (await becomesFree(port, patienceMs)) continue
      throw new Failure(
        1,
        `Port ${port}, the client port of ${name}, is taken by another program, perhaps another cluster. ` +
          (file ? 'End it, then try again.' : 'End it, or choose other ports with --port.'),
      )
    }
    if (!this.#options.direct) await this.#lifecycle.openRelays()
    // The plan is written before the first node starts: whenever the supervisor ends, the next one knows what it may
    // find.
    this.#save()
    const founds = this.#clusterId === null && !nodes.some(({ process }) => holdsNode(process.dataDir))
    for (const node of nodes) await this.#lifecycle.launch(node, founds && node === nodes[0])
    this.#save()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Forming the cluster

  /** Waits until every node is a voter that knows a leader. A new cluster forms whole or not at all. */
  formed(): Promise<Formed> {
    this.#formed ??= this.#form()
    return this.#formed
  }

  async #form(): Promise<Formed> {
    const { nodes } = this.#lifecycle
    const founding = this.#clusterId === null
    const problems: string[] = []
    const checks = nodes.map(async (node) => {
      const problem = await this.#lifecycle.becomesReady(
        node,
        async () => !founding && (await hasNoMajority(node, nodes)),
      )
      if (problem === undefined) {
        if (!node.process.ready) problems.push(readyOnlyWithMajority(node))
        return
      }
      if (this.#stopping) throw new Failure(1, 'The cluster was stopped before it was ready.')
      if (founding) {
        throw new Failure(
          1,
          `The cluster could not be formed: ${problem}\nLogs: ${this.dataDir}. Another start goes on with it; ${PROGRAM} cluster destroy deletes it.`,
        )
      }
      problems.push(withAdvice(problem, node))
    })
    try {
      await Promise.all(checks)
    } catch (error) {
      await this.stop()
      throw error
    }
    if (!(await this.#urlsKnown())) problems.push(URLS_UNKNOWN)
    problems.push(...this.#movedAndAway())
    return { status: await this.#firstAnswers(nodes), problems }
  }

  /**
   * Every node tells clients where the others are. After a start at other ports it tells the old URLs for a while: in a
   * copy of a directory, those of the original's nodes. False when not all have heard of the new URLs in time.
   */
  async #urlsKnown(): Promise<boolean> {
    const known = (): true | undefined => {
      const ready = this.#lifecycle.nodes.filter(({ process }) => process.ready)
      const all = ready.every((node) => isKnown(node, ready))
      return all || this.#stopping || undefined
    }
    return (await this.#lifecycle.until(known, READY_LIMIT_MS)) ?? false
  }

  /** A node announces its URL itself. Until it runs, the others tell the URL at which it was before. */
  #movedAndAway(): string[] {
    const { nodes } = this.#lifecycle
    const view = nodes.find(({ process }) => process.ready)?.process.view
    return nodes.flatMap(({ name, url, process: { ready } }) => {
      const before = view?.urls[name]
      if (ready || before === undefined || before === url) return []
      return `Until ${name} runs, clients look for ${name} at ${before}, where another cluster may be by now.`
    })
  }

  /** A caller that is told that nodes are ready asks them next, and their first answer must not be slow. */
  #firstAnswers(nodes: readonly ManagedNode[]): Promise<ClusterStatus> {
    return clusterStatus(this.#clusterId, nodes, FIRST_ANSWER_LIMIT_MS)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // What happens to it

  #hear(node: ManagedNode, event: NodeEvent): void {
    switch (event.kind) {
      case 'started':
        this.#clusterId ??= event.clusterId
        this.#trySave()
        break
      case 'view':
        if (node.becameMember()) this.#trySave()
        break
      case 'ended':
        if (!this.#stopping) this.#trySave()
        break
    }
  }

  #look(): void {
    if (this.#endWhenLost()) return
    try {
      for (const { process } of this.#lifecycle.nodes) process.endWhenAway()
    } catch {
      // A file system that does not answer for a moment is no reason to end a node.
    }
  }

  /** Ends the cluster when the directory is lost. Whether the cluster ends, for that reason or another. */
  #endWhenLost(): boolean {
    if (this.#stopping) return true
    if (this.#directory.isHome()) return false
    this.#isLost = true
    this.#events.emit({ kind: 'lost' })
    void this.stop()
    return true
  }

  /**
   * A later save may write it as well: a start learns the rest from the directories of the nodes. So a full disk does
   * not end the cluster.
   */
  #trySave({ runs } = { runs: true }): void {
    if (!this.#directory.isHome()) {
      this.#endWhenLost()
      return
    }
    try {
      this.#save({ runs })
    } catch (error) {
      this.#events.emit({ kind: 'unsaved', reason: error instanceof Error ? error.message : String(error) })
    }
  }

  #save({ runs } = { runs: true }): void {
    const nodes = this.#lifecycle.nodes.map(({ name, url, process: { pid }, peerPort, stage }) => ({
      name,
      url,
      pid: pid ?? null,
      peer_port: peerPort === 0 ? null : peerPort,
      stage,
    }))
    this.#directory.save({ cluster_id: this.#clusterId, nodes }, { runs })
  }
}

/** Which cluster nodes with empty directories found or enter: that of the nodes that hold data, or else a new one. */
function clusterMeant(
  dataDir: string,
  plans: readonly { readonly name: string }[],
  file: ClusterFile | undefined,
): string {
  const there = plans.flatMap(({ name }) => clusterIdOf(join(dataDir, name)) ?? [])
  const said = file?.cluster_id ?? randomId()
  return there.includes(said) ? said : (there[0] ?? said)
}
