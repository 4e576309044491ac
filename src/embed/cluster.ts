import { join, resolve } from 'node:path'
import { Client, type ClientOptions, type ClientTls } from '../client/index.ts'
import { clientTls, makeCertificates, nodeTls } from '../local/directory/certificates.ts'
import { diskSpaceFault } from '../local/directory/data-directory.ts'
import { DEFAULT_NODES, NODES_MAX, nodeNames, planFounding } from '../local/directory/plan.ts'
import { isUrlKnown, leaderAmong, nodeFaults } from '../local/node/node-view.ts'
import { poll } from '../local/poll.ts'
import { completeGroups, createRelayMesh, type RelayMesh } from '../local/relays/mesh.ts'
import { holdsNode } from '../server/replica/inspect-data-directory.ts'
import { checkClientOptions, checkCluster, checkNodeName, checkPartition, checkWait } from './arguments.ts'
import { InProcessNode } from './node.ts'
import { createTemporaryDirectory, type TemporaryDirectory } from './temporary-directory.ts'
import type {
  ClusterOptions,
  EmbeddedClientOptions,
  EmbeddedCluster,
  EmbeddedNode,
  PartitionOptions,
  WaitOptions,
} from './types.ts'

const READY_TIMEOUT_MS = 30_000
const WAIT_TIMEOUT_MS = 30_000
/** The nodes of this process do not report changes. */
const POLL_INTERVAL_MS = 5

/**
 * Starts a cluster in this process. Resolves when a leader serves, every node is a voter, and all nodes know the URLs
 * of all. A start that fails leaves nothing behind.
 *
 * @throws TypeError, RangeError when an option is unknown, of the wrong type or out of range
 *
 * @throws Error when a port is taken, the disk is nearly full, or the nodes are not ready in time
 * @example
 * await using cluster = await startCluster({ nodes: 3 })
 * await cluster.client().put('greeting', 'hello')
 */
export async function startCluster(options: ClusterOptions = {}): Promise<EmbeddedCluster> {
  checkCluster(options)
  const names = chooseNodeNames(options)
  refuseFewerNodes(names, options.dataDir)
  const temporary = options.dataDir === undefined ? await createTemporaryDirectory() : undefined
  const dataDir = temporary?.path ?? resolve(options.dataDir ?? '')
  const nodes: InProcessNode[] = []
  let mesh: RelayMesh | undefined
  try {
    if (options.tls === true) await makeCertificates(dataDir, names)
    mesh = await createRelayMesh(names, (name) => nodes.find((node) => node.name === name)?.peerListener)
    for (const [at, name] of names.entries()) {
      const addresses = mesh.addressesFor(name)
      nodes.push(
        new InProcessNode(name, join(dataDir, name), options.ports?.[at] ?? 0, {
          // A node elsewhere may have replaced one of this process, under its name. No relay leads there.
          resolvePeer: ({ id, name, peer }) => {
            const node = nodes.find((each) => each.name === name)
            return node === undefined || node.isOther(id) ? peer : (addresses[name] ?? peer)
          },
          timing: options.timing,
          logger: options.logger,
          ...(options.tls === true ? nodeTls(dataDir, name) : {}),
        }),
      )
    }
    const timeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS
    await formCluster(nodes, dataDir, timeoutMs)
    const tls = options.tls === true ? clientTls(dataDir) : undefined
    const root = options.auth && { user: ROOT, password: options.auth.rootPassword }
    if (root !== undefined) await checkRights(nodes, root, timeoutMs, tls)
    return new InProcessCluster(nodes, { mesh, temporary, tls, root })
  } catch (error) {
    await closeAll(nodes, mesh, temporary)
    throw error
  }
}

/** Every acknowledged write is durable, so the nodes crash: an orderly stop would not save more. */
async function closeAll(
  nodes: readonly InProcessNode[],
  mesh: RelayMesh | undefined,
  temporary: TemporaryDirectory | undefined,
): Promise<void> {
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
  readonly nodes: readonly EmbeddedNode[]
  readonly tls: ClientTls | undefined
  readonly #nodes: readonly InProcessNode[]
  readonly #mesh: RelayMesh
  readonly #temporary: TemporaryDirectory | undefined
  readonly #root: RootCredentials | undefined
  readonly #clients = new Set<Client>()
  #closing: Promise<void> | undefined

  constructor(
    nodes: readonly InProcessNode[],
    {
      mesh,
      temporary,
      tls,
      root,
    }: {
      readonly mesh: RelayMesh
      readonly temporary: TemporaryDirectory | undefined
      readonly tls: ClientTls | undefined
      readonly root: RootCredentials | undefined
    },
  ) {
    this.nodes = nodes
    this.tls = tls
    this.#root = root
    this.#nodes = nodes
    this.#mesh = mesh
    this.#temporary = temporary
  }

  get endpoints(): readonly string[] {
    return this.#nodes.map(({ url }) => url)
  }

  node(name: string): EmbeddedNode {
    checkNodeName(name)
    const node = this.#nodes.find((candidate) => candidate.name === name)
    if (node !== undefined) return node
    throw new RangeError(`there is no node ${name}; use ${this.#names.join(', ')}`)
  }

  leader(): EmbeddedNode | undefined {
    return leaderAmong(this.#nodes)
  }

  async waitForLeader(options: WaitOptions = {}): Promise<EmbeddedNode> {
    checkWait(options)
    const { timeoutMs = WAIT_TIMEOUT_MS } = options
    const check = (): EmbeddedNode | undefined => {
      this.#refuseClosed()
      return this.leader()
    }
    const leader = await poll(check, { timeoutMs, intervalMs: POLL_INTERVAL_MS })
    if (leader !== undefined) return leader
    const running = this.#nodes.filter((node) => node.running).map(({ name }) => name)
    throw new Error(
      `no node leads after ${timeoutMs} ms; ${running.join(', ') || 'none'} of ${this.#names.join(', ')} runs`,
    )
  }

  client(options: EmbeddedClientOptions = {}): Client {
    checkClientOptions(options)
    this.#refuseClosed()
    const endpoints = options.endpoints ?? this.endpoints
    const tls = options.tls ?? this.tls
    const credentials = 'user' in options || 'token' in options ? undefined : this.#root
    const client = new ClusterClient({ ...credentials, ...options, endpoints, tls }, () =>
      this.#clients.delete(client),
    )
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

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw new Error('the cluster is closed')
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close()))
    await closeAll(this.#nodes, this.#mesh, this.#temporary)
  }
}

