// The flags of `npm run bench`. A wrong flag is refused with a sentence that says what to do.

import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { System } from './clusters/system.ts'
import { SYSTEMS } from './clusters/systems.ts'
import type { Over } from './load/load.ts'
import { SCENARIOS } from './scenarios/index.ts'
import type { Scenario } from './scenarios/scenario.ts'

export interface BenchOptions {
  readonly help: boolean
  readonly list: boolean
  readonly scenarios: readonly Scenario[]
  /** Protocols of quorate. */
  readonly over: readonly Over[]
  /** Empty: quorate alone. */
  readonly against: readonly System[]
  /** Connections of mux and of clients in Go; undefined: 1 of mux, and the best of a few in Go, found before. */
  readonly connections: number | undefined
  readonly rounds: number
  readonly keys: number
  readonly valueBytes: number
  readonly seconds: number
  readonly warmupSeconds: number
  /** Operations a second in an open loop; null: closed loop. */
  readonly rate: number | null
  /** Base URLs of a running cluster; empty: the benchmark starts one. */
  readonly endpoints: readonly string[]
  readonly pids: readonly number[]
  /** Parent of the data directories; undefined: /var/tmp, or the system's directory for temporary files. */
  readonly directory: string | undefined
  readonly out: string
  readonly json: boolean
}

export class UsageError extends Error {}

const SYSTEM_NAMES = SYSTEMS.map(({ name }) => name).join(', ')
const OVER: readonly Over[] = ['http', 'client', 'mux', 'grpc']

type Flag = NonNullable<ParseArgsConfig['options']>[string] & {
  /** Name of the value in the help text. */
  readonly value?: string
  readonly about: string
}

const FLAGS = {
  list: { type: 'boolean', default: false, about: 'print the scenarios and end' },
  only: { type: 'string', value: 'NAMES', about: 'scenarios, separated by commas' },
  long: { type: 'boolean', default: false, about: 'also the scenarios that take long' },
  over: {
    type: 'string',
    default: 'http,client',
    value: 'NAMES',
    about: `protocols of quorate: ${OVER.join(', ')}`,
  },
  against: {
    type: 'string',
    value: 'NAMES',
    about: `the same scenarios on other systems: ${SYSTEM_NAMES}`,
  },
  connections: {
    type: 'string',
    value: 'N',
    about: 'connections of mux and of clients in Go (default: 1 of mux; the best of a few in Go)',
  },
  rate: { type: 'string', value: 'N', about: 'operations a second, an open loop (default: a closed loop)' },
  rounds: {
    type: 'string',
    value: 'N',
    about: 'runs of each scenario on each side (default: 1; with --against 2)',
  },
  keys: { type: 'string', default: '1000000', value: 'N', about: 'keys in the store' },
  'value-bytes': { type: 'string', default: '256', value: 'N', about: 'size of a value' },
  seconds: { type: 'string', default: '10', value: 'N', about: 'measured time of a load' },
  warmup: { type: 'string', default: '2', value: 'N', about: 'seconds before that, which do not count' },
  endpoints: {
    type: 'string',
    value: 'URLS',
    about: 'a running cluster, all its nodes (default: one is started)',
  },
  pids: { type: 'string', value: 'N,N,N', about: 'processes of these nodes, in the same order' },
  dir: { type: 'string', value: 'DIR', about: 'parent of the data directories (default: /var/tmp)' },
  out: { type: 'string', default: 'bench.json', value: 'FILE', about: 'file for all figures of all rounds' },
  output: { type: 'string', short: 'o', default: 'table', value: 'table|json', about: 'what is printed' },
  help: { type: 'boolean', short: 'h', default: false, about: 'print this text and end' },
} as const satisfies Readonly<Record<string, Flag>>

export function helpText(): string {
  const rows = Object.entries<Flag>(FLAGS).map(([name, { short, value, about, default: preset }]) => {
    const flag = `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`
    return [flag, typeof preset === 'string' ? `${about} (default: ${preset})` : about] as const
  })
  const width = Math.max(...rows.map(([flag]) => flag.length))
  const flags = rows.map(([flag, about]) => `  ${flag.padEnd(width)}  ${about}`)
  return [
    'Usage: npm run bench -- [flags]',
    '',
    'Measures three nodes on this machine, alone or beside other systems. bench/README.md explains the figures.',
    '',
    ...flags,
  ].join('\n')
}

