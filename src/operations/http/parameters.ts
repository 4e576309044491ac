// Query parameters. One table per kind of request defines which exist, how each is read, and how OpenAPI describes it.

import {
  DURATION_PATTERN,
  durationMs,
  MAX_STALENESS_MS_MAX,
  TIMEOUT_MS_DEFAULT,
  TIMEOUT_MS_MAX,
} from '../forms/durations.ts'
import type { FreshnessOptions, ReadConsistency } from '../forms/freshness.ts'
import { ApiError } from '../forms/problems.ts'
import { asRevision, type Revision } from '../forms/store.ts'
import type { Schema } from './json-schema.ts'
import { parameterValue, queryDecode, queryText } from './percent.ts'

export interface Parameter<T> {
  readonly schema: Schema
  /** The number of records in a page is limited by the node, which OpenAPI shows as the maximum. */
  readonly isPageLimit?: true
  /** `text` is the value as it was sent. `name` is for the message, `rowsMax` for a page limit. Throws `ApiError`. */
  readonly read: (text: string, name: string, rowsMax: number) => T
}

export type ParameterTable = Readonly<Record<string, Parameter<unknown>>>

export type ParameterValues<P extends ParameterTable> = {
  readonly [K in keyof P]: P[K] extends Parameter<infer T> ? T | undefined : never
}

/** The parameters in `pairs`. An unknown or repeated one is refused. `rowsMax`: the largest page limit. */
export function readQuery<P extends ParameterTable>(
  pairs: readonly string[],
  table: P,
  rowsMax = Number.MAX_SAFE_INTEGER,
): ParameterValues<P> {
  const values: Record<string, unknown> = {}
  for (const pair of pairs) {
    if (pair === '') continue
    const name = parameterName(pair)
    // The first timeout is already removed, so this is a second one.
    if (name === TIMEOUT || Object.hasOwn(values, name))
      throw new ApiError('bad_request', `${name} is given twice`)
    const parameter = Object.hasOwn(table, name) ? table[name] : undefined
    if (parameter === undefined)
      throw new ApiError(
        'unknown_parameter',
        `unknown parameter ${JSON.stringify(name)}; known: ${[...Object.keys(table), TIMEOUT].join(', ')}`,
      )
    values[name] = parameter.read(parameterValue(pair), name, rowsMax)
  }
  // Every name in `values` is in the table, and its reader has read it.
  return values as ParameterValues<P>
}

/** A query may have tens of thousands of names. Few of them are escaped. */
function parameterName(pair: string): string {
  const equals = pair.indexOf('=')
  return queryText(equals < 0 ? pair : pair.slice(0, equals))
}

const invalid = (name: string, expected: string): ApiError =>
  new ApiError('bad_request', `${name} must be ${expected}`)

export const bytes = (description: string): Parameter<Uint8Array> => ({
  schema: { type: 'string', description: `${description}; percent-encoded bytes` },
  read: queryDecode,
})

export const text = (description: string): Parameter<string> => ({
  schema: { type: 'string', description },
  read: queryText,
})

export const flag = (description: string): Parameter<boolean> => ({
  schema: { type: 'boolean', description },
  read(value, name) {
    const text = queryText(value)
    if (text === '' || text === 'true') return true
    if (text === 'false') return false
    throw invalid(name, 'true or false')
  },
})

export const integer = (description: string, minimum: number, maximum: number): Parameter<number> => ({
  schema: { type: 'integer', description, minimum, maximum },
  read: (value, name) => readInteger(queryText(value), name, minimum, maximum),
})

/** The number of records in a page, or in a stream, which has no limit of the node. */
export const recordLimit = (description: string): Parameter<number> => ({
  schema: { type: 'integer', description, minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
  read: (value, name, rowsMax) => readInteger(queryText(value), name, 1, rowsMax),
})

/** The number of records in a page. */
export const pageLimit = (description: string): Parameter<number> => ({
  ...recordLimit(description),
  isPageLimit: true,
})

function readInteger(text: string, name: string, minimum: number, maximum: number): number {
  const number = Number(text)
  if (!/^[0-9]{1,16}$/.test(text) || number < minimum || number > maximum)
    throw invalid(name, `a whole number from ${minimum} to ${maximum}`)
  return number
}

export const choiceParameter = <T extends string>(
  description: string,
  ...options: readonly T[]
): Parameter<T> => ({
  schema: { type: 'string', enum: options, description },
  read(value, name) {
    const text = queryText(value)
    const found = options.find((option) => option === text)
    if (found === undefined) throw invalid(name, `one of ${options.join(', ')}`)
    return found
  },
})

export const duration = (description: string, maxMs: number, minMs = 0): Parameter<number> => ({
  schema: { type: 'string', description, pattern: DURATION_PATTERN },
  read: (value, name) => durationMs(queryText(value), name, minMs, maxMs),
})

const TIMEOUT = 'timeout'

/** A parameter of every request, which no table contains. */
export const timeout = duration('Answered before it runs out; 5s unless given', TIMEOUT_MS_MAX)

/** The timeout of a request, and the other parameters of its query. Throws `ApiError`. */
export function takeTimeout(pairs: readonly string[]): {
  readonly timeoutMs: number
  readonly others: readonly string[]
} {
  if (pairs.length === 0) return DEFAULT_TIMEOUT
  const at = pairs.findIndex((pair) => parameterName(pair) === TIMEOUT)
  const pair = pairs[at]
  if (pair === undefined) return { timeoutMs: TIMEOUT_MS_DEFAULT, others: pairs }
  return { timeoutMs: timeout.read(parameterValue(pair), TIMEOUT, 0), others: pairs.toSpliced(at, 1) }
}

const DEFAULT_TIMEOUT = { timeoutMs: TIMEOUT_MS_DEFAULT, others: [] as readonly string[] }

/** The parameters of all reads. */
export const READ_PARAMETERS = {
  consistency: choiceParameter<ReadConsistency>(
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

export const freshnessFrom = (values: ParameterValues<typeof READ_PARAMETERS>): FreshnessOptions => ({
  consistency: values.consistency,
  maxStalenessMs: values.max_staleness,
  minRevision: values.min_revision,
})

/** The parameter of reads of keys. */
export const HISTORY_PARAMETERS = {
  revision: revision('The store as it was at that revision; as it is now unless given'),
}

export const TIME_PARAMETER = flag(
  'Say when the node that took it made each change, by its clock, and who deleted a key',
)

export function revision(description: string): Parameter<Revision> {
  const number = integer(description, 1, Number.MAX_SAFE_INTEGER)
  return { schema: number.schema, read: (value, name) => asRevision(number.read(value, name, 0)) }
}
