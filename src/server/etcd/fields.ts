// Fields of etcd's messages, and what they are here.

import type { KeyValue, PutRequest } from '../../etcd/messages/kv.ts'
import { ETCD_ERRORS } from '../../etcd/status.ts'
import {
  asRevision,
  type KeptParts,
  type KeyRow,
  type LeaseId,
  type PutLease,
  type Revision,
  type Where,
} from '../../operations/forms/index.ts'

/** A negative number is the id of no lease: it becomes one above all ids that a lease may have. */
export const decodeLeaseId = (id: bigint): LeaseId => String(BigInt.asUintN(64, id)) as LeaseId
export const encodeLeaseId = (id: LeaseId): bigint => BigInt.asIntN(64, BigInt(id))

/** The lease of a put; 0: none. */
export const decodeLease = (lease: bigint): PutLease | undefined =>
  lease === 0n ? undefined : { id: decodeLeaseId(lease) }

/** The parts of its key that a put keeps. */
export const decodeKept = ({
  ignoreValue,
  ignoreLease,
}: Pick<PutRequest, 'ignoreValue' | 'ignoreLease'>): KeptParts => ({
  ...(ignoreValue && { keepsValue: true as const }),
  ...(ignoreLease && { keepsLease: true as const }),
})

/** Whether a key, or the bound behind it, does not fit into the log. The store refuses much shorter ones. */
export const isTooLong = (key: Uint8Array): boolean => key.length >= 0xffff

/** Throws `GrpcError`. */
export function decodeKey(key: Uint8Array): Uint8Array {
  if (isTooLong(key)) throw ETCD_ERRORS.requestTooLarge
  return key
}

/** No end: one key. A zero byte as the end: all keys from the key on. Throws `GrpcError`. */
export function decodeWhere(key: Uint8Array, rangeEnd: Uint8Array): Where {
  if (rangeEnd.length === 0) return { key: decodeKey(key) }
  const end = rangeEnd.length === 1 && rangeEnd[0] === 0 ? undefined : decodeKey(rangeEnd)
  return { start: decodeKey(key), end }
}

/** The revision of a store that was never changed. */
export const FIRST_REVISION = 1

/** The revision that a client names; undefined: it names none. No store reaches the largest number. */
export const decodeRevision = (revision: number): Revision | undefined =>
  revision > 0 ? asRevision(Math.min(revision, Number.MAX_SAFE_INTEGER)) : undefined

export function encodeRow({ key, value, createRevision, modRevision, version, lease }: KeyRow): KeyValue {
  const id = lease === undefined ? 0n : encodeLeaseId(lease)
  return { key, createRevision, modRevision, version, value, lease: id }
}

export const encodePrev = (prev: KeyRow | null | undefined): KeyValue | undefined =>
  prev ? encodeRow(prev) : undefined

/** A time to live in the seconds of etcd, rounded up. */
export const encodeSeconds = (ms: number): number => Math.ceil(ms / 1000)
