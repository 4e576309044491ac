import { join, resolve } from 'node:path'
import { Client, type ClientOptions } from '../client/index.ts'
import { isKnown, leaderAmong } from '../local/node-view.ts'
import { DEFAULT_NODES, foundingOf, NODES_MAX, nodeNames } from '../local/plan.ts'
import { completeGroups, createRelayMesh, type RelayMesh } from '../local/relays/mesh.ts'
import { until } from '../local/until.ts'
import { holdsNode } from '../server/inspect-data-directory.ts'
import { driverLimits } from '../server/node/limits.ts'
import { checkClientOptions, checkCluster, checkNodeName, checkPartition, checkWait } from './arguments.ts'
import { Node } from './node.ts'
import { makeTemporary, type TemporaryDirectory } from './temporary.ts'
import type { ClusterOptions, EmbeddedCluster, EmbeddedNode, PartitionOptions, WaitOptions } from './types.ts'

const MiB = 2 ** 20
const READY_TIMEOUT_MS = 30_000
const WAIT_TIMEOUT_MS = 30_000
/** How often the nodes are asked while they form a cluster. They do not report changes. */
const LOOK_INTERVAL_MS = 5

/**
 * Starts a cluster in this process. Resolves when a leader serves, every node is a voter, and all know the URLs of all.
 * If that fails, nothing is left.
 *
 * @throws TypeError, RangeError when an option is unknown, of the wrong type or out of range
 * @throws Error when a port is taken, the disk is nearly full, or the nodes are not ready in time
 * @example
 * await using cluster = await startCluster({ nodes: 3 })
 * await cluster.client().put('greeting', 'hello')
 */
export async function startCluster(options: ClusterOptions = {}): Promise<EmbeddedCluster> {
  checkCluster(options)
  const names = namesOf(options)
  refuseFewer(names, options.dataDir)
  const temporary = options.dataDir === undefined ? await makeTemporary() : undefined
  const nodes: Node[] = []
  let mesh: RelayMesh | undefined
  try {
    mesh = await createRelayMesh(names, (name) => nodes.find((node) => node.name === name)?.peerListener)
    const dataDir = temporary?.path ?? resolve(options.dataDir ?? '')
    for (const [at, name] of names.entries()) nodes.push(nodeOf(options, dataDir, mesh, name, at))
    await form(nodes, options.readyTimeoutMs ?? READY_TIMEOUT_MS)
    return new InProcessCluster(nodes, mesh, temporary)
  } catch (error) {
    await closeAll(nodes, mesh, temporary)
    throw error
  }
}

function nodeOf(options: ClusterOptions, dataDir: string, mesh: RelayMesh, name: string, at: number): Node {
  const addresses = mesh.addressesFor(name)
  return new Node(name, join(dataDir, name), options.ports?.[at] ?? 0, {
    resolvePeer: (member) => addresses[member.name] ?? member.peer,
    timing: options.timing,
    logger: options.logger,
  })
}

async function closeAll(
  nodes: readonly Node[],
  mesh: RelayMesh | undefined,
  temporary: TemporaryDirectory | undefined,
): Promise<void> {
  // Every acknowledged write is durable, so an orderly end would not save more.
  await Promise.all(nodes.map((node) => node.close()))
  await mesh?.close()
  await temporary?.remove()
}

/** A client that the cluster forgets when it is closed. */
class ClusterClient extends Client {
  readonly #onClose: () => void

  constructor(options: ClientOptions, onClose: () => void) {
    super(options)
    this.#onClose = onClose
  }

  override close(): Promise<void> {
    this.#onClose()
    return super.close()
  }
}

class InProcessCluster implements EmbeddedCluster {
  readonly #nodes: readonly Node[]
  readonly #mesh: RelayMesh
  readonly #temporary: TemporaryDirectory | undefined
  readonly #clients = new Set<Client>()
  #closing: Promise<void> | undefined

  constructor(nodes: readonly Node[], mesh: RelayMesh, temporary: TemporaryDirectory | undefined) {
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
    checkNodeName(name)
    const found = this.#nodes.find((node) => node.name === name)
    if (found !== undefined) return found
    throw new RangeError(`there is no node ${name} (there are ${this.#names.join(', ')})`)
  }

