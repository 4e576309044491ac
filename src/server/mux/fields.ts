// The fields of an operation. What is wrong in one of them is a problem of this operation, the same as over HTTP, and
// says nothing about the others of its message.

import type {
  BatchedCommand,
  Condition,
  Idempotency,
  KeyRange,
  LeaseId,
  PutLease,
  Revision,
} from '../../kv/index.ts'
import {
  asRevision,
  BATCH_COMMANDS_MAX,
  RENEW_LEASES_MAX,
  SESSION_SLOTS_MAX,
  SETTING_RULES,
  TAGS_MAX,
  TTL_MS_MAX,
  TTL_MS_MIN,
} from '../../kv/index.ts'
import { rangeOf } from '../http/delete-range.ts'
import { isToken, SEQ_MAX } from '../http/idempotency-headers.ts'
import { checkedKey } from '../http/key.ts'
import { leaseIdOf } from '../http/lease-values.ts'
import { MAX_STALENESS_MS_MAX, TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX } from '../http/parameters.ts'
import { ApiError } from '../http/problem.ts'
import type { RangeValues } from '../http/range-reading.ts'
import type { Freshness } from '../http/read-options.ts'
import type { NodeApi } from '../node/types.ts'
import type { Item } from './messages.ts'
import { DELETE, PUT } from './protocol.ts'

const VALUE_BYTES_MAX = SETTING_RULES.valueBytesMax.max

export const invalid = (name: string, wanted: string): ApiError =>
  new ApiError('bad_request', `${name} must be ${wanted}`)

/** An absent field is nil. */
export const isNil = (field: unknown): field is null | undefined => field === null || field === undefined

export function checkLength(item: Item, fieldsMax: number): void {
  if (item.length > fieldsMax)
    throw new ApiError('bad_request', `this operation has at most ${fieldsMax} elements, not ${item.length}`)
}

export function readTimeout(field: unknown): number {
  if (isNil(field)) return TIMEOUT_MS_DEFAULT
  if (typeof field === 'number' && field > 0 && field <= TIMEOUT_MS_MAX) return field
  throw invalid('timeout_ms', `a number above 0 and up to ${TIMEOUT_MS_MAX}`)
}

/** The bytes of a field; a string means its UTF-8. */
export function readBytes(field: unknown, name: string): Buffer {
  if (Buffer.isBuffer(field)) return field
  if (typeof field === 'string') return Buffer.from(field)
  throw invalid(name, 'bytes or a string')
}

/** How many bytes a field has; 0 for what is neither bytes nor a string. */
export function bytesIn(field: unknown): number {
  if (Buffer.isBuffer(field)) return field.length
  return typeof field === 'string' ? Buffer.byteLength(field) : 0
}

export const readKey = (field: unknown): Uint8Array => checkedKey(readBytes(field, 'key'))

export function readValue(field: unknown): Uint8Array {
  const value = readBytes(field, 'value')
  if (value.length > VALUE_BYTES_MAX)
    throw new ApiError('value_too_large', `value of ${value.length} bytes, at most ${VALUE_BYTES_MAX}`)
  return value
}

export function readIdentity(field: unknown): Idempotency | undefined {
  if (isNil(field)) return undefined
  if (!Array.isArray(field) || field.length < 1 || field.length > 3)
    throw invalid('identity', '[token], [token, since] or [session, slot, seq]')
  if (field.length === 3) return readSlot(field)
  const [token, since] = field
  if (typeof token !== 'string' || !isToken(token))
    throw invalid('the token of identity', 'a string of 1 to 255 visible ASCII characters')
  return { token, since: isNil(since) ? undefined : readRevision(since, 'since of identity') }
}

/** The changes of a batch. */
export function readChanges(field: unknown, node: LeaseBounds): readonly BatchedCommand[] {
  if (!Array.isArray(field) || field.length < 1 || field.length > BATCH_COMMANDS_MAX)
    throw invalid('changes', `a list of 1 to ${BATCH_COMMANDS_MAX} changes`)
  return field.map((each, at) => {
    try {
      return readChange(each, node)
    } catch (error) {
      throw error instanceof ApiError ? new ApiError(error.code, `changes[${at}]: ${error.message}`) : error
    }
  })
}

function readChange(field: unknown, node: LeaseBounds): BatchedCommand {
  const isPut = Array.isArray(field) && field[0] === PUT
  if (!Array.isArray(field) || !(isPut || field[0] === DELETE))
    throw invalid('a change', `[${PUT}, key, value, conditions] or [${DELETE}, key, conditions]`)
  checkLength(field, isPut ? 4 : 3)
  const key = readKey(field[1])
  if (!isPut) {
    const { condition, prev } = readConditions(field[2])
    if (prev) throw invalid('prev', 'false in a batch')
    return { kind: 'delete', key, condition, prev }
  }
  const { condition, prev, lease } = readPutOptions(field[3], node)
  if (prev) throw invalid('prev', 'false in a batch')
  return { kind: 'put', key, value: readValue(field[2]), condition, prev, lease }
}

