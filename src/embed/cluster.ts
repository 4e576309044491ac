import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientOptions } from '../client/index.ts'
import { completeGroups, createRelayMesh, type RelayMesh } from '../server/relay-mesh.ts'
import type { Logger, NodeOptions } from '../server/types.ts'
import { type EmbeddedNode, Node } from './node.ts'

const DEFAULT_NODES = 3
const NODES_MAX = 9
const READY_LIMIT_MS = 30_000
/** How often the nodes are asked while they form a cluster; they tell nobody by themselves. */
const LOOK_INTERVAL_MS = 5

export interface ClusterOptions {
  /** 3 unless `ports` says otherwise. */
  readonly nodes?: number
  /** Keeps the data, and goes on with what is there. Without it a temporary directory is used and removed. */
  readonly dataDir?: string
  /** Client ports, one per node; free ones without it. */
  readonly ports?: readonly number[]
  /** Heartbeat and election timeouts. */
  readonly timing?: NonNullable<NodeOptions['timing']>
  /** A pino logger, for instance; silent without it. */
  readonly logger?: Logger
}

export interface PartitionOptions {
  /** Also closes the connections between the groups, as a firewall that rejects. */
  readonly reset?: boolean
}

/** A cluster inside this process. It keeps the process alive until it is closed. */
export interface EmbeddedCluster extends AsyncDisposable {
  /** Base URLs of all nodes. */
  readonly endpoints: readonly string[]
  readonly nodes: readonly EmbeddedNode[]
  /** n1, n2, … */
  node(name: string): EmbeddedNode
  /** The node that leads in the highest term; undefined while none does. A leader that is cut off may not know it yet. */
  leader(): EmbeddedNode | undefined
  /** A client of all nodes, closed together with the cluster. */
  client(options?: Partial<ClientOptions>): Client
  /** Cuts the network between groups of names: `partition([['n1'], ['n2', 'n3']])`. Nodes not named form one more group. */
  partition(groups: readonly (readonly string[])[], options?: PartitionOptions): void
  /** Undoes every partition. */
  heal(): void
  /** Ends every node and client, and removes temporary data. */
  close(): Promise<void>
}

/** Resolves when a leader serves and every node is a voter. When that fails, nothing is left behind. */
export async function startCluster(options: ClusterOptions = {}): Promise<EmbeddedCluster> {
  const names = namesOf(options)
  const temporary = options.dataDir === undefined ? await mkdtemp(join(tmpdir(), 'quorate-')) : undefined
  const dataDir = temporary ?? resolve(options.dataDir ?? '')
  const nodes: Node[] = []
  const mesh = await createRelayMesh(names, (name) => {
    return nodes.find((node) => node.name === name)?.peerListener
  })
  for (const [at, name] of names.entries()) {
    const addresses = mesh.addressesFor(name)
    nodes.push(
      new Node(name, join(dataDir, name), options.ports?.[at] ?? 0, {
        resolvePeer: (member) => addresses[member.name] ?? member.peer,
        ...(options.timing === undefined ? {} : { timing: options.timing }),
        ...(options.logger === undefined ? {} : { logger: options.logger }),
      }),
    )
  }
  const cluster = new InProcessCluster(nodes, mesh, temporary)
  try {
    await form(nodes)
    return cluster
  } catch (error) {
    await cluster.close()
    throw error
  }
}

class InProcessCluster implements EmbeddedCluster {
  readonly #nodes: readonly Node[]
  readonly #mesh: RelayMesh
  readonly #temporary: string | undefined
  readonly #clients: Client[] = []
  #closing: Promise<void> | undefined

  constructor(nodes: readonly Node[], mesh: RelayMesh, temporary: string | undefined) {
    this.#nodes = nodes
    this.#mesh = mesh
    this.#temporary = temporary
  }

  get endpoints(): readonly string[] {
    return this.#nodes.map(({ url }) => url)
  }

  get nodes(): readonly EmbeddedNode[] {
    return this.#nodes
  }

  node(name: string): EmbeddedNode {
    const found = this.#nodes.find((node) => node.name === name)
    if (found !== undefined) return found
    throw new RangeError(`there is no node ${name} (there are ${this.#names.join(', ')})`)
  }

  leader(): EmbeddedNode | undefined {
    return this.#nodes
      .filter((node) => node.api?.status().raft.role === 'leader')
      .sort((a, b) => (a.api?.term ?? 0) - (b.api?.term ?? 0))
      .at(-1)
  }

  client(options: Partial<ClientOptions> = {}): Client {
    const client = new Client({ endpoints: this.endpoints, ...options })
    this.#clients.push(client)
    return client
  }

  partition(groups: readonly (readonly string[])[], { reset = false }: PartitionOptions = {}): void {
    const complete = completeGroups(this.#names, groups)
    if (typeof complete === 'string') throw new RangeError(complete)
    this.#mesh.partition(complete, reset)
  }

  heal(): void {
    this.#mesh.heal()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #names(): string[] {
    return this.#nodes.map(({ name }) => name)
  }

  async #close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    // Everything acknowledged is durable: there is nothing that a slower end would save.
    await Promise.all(this.#nodes.map((node) => node.crash()))
    await this.#mesh.close()
    if (this.#temporary !== undefined) await rm(this.#temporary, { recursive: true, force: true })
  }
}

function namesOf({ nodes, ports }: ClusterOptions): string[] {
  const count = nodes ?? ports?.length ?? DEFAULT_NODES
  if (!Number.isInteger(count) || count < 1 || count > NODES_MAX) {
    throw new RangeError(`nodes must be a number from 1 to ${NODES_MAX}, not ${nodes}`)
  }
  if (ports !== undefined && ports.length !== count) {
    throw new RangeError(`ports must name one port for each of the ${count} nodes`)
  }
  return Array.from({ length: count }, (_, at) => `n${at + 1}`)
}

/** Nodes with data go on with it; in a new cluster the first one founds it and the others join. */
async function form(nodes: readonly Node[]): Promise<void> {
  const old = nodes.filter((node) => node.hasData)
  const fresh = nodes.filter((node) => !old.includes(node))
  await Promise.all(old.map((node) => node.start()))
  const founder = old.length === 0 ? fresh.shift() : undefined
  await founder?.start({ kind: 'bootstrap' })
  const urls = (founder ? [founder] : old).map(({ url }) => url)
  await Promise.all(fresh.map((node) => node.start({ kind: 'join', urls, replace: false })))
  await ready(nodes)
}

async function ready(nodes: readonly Node[]): Promise<void> {
  const deadline = performance.now() + READY_LIMIT_MS
  for (;;) {
    const waiting = nodes.filter((node) => node.notReady.length > 0)
    if (waiting.length === 0) return
    const [failed] = waiting.filter((node) => node.failure !== undefined)
    if (failed) throw new Error(`${failed.name} ended: ${failed.failure}`)
    if (performance.now() > deadline) {
      const reasons = waiting.map((node) => `${node.name}: ${node.notReady.join('; ')}`)
      throw new Error(`the cluster is not ready after ${READY_LIMIT_MS / 1000} s: ${reasons.join(', ')}`)
    }
    await sleep(LOOK_INTERVAL_MS)
  }
}
