// The fields that operations share on the multiplexed connection, both ends: conditions of a change, the lease of a
// put, the name of a change, and how fresh a read must be.

import { type Condition, TAGS_MAX } from '../forms/conditions.ts'
import { MAX_STALENESS_MS_MAX } from '../forms/durations.ts'
import type { FreshnessOptions } from '../forms/freshness.ts'
import { type Idempotency, isToken, SEQ_MAX, SESSION_SLOTS_MAX } from '../forms/idempotency.ts'
import { checkKeepsNothing, type KeptParts, type PutLease, parsePutLease } from '../forms/leases.ts'
import type { KeyRange, Where } from '../forms/places.ts'
import { ApiError } from '../forms/problems.ts'
import { asRevision, type Revision, TTL_MS_MAX, TTL_MS_MIN } from '../forms/store.ts'
import {
  decodeChoice,
  decodeFlag,
  decodeMap,
  decodeNumber,
  decodeRevisionField,
  decodeText,
  invalidField,
  isNil,
  type NamedFields,
} from './fields.ts'
import type { Item } from './form.ts'

// ---------------------------------------------------------------------------------------------------------------------
// Conditions, and the lease of a put

const CONDITIONS = ['if_match', 'if_none_match', 'prev'] as const
const PUT_OPTIONS = [...CONDITIONS, 'lease', 'ttl_ms'] as const

/** Options of a change, beside its key and its value. */
interface ChangeOptions {
  readonly condition: Condition | undefined
  readonly prev: boolean
}

interface PutOptions extends ChangeOptions, KeptParts {
  readonly lease?: PutLease | undefined
}

/** undefined: there is nothing to send. Throws `ApiError` for what this wire cannot say. */
export function encodePutOptions(put: PutOptions): object | undefined {
  checkKeepsNothing(put)
  const { condition, prev, lease } = put
  if (lease === undefined) return encodeDeleteOptions(condition, prev)
  const options = encodeConditions(condition, prev)
  if ('id' in lease) options.lease = lease.id
  else options.ttl_ms = lease.ttlMs
  return options
}

/** undefined: there is nothing to send. */
export const encodeDeleteOptions = (condition: Condition | undefined, prev: boolean): object | undefined =>
  condition === undefined && !prev ? undefined : encodeConditions(condition, prev)

function encodeConditions(condition: Condition | undefined, prev: boolean): Record<string, unknown> {
  const options: Record<string, unknown> = {}
  if (condition?.ifMatch !== undefined) options.if_match = tagsField(condition.ifMatch)
  if (condition?.ifNoneMatch !== undefined) options.if_none_match = tagsField(condition.ifNoneMatch)
  if (prev) options.prev = true
  return options
}

const tagsField = (tags: 'any' | readonly Revision[]): '*' | readonly Revision[] =>
  tags === 'any' ? '*' : tags

export function decodePutOptions(field: unknown): PutOptions {
  if (isNil(field)) return UNCONDITIONAL
  const options = decodeMap(field, 'conditions', PUT_OPTIONS)
  const id = decodeText(options.get('lease'), 'lease')
  const ttlMs = decodeTtl(options.get('ttl_ms'))
  const { condition, prev } = decodeConditions(options)
  return { condition, prev, lease: parsePutLease(id, ttlMs, '', 'ttl_ms') }
}

export const decodeDeleteOptions = (field: unknown): ChangeOptions =>
  isNil(field) ? UNCONDITIONAL : decodeConditions(decodeMap(field, 'conditions', CONDITIONS))

const UNCONDITIONAL = { condition: undefined, prev: false } as const

function decodeConditions(options: NamedFields<(typeof CONDITIONS)[number]>): ChangeOptions {
  const ifMatch = decodeTags(options.get('if_match'), 'if_match')
  const ifNoneMatch = decodeTags(options.get('if_none_match'), 'if_none_match')
  const condition = ifMatch === undefined && ifNoneMatch === undefined ? undefined : { ifMatch, ifNoneMatch }
  return { condition, prev: decodeFlag(options.get('prev'), 'prev') ?? false }
}

function decodeTags(field: unknown, name: string): 'any' | readonly Revision[] | undefined {
  if (isNil(field)) return undefined
  if (field === '*') return 'any'
  if (!Array.isArray(field) || field.length === 0) throw invalidField(name, '"*" or a list of revisions')
  if (field.length > TAGS_MAX)
    throw new ApiError('bad_request', `${name} may have at most ${TAGS_MAX} revisions`)
  return field.map((revision) => decodeTag(revision, name))
}

/** 0 is allowed, as in entity tags of HTTP: no key is ever at revision 0. */
const decodeTag = (field: unknown, name: string): Revision =>
  field === 0 ? asRevision(0) : decodeRevisionField(field, `an element of ${name}`)

