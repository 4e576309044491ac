// Maintenance.Status

import { RPC } from '../../../etcd/rpcs.ts'
import { serveUnary } from '../rpc.ts'

/** The version of etcd whose API this is. Clients read three numbers, and compare them. */
export const ETCD_VERSION = '3.7.0'

export const status = serveUnary(RPC.status, async (_request, call) => {
  const { result } = await call.execute({ kind: 'status' })
  const { leader, term, commitIndex, appliedIndex, errors, members, replicaId } = result
  const { storeBytes, settings } = call.api.node.status()
  const leaderId = members.find(({ name }) => name === leader)?.replicaId
  return {
    header: call.header(),
    version: ETCD_VERSION,
    leader: leaderId === undefined ? 0n : BigInt(leaderId),
    raftIndex: commitIndex,
    raftTerm: term,
    raftAppliedIndex: appliedIndex,
    errors,
    // etcdctl 3.6 divides by it, and a database of etcd is never empty.
    dbSize: Math.max(1, storeBytes),
    dbSizeInUse: storeBytes,
    dbSizeQuota: settings.storeBytesMax,
    storageVersion: ETCD_VERSION,
    isLearner: members.some((each) => each.replicaId === replicaId && each.role === 'learner'),
  }
})
