// A schedule as a short text for the fragment of a URL. It names what differs from the cluster of the lab, and has one
// line for each operation and fault:
//
//   seed=3,nodes=5;1200:put,client=0,node=leader,key=1,x=1;2000:isolate,target=leader,ms=4000
//
// Lists are written as (0+1+2). All characters are allowed in a fragment as they are. The moment that a page shows
// (link-moment.ts) may be in the first part too.

import { isObject } from '../../src/operations/forms/decode.ts'
import { parseSchedule } from '../sim/schedule/parse.ts'
import { ALL_OPS, SCHEDULE_VERSION, type Schedule } from '../sim/schedule/schedule.ts'
import type { NewLine } from './lab-run.ts'
import { LAB_CONFIG } from './lab-schedule.ts'
import { linkMoment, withMoment } from './link-moment.ts'

const OPERATIONS: ReadonlySet<string> = new Set(ALL_OPS)

export function formatLink({ seed, rule, config, ops, faults }: Schedule): string {
  const { limits, shortDisks = 1, ...others } = config
  const numbers = { ...others, shortDisks }
  const changed = { ...differing(numbers, LAB_CONFIG), ...differing(limits, LAB_CONFIG.limits, 'limits.') }
  const lines = [...ops, ...faults].map(
    ({ at, kind, ...fields }) => `${at}:${[kind, ...pairs(fields)].join()}`,
  )
  return [pairs({ seed, rule, ...changed }).join(), ...lines].join(';')
}

/** A line without its time: `put,client=0,node=leader,key=1,x=41`. Throws `RangeError` for any other text. */
export function parseNewLine(text: string): NewLine {
  const { ops, faults } = parseLink(`;0:${text}`)
  const [line] = [...ops, ...faults]
  if (line === undefined || ops.length + faults.length > 1)
    throw new RangeError(`expected one line, found ${JSON.stringify(text)}`)
  const { at, ...others } = line
  return others
}

/** The schedule of a link. Throws `RangeError` for any other text. */
export function parseLink(text: string): Schedule {
  if (Number.isNaN(linkMoment(text))) throw new RangeError('at: expected a time in virtual milliseconds')
  const [head = '', ...lines] = withMoment(text, undefined).split(';')
  const { seed = 1, rule, ...changed } = fields(head === '' ? [] : head.split(','), 'the first part')
  const limits: Record<string, unknown> = { ...LAB_CONFIG.limits }
  const config: Record<string, unknown> = { ...LAB_CONFIG, limits }
  for (const [name, value] of Object.entries(changed))
    if (name.startsWith('limits.')) limits[name.slice('limits.'.length)] = value
    else config[name] = value
  const parsed = lines.filter((line) => line !== '').map(parseLine)
  return parseSchedule(
    JSON.stringify({
      ...{ version: SCHEDULE_VERSION, seed, rule, config },
      ops: parsed.filter(({ kind }) => OPERATIONS.has(kind)),
      faults: parsed.filter(({ kind }) => !OPERATIONS.has(kind)),
    }),
  )
}

function parseLine(line: string): { readonly at: number; readonly kind: string } {
  const [, at, kind = '', rest] = /^(\d+):([\w-]+)((?:,.*)?)$/.exec(line) ?? []
  if (at === undefined)
    throw new RangeError(`expected TIME:KIND,FIELD=VALUE,…, found ${JSON.stringify(line)}`)
  return { at: Number(at), kind, ...fields(rest?.split(',').slice(1) ?? [], JSON.stringify(line)) }
}

function fields(parts: readonly string[], where: string): Record<string, unknown> {
  return Object.fromEntries(
    parts.map((part) => {
      const [, name, value = ''] = /^([\w.]+)=(.*)$/.exec(part) ?? []
      if (name === undefined)
        throw new RangeError(`${where}: expected FIELD=VALUE, found ${JSON.stringify(part)}`)
      return [name, parseValue(value)]
    }),
  )
}

function parseValue(text: string): unknown {
  const list = /^\((.*)\)$/.exec(text)?.[1]
  if (list !== undefined) return list === '' ? [] : list.split('+').map(parseValue)
  if (/^-?\d+(\.\d+)?(e-\d+)?$/.test(text)) return Number(text)
  return text === 'true' ? true : text === 'false' ? false : text
}

const formatValue = (value: unknown): string =>
  Array.isArray(value) ? `(${value.map(formatValue).join('+')})` : String(value)

const pairs = (values: object): string[] =>
  Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${formatValue(value)}`],
  )

function differing(values: object, usual: object, prefix = ''): Record<string, unknown> {
  const before: Readonly<Record<string, unknown>> = isObject(usual) ? usual : {}
  return Object.fromEntries(
    Object.entries(values)
      .filter(([name, value]) => value !== before[name])
      .map(([name, value]) => [prefix + name, value]),
  )
}
