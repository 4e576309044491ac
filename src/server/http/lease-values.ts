// Ids of leases and times to live, in queries and bodies.

import type { LeaseId, PutLease } from '../../kv/index.ts'
import { TTL_MS_MAX, TTL_MS_MIN } from '../../kv/index.ts'
import type { NodeApi } from '../node/types.ts'
import { string } from './json-schema.ts'
import { durationMs, text } from './parameters.ts'
import { ApiError } from './problem.ts'

export const LeaseIdSchema = {
  ...string,
  pattern: '^[1-9][0-9]{0,19}$',
  description: 'The id of a lease: 64 bits as a decimal number',
}
export const TtlSchema = { ...string, description: 'A duration from a second to ten years, such as 30s' }

/** Throws `Refused`. */
export function leaseIdOf(given: string, name: string): LeaseId {
  if (/^[1-9][0-9]{0,19}$/.test(given) && BigInt(given) < 2n ** 64n) return given as LeaseId
  throw new ApiError('bad_request', `${name} must be the id of a lease: 64 bits as a decimal number`)
}

/** Raised to what this node takes at least. Throws `Refused`. */
export const ttlMsOf = (given: string, name: string, { leaseTtlMsMin }: Pick<NodeApi, 'leaseTtlMsMin'>) =>
  Math.max(leaseTtlMsMin, Math.ceil(durationMs(given, name, TTL_MS_MIN, TTL_MS_MAX)))

export const PUT_LEASE_PARAMETERS = {
  lease: text('The lease that deletes the key when it ends; none unless given'),
  ttl: text('A lease of its own, of this duration, such as 30s'),
}

export const PUT_LEASE_FIELDS = {
  lease: { ...LeaseIdSchema, description: 'The lease that deletes the key when it ends' },
  ttl: { ...TtlSchema, description: 'A lease of its own, of this duration, such as 30s' },
}

/** The lease that a put names. `prefix`: of the names of its fields. Throws `Refused`. */
export function putLeaseOf(
  { lease, ttl }: { readonly lease?: string | undefined; readonly ttl?: string | undefined },
  node: Pick<NodeApi, 'leaseTtlMsMin'>,
  prefix = '',
): PutLease | undefined {
  if (lease !== undefined && ttl !== undefined)
    throw new ApiError('bad_request', `${prefix}lease cannot be combined with ${prefix}ttl`)
  if (lease !== undefined) return { id: leaseIdOf(lease, `${prefix}lease`) }
  return ttl === undefined ? undefined : { ttlMs: ttlMsOf(ttl, `${prefix}ttl`, node) }
}
