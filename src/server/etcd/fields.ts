// Fields of etcd's messages, and what they are here.

import type { KeyValue } from '../../etcd/messages/kv.ts'
import type { KeyRow, LeaseId, PutLease } from '../../operations/forms/index.ts'

export const decodeLeaseId = (id: bigint): LeaseId => String(BigInt.asUintN(64, id)) as LeaseId
export const encodeLeaseId = (id: LeaseId): bigint => BigInt.asIntN(64, BigInt(id))

/** The lease of a put; 0: none. */
export const decodeLease = (lease: bigint): PutLease | undefined =>
  lease === 0n ? undefined : { id: decodeLeaseId(lease) }

export const encodeRow = ({ lease, ...row }: KeyRow): KeyValue => ({
  ...row,
  lease: lease === undefined ? 0n : encodeLeaseId(lease),
})
