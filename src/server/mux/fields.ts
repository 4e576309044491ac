// The fields of an item as MessagePack has them. A fault in a field is an error of its operation, and does not affect
// the others of its message.

import {
  ApiError,
  asRevision,
  BOUND_BYTES_MAX,
  type FreshnessOptions,
  type Idempotency,
  isToken,
  type LeaseId,
  leaseIdOf,
  MAX_STALENESS_MS_MAX,
  type Revision,
  SEQ_MAX,
  SESSION_SLOTS_MAX,
} from '../../operations/forms/index.ts'
import { TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX } from '../../operations/forms/parameters.ts'
import { RENEW_LEASES_MAX } from '../../operations/keep-alive.ts'
import type { Item } from './messages.ts'

export const invalid = (name: string, expected: string): ApiError =>
  new ApiError('bad_request', `${name} must be ${expected}`)

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

/**
 * The bytes of a field; a string means its UTF-8. An operation may wait for a minute. Bytes that share the memory of
 * their message keep all of it for so long, so they are copied, unless they are most of it.
 */
export function readBytes(field: unknown, name: string): Buffer {
  if (Buffer.isBuffer(field)) return 2 * field.length < field.buffer.byteLength ? Buffer.from(field) : field
  if (typeof field === 'string') return Buffer.from(field)
  throw invalid(name, 'bytes or a string')
}

/**
 * A bound of a range to read. No key is longer than the longest one, so the rest of a longer bound decides nothing: it
 * is dropped, and not kept while the read waits.
 */
export function readBound(field: unknown, name: string): Uint8Array {
  const bound = readBytes(field, name)
  return bound.length <= BOUND_BYTES_MAX ? bound : Buffer.from(bound.subarray(0, BOUND_BYTES_MAX))
}

/** Number of bytes of a field; 0 if it is neither bytes nor a string. */
export function bytesIn(field: unknown): number {
  if (Buffer.isBuffer(field)) return field.length
  return typeof field === 'string' ? Buffer.byteLength(field) : 0
}

export function readIdempotency(field: unknown): Idempotency | undefined {
  if (isNil(field)) return undefined
  if (!Array.isArray(field) || field.length < 1 || field.length > 3)
    throw invalid('identity', '[token], [token, since] or [session, slot, seq]')
  if (field.length === 3) return readSessionSlot(field)
  const [token, since] = field
  if (typeof token !== 'string' || !isToken(token))
    throw invalid('the token of identity', 'a string of 1 to 255 visible ASCII characters')
  return { token, since: isNil(since) ? undefined : readRevision(since, 'since of identity') }
}

function readSessionSlot([session, slot, seq]: readonly unknown[]): Idempotency {
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

/** The leases to keep alive. */
export function readLeases(field: unknown): readonly LeaseId[] {
  if (!Array.isArray(field) || field.length < 1 || field.length > RENEW_LEASES_MAX)
    throw invalid('leases', `a list of 1 to ${RENEW_LEASES_MAX} ids`)
  return field.map((id, at) => leaseIdOf(typeof id === 'string' ? id : '', `leases[${at}]`))
}

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

export function readNumber(field: unknown, name: string, min: number, max: number): number {
  if (typeof field === 'number' && Number.isInteger(field) && field >= min && field <= max) return field
  throw invalid(name, `a whole number from ${min} to ${max}`)
}

export function readText(field: unknown, name: string): string | undefined {
  if (isNil(field) || typeof field === 'string') return field ?? undefined
  throw invalid(name, 'a string')
}

const FRESHNESS = ['consistency', 'max_staleness_ms'] as const
const CONSISTENCIES = ['linearizable', 'lease', 'stale'] as const

export function readFreshness(revision: unknown, field: unknown): FreshnessOptions {
  const minRevision = isNil(revision) ? undefined : readRevision(revision, 'min_revision')
  if (isNil(field)) return { minRevision }
  const fields = readMap(field, 'freshness', FRESHNESS)
  return {
    consistency: readOneOf(fields.get('consistency'), 'consistency', CONSISTENCIES),
    maxStalenessMs: readStaleness(fields.get('max_staleness_ms')),
    minRevision,
  }
}

function readStaleness(field: unknown): number | undefined {
  if (isNil(field)) return undefined
  if (typeof field === 'number' && field > 0 && field <= MAX_STALENESS_MS_MAX) return field
  throw invalid('max_staleness_ms', `a number above 0 and up to ${MAX_STALENESS_MS_MAX}`)
}

/** The revision at which the store is read; undefined: as it is now. */
export const readAsOf = (field: unknown): Revision | undefined =>
  isNil(field) ? undefined : readRevision(field, 'revision')
