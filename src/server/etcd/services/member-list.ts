// Cluster.MemberList

import { RPC } from '../../../etcd/rpcs.ts'
import { encodeMember, listMembers } from '../members.ts'
import { serveUnary } from '../rpc.ts'

export const memberList = serveUnary(RPC.memberList, async (_request, call) => {
  const members = await listMembers(call)
  return { header: call.header(), members: members.map(encodeMember) }
})
