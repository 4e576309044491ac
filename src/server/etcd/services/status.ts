// Maintenance.Status

import { StatusRequest, StatusResponse } from '../../../etcd/messages/maintenance.ts'
import type { UnaryRpc } from '../rpc.ts'

/** The version of etcd whose API this is. Clients read three numbers, and compare them. */
export const ETCD_VERSION = '3.6.0'

export const status: UnaryRpc<object, StatusResponse> = {
  kind: 'unary',
  path: '/etcdserverpb.Maintenance/Status',
  gateway: ['/v3/maintenance/status'],
  request: StatusRequest,
  response: StatusResponse,
  async run(_request, call) {
    const { result } = await call.execute({ kind: 'status' })
    const { leader, term, commitIndex, appliedIndex, errors, members, replicaId } = result
    const leaderId = members.find(({ name }) => name === leader)?.replicaId
    return {
      header: call.header(),
      version: ETCD_VERSION,
      leader: leaderId === undefined ? 0n : BigInt(leaderId),
      raftIndex: commitIndex,
      raftTerm: term,
      raftAppliedIndex: appliedIndex,
      errors,
      isLearner: members.some((each) => each.replicaId === replicaId && each.role === 'learner'),
    }
  },
}
