// Query parameters. One table per kind of request defines which exist, how each is read, and how OpenAPI describes it.

import type { Revision } from '../../kv/index.ts'
import { asRevision } from '../../kv/index.ts'
import type { ReadConsistency } from '../node/types.ts'
import type { Schema } from './json-schema.ts'
import { ApiError } from './problem.ts'
import { queryDecode, valueIn } from './target.ts'

export interface Parameter<T> {
  readonly schema: Schema
  /** `name` is for the message. Throws `Refused`. */
  readonly read: (value: Uint8Array, name: string) => T
}

export type ParameterTable = Readonly<Record<string, Parameter<unknown>>>

export type ParameterValues<P extends ParameterTable> = {
  readonly [K in keyof P]: P[K] extends Parameter<infer T> ? T | undefined : never
}

/** The parameters in `pairs`. An unknown or repeated one is refused. */
export function readQuery<P extends ParameterTable>(pairs: readonly string[], table: P): ParameterValues<P> {
  const values: Record<string, unknown> = {}
  for (const pair of pairs) {
    if (pair === '') continue
    const name = nameOf(pair)
    // The first time-out is already removed, so this is a second one.
    if (name === TIMEOUT || Object.hasOwn(values, name))
      throw new ApiError('bad_request', `${name} is given twice`)
    const parameter = Object.hasOwn(table, name) ? table[name] : undefined
    if (parameter === undefined)
      throw new ApiError('unknown_parameter', `${JSON.stringify(name)} is no parameter here`)
    values[name] = parameter.read(queryDecode(valueIn(pair)), name)
  }
  // Every name in `values` is in the table, and its reader has read it.
  return values as ParameterValues<P>
}

/** A query may have tens of thousands of names. Few of them are escaped. */
function nameOf(pair: string): string {
  const equals = pair.indexOf('=')
  const name = equals < 0 ? pair : pair.slice(0, equals)
  return /[%+]/.test(name) ? textOf(queryDecode(name)) : name
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

const invalid = (name: string, wanted: string): ApiError =>
  new ApiError('bad_request', `${name} must be ${wanted}`)

export const bytes = (description: string): Parameter<Uint8Array> => ({
  schema: { type: 'string', description: `${description}; percent-encoded bytes` },
  read: (value) => value,
})

export const text = (description: string): Parameter<string> => ({
  schema: { type: 'string', description },
  read: textOf,
})

export const flag = (description: string): Parameter<boolean> => ({
  schema: { type: 'boolean', description },
  read(value, name) {
    const text = textOf(value)
    if (text === '' || text === 'true') return true
    if (text === 'false') return false
    throw invalid(name, 'true or false')
  },
})

export const integer = (description: string, minimum: number, maximum: number): Parameter<number> => ({
  schema: { type: 'integer', description, minimum, maximum },
  read(value, name) {
    const text = textOf(value)
    const number = Number(text)
    if (!/^[0-9]{1,16}$/.test(text) || number < minimum || number > maximum)
      throw invalid(name, `a whole number from ${minimum} to ${maximum}`)
    return number
  },
})

export const oneOf = <T extends string>(description: string, ...options: readonly T[]): Parameter<T> => ({
  schema: { type: 'string', enum: options, description },
  read(value, name) {
    const text = textOf(value)
    const found = options.find((option) => option === text)
    if (found === undefined) throw invalid(name, `one of ${options.join(', ')}`)
    return found
  },
})

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

export const duration = (description: string, maxMs: number, minMs = 0): Parameter<number> => ({
  schema: { type: 'string', description, pattern: DURATION.source },
  read: (value, name) => durationMs(textOf(value), name, minMs, maxMs),
})

/** A duration in text. 0 is none. Throws `Refused`. */
export function durationMs(text: string, name: string, minMs: number, maxMs: number): number {
  const [, amount, unit] = DURATION.exec(text) ?? []
  const ms = Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN)
  if (ms > 0 && ms >= minMs && ms <= maxMs) return ms
  const from = minMs === 0 ? 'above 0 and up to' : `from ${minMs / 1000}s to`
  const most =
    maxMs % 3_600_000 === 0 && maxMs > MAX_STALENESS_MS_MAX ? `${maxMs / 3_600_000}h` : `${maxMs / 1000}s`
  throw invalid(name, `a duration ${from} ${most}, such as ${minMs > 500 ? '30s' : '500ms or 3s'}`)
}

const DURATION = /^([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h)$/

export const TIMEOUT_MS_DEFAULT = 5000
export const TIMEOUT_MS_MAX = 60_000
export const MAX_STALENESS_MS_MAX = 24 * 3_600_000

const TIMEOUT = 'timeout'

/** Answers are sent a little before the time-out, so that they arrive in time. */
const TRANSIT_SHARE = 0.05
const TRANSIT_MS_MAX = 20

/** The time from the arrival of a request to its answer. */
export const answerWithinMs = (timeoutMs: number): number =>
  timeoutMs - Math.min(TRANSIT_MS_MAX, timeoutMs * TRANSIT_SHARE)

/** Each request may have it, so no table contains it. */
export const timeout = duration('Answered before it runs out; 5s unless given', TIMEOUT_MS_MAX)

/** The time-out of a request, and the other parameters of its query. Throws `Refused`. */
export function takeTimeout(pairs: readonly string[]): {
  readonly timeoutMs: number
  readonly others: readonly string[]
} {
  const at = pairs.findIndex((pair) => nameOf(pair) === TIMEOUT)
  const pair = pairs[at]
  if (pair === undefined) return { timeoutMs: TIMEOUT_MS_DEFAULT, others: pairs }
  return { timeoutMs: timeout.read(queryDecode(valueIn(pair)), TIMEOUT), others: pairs.toSpliced(at, 1) }
}

/** The parameters of all reads. */
export const READ_PARAMETERS = {
  consistency: oneOf<ReadConsistency>(
    'How fresh the answer must be; linearizable unless given',
    'linearizable',
    'lease',
    'stale',
  ),
  max_staleness: duration(
    'For stale reads: refuse (503 too_stale) when a bound this low cannot be proven',
    MAX_STALENESS_MS_MAX,
  ),
  min_revision: revision('Wait until this node has applied that revision'),
}

/** The parameter of reads of keys. */
export const HISTORY_PARAMETERS = {
  revision: revision('The store as it was at that revision; as it is now unless given'),
}

export function revision(description: string): Parameter<Revision> {
  const number = integer(description, 1, Number.MAX_SAFE_INTEGER)
  return { schema: number.schema, read: (value, name) => asRevision(number.read(value, name)) }
}

export const order = oneOf('Of keys, byte by byte; ascending unless given', 'asc', 'desc')
