// Cluster.MemberAdd, MemberRemove, MemberUpdate and MemberPromote

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../etcd/status.ts'
import { checkMayAdminister } from '../auth.ts'
import { encodeMember, findMember, listMembers } from '../members.ts'
import { serveUnary } from '../rpc.ts'

export const memberRemove = serveUnary(RPC.memberRemove, async ({ id }, call) => {
  const member = await findMember(id, call)
  const remove = { kind: 'remove-member', name: member?.name ?? String(id) } as const
  await call.check(remove)
  if (member === undefined) throw ETCD_ERRORS.memberNotFound
  const { result } = await call.execute(remove)
  return { header: call.header(), members: result.members.map(encodeMember) }
})

/** A learner becomes a voter by itself, when it has caught up. */
export const memberPromote = serveUnary(RPC.memberPromote, async ({ id }, call) => {
  await checkMayAdminister(call)
  const member = await findMember(id, call)
  if (member === undefined) throw ETCD_ERRORS.memberNotFound
  if (member.role === 'learner') throw ETCD_ERRORS.learnerNotReady
  const members = await listMembers(call)
  return { header: call.header(), members: members.map(encodeMember) }
})

/** A member has a name and the address of its API too, which a request of etcd does not say. */
export const memberAdd = serveUnary(RPC.memberAdd, () => {
  throw new GrpcError(
    GRPC.unimplemented,
    'etcdserver: a node adds itself: start it with `quorate node start --join URL`',
  )
})

export const memberUpdate = serveUnary(RPC.memberUpdate, () => {
  throw new GrpcError(
    GRPC.unimplemented,
    'etcdserver: a member announces its addresses: start it with another `--advertise-peer`',
  )
})
