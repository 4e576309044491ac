// The flags of all commands, before or after the name of the command, and the sources of their values:
// flag > KV_* variable > context > cluster.json of .kv/cluster in the working directory > default.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, Option } from '@commander-js/extra-typings'
import type { ClientTls } from '../../client/index.ts'
import { hasCertificate } from '../../client/tls.ts'
import { localUrl } from '../../local/addresses.ts'
import { type ClusterFile, DEFAULT_DATA, readClusterFile } from '../../local/directory/cluster-file.ts'
import { DEFAULT_NODES, DEFAULT_PORT } from '../../local/directory/plan.ts'
import { Failure, failureReason } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { io, userPath } from '../terminal/io.ts'
import { FORMATS, type Format } from '../terminal/output.ts'
import { parseEndpoints, parseStaleness, parseTimeout } from './flag-values.ts'

const VARIABLES = [
  'KV_CONTEXT',
  'KV_ENDPOINTS',
  'KV_TIMEOUT',
  'KV_CONSISTENCY',
  'KV_MAX_STALENESS',
  'KV_OUTPUT',
  'KV_CACERT',
  'KV_CERT',
  'KV_KEY',
  'KV_USER',
  'KV_PASSWORD',
  'KV_TOKEN',
  'KV_ETCD_PASSWORD',
]

/** An empty variable counts as not set. */
export function dropEmptyVariables(): void {
  const { env } = io()
  for (const name of VARIABLES) if (env[name] === '') delete env[name]
}

const DEFAULT_ENDPOINTS = Array.from({ length: DEFAULT_NODES }, (_, at) => localUrl(DEFAULT_PORT + at))

export function commandWithGlobalFlags(name: string) {
  return new Command(name)
    .addOption(
      new Option('--endpoints <urls>', 'nodes to use, separated by commas; no others are used')
        .env('KV_ENDPOINTS')
        .argParser(parseEndpoints),
    )
    .addOption(new Option('--context <name>', "a cluster of `context add`; '' is none").env('KV_CONTEXT'))
    .addOption(
      new Option('--timeout <duration>', 'how long a request may take (default: 5s)')
        .env('KV_TIMEOUT')
        .argParser(parseTimeout),
    )
    .addOption(
      new Option('--consistency <level>', 'how fresh reads are (default: linearizable)')
        .env('KV_CONSISTENCY')
        .choices(['linearizable', 'lease', 'stale'] as const),
    )
    .addOption(
      new Option('--max-staleness <duration>', 'refuse stale reads that may be older')
        .env('KV_MAX_STALENESS')
        .argParser(parseStaleness),
    )
    .addOption(
      new Option('-o, --output <format>', 'how data is printed (default: table on a terminal, else plain)')
        .env('KV_OUTPUT')
        .choices(FORMATS),
    )
    .addOption(
      new Option('--cacert <file>', 'the CAs that sign the certificates of nodes, in PEM').env('KV_CACERT'),
    )
    .addOption(new Option('--cert <file>', 'certificate that is shown to nodes, in PEM').env('KV_CERT'))
    .addOption(new Option('--key <file>', 'its private key').env('KV_KEY'))
    .addOption(
      new Option(
        '--user <name[:password]>',
        'who you are; the password is that of KV_PASSWORD, or typed',
      ).env('KV_USER'),
    )
    .addOption(new Option('--token <token>', 'the same by a token of a login').env('KV_TOKEN'))
    .option('--no-color', 'no colours, as with the variable NO_COLOR')
}

export type GlobalFlags = ReturnType<ReturnType<typeof commandWithGlobalFlags>['opts']>

/** The chosen format; otherwise that of people on a terminal, and of scripts elsewhere. */
export const outputFormat = ({ output }: Pick<GlobalFlags, 'output'>): Format =>
  output ?? (io().stdout.isTTY ? 'table' : 'plain')

export interface ChosenEndpoints {
  readonly urls: readonly string[]
  readonly source: EndpointSource
  /** Given by the user: the client uses only these and discovers no others. */
  readonly explicit: boolean
  /** The cluster that must answer: another one may run at the ports of a local cluster that is stopped. */
  readonly clusterId?: string | undefined
}

