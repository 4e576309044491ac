// The plan of a start: names, ports and stages of the nodes, and how each of them is founded. Reads and changes nothing
// on this machine.

import { join } from 'node:path'
import type { Founding } from '../../server/options.ts'
import { localUrl, parsePort } from '../addresses.ts'
import { Failure } from '../failure.ts'
import { PROGRAM } from '../program-name.ts'
import type { ClusterFile, Stage } from './cluster-file.ts'

export const NODES_MAX = 9
export const DEFAULT_NODES = 3
/** Client port of n1; the other nodes have the next ports. */
export const DEFAULT_PORT = 7301

/** The names n1, n2 and so on; `from`: number of the first one. */
export function nodeNames(count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, at) => `n${from + at}`)
}

export interface PlanOptions {
  /** Absolute. */
  readonly dataDir: string
  /** Default: as many as the cluster has, or three. */
  readonly nodes: number | undefined
  /** Client port of n1. Default: the port in use, or 7301. */
  readonly port: number | undefined
  /** Nodes speak TLS. A cluster that does continues with it. */
  readonly tls?: boolean | undefined
}

export interface NodePlan {
  readonly name: string
  /** Client port. */
  readonly port: number
  /** Port of its peer listener; 0: the system chooses it. */
  readonly peerPort: number
  readonly stage: Stage
  readonly tls?: boolean
}

/** Plans the next start. `file`: written by an earlier start. `holdsNode`: whether a directory holds data of a node. */
export function planNodes(
  options: PlanOptions,
  file: ClusterFile | undefined,
  holdsNode: (dir: string) => boolean,
): NodePlan[] {
  if (file === undefined) return newPlan(options, holdsNode)
  const { dataDir, nodes, port } = options
  const tls = options.tls === true || file.tls !== undefined
  if (!file.nodes.some(({ name }) => holdsNode(join(dataDir, name)))) {
    // An interrupted first start, before the first node existed: its plan may be changed.
    if (file.cluster_id === null) {
      const firstPort = parsePort(file.nodes[0]?.url ?? localUrl(DEFAULT_PORT))
      return newPlan({ dataDir, nodes: nodes ?? file.nodes.length, port: port ?? firstPort, tls }, holdsNode)
    }
    throw new Failure(
      1,
      `the data of every node in ${dataDir} is lost; delete the rest with ${PROGRAM} cluster destroy, then start a new cluster`,
    )
  }
  if (nodes !== undefined && nodes !== file.nodes.length)
    throw new Failure(2, nodeCountMismatch(dataDir, file.nodes.length, nodes))
  return file.nodes.map(({ name, url, peer_port, stage }, at) => ({
    name,
    port: port === undefined ? parsePort(url) : port + at,
    peerPort: peer_port ?? 0,
    stage,
    tls,
  }))
}

export function nodeCountMismatch(dataDir: string, actual: number, requested: number): string {
  return (
    `the cluster in ${dataDir} has ${actual} nodes, not ${requested}; leave --nodes out to continue with it, choose another --data for a ` +
    `second cluster, or delete this one with ${PROGRAM} cluster destroy`
  )
}

function newPlan(
  { dataDir, nodes = DEFAULT_NODES, port = DEFAULT_PORT, tls = false }: PlanOptions,
  holdsNode: (dir: string) => boolean,
): NodePlan[] {
  const names = nodeNames(nodes)
  const used = names.find((name) => holdsNode(join(dataDir, name)))
  if (used !== undefined)
    throw new Failure(
      1,
      `${join(dataDir, used)} holds the data of a node, but ${dataDir} has no cluster.json; put it back, or choose another --data`,
    )
  return names.map((name, at) => ({ name, port: port + at, peerPort: 0, stage: 'new', tls }))
}

/**
 * How a node with an empty directory becomes a member. `others`: URLs of the nodes through which it joins. `clusterId`:
 * the only cluster that it may found or join.
 */
export function planFounding(
  { stage, founds }: { readonly stage: Stage; readonly founds: boolean },
  others: readonly string[],
  clusterId?: string,
): Founding {
  if (founds) return { kind: 'bootstrap', clusterId }
  // A member that has lost its data must not come back as a new node.
  if (stage === 'member' || others.length === 0) return { kind: 'existing' }
  return { kind: 'join', urls: others, replace: stage === 'replacing', clusterId }
}
