// etcdserverpb.Lease. Source: etcd's api/etcdserverpb/rpc.proto. Times to live are in seconds.

import { bigInt64, bool, bytes, int64, type MessageOf, message, nested, repeated, text } from '../message.ts'
import { ResponseHeader } from './header.ts'

const header = nested(1, () => ResponseHeader)

export type LeaseGrantRequest = MessageOf<typeof LeaseGrantRequest>
export const LeaseGrantRequest = message({
  ttl: int64(1, 'TTL'),
  /** 0: the server chooses. */
  id: bigInt64(2, 'ID'),
})

export type LeaseGrantResponse = MessageOf<typeof LeaseGrantResponse>
export const LeaseGrantResponse = message({
  header,
  id: bigInt64(2, 'ID'),
  ttl: int64(3, 'TTL'),
  error: text(4),
})

export type LeaseRevokeRequest = MessageOf<typeof LeaseRevokeRequest>
export const LeaseRevokeRequest = message({ id: bigInt64(1, 'ID') })

export type LeaseRevokeResponse = MessageOf<typeof LeaseRevokeResponse>
export const LeaseRevokeResponse = message({ header })

export type LeaseKeepAliveRequest = MessageOf<typeof LeaseKeepAliveRequest>
export const LeaseKeepAliveRequest = message({ id: bigInt64(1, 'ID') })

export type LeaseKeepAliveResponse = MessageOf<typeof LeaseKeepAliveResponse>
export const LeaseKeepAliveResponse = message({
  header,
  id: bigInt64(2, 'ID'),
  /** 0: there is no such lease. */
  ttl: int64(3, 'TTL'),
})

export type LeaseTimeToLiveRequest = MessageOf<typeof LeaseTimeToLiveRequest>
export const LeaseTimeToLiveRequest = message({ id: bigInt64(1, 'ID'), keys: bool(2) })

export type LeaseTimeToLiveResponse = MessageOf<typeof LeaseTimeToLiveResponse>
export const LeaseTimeToLiveResponse = message({
  header,
  id: bigInt64(2, 'ID'),
  /** The time that is left; -1: there is no such lease. */
  ttl: int64(3, 'TTL'),
  grantedTtl: int64(4, 'grantedTTL'),
  keys: repeated(bytes(5)),
})

export const LeaseLeasesRequest = message({})

export type LeaseStatus = MessageOf<typeof LeaseStatus>
export const LeaseStatus = message({ id: bigInt64(1, 'ID') })

export type LeaseLeasesResponse = MessageOf<typeof LeaseLeasesResponse>
export const LeaseLeasesResponse = message({ header, leases: repeated(nested(2, () => LeaseStatus)) })
