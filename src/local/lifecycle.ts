// The nodes of a supervisor, and the relays between them: how one starts, becomes ready, and ends.

import { HOST } from './addresses.ts'
import { withRejoin } from './advice.ts'
import type { ClusterEvents } from './cluster-events.ts'
import { faultsOf } from './cluster-status.ts'
import { Failure } from './failure.ts'
import { isFree } from './free-ports.ts'
import { LocalNode } from './local-node.ts'
import type { PeerAddresses } from './node-messages.ts'
import { foundingOf, type NodePlan } from './plan.ts'
import { createRelayMesh, type RelayMesh } from './relays/mesh.ts'
import { StoppedGuard } from './stopped-guard.ts'
import type { NodeEvent } from './supervised-node.ts'
import { until } from './until.ts'

/** For a whole cluster to become ready, and for one node after a restart. */
export const READY_LIMIT_MS = 60_000
/** How often conditions are checked that no node reports. */
export const LOOK_AGAIN_MS = 250

export class ManagedNode extends LocalNode {
  /** A restart or rejoin of it is under way. */
  busy = false
}

interface LifecycleOptions {
  readonly dataDir: string
  /**
   * The cluster that nodes with empty directories found or join. Another cluster may answer at the addresses of the
   * others.
   */
  readonly clusterId: string
  readonly plans: readonly NodePlan[]
  readonly events: ClusterEvents
  readonly onEvent: (node: ManagedNode, event: NodeEvent) => void
  /** Asked at the last moment before a process is started. */
  readonly isStopping: () => boolean
}

export class Lifecycle {
  readonly nodes: readonly ManagedNode[]
  readonly #options: LifecycleOptions
  readonly #guard = new StoppedGuard()
  #mesh: RelayMesh | undefined

  constructor(options: LifecycleOptions) {
    const { plans, dataDir, onEvent, events } = options
    this.#options = options
    this.nodes = plans.map((plan) => {
      const node: ManagedNode = new ManagedNode(plan, dataDir, (event) => {
        if (event.kind === 'started') this.#tellPeers()
        onEvent(node, event)
        const told =
          event.kind === 'ended' && event.failed
            ? { ...event, reason: withRejoin(event.reason, node) }
            : event
        events.emit({ kind: 'node', name: node.name, event: told })
      })
      return node
    })
  }

  /** undefined: peers reach each other directly, and partitions are not possible. */
  get mesh(): RelayMesh | undefined {
    return this.#mesh
  }

  async openRelays(): Promise<void> {
    this.#mesh = await createRelayMesh(
      this.nodes.map(({ name }) => name),
      (name) => this.nodes.find((node) => node.name === name)?.peerListener,
    )
  }

  /** Starts its process. `founds`: it is the one that founds the cluster. */
  async launch(node: ManagedNode, founds = false): Promise<void> {
    // The system gives such ports to outgoing connections too: another program may have taken it in the meantime.
    if (node.peerPort !== 0 && !(await isFree(node.peerPort))) node.peerPort = 0
    // A stop during the check above has found no process to end.
    if (this.#options.isStopping()) throw new Failure(1, 'The cluster is being stopped.')
    const others = this.nodes.filter((other) => other !== node).map(({ url }) => url)
    const founding = foundingOf({ stage: node.stage, founds }, others, this.#options.clusterId)
    node.start(founding, this.#peersOf(node))
    this.#guard.watch(this.nodes.flatMap(({ process }) => process.pid ?? []))
  }

  /** undefined when it is ready, or when `enough` says that it need not be; otherwise a sentence. */
  async becomesReady(node: ManagedNode, enough = async () => false): Promise<string | undefined> {
    const { name, process } = node
    const deadline = performance.now() + READY_LIMIT_MS
    for (;;) {
      const state = await this.until(
        () => (process.ready ? 'ready' : process.lastExit !== undefined ? 'ended' : undefined),
        LOOK_AGAIN_MS,
      )
      if (state === 'ended') return `${name} ended: ${process.lastExit?.reason}`
      if (state === 'ready' || (await enough())) return undefined
      if (performance.now() < deadline) continue
      const reasons = [process.view?.notReady.join('; ') ?? 'it has not joined the cluster']
      reasons.push(...(await faultsOf(this.nodes)))
      return `${name} runs but is not ready after ${READY_LIMIT_MS / 1000} s: ${reasons.join('\n  ')}`
    }
  }

  /** Looks whenever something changes at the cluster. */
  until<T>(found: () => T | undefined, limitMs: number): Promise<T | undefined> {
    return until(found, { limitMs, onChange: (look) => this.#options.events.watch(look) })
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ process }) => process.stop({ handOver: false })))
    await this.#close()
  }

  /** Without asking the nodes to stop. */
  async kill(): Promise<void> {
    await Promise.all(this.nodes.map(({ process }) => process.kill()))
  }

  /** After a start that failed. */
  async abandon(): Promise<void> {
    await this.kill()
    await this.#close()
  }

  async #close(): Promise<void> {
    await this.#mesh?.close()
    this.#guard.close()
  }

  /** Without relays nodes are told where the others listen now. */
  #tellPeers(): void {
    if (this.#mesh !== undefined) return
    for (const node of this.nodes) node.process.setPeers(this.#peersOf(node))
  }

  /**
   * Where the node dials its peers: at its relays, or with --direct at the port where each peer listens now. A peer
   * that does not listen gets port 0, at which no process can listen. The addresses in the configuration are not used:
   * in a copy of a directory they are those of the original.
   */
  #peersOf(node: ManagedNode): PeerAddresses {
    if (this.#mesh !== undefined) return this.#mesh.addressesFor(node.name)
    const others = this.nodes.filter((other) => other !== node)
    return Object.fromEntries(
      others.map(({ name, peerListener }) => [name, `${HOST}:${peerListener?.port ?? 0}`]),
    )
  }
}
