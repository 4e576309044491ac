// cluster.json: what a local cluster is (nodes, ports, cluster id) and, while it runs, where its supervisor listens.
// Every command of `kv` may read it to find the endpoints, so this module imports next to nothing.
//
// The file is replaced as a whole, synced and renamed: whenever the supervisor dies, the next start reads either the
// state before or the state after. It is 0600 because it holds the token of the supervisor's control address.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeWhole } from '../files/durable.ts'
import { Failure, isAbsent, writing } from './failure.ts'
import { isObject } from './is-object.ts'
import { PROGRAM } from './program-name.ts'

export const DEFAULT_DATA = '.kv/cluster'
export const CLUSTER_FILE = 'cluster.json'
const FORMAT = 1

/** Where a supervisor listens for commands, and the secret that both sides prove to know. */
export interface ControlAddress {
  readonly pid: number
  readonly control: string
  readonly token: string
}

const STAGES = ['new', 'replacing', 'member'] as const
export type Stage = (typeof STAGES)[number]

export interface ClusterFileNode {
  readonly name: string
  /** Base URL of its HTTP API, without a trailing slash. */
  readonly url: string
  readonly pid: number | null
  /** The peer port that the system chose at the first start. It is used again when it is free. */
  readonly peer_port: number | null
  /**
   * `new`: it may found or join the cluster with an empty directory. `replacing`: it may take the place of its own lost
   * replica. `member`: it has been a voter; from now on an empty directory means lost data, never a fresh node.
   */
  readonly stage: Stage
}

export interface ClusterFile {
  readonly format: typeof FORMAT
  /**
   * null until n1 has reported that it has founded the cluster. It may have founded it before an interruption and not
   * reported it.
   */
  readonly cluster_id: string | null
  /**
   * null while no supervisor runs. A supervisor that was killed leaves its address behind, so a reader must ask which
   * process answers there.
   */
  readonly supervisor: ControlAddress | null
  readonly nodes: readonly ClusterFileNode[]
}

/**
 * undefined: there is no local cluster in this directory. Throws when the file is there but does not have our format.
 */
export function readClusterFile(dataDir: string): ClusterFile | undefined {
  const path = join(dataDir, CLUSTER_FILE)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
  const content = parse(text)
  if (isClusterFile(content)) return content
  throw new Failure(
    1,
    isObject(content) && typeof content.format === 'number' && content.format > FORMAT
      ? `${path} was written by a newer version of quorate (format ${content.format}; this one knows ${FORMAT}). Use that version`
      : `${path} is damaged: it does not say what a local cluster is. Put back a copy of it. Without one, ${PROGRAM} node start serves what is in ` +
          `${dataDir}/n1 and so on; or delete ${dataDir} to begin anew`,
  )
}

export function writeClusterFile(dataDir: string, content: Omit<ClusterFile, 'format'>): void {
  const path = join(dataDir, CLUSTER_FILE)
  const text = `${JSON.stringify({ format: FORMAT, ...content }, null, 2)}\n`
  writing(path, () => writeWhole(path, text, 0o600))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isClusterFile(value: unknown): value is ClusterFile {
  return (
    isObject(value) &&
    value.format === FORMAT &&
    (value.cluster_id === null || typeof value.cluster_id === 'string') &&
    (value.supervisor === null || isControlAddress(value.supervisor)) &&
    Array.isArray(value.nodes) &&
    value.nodes.length > 0 &&
    value.nodes.every(isNode)
  )
}

function isNode(value: unknown): value is ClusterFileNode {
  return (
    isObject(value) &&
    typeof value.name === 'string' &&
    /^n[1-9][0-9]*$/.test(value.name) &&
    isUrl(value.url) &&
    (value.pid === null || isPositive(value.pid)) &&
    (value.peer_port === null || (isPositive(value.peer_port) && value.peer_port <= 65_535)) &&
    STAGES.some((stage) => stage === value.stage)
  )
}

export function isControlAddress(value: unknown): value is ControlAddress {
  return isObject(value) && isPositive(value.pid) && isUrl(value.control) && typeof value.token === 'string'
}

/** With an explicit port, as we write it. In other URLs the port may be left out. */
function isUrl(value: unknown): boolean {
  return typeof value === 'string' && /^http:\/\/127\.0\.0\.1:[1-9][0-9]*$/.test(value) && URL.canParse(value)
}

function isPositive(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0
}