export function optionsOf(args: readonly string[]): BenchOptions {
  const flags = parsed(args)
  const endpoints = listOf(flags.endpoints).map(urlOf)
  const pids = listOf(flags.pids).map((pid) => wholeNumber('pids', pid))
  if (pids.length > 0 && pids.length !== endpoints.length)
    throw new UsageError('Give as many --pids as --endpoints, in the same order.')
  if (flags.output !== 'table' && flags.output !== 'json')
    throw new UsageError(`There is no output ${flags.output}. Write -o table or -o json.`)
  const against = [...new Set(listOf(flags.against))].map(system)
  return {
    help: flags.help,
    list: flags.list,
    scenarios: chosen(flags.only, flags.long, endpoints.length > 0),
    over: listOf(flags.over).map(protocol),
    against,
    connections: optional(flags.connections, (text) => wholeNumber('connections', text)),
    rounds: optional(flags.rounds, (text) => wholeNumber('rounds', text)) ?? (against.length === 0 ? 1 : 2),
    keys: wholeNumber('keys', flags.keys),
    valueBytes: wholeNumber('value-bytes', flags['value-bytes']),
    seconds: positive('seconds', flags.seconds),
    warmupSeconds: positive('warmup', flags.warmup),
    rate: optional(flags.rate, (text) => wholeNumber('rate', text)) ?? null,
    endpoints,
    pids,
    directory: flags.dir,
    out: flags.out,
    json: flags.output === 'json',
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS }).values
  } catch (error) {
    const [what] = (error as Error).message.split(/\.|\n/)
    throw new UsageError(`${what}. npm run bench -- --help lists the flags.`)
  }
}

/** The named scenarios; by default all that can run, without those that take long. */
function chosen(only: string | undefined, long: boolean, isGiven: boolean): readonly Scenario[] {
  if (only === undefined) {
    return SCENARIOS.filter(
      ({ store, takesLong, breaksNodes }) =>
        (long || (store !== 'ten million' && takesLong !== true)) && !(isGiven && breaksNodes === true),
    )
  }
  const names = listOf(only)
  const unknown = names.find((name) => !SCENARIOS.some((scenario) => scenario.name === name))
  if (unknown !== undefined)
    throw new UsageError(`There is no scenario ${unknown}. npm run bench -- --list shows all.`)
  const found = SCENARIOS.filter(({ name }) => names.includes(name))
  const breaking = found.find(({ breaksNodes }) => breaksNodes === true)
  if (isGiven && breaking !== undefined)
    throw new UsageError(
      `${breaking.name} kills nodes: leave --endpoints out, so that it has its own cluster.`,
    )
  return found
}

const listOf = (text: string | undefined): string[] => (text === undefined ? [] : text.split(','))

const optional = <Value>(text: string | undefined, parse: (text: string) => Value): Value | undefined =>
  text === undefined ? undefined : parse(text)

function system(text: string): System {
  const found = SYSTEMS.find(({ name }) => name === text)
  if (found === undefined) throw new UsageError(`--against takes ${SYSTEM_NAMES}, not ${text}.`)
  return found
}

function protocol(text: string): Over {
  const over = OVER.find((each) => each === text)
  if (over === undefined) throw new UsageError(`--over takes ${OVER.join(', ')}, not ${text}.`)
  return over
}

function wholeNumber(flag: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`--${flag} takes a whole number from 1 on, not ${text}.`)
  return Number(text)
}

function positive(flag: string, text: string): number {
  const number = Number(text)
  if (!(number > 0 && number < Number.POSITIVE_INFINITY))
    throw new UsageError(`--${flag} takes a number of seconds above 0, not ${text}.`)
  return number
}

function urlOf(text: string): string {
  if (!URL.canParse(text) || !text.startsWith('http://'))
    throw new UsageError(`--endpoints takes base URLs like http://127.0.0.1:7301, not ${text}.`)
  return new URL(text).origin
}
