// The cluster under test: the shipped node processes, each started, killed, paused and started again on request. Every
// connection between two of them goes through a separate relay.
//
// The processes are those of `kv cluster` (src/local/node/node-process.ts). A node ends when the process that started
// it is gone, even if the node is paused. So nothing is left running, even after kill -9 of the harness.

import { existsSync, rmSync } from 'node:fs'
import type { ClientTls } from '../../src/client/types.ts'
import { freePorts, HOST } from '../../src/local/addresses.ts'
import { PausedProcessGuard } from '../../src/local/cluster/paused-process-guard.ts'
import { clientTls, makeCertificates } from '../../src/local/directory/certificates.ts'
import { backUpDirectory } from '../../src/local/directory/data-directory.ts'
import { planFounding } from '../../src/local/directory/plan.ts'
import { leaderAmong, type NodeView } from '../../src/local/node/node-view.ts'
import { type NodeEvent, SupervisedNode } from '../../src/local/node/supervised-node.ts'
import { poll } from '../../src/local/poll.ts'
import { holdsNode } from '../../src/server/replica/inspect-data-directory.ts'
import { CLIENTS, RelayNetwork } from './network.ts'
import { HttpClient } from './wires/http/http-client.ts'

/** The time for all nodes to become ready voters, at the start and again after the faults. */
export const READY_LIMIT_MS = 60_000
const POLL_MS = 25

export type LocalClusterEvent =
  | { readonly kind: 'start' | 'kill' | 'pause' | 'resume' | 'wipe'; readonly node: string }
  | {
      readonly kind: 'view'
      readonly node: string
      readonly view: NodeView
      readonly before: NodeView | undefined
    }
  /** The process ended. `isExpected`: a fault or a request explains it. */
  | { readonly kind: 'ended'; readonly node: string; readonly reason: string; readonly isExpected: boolean }

interface LocalClusterOptions {
  /** Data and logs of the nodes go here. */
  readonly dir: string
  /** The first voters. */
  readonly nodes: readonly string[]
  /** Names of nodes that may be added later. */
  readonly spares: readonly string[]
  /** First port to try for the APIs. */
  readonly portFrom: number
  /** Peers and clients use TLS, with certificates made for the run. */
  readonly tls: boolean
  readonly env: (name: string) => NodeJS.ProcessEnv
  readonly onEvent: (event: LocalClusterEvent) => void
}

/**
 * One named node of the cluster. Its process may be killed and started again; after a wipe it has another replica id.
 */
export class TestedNode extends SupervisedNode {
  /** The number of active faults that allow it to end itself: then its end is not reported as a failure. */
  endAllowedBy = 0
  /** Whether the node is no member: it has not been added yet, or has been removed. */
  outside = false
}

/** The node may end by itself until the returned function is called. */
export function allowEnd(node: TestedNode): () => void {
  let allowed = true
  node.endAllowedBy++
  return () => {
    if (allowed) node.endAllowedBy--
    allowed = false
  }
}

