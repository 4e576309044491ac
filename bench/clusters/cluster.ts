// A cluster that is measured: of quorate or of another system, started by this program or by its user.

import { setTimeout as sleep } from 'node:timers/promises'

export interface ClusterNode {
  readonly name: string
  /** Base URL for clients. */
  readonly url: string
  /** undefined when the node does not run, or when its process is not known. */
  readonly pid: number | undefined
}

/** How a node sees itself and its cluster. */
export interface NodeView {
  /** Name of the leader. */
  readonly leader: string | undefined
  readonly term: number
  /** Index of the last log entry that it has applied. */
  readonly applied: number
}

export interface Cluster {
  /** `quorate`, or the name of a `System`. */
  readonly system: string
  readonly version: string
  nodes(): Promise<readonly ClusterNode[]>
  /** These two reject when the node does not answer. */
  view(node: ClusterNode): Promise<NodeView>
  isReady(node: ClusterNode): Promise<boolean>
  /** How often the process of the node has synced its disk; undefined if it does not report that. */
  syncs(node: ClusterNode): Promise<number | undefined>
  /** Puts a key through this node, on a connection of its own. */
  put(node: ClusterNode, key: string, value: string): Promise<void>
  /** Reads a key from the copy of this node. undefined: no request is sure to be answered by the node that gets it. */
  readonly readCopy?: (node: ClusterNode, key: string) => Promise<void>
  /** Starts a node that was killed; resolves when its process runs, or later. */
  restart(name: string): Promise<void>
}

const LOOK_EVERY_MS = 20
const SETTLED_WITHIN_MS = 120_000

/** Resolves when every node is ready and all name the same leader. The leader is first. */
export async function settled(cluster: Cluster): Promise<readonly [ClusterNode, ...ClusterNode[]]> {
  const deadline = performance.now() + SETTLED_WITHIN_MS
  for (;;) {
    const nodes = await cluster.nodes()
    const leaders = await Promise.all(nodes.map((node) => readyLeader(cluster, node)))
    const leader = nodes.find(({ name }) => name === leaders[0])
    if (leader !== undefined && leaders.every((name) => name === leader.name)) {
      return [leader, ...nodes.filter((node) => node !== leader)]
    }
    if (performance.now() > deadline)
      throw new Error(
        `${cluster.system} is not ready after two minutes, or its leader is not among --endpoints`,
      )
    await sleep(LOOK_EVERY_MS)
  }
}

async function readyLeader(cluster: Cluster, node: ClusterNode): Promise<string | undefined> {
  try {
    return (await cluster.isReady(node)) ? (await cluster.view(node)).leader : undefined
  } catch {
    return undefined
  }
}

/** Kills the process of a node, as a crash would. */
export function kill({ name, pid }: ClusterNode): void {
  if (pid === undefined) throw new Error(`the process of ${name} is not known`)
  process.kill(pid, 'SIGKILL')
}

/** Stops the processes of a cluster, so that it takes nothing from the other one, and resumes them. */
export async function signalAll(cluster: Cluster, signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
  for (const { pid } of await cluster.nodes()) if (pid !== undefined) process.kill(pid, signal)
}
