// etcdserverpb.Cluster. Source: etcd's api/etcdserverpb/rpc.proto.

import { bigUint64, bool, type MessageOf, message, nested, repeated, text } from '../message.ts'
import { ResponseHeader } from './header.ts'

const header = nested(1, () => ResponseHeader)

export type Member = MessageOf<typeof Member>
export const Member = message({
  id: bigUint64(1, 'ID'),
  name: text(2),
  peerUrls: repeated(text(3, 'peerURLs')),
  clientUrls: repeated(text(4, 'clientURLs')),
  isLearner: bool(5, 'isLearner'),
})

const members = repeated(nested(2, () => Member))

export type MemberAddRequest = MessageOf<typeof MemberAddRequest>
export const MemberAddRequest = message({
  peerUrls: repeated(text(1, 'peerURLs')),
  isLearner: bool(2, 'isLearner'),
})

export type MemberAddResponse = MessageOf<typeof MemberAddResponse>
export const MemberAddResponse = message({
  header,
  member: nested(2, () => Member),
  members: repeated(nested(3, () => Member)),
})

export type MemberRemoveRequest = MessageOf<typeof MemberRemoveRequest>
export const MemberRemoveRequest = message({ id: bigUint64(1, 'ID') })

export type MemberRemoveResponse = MessageOf<typeof MemberRemoveResponse>
export const MemberRemoveResponse = message({ header, members })

export type MemberUpdateRequest = MessageOf<typeof MemberUpdateRequest>
export const MemberUpdateRequest = message({
  id: bigUint64(1, 'ID'),
  peerUrls: repeated(text(2, 'peerURLs')),
})

export type MemberUpdateResponse = MessageOf<typeof MemberUpdateResponse>
export const MemberUpdateResponse = message({ header, members })

export type MemberListRequest = MessageOf<typeof MemberListRequest>
export const MemberListRequest = message({ linearizable: bool(1) })

export type MemberListResponse = MessageOf<typeof MemberListResponse>
export const MemberListResponse = message({ header, members })

export type MemberPromoteRequest = MessageOf<typeof MemberPromoteRequest>
export const MemberPromoteRequest = message({ id: bigUint64(1, 'ID') })

export type MemberPromoteResponse = MessageOf<typeof MemberPromoteResponse>
export const MemberPromoteResponse = message({ header, members })
