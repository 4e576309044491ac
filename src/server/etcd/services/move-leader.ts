// Maintenance.MoveLeader

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { findMember } from '../members.ts'
import { serveUnary } from '../rpc.ts'

export const moveLeader = serveUnary(RPC.moveLeader, async ({ targetId }, call) => {
  const { node } = call.api
  const target = await findMember(targetId, call)
  const transfer = { kind: 'transfer-leadership', to: target?.name ?? String(targetId) } as const
  await call.check(transfer)
  if (node.leaderName !== node.name) throw ETCD_ERRORS.notLeader
  if (target === undefined || target.role === 'learner') throw ETCD_ERRORS.badLeaderTransferee
  await call.execute(transfer)
  // As in etcd, without a header.
  return {}
})