function chooseNodeNames({ nodes, ports }: ClusterOptions): string[] {
  const count = nodes ?? ports?.length ?? DEFAULT_NODES
  if (!Number.isInteger(count) || count < 1 || count > NODES_MAX)
    throw new RangeError(`nodes must be a number from 1 to ${NODES_MAX}, not ${count}`)
  if (ports !== undefined && ports.length !== count)
    throw new RangeError(`ports must name one port for each of the ${count} nodes`)
  const twice = ports?.find((port, at) => port !== 0 && ports.indexOf(port) !== at)
  if (twice !== undefined) throw new RangeError(`ports names ${twice} twice`)
  return nodeNames(count)
}

/** Without the missing members the cluster would have no majority, or dial them at addresses that others use now. */
function refuseFewerNodes(names: readonly string[], dataDir: string | undefined): void {
  if (dataDir === undefined) return
  const others = nodeNames(NODES_MAX).filter(
    (name) => !names.includes(name) && holdsNode(join(dataDir, name)),
  )
  if (others.length === 0) return
  throw new RangeError(
    `nodes is ${names.length}, but ${dataDir} holds ${others.join(', ')} as well; start as many nodes as the cluster has, or remove the directories of those that are no longer members`,
  )
}

/**
 * Starts the nodes. Nodes with data continue with it. In a new cluster the first node founds it and the others join,
 * like a node that was interrupted before it became a member. Members ignore `join`.
 */
async function formCluster(
  nodes: readonly InProcessNode[],
  dataDir: string,
  timeoutMs: number,
): Promise<void> {
  for (const node of nodes) await node.checkPort()
  const [first, ...others] = [...nodes].sort((a, b) => Number(b.hasData) - Number(a.hasData))
  if (first === undefined) return
  const isNew = !first.hasData
  const lack = isNew && others.length > 0 ? diskSpaceFault(dataDir) : undefined
  if (lack !== undefined)
    throw new Error(
      `${lack}; free some, or choose another disk with dataDir, or with TMPDIR in the environment`,
    )
  await first.startAs(planFounding({ stage: isNew ? 'new' : 'member', founds: isNew }, []))
  // They join through the first node only: it may know the others at URLs of an earlier start.
  const founding = planFounding({ stage: 'new', founds: false }, [first.url], first.api?.clusterId)
  const starts = others.map((node) => node.startAs(founding))
  // Waits until all have started or failed: a node that starts later would not be closed.
  const failed = (await Promise.allSettled(starts)).find((start) => start.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  await becomeReady(nodes, timeoutMs)
}

const ROOT = 'root'

interface RootCredentials {
  readonly user: string
  readonly password: string
}

/** Switches on the check of rights, unless it is on. Returns when all nodes know it. */
async function checkRights(
  nodes: readonly InProcessNode[],
  root: RootCredentials,
  timeoutMs: number,
  tls: ClientTls | undefined,
): Promise<void> {
  await using client = new Client({ endpoints: nodes.map(({ url }) => url), timeoutMs, tls, ...root })
  const { enabled } = await client.auth.status()
  // If it is on, this shows that the password is right.
  if (!enabled) await client.users.put(ROOT, { password: root.password, roles: [ROOT] })
  const { revision } = enabled ? await client.users.list() : await client.auth.enable()
  const check = (): true | undefined =>
    nodes.every(({ api }) => (api?.auth.revision ?? 0) >= revision) || undefined
  if (await poll(check, { timeoutMs, intervalMs: POLL_INTERVAL_MS })) return
  throw new Error(`not all nodes know after ${timeoutMs / 1000} s that rights are checked`)
}

async function becomeReady(nodes: readonly InProcessNode[], timeoutMs: number): Promise<void> {
  const waiting = (): InProcessNode[] =>
    nodes.filter((node) => node.notReady.length > 0 || !isUrlKnown(node, nodes))
  const check = (): true | undefined => {
    const rest = waiting()
    const failed = rest.find(({ failure }) => failure !== undefined)
    if (failed) throw new Error(`${failed.name} ended: ${failed.failure}`)
    return rest.length === 0 || undefined
  }
  if (await poll(check, { timeoutMs, intervalMs: POLL_INTERVAL_MS })) return
  const faults = nodeFaults(nodes)
  const reasons = waiting()
    .filter(({ name }) => !faults.some((fault) => fault.startsWith(`${name}: `)))
    .map(({ name, notReady }) => `${name}: ${notReady.join('; ') || 'the others do not know its URL yet'}`)
  throw new Error(
    `the cluster is not ready after ${timeoutMs / 1000} s: ${[...reasons, ...faults].join(', ')}`,
  )
}