  leader(): EmbeddedNode | undefined {
    return leaderAmong(this.#nodes)
  }

  async waitForLeader(options: WaitOptions = {}): Promise<EmbeddedNode> {
    checkWait(options)
    const { timeoutMs = WAIT_TIMEOUT_MS } = options
    const look = (): EmbeddedNode | undefined => {
      if (this.#closing !== undefined) throw new Error('the cluster is closed')
      return this.leader()
    }
    const leader = await until(look, { limitMs: timeoutMs, everyMs: LOOK_INTERVAL_MS })
    if (leader !== undefined) return leader
    const running = this.#nodes.filter((node) => node.running).map(({ name }) => name)
    throw new Error(
      `no node leads after ${timeoutMs} ms; ${running.join(', ') || 'none'} of ${this.#names.join(', ')} runs`,
    )
  }

  client(options: Partial<ClientOptions> = {}): Client {
    checkClientOptions(options)
    if (this.#closing !== undefined) throw new Error('the cluster is closed')
    const given = { ...options, endpoints: options.endpoints ?? this.endpoints }
    const client = new ClusterClient(given, () => this.#clients.delete(client))
    this.#clients.add(client)
    return client
  }

  partition(groups: readonly (readonly string[])[], options: PartitionOptions = {}): void {
    checkPartition(groups, options)
    const complete = completeGroups(this.#names, groups)
    if (typeof complete === 'string') throw new RangeError(complete)
    this.#mesh.partition(complete, options.reset === true)
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
    await Promise.all([...this.#clients].map((client) => client.close()))
    await closeAll(this.#nodes, this.#mesh, this.#temporary)
  }
}

function namesOf({ nodes, ports }: ClusterOptions): string[] {
  const count = nodes ?? ports?.length ?? DEFAULT_NODES
  if (!Number.isInteger(count) || count < 1 || count > NODES_MAX) {
    throw new RangeError(`nodes must be a number from 1 to ${NODES_MAX}, not ${count}`)
  }
  if (ports !== undefined && ports.length !== count) {
    throw new RangeError(`ports must name one port for each of the ${count} nodes`)
  }
  const twice = ports?.find((port, at) => port !== 0 && ports.indexOf(port) !== at)
  if (twice !== undefined) throw new RangeError(`ports names ${twice} twice`)
  return nodeNames(count)
}

/**
 * The cluster would call missing nodes at their old addresses. In a copy of the directory these are the addresses of
 * the original nodes.
 */
function refuseFewer(names: readonly string[], dataDir: string | undefined): void {
  if (dataDir === undefined) return
  const others = nodeNames(NODES_MAX).filter(
    (name) => !names.includes(name) && holdsNode(join(dataDir, name)),
  )
  if (others.length === 0) return
  throw new RangeError(
    `nodes is ${names.length}, but ${dataDir} holds ${others.join(', ')} as well. Start as many nodes as the cluster has, or remove the directories of those that are no longer members`,
  )
}

/**
 * Nodes with data continue with it. In a new cluster the first node founds it and the others join. A node that was
 * interrupted before it became a member still has to join. Members ignore `join`.
 */
async function form(nodes: readonly Node[], timeoutMs: number): Promise<void> {
  const [first, ...others] = [...nodes].sort((a, b) => Number(b.hasData) - Number(a.hasData))
  if (first === undefined) return
  const isNew = !first.hasData
  await first.startAs(foundingOf({ stage: isNew ? 'new' : 'member', founds: isNew }, []))
  if (isNew && others.length > 0) refuseFullDisk(first)
  // Only the first node is asked. In a copy of the directory it may know the others at the URLs of the original.
  const founding = foundingOf({ stage: 'new', founds: false }, [first.url], first.api?.clusterId)
  const starts = others.map((node) => node.startAs(founding))
  // Waits until all have started or failed. A node that started later would go on running.
  const failed = (await Promise.allSettled(starts)).find((start) => start.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  await ready(nodes, timeoutMs)
}

/** On a full disk no other node can join. A test runner would time out before the cluster reports that. */
function refuseFullDisk({ api }: Node): void {
  const needed = driverLimits.diskReserveBytes
  const free = api?.status().diskFreeBytes ?? needed
  if (free >= needed) return
  throw new Error(
    `the disk is nearly full (${Math.floor(free / MiB)} MiB free): a new cluster needs ${needed / MiB} MiB. Free some, or choose a place with dataDir, or with TMPDIR in the environment`,
  )
}

async function ready(nodes: readonly Node[], limitMs: number): Promise<void> {
  const waiting = (): Node[] => nodes.filter((node) => node.notReady.length > 0 || !isKnown(node, nodes))
  const outcome = (): readonly Node[] | undefined => {
    const left = waiting()
    const failed = left.find(({ failure }) => failure !== undefined)
    if (failed) throw new Error(`${failed.name} ended: ${failed.failure}`)
    return left.length === 0 ? left : undefined
  }
  const left = (await until(outcome, { limitMs, everyMs: LOOK_INTERVAL_MS })) ?? waiting()
  if (left.length === 0) return
  const reasons = left.map(({ name, notReady }) => `${name}: ${notReady.join('; ') || UNKNOWN}`)
  reasons.push(...nodes.flatMap(faultsOf))
  throw new Error(`the cluster is not ready after ${limitMs / 1000} s: ${reasons.join(', ')}`)
}

/** A fault of one node, such as the full disk of the leader, may be the reason why another one is not ready. */
const faultsOf = ({ name, api }: Node): string[] =>
  (api?.status().errors ?? []).map((error) => `${name}: ${error}`)

const UNKNOWN = 'the others have not heard of its URL'