/** How many bytes the keys and values of a batch have. */
export function changesBytes(field: unknown): number {
  let bytes = 0
  if (!Array.isArray(field)) return bytes
  for (const change of field) {
    if (!Array.isArray(change)) continue
    bytes += bytesIn(change[1])
    if (change[0] === PUT) bytes += bytesIn(change[2])
  }
  return bytes
}

function readSlot([session, slot, seq]: readonly unknown[]): Idempotency {
  return {
    session: readNumber(session, 'the session of identity', 1, Number.MAX_SAFE_INTEGER),
    slot: readNumber(slot, 'the slot of identity', 0, SESSION_SLOTS_MAX - 1),
    seq: readNumber(seq, 'seq of identity', 1, SEQ_MAX),
  }
}

export function readRevision(field: unknown, name: string): Revision {
  if (typeof field === 'number' && Number.isSafeInteger(field) && field >= 1) return asRevision(field)
  throw invalid(name, 'a revision')
}

export type Fields<N extends string> = ReadonlyMap<N, unknown>

/** A map with some of these names. */
export function readMap<N extends string>(field: unknown, name: string, names: readonly N[]): Fields<N> {
  if (!(field instanceof Map)) throw invalid(name, 'a map')
  for (const key of field.keys())
    if (!names.includes(key))
      throw new ApiError('unknown_parameter', `${JSON.stringify(key)} is not known in ${name}`)
  return field
}

const CONDITIONS = ['if_match', 'if_none_match', 'prev'] as const
const PUT_OPTIONS = [...CONDITIONS, 'lease', 'ttl_ms'] as const

export interface Conditions {
  readonly condition: Condition | undefined
  readonly prev: boolean
}

type LeaseBounds = Pick<NodeApi, 'leaseTtlMsMin'>

export const readConditions = (field: unknown): Conditions =>
  isNil(field) ? UNCONDITIONAL : conditionsIn(readMap(field, 'conditions', CONDITIONS))

/** Of a put: its conditions, and its lease. */
export function readPutOptions(
  field: unknown,
  node: LeaseBounds,
): Conditions & { readonly lease?: PutLease | undefined } {
  if (isNil(field)) return UNCONDITIONAL
  const given = readMap(field, 'conditions', PUT_OPTIONS)
  const id = readText(given.get('lease'), 'lease')
  const ttlMs = readTtl(given.get('ttl_ms'), node)
  if (id !== undefined && ttlMs !== undefined)
    throw new ApiError('bad_request', 'lease cannot be combined with ttl_ms')
  const ofItsOwn = ttlMs === undefined ? undefined : { ttlMs }
  return { ...conditionsIn(given), lease: id === undefined ? ofItsOwn : { id: leaseIdOf(id, 'lease') } }
}

function readTtl(field: unknown, { leaseTtlMsMin }: LeaseBounds): number | undefined {
  if (isNil(field)) return undefined
  if (typeof field === 'number' && field >= TTL_MS_MIN && field <= TTL_MS_MAX)
    return Math.max(leaseTtlMsMin, Math.ceil(field))
  throw invalid('ttl_ms', `a number from ${TTL_MS_MIN} to ${TTL_MS_MAX}`)
}

/** The leases to keep alive. */
export function readLeases(field: unknown): readonly LeaseId[] {
  if (!Array.isArray(field) || field.length < 1 || field.length > RENEW_LEASES_MAX)
    throw invalid('leases', `a list of 1 to ${RENEW_LEASES_MAX} ids`)
  return field.map((id, at) => leaseIdOf(typeof id === 'string' ? id : '', `leases[${at}]`))
}

function conditionsIn(given: { readonly get: (name: (typeof CONDITIONS)[number]) => unknown }): Conditions {
  const ifMatch = readTags(given.get('if_match'), 'if_match')
  const ifNoneMatch = readTags(given.get('if_none_match'), 'if_none_match')
  const condition = ifMatch === undefined && ifNoneMatch === undefined ? undefined : { ifMatch, ifNoneMatch }
  return { condition, prev: readFlag(given.get('prev'), 'prev') ?? false }
}

const UNCONDITIONAL = { condition: undefined, prev: false } as const

