// What a local cluster shall be: the names, ports and stages of its nodes, and with what each of them is started. Reads
// and changes nothing on this machine.

import { join } from 'node:path'
import type { Founding } from '../server/node/types.ts'
import { portOf, urlOf } from './addresses.ts'
import type { ClusterFile, Stage } from './cluster-file.ts'
import { Failure } from './failure.ts'
import { PROGRAM } from './program-name.ts'

export const NODES_MAX = 9
export const DEFAULT_NODES = 3
/** Client port of n1; the others have the next ones. */
export const DEFAULT_PORT = 7301

/** n1, n2 and so on; `from`: number of the first one. */
export function nodeNames(count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, at) => `n${from + at}`)
}

export interface Wanted {
  /** Absolute. */
  readonly dataDir: string
  /** undefined: as many as there are, or three. */
  readonly nodes: number | undefined
  /** Client port of n1. undefined: the one in use, or 7301. */
  readonly port: number | undefined
}

export interface NodePlan {
  readonly name: string
  /** Client port. */
  readonly port: number
  /** Of its peer listener; 0: the system chooses it. */
  readonly peerPort: number
  readonly stage: Stage
}

/**
 * The nodes of the next start. `file`: what an earlier start has written. `holdsNode`: whether the directory of a node
 * holds its data.
 */
export function planOf(
  wanted: Wanted,
  file: ClusterFile | undefined,
  holdsNode: (dir: string) => boolean,
): NodePlan[] {
  if (file === undefined) return newPlan(wanted, holdsNode)
  const { dataDir, nodes, port } = wanted
  const hold = file.nodes.filter(({ name }) => holdsNode(join(dataDir, name)))
  // A first start that was interrupted before a node was there: its plan binds nobody.
  if (hold.length === 0 && file.cluster_id === null) {
    const planned = { nodes: file.nodes.length, port: portOf(file.nodes[0]?.url ?? urlOf(DEFAULT_PORT)) }
    return newPlan({ dataDir, nodes: nodes ?? planned.nodes, port: port ?? planned.port }, holdsNode)
  }
  if (hold.length === 0) {
    throw new Failure(
      1,
      `The data of every node in ${dataDir} is lost. ${PROGRAM} cluster destroy deletes what is left; then start founds a new cluster.`,
    )
  }
  if (nodes !== undefined && nodes !== file.nodes.length) {
    throw new Failure(2, otherCount(dataDir, file.nodes.length, nodes))
  }
  return file.nodes.map(({ name, url, peer_port, stage }, at) => ({
    name,
    port: port === undefined ? portOf(url) : port + at,
    peerPort: peer_port ?? 0,
    stage,
  }))
}

export function otherCount(dataDir: string, there: number, wanted: number): string {
  return (
    `The cluster in ${dataDir} has ${there} nodes, not ${wanted}. Leave --nodes out to go on with it, choose another --data for a ` +
    `second cluster, or delete this one with ${PROGRAM} cluster destroy.`
  )
}

function newPlan(
  { dataDir, nodes = DEFAULT_NODES, port = DEFAULT_PORT }: Wanted,
  holdsNode: (dir: string) => boolean,
): NodePlan[] {
  const names = nodeNames(nodes)
  const used = names.find((name) => holdsNode(join(dataDir, name)))
  if (used !== undefined) {
    throw new Failure(
      1,
      `${join(dataDir, used)} holds the data of a node, but ${dataDir} has no cluster.json. Put it back, or choose another --data.`,
    )
  }
  return names.map((name, at) => ({ name, port: port + at, peerPort: 0, stage: 'new' }))
}

/**
 * What a node does with a directory that holds no data yet. `others`: URLs of the nodes through which it joins.
 * `clusterId`: the cluster that it founds, or joins and no other.
 */
export function foundingOf(
  { stage, founds }: { readonly stage: Stage; readonly founds: boolean },
  others: readonly string[],
  clusterId?: string,
): Founding {
  if (founds) return { kind: 'bootstrap', clusterId }
  // A member that has lost its data must not come back as a fresh node.
  if (stage === 'member' || others.length === 0) return { kind: 'existing' }
  return { kind: 'join', urls: others, replace: stage === 'replacing', clusterId }
}
