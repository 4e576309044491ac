// cluster.json: the nodes, ports and id of a local cluster and, while it runs, the address of its supervisor. Every
// command of `kv` may read it to find the endpoints, so this module imports next to nothing.
//
// The file is replaced as a whole, so a start after a crash of the supervisor reads either the old or the new state. It
// is 0600 because it holds the token of the supervisor.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomically } from '../../files/durable.ts'
import { isObject, tryParseJson } from '../../operations/forms/decode.ts'
import { Failure, isMissing, writing } from '../failure.ts'
import { PROGRAM } from '../program-name.ts'
import type { ClusterFileTls } from './certificates.ts'

export const DEFAULT_DATA = '.kv/cluster'
export const CLUSTER_FILE = 'cluster.json'
/** A page that leads a browser to the console, written by `kv console`. */
export const CONSOLE_FILE = 'console.html'
const FORMAT = 1

/** The address of a supervisor, and the secret that both sides prove to know. */
export interface ControlAddress {
  readonly pid: number
  /** Address of its control socket: tcp://127.0.0.1:PORT. */
  readonly control: string
  readonly token: string
}

/** The console of a supervisor: its base URL, and the token that commands of its page need. */
export interface ConsoleAddress {
  readonly url: string
  readonly token: string
}

/** The page of the console, with its token in the fragment, which a browser sends to nobody. */
export const consolePage = ({ url, token }: ConsoleAddress): string => `${url}/ui/#token=${token}`

const STAGES = ['new', 'replacing', 'member'] as const
export type Stage = (typeof STAGES)[number]

interface ClusterFileNode {
  readonly name: string
  /** Base URL of its HTTP API, without a trailing slash. */
  readonly url: string
  readonly pid: number | null
  /** The peer port that the system chose at the first start. It is used again when it is free. */
  readonly peer_port: number | null
  /**
   * `new`: it may found or join the cluster with an empty directory. `replacing`: it may replace its own lost replica.
   * `member`: it has been a voter, so an empty directory means lost data, never a new node.
   */
  readonly stage: Stage
}

export interface ClusterFile {
  readonly format: typeof FORMAT
  /** null until n1 has reported that it has founded the cluster. It may have founded it before a crash. */
  readonly cluster_id: string | null
  /** null while no supervisor runs. A killed supervisor leaves its address, so a reader must probe it. */
  readonly supervisor: ControlAddress | null
  /** Absent while no console runs. */
  readonly console?: ConsoleAddress
  readonly nodes: readonly ClusterFileNode[]
  /** Certificates of a cluster with TLS, for the command: paths below the directory of the cluster. */
  readonly tls?: ClusterFileTls
}

/** Returns undefined when `dataDir` has no cluster.json. Throws when the file does not have our format. */
export function readClusterFile(dataDir: string): ClusterFile | undefined {
  const path = join(dataDir, CLUSTER_FILE)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const content = tryParseJson(text)
  if (isClusterFile(content)) return content
  const isNewer = isObject(content) && typeof content.format === 'number' && content.format > FORMAT
  throw new Failure(
    1,
    isNewer
      ? `${path} was written by a newer version of quorate (format ${content.format}; this one reads ${FORMAT}); use that version`
      : `${path} is damaged; put back a copy of it, or serve ${dataDir}/n1 and the others with ${PROGRAM} node start, or delete ${dataDir} to begin again`,
  )
}

export function writeClusterFile(dataDir: string, content: Omit<ClusterFile, 'format'>): void {
  const path = join(dataDir, CLUSTER_FILE)
  const text = `${JSON.stringify({ format: FORMAT, ...content }, null, 2)}\n`
  writing(path, () => writeFileAtomically(path, text, 0o600))
}

export function isControlAddress(value: unknown): value is ControlAddress {
  return (
    isObject(value) &&
    isPositive(value.pid) &&
    isAddress('tcp', value.control) &&
    typeof value.token === 'string'
  )
}

function isClusterFile(value: unknown): value is ClusterFile {
  return (
    isObject(value) &&
    value.format === FORMAT &&
    (value.cluster_id === null || typeof value.cluster_id === 'string') &&
    (value.supervisor === null || isControlAddress(value.supervisor)) &&
    (value.console === undefined || isConsoleAddress(value.console)) &&
    Array.isArray(value.nodes) &&
    (value.tls === undefined || isTls(value.tls)) &&
    value.nodes.length > 0 &&
    value.nodes.every(isNode)
  )
}

function isNode(value: unknown): value is ClusterFileNode {
  return (
    isObject(value) &&
    typeof value.name === 'string' &&
    /^n[1-9][0-9]*$/.test(value.name) &&
    (isAddress('http', value.url) || isAddress('https', value.url)) &&
    (value.pid === null || isPositive(value.pid)) &&
    (value.peer_port === null || isPositive(value.peer_port)) &&
    STAGES.some((stage) => stage === value.stage)
  )
}

const isConsoleAddress = (value: unknown): boolean =>
  isObject(value) && isAddress('http', value.url) && typeof value.token === 'string'

const isTls = (value: unknown): boolean =>
  isObject(value) && [value.ca, value.cert, value.key].every((path) => typeof path === 'string')

function isAddress(protocol: 'http' | 'https' | 'tcp', value: unknown): boolean {
  const [start, port] = typeof value === 'string' ? value.split(`${protocol}://127.0.0.1:`) : []
  return start === '' && /^[1-9][0-9]*$/.test(port ?? '') && Number(port) <= 65_535
}

function isPositive(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0
}
