// Keys, ranges and leases as clients may name them, in any cluster. The settings of a cluster may allow less.

import { isSkipped, SETTING_RULES } from '../../kv/index.ts'
import {
  type FreshnessOptions,
  type KeyRange,
  type LeaseId,
  type PutLease,
  prefixEnd,
  type Revision,
  type Where,
} from '../../operations/forms/index.ts'
import type { NodeApi, ReadGrant, ReadRequirements } from '../node/types.ts'
import { ttlMsOf } from './duration.ts'
import { ApiError } from './errors.ts'
import type { Call } from './operation.ts'

const KEY_BYTES_MAX = SETTING_RULES.keyBytesMax.max
const VALUE_BYTES_MAX = SETTING_RULES.valueBytesMax.max

/** `prefix` stands before the sentence of an error. */
export function checkedKey(key: Uint8Array, prefix = ''): Uint8Array {
  if (key.length === 0) throw new ApiError('key_empty', `${prefix}the key is empty`)
  if (key.length > KEY_BYTES_MAX)
    throw new ApiError('key_too_long', `${prefix}key of ${key.length} bytes, at most ${KEY_BYTES_MAX}`)
  return key
}

export function checkedValue(value: Uint8Array, prefix = ''): Uint8Array {
  if (value.length <= VALUE_BYTES_MAX) return value
  const detail = `${prefix}value of ${value.length} bytes, at most ${VALUE_BYTES_MAX}`
  throw new ApiError('value_too_large', detail)
}

/** The first key after the longest one has one byte more, so a longer bound has no use. */
export const BOUND_BYTES_MAX = KEY_BYTES_MAX + 1

export function checkedBound(bound: Uint8Array, name: string): Uint8Array {
  if (bound.length <= BOUND_BYTES_MAX) return bound
  throw new ApiError('key_too_long', `${name} of ${bound.length} bytes, at most ${BOUND_BYTES_MAX}`)
}

/** The keys of a range as a client names them. */
export interface RangeBounds {
  readonly prefix?: Uint8Array | undefined
  readonly start?: Uint8Array | undefined
  readonly end?: Uint8Array | undefined
}

/** All keys if no bound is given. */
export function rangeOf({ prefix, start, end }: RangeBounds): KeyRange {
  if (prefix === undefined) return { start: start ?? NO_BYTES, end }
  if (start !== undefined || end !== undefined)
    throw new ApiError('bad_request', 'prefix cannot be combined with start or end')
  return { start: prefix, end: prefixEnd(prefix) }
}

const NO_BYTES = new Uint8Array()

function checkedRange(bounds: RangeBounds): KeyRange {
  const { prefix, start, end } = bounds
  if (prefix !== undefined) checkedBound(prefix, 'prefix')
  if (start !== undefined) checkedBound(start, 'start')
  if (end !== undefined) checkedBound(end, 'end')
  return rangeOf(bounds)
}

/** A range to delete. `all` confirms a range without bounds. */
export function rangeToDelete(bounds: RangeBounds, all = false): KeyRange {
  if (bounds.prefix === undefined && bounds.start === undefined && bounds.end === undefined)
    throw new ApiError('key_empty', 'name a key, or a range by prefix, or by start and end')
  const range = checkedRange(bounds)
  if (range.start.length === 0 && range.end === undefined && !all)
    throw new ApiError('bad_request', 'this would delete all keys: add all=true if that is meant')
  return range
}

/** A key or a range to watch; all keys if none is named. */
export function whereToWatch(bounds: RangeBounds & { readonly key?: Uint8Array | undefined }): Where {
  const { key, prefix, start, end } = bounds
  if (key !== undefined) {
    if (prefix !== undefined || start !== undefined || end !== undefined)
      throw new ApiError('bad_request', 'key cannot be combined with prefix, start or end')
    return { key: checkedKey(key) }
  }
  const range = checkedRange(bounds)
  if (range.end !== undefined && Buffer.compare(range.start, range.end) >= 0)
    throw new ApiError('bad_request', 'no key is in this range: its start is not before its end')
  return range
}

// ---------------------------------------------------------------------------------------------------------------------
// Leases

/** Text of a lease id. */
export const LEASE_ID_PATTERN = '^[1-9][0-9]{0,19}$'
const LEASE_ID = new RegExp(LEASE_ID_PATTERN)

export function leaseIdOf(text: string, name: string): LeaseId {
  if (LEASE_ID.test(text) && BigInt(text) < 2n ** 64n) return text as LeaseId
  throw new ApiError('bad_request', `${name} must be the id of a lease: 64 bits as a decimal number`)
}

/**
 * The lease of a put, which names a lease or a time to live, in text or in milliseconds that were checked. `prefix` and
 * `ttlName` name the fields in errors.
 */
export function putLeaseOf(
  lease: string | undefined,
  ttl: string | number | undefined,
  prefix = '',
  ttlName = 'ttl',
): PutLease | undefined {
  if (lease !== undefined && ttl !== undefined)
    throw new ApiError('bad_request', `${prefix}lease cannot be combined with ${prefix}${ttlName}`)
  if (lease !== undefined) return { id: leaseIdOf(lease, `${prefix}lease`) }
  if (ttl === undefined) return undefined
  return { ttlMs: typeof ttl === 'number' ? ttl : ttlMsOf(ttl, `${prefix}${ttlName}`) }
}

// ---------------------------------------------------------------------------------------------------------------------
// Names of changes

const TOKEN = /^[\x21-\x7e]{1,255}$/

export const isToken = (text: string): boolean => TOKEN.test(text)

/** Largest sequence number of a session slot. */
export const SEQ_MAX = 2 ** 48 - 1

// ---------------------------------------------------------------------------------------------------------------------
// Reads and deadlines

/** Time until the deadline of a call, at least 1 ms. */
export const timeLeftMs = ({ deadline }: Pick<Call, 'deadline'>): number =>
  Math.max(1, deadline - performance.now())

export function readOptions(freshness: FreshnessOptions, timeoutMs: number): ReadRequirements {
  const { consistency, maxStalenessMs, minRevision } = freshness
  if (maxStalenessMs !== undefined && consistency !== 'stale')
    throw new ApiError('bad_request', 'max_staleness is for stale reads: add consistency=stale')
  return { consistency: consistency ?? 'linearizable', maxStalenessMs, minRevision, timeoutMs }
}

/** Throws `ApiError` if the store cannot be read as it was at `revision`. */
export function checkRevision(node: NodeApi, revision: Revision | undefined, grant: ReadGrant): void {
  if (revision === undefined) return
  const { history } = node
  if (revision > grant.revision)
    throw new ApiError(
      'future_revision',
      `the store is at revision ${grant.revision}, not yet at ${revision}: ` +
        'min_revision waits for a revision',
      { grant },
    )
  const from = isSkipped(revision, history) ? history.skipped.to : history.compacted
  if (revision < from)
    throw new ApiError(
      'compacted',
      `revision ${revision} is compacted: the store can be read from revision ${from} on`,
      { grant, members: { compact_revision: from } },
    )
}
