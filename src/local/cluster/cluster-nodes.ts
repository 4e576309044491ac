// The nodes of a supervisor and the relays between them: starts and ends them, and writes their state to cluster.json.

import type { DoneAction } from '../../operations/documents/control.ts'
import type { LocalClusterStatus } from '../../operations/documents/supervisor.ts'
import { HOST, isFree } from '../addresses.ts'
import { COMMAND_TLS } from '../directory/certificates.ts'
import { type ConsoleAddress, type ControlAddress, writeClusterFile } from '../directory/cluster-file.ts'
import { type NodePlan, planFounding } from '../directory/plan.ts'
import { Failure, failureMessage } from '../failure.ts'
import type { PeerAddresses } from '../node/node-messages.ts'
import { nodeFaults } from '../node/node-view.ts'
import { foreignNodes, withRecoveryHint } from '../node/recovery-hints.ts'
import { type NodeEvent, SupervisedNode } from '../node/supervised-node.ts'
import { poll } from '../poll.ts'
import { createRelayMesh, type RelayMesh } from '../relays/mesh.ts'
import { clusterStatus } from './cluster-status.ts'
import { PausedProcessGuard } from './paused-process-guard.ts'
import { checkQuorum } from './quorum-check.ts'

/** Time for a whole cluster to become ready, and for one node after a restart. */
export const READY_TIMEOUT_MS = 60_000
/** Interval between checks of conditions that no node reports. */
const CHECK_INTERVAL_MS = 250

export type SupervisorEvent =
  | { readonly kind: 'node'; readonly name: string; readonly event: NodeEvent }
  /** A command that broke or mended something. */
  | ({ readonly kind: 'command' } & DoneAction)
  | { readonly kind: 'console-failed'; readonly reason: string }
  /** cluster.json could not be written. */
  | { readonly kind: 'save-failed'; readonly reason: string }

interface ClusterNodesOptions {
  readonly dataDir: string
  /** The cluster that nodes with empty directories found or join. Another one may answer at the planned addresses. */
  readonly clusterId: string
  readonly plans: readonly NodePlan[]
  /** Whether the nodes serve clients of etcd. Default: true. */
  readonly etcdApi?: boolean | undefined
  readonly address: ControlAddress
}

export class ClusterNodes {
  readonly nodes: readonly SupervisedNode[]
  /** null until the cluster is founded. */
  clusterId: string | null
  /** The cluster is being stopped: no process may start any more. */
  stopping = false
  /** undefined: none runs. */
  console: ConsoleAddress | undefined
  readonly #options: ClusterNodesOptions
  readonly #guard = new PausedProcessGuard()
  readonly #watchers = new Set<(event: SupervisorEvent) => void>()
  #mesh: RelayMesh | undefined

  constructor(options: ClusterNodesOptions, clusterId: string | null) {
    this.#options = options
    this.clusterId = clusterId
    const { plans, dataDir, etcdApi } = options
    this.nodes = plans.map((plan) => {
      const onEvent = (event: NodeEvent): void => this.#onEvent(node, event)
      const node: SupervisedNode = new SupervisedNode({ ...plan, etcdApi }, dataDir, onEvent)
      return node
    })
  }

  /** undefined: peers connect directly, and partitions are not possible. */
  get mesh(): RelayMesh | undefined {
    return this.#mesh
  }

