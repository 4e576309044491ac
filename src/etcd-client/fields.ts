// Parts of operations as fields of etcd's messages, and back.

import type { ResponseHeader } from '../etcd/messages/header.ts'
import type { KeyValue } from '../etcd/messages/kv.ts'
import { ETCD_ERRORS, GrpcError } from '../etcd/status.ts'
import {
  ApiError,
  asRevision,
  compareKeys,
  type FreshnessOptions,
  type KeyRow,
  type LeaseId,
  type Where,
} from '../operations/forms/index.ts'
import { notInEtcd } from './problems.ts'

const ZERO = Uint8Array.of(0)
/** A range without keys: its end is before its start. */
const NOTHING = { key: Uint8Array.of(1), rangeEnd: Uint8Array.of(0, 0) }

/** A zero byte is etcd's least key, and as an end it stands for none. So bounds do not always name an empty range. */
export function encodeWhere(where: Where): { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array } {
  if ('key' in where) return { key: where.key }
  const key = where.start.length === 0 ? ZERO : where.start
  if (where.end === undefined) return { key, rangeEnd: ZERO }
  return compareKeys(key, where.end) < 0 ? { key, rangeEnd: where.end } : NOTHING
}

export function decodeRow({ key, value, createRevision, modRevision, version, lease }: KeyValue): KeyRow {
  return {
    key,
    value,
    createRevision: asRevision(createRevision),
    modRevision: asRevision(modRevision),
    version,
    lease: lease === 0n ? undefined : decodeLeaseId(lease),
  }
}

export const decodeLeaseId = (id: bigint): LeaseId => String(id) as LeaseId

/** etcd has whole seconds. A lease lives at least as long as requested. */
export const encodeSeconds = (ms: number): number => Math.ceil(ms / 1_000)

/** The revision of an answer. */
export const revisionFrom = (header: ResponseHeader | undefined) => asRevision(header?.revision ?? 0)

/** A lease read is linearizable: etcd has no third level. Throws `ApiError`. */
export function isSerializable({ consistency, maxStalenessMs }: FreshnessOptions): boolean {
  if (maxStalenessMs !== undefined)
    throw notInEtcd('its answers do not say how old they are (maxStalenessMs)')
  return consistency === 'stale'
}

/** Throws `ApiError` if a member has not reached the revision that the client needs. */
export function checkFreshness(
  { minRevision = asRevision(0) }: FreshnessOptions,
  header: ResponseHeader | undefined,
): void {
  const revision = revisionFrom(header)
  if (revision >= minRevision) return
  throw new ApiError('revision_behind', `the member is at revision ${revision}, not at ${minRevision}`)
}

/**
 * The response to a read at a revision; 0: the newest. A member that lags says of a revision that the client has seen
 * that it lies in the future: another one has it.
 */
export async function readAt<A>(
  revision: number,
  { minRevision = asRevision(0) }: FreshnessOptions,
  reading: Promise<A>,
): Promise<A> {
  try {
    return await reading
  } catch (error) {
    const isFuture = error instanceof GrpcError && error.message === ETCD_ERRORS.futureRevision.message
    if (!isFuture || revision > minRevision) throw error
    throw new ApiError('revision_behind', `the member has not reached revision ${revision}`)
  }
}
