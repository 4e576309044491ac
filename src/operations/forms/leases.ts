// Leases, as operations name them.

import { decodeOptionalString, disagree } from './decode.ts'
import { durationText, parseTtlMs } from './durations.ts'
import { ApiError, unsayable } from './problems.ts'
import type { LeaseId } from './store.ts'

/** The lease of a key that is put: one that exists, or one of its own. */
export type PutLease = { readonly id: LeaseId } | { readonly ttlMs: number }

/**
 * The parts of its key that a put leaves as they are. They must exist: otherwise nothing of the request is done. Only
 * etcd's API says them: the contracts of the other wires have no such option.
 */
export interface KeptParts {
  /** The value of the request is empty then. */
  readonly keepsValue?: true | undefined
  /** The request names no lease then. */
  readonly keepsLease?: true | undefined
}

/** Throws `ApiError` for a put that this wire cannot say. */
export function checkKeepsNothing({ keepsValue, keepsLease }: KeptParts): void {
  if (keepsValue || keepsLease) throw unsayable('a put that keeps the value or the lease of its key')
}

/** A lease, in cluster time. */
export interface LeaseDescription {
  readonly id: LeaseId
  readonly grantedTtlMs: number
  /** The time to live without a keep-alive. In a stale read it may be too low. */
  readonly remainingTtlMs: number
}

/** Text of a lease id. */
export const LEASE_ID_PATTERN = '^[1-9][0-9]{0,19}$'
const LEASE_ID = new RegExp(LEASE_ID_PATTERN)
/** Clients of etcd keep an id as an integer of 64 bits with a sign. */
const LAST_LEASE_ID = 2n ** 63n - 1n
export const LEASE_ID_FORM = 'a decimal number from 1 to 2^63 - 1'

export const isLeaseId = (text: string): text is LeaseId =>
  LEASE_ID.test(text) && BigInt(text) <= LAST_LEASE_ID

export function parseLeaseId(text: string, name: string): LeaseId {
  if (isLeaseId(text)) return text
  throw new ApiError('bad_request', `${name} must be the id of a lease: ${LEASE_ID_FORM}`)
}

/** The id of a lease in an answer. Throws `DisagreementError`. */
export const decodeLeaseId = (value: unknown, name: string): LeaseId =>
  typeof value === 'string' && isLeaseId(value) ? value : disagree(`"${name}" is not the id of a lease`)

/** The lease of a record in an answer; undefined: it has none. Throws `DisagreementError`. */
export const decodeLeaseOfRecord = (value: unknown): LeaseId | undefined =>
  decodeOptionalString(value, 'the lease of a record') as LeaseId | undefined

/**
 * The lease of a put, which names a lease or a time to live, in text or in milliseconds that were checked. `prefix` and
 * `ttlName` name the fields in errors.
 */
export function parsePutLease(
  lease: string | undefined,
  ttl: string | number | undefined,
  prefix = '',
  ttlName = 'ttl',
): PutLease | undefined {
  if (lease !== undefined && ttl !== undefined)
    throw new ApiError('bad_request', `${prefix}lease cannot be combined with ${prefix}${ttlName}`)
  if (lease !== undefined) return { id: parseLeaseId(lease, `${prefix}lease`) }
  if (ttl === undefined) return undefined
  return { ttlMs: typeof ttl === 'number' ? ttl : parseTtlMs(ttl, `${prefix}${ttlName}`) }
}

/** The lease of a put, in a query or in JSON. */
export function leaseNames(lease: PutLease | undefined): {
  readonly lease?: string | undefined
  readonly ttl?: string | undefined
} {
  if (lease === undefined) return NO_LEASE
  return 'id' in lease ? { lease: lease.id } : { ttl: durationText(lease.ttlMs) }
}

const NO_LEASE = {}