/** The files that the flags, the variables or the local cluster name; undefined: none. */
export function chooseTls(flags: GlobalFlags): ClientTls | undefined {
  const { cacert, cert, key } = flags
  if (cacert === undefined && cert === undefined && key === undefined) return localTls(flags)
  return readTlsFiles(flags)
}

interface TlsFlags {
  readonly cacert?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** The files of the flags. `prefix`: the beginning of their names. */
export function readTlsFiles({ cacert, cert, key }: TlsFlags, prefix = '--'): ClientTls | undefined {
  if ((cert === undefined) !== (key === undefined))
    throw new Failure(
      EXIT.usage,
      `${prefix}cert and ${prefix}key go together: a certificate and its private key`,
    )
  const ca = cacert === undefined ? undefined : readFlagFile(`${prefix}cacert`, cacert)
  if (ca !== undefined && !hasCertificate(ca))
    throw new Failure(EXIT.usage, `${prefix}cacert: ${cacert} has no certificate`)
  if (cert === undefined || key === undefined) return ca === undefined ? undefined : { ca }
  const pair = { cert: readFlagFile(`${prefix}cert`, cert), key: readFlagFile(`${prefix}key`, key) }
  checkPair(pair, cert, key)
  return { ca, ...pair }
}

/** A wrong form of the files is an error of the client. */
function checkPair(pair: { readonly cert: Buffer; readonly key: Buffer }, cert: string, key: string): void {
  const { X509Certificate, createPrivateKey } = process.getBuiltinModule('node:crypto')
  let isPair: boolean
  try {
    isPair = new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key))
  } catch {
    return
  }
  if (!isPair)
    throw new Failure(
      EXIT.usage,
      `${cert} and ${key} do not belong together: the key is that of another certificate`,
    )
}

/** The certificates of the local cluster, for its nodes only. */
function localTls({ endpoints }: GlobalFlags): ClientTls | undefined {
  const urls = endpoints?.map((url) => url.replace(/\/$/, ''))
  if (urls?.every((url) => url.startsWith('https://')) === false) return undefined
  const file = localCluster()
  if (file?.tls === undefined || !isClusterOf(file, urls)) return undefined
  const dir = userPath(DEFAULT_DATA)
  const { ca, cert, key } = file.tls
  const read = (path: string): Buffer => readFlagFile(DEFAULT_DATA, join(dir, path))
  return { ca: read(ca), cert: read(cert), key: read(key) }
}

const isClusterOf = ({ nodes }: ClusterFile, urls: readonly string[] | undefined): boolean =>
  urls === undefined || urls.every((url) => nodes.some((node) => node.url === url))

function readFlagFile(flag: string, path: string): Buffer {
  try {
    return readFileSync(userPath(path))
  } catch (error) {
    throw new Failure(EXIT.usage, `${flag}: cannot read ${path}: ${failureReason(error)}`)
  }
}

export type EndpointSource = 'user' | 'context' | 'local cluster' | 'default'

/** `contextName`: the context that the endpoints of `flags` are from; undefined: the user gave them. */
export function chooseEndpoints(flags: GlobalFlags, contextName: string | undefined): ChosenEndpoints {
  const source = contextName === undefined ? 'user' : 'context'
  if (flags.endpoints !== undefined) return { urls: flags.endpoints, source, explicit: true }
  return localEndpoints() ?? { urls: DEFAULT_ENDPOINTS, source: 'default', explicit: false }
}

function localEndpoints(): ChosenEndpoints | undefined {
  const file = localCluster()
  if (file === undefined) return undefined
  const urls = file.nodes.map((node) => node.url)
  return { urls, source: 'local cluster', explicit: false, clusterId: file.cluster_id ?? undefined }
}

export function localCluster(): ClusterFile | undefined {
  try {
    return readClusterFile(userPath(DEFAULT_DATA))
  } catch (error) {
    const reason = error instanceof Error ? error.message : error
    throw new Failure(EXIT.failed, `${reason}; to use other nodes, add --endpoints`)
  }
}