export class LocalCluster {
  readonly network: RelayNetwork
  readonly nodes: readonly TestedNode[]
  readonly #options: LocalClusterOptions
  /** Certificates of clients; undefined without TLS. */
  readonly tls: ClientTls | undefined
  readonly #api: HttpClient
  /** A paused node cannot notice that its supervisor is gone. */
  readonly #guard = new PausedProcessGuard()

  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const names = [...options.nodes, ...options.spares]
    if (options.tls) await makeCertificates(options.dir, names)
    const nodes: TestedNode[] = []
    // These ports are below those that the system uses for outgoing connections, so the port of a node is still free
    // when the node is started again.
    const ports = await freePorts(options.portFrom, 2 * names.length)
    const find = (name: string): TestedNode | undefined => nodes.find((node) => node.name === name)
    const network = await RelayNetwork.create(names, {
      peer: (name) => find(name)?.peerListener,
      api: (name) => {
        const node = find(name)
        return node?.peerListener === undefined ? undefined : { host: HOST, port: node.port }
      },
      frontPort: (name) => ports[names.length + names.indexOf(name)] ?? 0,
    })
    for (const [at, name] of names.entries()) {
      const plan = { name, port: ports[at] ?? 0, peerPort: 0, stage: 'new', tls: options.tls } as const
      const receive = (event: NodeEvent): void => cluster.#receive(node, event)
      const node: TestedNode = new TestedNode(plan, options.dir, receive, options.env(name))
      node.outside = at >= options.nodes.length
      nodes.push(node)
    }
    const cluster = new LocalCluster(options, network, nodes)
    for (const node of cluster.members) cluster.start(node)
    return cluster
  }

  private constructor(options: LocalClusterOptions, network: RelayNetwork, nodes: readonly TestedNode[]) {
    this.#options = options
    this.network = network
    this.nodes = nodes
    this.tls = options.tls ? pemTexts(clientTls(options.dir)) : undefined
    this.#api = new HttpClient(this.tls)
  }

  node(name: string): TestedNode {
    const node = this.nodes.find((candidate) => candidate.name === name)
    if (node === undefined) throw new RangeError(`no node ${name}`)
    return node
  }

  /** The nodes that belong to the cluster or are about to join it, whether they run or not. */
  get members(): TestedNode[] {
    return this.nodes.filter(({ outside }) => !outside)
  }

  get running(): TestedNode[] {
    return this.members.filter(({ pid, paused }) => pid !== undefined && !paused)
  }

  get leader(): TestedNode | undefined {
    return leaderAmong(this.running)
  }

  get logFiles(): string[] {
    return this.nodes.map(({ logFile }) => logFile).filter((file) => existsSync(file))
  }

  /**
   * Does nothing if the node runs, or is not in the cluster any more: a fault that hit the node may be healed after the
   * node was removed.
   */
  start(node: TestedNode): void {
    if (node.pid !== undefined || node.outside) return
    this.#options.onEvent({ kind: 'start', node: node.name })
    const founds = node === this.nodes[0] && node.stage === 'new' && !holdsNode(node.dataDir)
    const others = this.members.filter((other) => other !== node).map(({ url }) => url)
    // Any free port: the relays find it.
    node.peerPort = 0
    node.start(planFounding({ stage: node.stage, founds }, others), this.network.addressesFor(node.name))
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(node: TestedNode): Promise<void> {
    if (node.pid === undefined) return
    this.#options.onEvent({ kind: 'kill', node: node.name })
    await node.kill()
  }

  pause(node: TestedNode): void {
    this.#options.onEvent({ kind: 'pause', node: node.name })
    this.#guard.watch(this.nodes.flatMap(({ pid }) => pid ?? []))
    node.pause()
  }

  resume(node: TestedNode): void {
    this.#options.onEvent({ kind: 'resume', node: node.name })
    node.resume()
  }

  /** Stops it in order, as SIGTERM does: it hands leadership over first. */
  async stop(node: TestedNode): Promise<void> {
    await node.stop({ transferLeadership: true })
  }

  /** Moves its data away, but keeps it for a later analysis. The node can come back only as a fresh replica. */
  wipe(node: TestedNode): void {
    if (node.pid !== undefined) throw new Error(`${node.name} runs`)
    this.#options.onEvent({ kind: 'wipe', node: node.name })
    backUpDirectory(node.dataDir)
    node.stage = 'replacing'
  }

  /** Whether a majority is ready without it, so that its replica can be replaced. */
  isDispensable(node: TestedNode): boolean {
    const ready = this.members.filter((other) => other !== node && other.ready)
    return ready.length > this.members.length / 2
  }

  /** Sends a request to a node's API, as a client does, without relays. */
  request(
    node: TestedNode,
    method: 'GET' | 'POST' | 'DELETE',
    target: string,
    body?: object,
    timeoutMs = 5_000,
  ) {
    const content =
      body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
    return this.#api.send(node.port, { method, target, ...content }, timeoutMs)
  }

  /** Waits until every member is a ready voter. Resolves to what is missing if that takes too long. */
  async becomesReady(signal: AbortSignal, limitMs = READY_LIMIT_MS): Promise<string | undefined> {
    const missing = (): TestedNode[] => this.members.filter(({ ready }) => !ready)
    const outcome = (): 'ready' | 'interrupted' | undefined =>
      missing().length === 0 ? 'ready' : signal.aborted ? 'interrupted' : undefined
    const end = await poll(outcome, { timeoutMs: limitMs, intervalMs: POLL_MS })
    if (end === 'ready') return undefined
    return end ?? missing().map(whyNotReady).join('; ')
  }

  /** Ends all processes, also paused ones, and all relays. */
  async close(): Promise<void> {
    this.#api.close()
    await Promise.all(this.nodes.map((node) => node.kill()))
    this.#guard.close()
    await this.network.close()
  }

  deleteData(): void {
    for (const { dataDir } of this.nodes) {
      rmSync(dataDir, { recursive: true, force: true })
      for (let number = 1; existsSync(`${dataDir}.old-${number}`); number++)
        rmSync(`${dataDir}.old-${number}`, { recursive: true, force: true })
    }
  }

  #receive(node: TestedNode, event: NodeEvent): void {
    const { name } = node
    switch (event.kind) {
      case 'started':
        void this.network.link(CLIENTS, name).open()
        break
      case 'view':
        if (!node.outside) node.becameMember()
        this.#options.onEvent({ kind: 'view', node: name, view: event.view, before: event.before })
        break
      case 'ended': {
        void this.network.link(CLIENTS, name).shut()
        const { reason } = event
        const isExpected = reason === 'killed' || reason === 'stopped' || node.endAllowedBy > 0
        this.#options.onEvent({ kind: 'ended', node: name, reason, isExpected })
        break
      }
    }
  }
}

/** Texts, since the processes of recipes get them as JSON. */
function pemTexts({ ca, cert, key }: ReturnType<typeof clientTls>): ClientTls {
  return { ca: ca.toString(), cert: cert.toString(), key: key.toString() }
}

function whyNotReady({ name, pid, paused, view, lastExit }: TestedNode): string {
  if (pid === undefined) return `${name} does not run (${lastExit?.reason ?? 'never started'})`
  if (paused) return `${name} is paused`
  return `${name}: ${view?.notReady.join(', ') ?? 'no status yet'}`
}
