// The flags of all commands, before or after the name of the command, and the sources of their values:
// flag > KV_* variable > cluster.json of .kv/cluster in the working directory > default.

import { Command, Option } from '@commander-js/extra-typings'
import { urlOf } from '../local/addresses.ts'
import { DEFAULT_DATA, readClusterFile } from '../local/cluster-file.ts'
import { Failure } from '../local/failure.ts'
import { DEFAULT_NODES, DEFAULT_PORT } from '../local/plan.ts'
import { EXIT } from './exit-codes.ts'
import { parseEndpoints, parseStaleness, parseTimeout } from './flag-values.ts'
import { io, userPath } from './io.ts'

const VARIABLES = ['KV_ENDPOINTS', 'KV_TIMEOUT', 'KV_CONSISTENCY', 'KV_MAX_STALENESS', 'KV_OUTPUT']

/** An empty variable counts as not set. */
export function dropEmptyVariables(): void {
  const { env } = io()
  for (const name of VARIABLES) if (env[name] === '') delete env[name]
}

export const DEFAULT_ENDPOINTS = Array.from({ length: DEFAULT_NODES }, (_, at) => urlOf(DEFAULT_PORT + at))

export const FORMATS = ['table', 'wide', 'plain', 'json', 'ndjson'] as const
export type Format = (typeof FORMATS)[number]

export function commandWithGlobalFlags(name: string) {
  return new Command(name)
    .addOption(
      new Option('--endpoints <urls>', 'nodes to use, separated by commas; no others are used')
        .env('KV_ENDPOINTS')
        .argParser(parseEndpoints),
    )
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
    .option('--no-color', 'no colours, as with the variable NO_COLOR')
}

export type GlobalFlags = ReturnType<ReturnType<typeof commandWithGlobalFlags>['opts']>

export interface ChosenEndpoints {
  readonly urls: readonly string[]
  readonly source: EndpointSource
  /** Given by the user: the client uses only these and discovers no others. */
  readonly explicit: boolean
  /** The cluster that must answer: another one may run at the ports of a local cluster that is stopped. */
  readonly clusterId?: string | undefined
}

export type EndpointSource = 'user' | 'local cluster' | 'default'

export function chooseEndpoints(flags: GlobalFlags): ChosenEndpoints {
  if (flags.endpoints !== undefined) return { urls: flags.endpoints, source: 'user', explicit: true }
  return localEndpoints() ?? { urls: DEFAULT_ENDPOINTS, source: 'default', explicit: false }
}

function localEndpoints(): ChosenEndpoints | undefined {
  try {
    const file = readClusterFile(userPath(DEFAULT_DATA))
    if (file === undefined) return undefined
    const urls = file.nodes.map((node) => node.url)
    return { urls, source: 'local cluster', explicit: false, clusterId: file.cluster_id ?? undefined }
  } catch (error) {
    const reason = error instanceof Error ? error.message : error
    throw new Failure(EXIT.failed, `${reason}; to use other nodes, add --endpoints`)
  }
}