function decodeTtl(field: unknown): number | undefined {
  if (isNil(field)) return undefined
  if (typeof field === 'number' && field >= TTL_MS_MIN && field <= TTL_MS_MAX) return Math.ceil(field)
  throw invalidField('ttl_ms', `a number from ${TTL_MS_MIN} to ${TTL_MS_MAX}`)
}

/** A number in an item: its type and 64 bits. */
const NUMBER_BYTES = 9

/** At most the bytes of a condition beyond one revision. */
export function conditionSize(condition: Condition | undefined): number {
  if (condition === undefined) return 0
  return NUMBER_BYTES * (tagCount(condition.ifMatch) + tagCount(condition.ifNoneMatch))
}

const tagCount = (tags: 'any' | readonly Revision[] | undefined): number =>
  tags === undefined || tags === 'any' ? 0 : tags.length

// ---------------------------------------------------------------------------------------------------------------------
// The name of a change

export function encodeIdempotency(idempotency: Idempotency | undefined): Item | null {
  if (idempotency === undefined) return null
  if ('session' in idempotency) return [idempotency.session, idempotency.slot, idempotency.seq]
  const { token, since } = idempotency
  return since === undefined ? [token] : [token, since]
}

export function decodeIdempotency(field: unknown): Idempotency | undefined {
  if (isNil(field)) return undefined
  if (!Array.isArray(field) || field.length < 1 || field.length > 3)
    throw invalidField('identity', '[token], [token, since] or [session, slot, seq]')
  if (field.length === 3) return decodeSessionSlot(field)
  const [token, since] = field
  if (typeof token !== 'string' || !isToken(token))
    throw invalidField('the token of identity', 'a string of 1 to 255 visible ASCII characters')
  return { token, since: isNil(since) ? undefined : decodeRevisionField(since, 'since of identity') }
}

const decodeSessionSlot = ([session, slot, seq]: Item): Idempotency => ({
  session: decodeNumber(session, 'the session of identity', 1, Number.MAX_SAFE_INTEGER),
  slot: decodeNumber(slot, 'the slot of identity', 0, SESSION_SLOTS_MAX - 1),
  seq: decodeNumber(seq, 'seq of identity', 1, SEQ_MAX),
})

/** At most the bytes of a name beyond a slot of a session. */
export const idempotencySize = (idempotency: Idempotency | undefined): number =>
  idempotency !== undefined && 'token' in idempotency ? idempotency.token.length : 0

// ---------------------------------------------------------------------------------------------------------------------
// Freshness of a read

const FRESHNESS = ['consistency', 'max_staleness_ms'] as const
const CONSISTENCIES = ['linearizable', 'lease', 'stale'] as const

/** The revision that the node must have applied is a field of its own. */
export const minRevisionField = ({ minRevision }: FreshnessOptions): Revision | null => minRevision || null

export function encodeFreshness({ consistency, maxStalenessMs }: FreshnessOptions): object | null {
  if (maxStalenessMs === undefined) return consistency === undefined ? null : { consistency }
  if (consistency === undefined) return { max_staleness_ms: maxStalenessMs }
  return { consistency, max_staleness_ms: maxStalenessMs }
}

export function decodeFreshness(revision: unknown, field: unknown): FreshnessOptions {
  const minRevision = isNil(revision) ? undefined : decodeRevisionField(revision, 'min_revision')
  if (isNil(field)) return { minRevision }
  const fields = decodeMap(field, 'freshness', FRESHNESS)
  return {
    consistency: decodeChoice(fields.get('consistency'), 'consistency', CONSISTENCIES),
    maxStalenessMs: decodeStaleness(fields.get('max_staleness_ms')),
    minRevision,
  }
}

function decodeStaleness(field: unknown): number | undefined {
  if (isNil(field)) return undefined
  if (typeof field === 'number' && field > 0 && field <= MAX_STALENESS_MS_MAX) return field
  throw invalidField('max_staleness_ms', `a number above 0 and up to ${MAX_STALENESS_MS_MAX}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// Ranges

/** The bounds of a range, or its prefix. One that has all keys before its end does not name its start. */
export function encodeBounds({ start, end, isPrefix }: KeyRange): Record<string, unknown> {
  if (isPrefix === true) return { prefix: start }
  const bounds: Record<string, unknown> = {}
  if (start.length > 0) bounds.start = start
  if (end !== undefined) bounds.end = end
  return bounds
}

/** Bytes of a key, or of the bounds of a range, as they are encoded. */
export const encodedWhereBytes = (where: Where): number =>
  'key' in where ? where.key.length : rangeBytes(where)

/** Bytes of the bounds of a range as they are encoded: a prefix counts once. */
export const rangeBytes = ({ start, end, isPrefix }: KeyRange): number =>
  start.length + (isPrefix === true || end === undefined ? 0 : end.length)
