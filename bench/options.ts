// The flags of `npm run bench`. A wrong one is refused with a sentence that says what to do.

import { parseArgs } from 'node:util'
import type { Over } from './load/load.ts'
import { SCENARIOS } from './scenarios/index.ts'
import type { Scenario } from './scenarios/scenario.ts'

export interface Options {
  readonly list: boolean
  readonly scenarios: readonly Scenario[]
  /** Protocols of quorate. */
  readonly over: readonly Over[]
  readonly againstEtcd: boolean
  /** undefined: one to quorate; to etcd the best of a few, which is found before the run. */
  readonly connections: number | undefined
  readonly rounds: number
  readonly keys: number
  readonly valueBytes: number
  readonly seconds: number
  readonly warmupSeconds: number
  /** Operations a second in an open loop; null: closed loop. */
  readonly rate: number | null
  /** A cluster of the user; empty: one is started. */
  readonly endpoints: readonly string[]
  readonly pids: readonly number[]
  /** undefined: the program chooses. */
  readonly directory: string | undefined
  readonly out: string
  readonly json: boolean
}

export class UsageError extends Error {}

const OVER: readonly Over[] = ['http', 'client', 'mux']

export function optionsOf(args: readonly string[]): Options {
  const flags = parsed(args)
  const endpoints = listOf(flags.endpoints).map(urlOf)
  const pids = listOf(flags.pids).map((pid) => wholeNumber('pids', pid))
  if (pids.length > 0 && pids.length !== endpoints.length)
    throw new UsageError('Give as many --pids as --endpoints, in the same order.')
  if (flags.against !== undefined && flags.against !== 'etcd')
    throw new UsageError(`There is no comparison with ${flags.against}. Write --against etcd.`)
  if (flags.output !== 'table' && flags.output !== 'json')
    throw new UsageError(`There is no output ${flags.output}. Write -o table or -o json.`)
  const againstEtcd = flags.against === 'etcd'
  return {
    list: flags.list,
    scenarios: chosen(flags.only, flags.long, endpoints.length > 0),
    over: listOf(flags.over).map(protocol),
    againstEtcd,
    connections: optional(flags.connections, (text) => wholeNumber('connections', text)),
    rounds: optional(flags.rounds, (text) => wholeNumber('rounds', text)) ?? (againstEtcd ? 2 : 1),
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
    return parseArgs({
      args: [...args],
      options: {
        list: { type: 'boolean', default: false },
        only: { type: 'string' },
        long: { type: 'boolean', default: false },
        over: { type: 'string', default: 'http,client' },
        against: { type: 'string' },
        connections: { type: 'string' },
        rounds: { type: 'string' },
        keys: { type: 'string', default: '1000000' },
        'value-bytes': { type: 'string', default: '256' },
        seconds: { type: 'string', default: '10' },
        warmup: { type: 'string', default: '2' },
        rate: { type: 'string' },
        endpoints: { type: 'string' },
        pids: { type: 'string' },
        dir: { type: 'string' },
        out: { type: 'string', default: 'bench.json' },
        output: { type: 'string', short: 'o', default: 'table' },
      },
    }).values
  } catch (error) {
    const [what] = (error as Error).message.split(/\.|\n/)
    throw new UsageError(`${what}. The flags are in bench/README.md.`)
  }
}

/** Those named; else all, without those that need ten million keys unless they are asked for, or cannot run. */
function chosen(only: string | undefined, long: boolean, isGiven: boolean): readonly Scenario[] {
  if (only === undefined) {
    return SCENARIOS.filter(
      ({ store, breaksNodes }) => (long || store !== 'ten million') && !(isGiven && breaksNodes === true),
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
