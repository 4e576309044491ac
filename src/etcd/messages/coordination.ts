// v3lockpb.Lock and v3electionpb.Election. Source: etcd's server/etcdserver/api/v3lock and v3election.

import { bigInt64, bytes, int64, type MessageOf, message, nested } from '../message.ts'
import { ResponseHeader } from './header.ts'
import { KeyValue } from './kv.ts'

const header = nested(1, () => ResponseHeader)

export type LockRequest = MessageOf<typeof LockRequest>
export const LockRequest = message({ name: bytes(1), lease: bigInt64(2) })

export type LockResponse = MessageOf<typeof LockResponse>
export const LockResponse = message({ header, key: bytes(2) })

export type UnlockRequest = MessageOf<typeof UnlockRequest>
export const UnlockRequest = message({ key: bytes(1) })

export type UnlockResponse = MessageOf<typeof UnlockResponse>
export const UnlockResponse = message({ header })

/** The key of a candidate who leads, and the revision at which it was made. */
export type LeaderKey = MessageOf<typeof LeaderKey>
export const LeaderKey = message({ name: bytes(1), key: bytes(2), rev: int64(3), lease: bigInt64(4) })

export type CampaignRequest = MessageOf<typeof CampaignRequest>
export const CampaignRequest = message({ name: bytes(1), lease: bigInt64(2), value: bytes(3) })

export type CampaignResponse = MessageOf<typeof CampaignResponse>
export const CampaignResponse = message({ header, leader: nested(2, () => LeaderKey) })

export type LeaderRequest = MessageOf<typeof LeaderRequest>
export const LeaderRequest = message({ name: bytes(1) })

export type LeaderResponse = MessageOf<typeof LeaderResponse>
export const LeaderResponse = message({ header, kv: nested(2, () => KeyValue) })

export type ResignRequest = MessageOf<typeof ResignRequest>
export const ResignRequest = message({ leader: nested(1, () => LeaderKey) })

export type ResignResponse = MessageOf<typeof ResignResponse>
export const ResignResponse = message({ header })

export type ProclaimRequest = MessageOf<typeof ProclaimRequest>
export const ProclaimRequest = message({ leader: nested(1, () => LeaderKey), value: bytes(2) })

export type ProclaimResponse = MessageOf<typeof ProclaimResponse>
export const ProclaimResponse = message({ header })
