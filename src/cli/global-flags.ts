// The flags of all commands, before or after the name of the command, and the sources of their values:
// flag > KV_* variable > cluster.json of .kv/cluster in the working directory > default.

import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings'
import { endpointUrl } from '../client/address.ts'
import { urlOf } from '../local/addresses.ts'
import { DEFAULT_DATA, readClusterFile } from '../local/cluster-file.ts'
import { Failure } from '../local/failure.ts'
import { DEFAULT_NODES, DEFAULT_PORT } from '../local/plan.ts'
import { parseStaleness, parseTimeout } from './duration.ts'
import { EXIT } from './exit-codes.ts'

const VARIABLES = ['KV_ENDPOINTS', 'KV_TIMEOUT', 'KV_CONSISTENCY', 'KV_MAX_STALENESS', 'KV_OUTPUT']
export const DEFAULT_ENDPOINTS = Array.from({ length: DEFAULT_NODES }, (_, at) => urlOf(DEFAULT_PORT + at))

export const FORMATS = ['table', 'wide', 'plain', 'json', 'ndjson'] as const
export type Format = (typeof FORMATS)[number]

export function commandWithGlobalFlags(name: string) {
  // An empty variable counts as not set.
  for (const variable of VARIABLES) if (process.env[variable] === '') delete process.env[variable]
  return new Command(name)
    .addOption(
      new Option('--endpoints <urls>', 'nodes to ask, separated by commas; these alone are asked')
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
  /** Given by the user: the client asks only these and learns no others. */
  readonly explicit: boolean
}

export function chooseEndpoints(flags: GlobalFlags): ChosenEndpoints {
  if (flags.endpoints !== undefined) return { urls: flags.endpoints, explicit: true }
  const local = localEndpoints()
  return { urls: local.length > 0 ? local : DEFAULT_ENDPOINTS, explicit: false }
}

function localEndpoints(): string[] {
  try {
    return readClusterFile(DEFAULT_DATA)?.nodes.map((node) => node.url) ?? []
  } catch (error) {
    const reason = error instanceof Error ? error.message : error
    throw new Failure(EXIT.failed, `${reason}. --endpoints names the nodes to ask instead`)
  }
}

function parseEndpoints(text: string): string[] {
  const endpoints = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
  if (endpoints.length === 0) throw new InvalidArgumentError('At least one endpoint is needed.')
  try {
    return endpoints.map((endpoint) => endpointUrl(endpoint).origin)
  } catch (error) {
    throw new InvalidArgumentError(`${error instanceof Error ? error.message : error}.`)
  }
}
