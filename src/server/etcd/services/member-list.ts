// Cluster.MemberList

import { MemberListRequest, MemberListResponse } from '../../../etcd/messages/cluster.ts'
import { encodeMember, listMembers } from '../members.ts'
import type { UnaryRpc } from '../rpc.ts'

export const memberList: UnaryRpc<MemberListRequest, MemberListResponse> = {
  kind: 'unary',
  path: '/etcdserverpb.Cluster/MemberList',
  gateway: ['/v3/cluster/member/list'],
  request: MemberListRequest,
  response: MemberListResponse,
  async run(_request, call) {
    const members = await listMembers(call)
    return { header: call.header(), members: members.map(encodeMember) }
  },
}