function readTags(field: unknown, name: string): 'any' | readonly Revision[] | undefined {
  if (isNil(field)) return undefined
  if (field === '*') return 'any'
  if (!Array.isArray(field) || field.length === 0) throw invalid(name, '"*" or a list of revisions')
  if (field.length > TAGS_MAX)
    throw new ApiError('bad_request', `${name} may have at most ${TAGS_MAX} revisions`)
  return field.map((revision) => readTag(revision, name))
}

/** As an entity tag of HTTP: no key is ever at revision 0. */
const readTag = (field: unknown, name: string): Revision =>
  field === 0 ? asRevision(0) : readRevision(field, `an element of ${name}`)

export function readFlag(field: unknown, name: string): boolean | undefined {
  if (isNil(field)) return undefined
  if (typeof field === 'boolean') return field
  throw invalid(name, 'true or false')
}

export function readOneOf<T extends string>(
  field: unknown,
  name: string,
  options: readonly T[],
): T | undefined {
  if (isNil(field)) return undefined
  const found = options.find((option) => option === field)
  if (found === undefined) throw invalid(name, `one of ${options.join(', ')}`)
  return found
}

export const readWhole = (field: unknown, name: string, min: number, max: number): number | undefined =>
  isNil(field) ? undefined : readNumber(field, name, min, max)

function readNumber(field: unknown, name: string, min: number, max: number): number {
  if (typeof field === 'number' && Number.isInteger(field) && field >= min && field <= max) return field
  throw invalid(name, `a whole number from ${min} to ${max}`)
}

export function readText(field: unknown, name: string): string | undefined {
  if (isNil(field) || typeof field === 'string') return field ?? undefined
  throw invalid(name, 'a string')
}

const FRESHNESS = ['consistency', 'max_staleness_ms'] as const
const CONSISTENCIES = ['linearizable', 'lease', 'stale'] as const

export function readFreshness(minRevision: unknown, field: unknown): Freshness {
  const min_revision = isNil(minRevision) ? undefined : readRevision(minRevision, 'min_revision')
  if (isNil(field)) return { consistency: undefined, max_staleness: undefined, min_revision }
  const given = readMap(field, 'freshness', FRESHNESS)
  return {
    consistency: readOneOf(given.get('consistency'), 'consistency', CONSISTENCIES),
    max_staleness: readStaleness(given.get('max_staleness_ms')),
    min_revision,
  }
}

function readStaleness(field: unknown): number | undefined {
  if (isNil(field)) return undefined
  if (typeof field === 'number' && field > 0 && field <= MAX_STALENESS_MS_MAX) return field
  throw invalid('max_staleness_ms', `a number above 0 and up to ${MAX_STALENESS_MS_MAX}`)
}

const RANGE_FIELDS = [
  'prefix',
  'start',
  'end',
  'after',
  'limit',
  'order',
  'keys_only',
  'count',
  'count_only',
  'revision',
] as const
const ORDERS = ['asc', 'desc'] as const

export function readRange(field: unknown, limitMax: number): RangeValues {
  const given: Fields<(typeof RANGE_FIELDS)[number]> = isNil(field)
    ? new Map()
    : readMap(field, 'the range', RANGE_FIELDS)
  const bytes = (name: 'prefix' | 'start' | 'end' | 'after'): Uint8Array | undefined =>
    isNil(given.get(name)) ? undefined : readBytes(given.get(name), name)
  const flag = (name: 'keys_only' | 'count' | 'count_only'): boolean | undefined =>
    readFlag(given.get(name), name)
  return {
    prefix: bytes('prefix'),
    start: bytes('start'),
    end: bytes('end'),
    after: bytes('after'),
    limit: readWhole(given.get('limit'), 'limit', 1, limitMax),
    order: readOneOf(given.get('order'), 'order', ORDERS),
    keys_only: flag('keys_only'),
    count: flag('count'),
    count_only: flag('count_only'),
    revision: readAsOf(given.get('revision')),
  }
}

/** The revision at which the store is to be read; undefined: as it is now. */
export const readAsOf = (field: unknown): Revision | undefined =>
  isNil(field) ? undefined : readRevision(field, 'revision')

const DELETE_RANGE_FIELDS = ['prefix', 'start', 'end', 'all'] as const

/** The range of keys to delete. */
export function readDeleteRange(field: unknown): KeyRange {
  const given = readMap(field, 'the range', DELETE_RANGE_FIELDS)
  const bytes = (name: 'prefix' | 'start' | 'end'): Uint8Array | undefined =>
    isNil(given.get(name)) ? undefined : readBytes(given.get(name), name)
  const all = readFlag(given.get('all'), 'all')
  return rangeOf({ prefix: bytes('prefix'), start: bytes('start'), end: bytes('end'), all })
}
