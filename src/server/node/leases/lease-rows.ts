// Leases as clients see them, read from the applied rows.

import {
  attachedKey,
  attachmentRange,
  decodeLease,
  decodeLeaseOwner,
  type KvState,
  leaseKey,
  leaseOfKey,
  leaseOwnerKey,
  leasesAfter,
} from '../../../kv/index.ts'
import type { UserIdentity } from '../../../kv/types.ts'
import type { LeaseId } from '../../../operations/forms/index.ts'
import type { RowScan, Storage, StoredRow } from '../../../storage/types.ts'
import type { SlicedScan } from '../read/record-scan.ts'

/** The state of a lease, in cluster time. */
export interface LeaseNow {
  readonly grantedTtlMs: number
  /**
   * The remaining time to live without a keep-alive, never more than `grantedTtlMs`. On a node that does not lead it
   * may be too short, because only the leader knows of all keep-alives (`remainingTtls`).
   */
  readonly remainingTtlMs: number
  /** The deadline in the log, in cluster time. */
  readonly deadlineMs: number
  /** Its keys are being deleted, in parts. For clients there is no such lease any more. */
  readonly isEnding: boolean
  /** The user who was granted it, if rights were checked. */
  readonly owner?: UserIdentity
  /** The number of its keys, and their bytes. */
  readonly keyCount: number
  readonly keyBytes: number
  /** The beginning of all its keys; undefined: it has no keys. */
  readonly keyPrefix?: Uint8Array
}

/**
 * `remainingMs`: what a leader knows. Others do not know of all keep-alives: at least the time to live after the last
 * renewal in the log is left.
 */
export function leaseNow(
  id: LeaseId,
  storage: Pick<Storage, 'get'>,
  { settings: { leaseCheckpointMs } }: KvState,
  clusterTimeMs: number,
  remainingMs: number | undefined,
): LeaseNow | undefined {
  const row = storage.get(leaseKey(id))
  return row && leaseFromRow(id, row, storage, leaseCheckpointMs, clusterTimeMs, remainingMs)
}

function leaseFromRow(
  id: LeaseId,
  row: Uint8Array,
  storage: Pick<Storage, 'get'>,
  leaseCheckpointMs: number,
  clusterTimeMs: number,
  remainingMs: number | undefined,
): LeaseNow {
  const { ttlMs, deadlineMs, hasOwner, isEnding, keys, keyBytes, keyPrefix } = decodeLease(row)
  const leftMs = deadlineMs - leaseCheckpointMs - clusterTimeMs
  const now = {
    grantedTtlMs: ttlMs,
    remainingTtlMs: remainingMs ?? Math.max(0, Math.min(ttlMs, leftMs)),
    deadlineMs,
    isEnding,
    keyCount: keys,
    keyBytes,
    ...(keys > 0 ? { keyPrefix } : {}),
  }
  const owner = hasOwner ? storage.get(leaseOwnerKey(id)) : undefined
  return owner === undefined ? now : { ...now, owner: decodeLeaseOwner(owner) }
}

/** `remainingMs`: as above, of each lease. */
export const scanLeases = (
  after: LeaseId | undefined,
  storage: Pick<Storage, 'scan' | 'get'>,
  { settings: { leaseCheckpointMs } }: KvState,
  clusterTimeMs: number,
  remainingMs: (id: LeaseId) => number | undefined,
): SlicedScan<LeaseNow & { readonly id: LeaseId }> =>
  mapScan(storage.scan({ ...leasesAfter(after), reverse: false }), ({ key, value }) => {
    const id = leaseOfKey(key)
    return { id, ...leaseFromRow(id, value, storage, leaseCheckpointMs, clusterTimeMs, remainingMs(id)) }
  })

export const scanKeysOfLease = (storage: Pick<Storage, 'scan'>, id: LeaseId): SlicedScan<Uint8Array> =>
  mapScan(storage.scan({ ...attachmentRange(id), reverse: false }), ({ key }) => attachedKey(key))

const mapScan = <T>(scan: RowScan, of: (row: StoredRow) => T): SlicedScan<T> => ({
  next: (limits, done) => scan.next(limits, (error, rows, more) => done(error, rows.map(of), more)),
  finish: (done) => scan.finish(done),
  close: () => scan.close(),
})