  async openRelays(): Promise<void> {
    this.#mesh = await createRelayMesh(
      this.nodes.map(({ name }) => name),
      (name) => this.nodes.find((node) => node.name === name)?.peerListener,
    )
  }

  /** Calls `watcher` for each event until the returned function is called. */
  watch(watcher: (event: SupervisorEvent) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  emit(event: SupervisorEvent): void {
    for (const watcher of [...this.#watchers]) watcher(event)
  }

  /** Polls `check` after each event. */
  poll<T>(check: () => T | undefined, timeoutMs: number): Promise<T | undefined> {
    return poll(check, { timeoutMs, subscribe: (onChange) => this.watch(onChange) })
  }

  /**
   * Starts the process of the node. `founds`: it founds the cluster. `authorization`: the header with which it joins.
   */
  async launch(
    node: SupervisedNode,
    { founds = false, authorization }: { founds?: boolean; authorization?: string | undefined } = {},
  ): Promise<void> {
    // The system gives such ports to outgoing connections too: another program may have the port now.
    if (node.peerPort !== 0 && !(await isFree(node.peerPort))) node.peerPort = 0
    if (this.stopping) throw new Failure(1, 'the cluster is being stopped')
    const others = this.nodes.filter((other) => other !== node).map(({ url }) => url)
    const founding = planFounding({ stage: node.stage, founds }, others, this.#options.clusterId)
    // With TLS its certificate counts, not a user whose rights may be fewer.
    const joinsAs = node.requests === undefined ? authorization : undefined
    node.start(
      founding.kind === 'join' ? { ...founding, authorization: joinsAs } : founding,
      this.#peerAddresses(node),
    )
    this.#guard.watch(this.nodes.flatMap(({ pid }) => pid ?? []))
  }

  /**
   * Waits until the node is ready. Returns the reason if it ends or is not ready in time. With `needsQuorum: false` it
   * also returns as soon as the node serves and no majority of the voters can run.
   */
  async becomesReady(node: SupervisedNode, { needsQuorum = true } = {}): Promise<string | undefined> {
    const hasNoQuorum = async (): Promise<boolean> =>
      !needsQuorum && node.peerListener !== undefined && (await checkQuorum(this.nodes)) === 'impossible'
    const check = async (): Promise<'ended' | 'done' | undefined> => {
      if (!node.ready && node.lastExit !== undefined) return 'ended'
      return node.ready || (await hasNoQuorum()) ? 'done' : undefined
    }
    const outcome = await poll(check, {
      timeoutMs: READY_TIMEOUT_MS,
      intervalMs: CHECK_INTERVAL_MS,
      subscribe: (onChange) => this.watch(onChange),
    })
    if (outcome === 'done') return undefined
    if (outcome === 'ended') return `${node.name} ended: ${node.lastExit?.reason}`
    const reasons = [
      node.view?.notReady.join('; ') ?? 'it has not joined the cluster',
      ...nodeFaults(this.nodes),
    ]
    return `${node.name} runs but is not ready after ${READY_TIMEOUT_MS / 1000} s: ${reasons.join('; ')}`
  }

  /** Why the nodes are not of one cluster. */
  foreignNodes(): string | undefined {
    const names = this.nodes.map(({ name }) => name)
    return foreignNodes(this.#options.dataDir, names, this.clusterId)
  }

  status(): Promise<LocalClusterStatus> {
    return clusterStatus(this.clusterId, this.nodes)
  }

  /** Writes cluster.json. `running`: the supervisor continues, and can be reached. */
  save({ running }: { readonly running: boolean }): void {
    const { dataDir, address } = this.#options
    writeClusterFile(dataDir, {
      cluster_id: this.clusterId,
      supervisor: running ? address : null,
      ...(running && this.console !== undefined ? { console: this.console } : {}),
      nodes: this.nodes.map(({ name, url, pid, peerPort, stage }) => ({
        name,
        url,
        pid: pid ?? null,
        peer_port: peerPort === 0 ? null : peerPort,
        stage,
      })),
      ...(this.#options.plans.some(({ tls }) => tls === true) ? { tls: COMMAND_TLS } : {}),
    })
  }

  /**
   * Writes cluster.json, and reports a failure as an event. A later save may succeed, and a start learns the rest from
   * the directories of the nodes, so a full disk does not end the cluster.
   */
  trySave({ running } = { running: true }): void {
    try {
      this.save({ running })
    } catch (error) {
      this.emit({ kind: 'save-failed', reason: failureMessage(error) })
    }
  }

  /** Ends every process. The whole cluster ends, so no node transfers leadership. */
  async stop(): Promise<void> {
    this.stopping = true
    await Promise.all(this.nodes.map((node) => node.stop({ transferLeadership: false })))
    await this.#close()
  }

  /** Ends every process at once. */
  async kill(): Promise<void> {
    this.stopping = true
    await Promise.all(this.nodes.map((node) => node.kill()))
    await this.#close()
  }

  async #close(): Promise<void> {
    await this.#mesh?.close()
    this.#guard.close()
  }

  #onEvent(node: SupervisedNode, event: NodeEvent): void {
    if (event.kind === 'started') {
      this.clusterId ??= event.clusterId
      this.#sendPeers()
    }
    if (event.kind !== 'view' || node.becameMember()) if (!this.stopping) this.trySave()
    const hinted =
      event.kind === 'ended' && event.failed
        ? { ...event, reason: withRecoveryHint(event.reason, node) }
        : event
    this.emit({ kind: 'node', name: node.name, event: hinted })
  }

  /** Without relays the nodes need the present addresses of the others. */
  #sendPeers(): void {
    if (this.#mesh !== undefined) return
    for (const node of this.nodes) node.setPeers(this.#peerAddresses(node))
  }

  /**
   * The relays of the node, or with --direct the present ports of its peers. A peer that does not listen gets port 0,
   * at which no process can listen. Addresses in the configuration may be those of another cluster by now.
   */
  #peerAddresses(node: SupervisedNode): PeerAddresses {
    if (this.#mesh !== undefined) return this.#mesh.addressesFor(node.name)
    const others = this.nodes.filter((other) => other !== node)
    return Object.fromEntries(
      others.map(({ name, peerListener }) => [name, `${HOST}:${peerListener?.port ?? 0}`]),
    )
  }
}
