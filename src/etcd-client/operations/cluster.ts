// The members, and the status of one. etcd has no names for replicas other than their ids, and no state hash.

import type { Member } from '../../etcd/messages/cluster.ts'
import { RPC } from '../../etcd/rpcs.ts'
import type { ClusterRequest } from '../../operations/cluster.ts'
import type { ClusterResult, MemberDescription } from '../../operations/documents/members.ts'
import type { StatusResult } from '../../operations/documents/status.ts'
import type { StatusRequest } from '../../operations/status.ts'
import { revisionFrom } from '../fields.ts'
import { notInEtcd } from '../problems.ts'
import type { EtcdCalls, EtcdOperation } from './operation.ts'

export const cluster: EtcdOperation<ClusterRequest, ClusterResult> = async (_, calls) => {
  const { header, status, members, leader } = await readCluster(calls)
  const result = {
    clusterId: idText(header?.clusterId),
    leader,
    term: status.raftTerm,
    joint: false,
    members,
  }
  return { result, header }
}

export const status: EtcdOperation<StatusRequest, StatusResult> = async ({ node }, calls) => {
  if (node !== undefined) throw notInEtcd('the status of another member')
  const { header, status: own, members, leader } = await readCluster(calls)
  const replicaId = String(header?.memberId ?? 0)
  const name = members.find((member) => member.replicaId === replicaId)?.name ?? idText(header?.memberId)
  const isLeader = own.leader === header?.memberId
  const result: StatusResult = {
    name,
    version: own.version,
    clusterId: idText(header?.clusterId),
    replicaId,
    role: isLeader ? 'leader' : own.isLearner ? 'learner' : 'follower',
    leader,
    term: own.raftTerm,
    commitIndex: own.raftIndex,
    appliedIndex: own.raftAppliedIndex,
    logFirstIndex: 0,
    revision: revisionFrom(header),
    clusterVersion: 0,
    stateHash: '',
    members,
    diskFreeBytes: undefined,
    diskTotalBytes: undefined,
    certificates: [],
    lastBackupAgeMs: undefined,
    errors: own.errors,
  }
  return { result, header }
}

async function readCluster(calls: EtcdCalls) {
  const [list, status] = await Promise.all([calls.read(RPC.memberList, {}), calls.read(RPC.status, {})])
  const members = list.members.map(describeMember)
  const leader = members.find(({ replicaId }) => replicaId === String(status.leader))?.name
  return { header: status.header, status, members, leader }
}

/** A member that has not started has no name and no address for clients yet. */
const describeMember = ({ id, name, peerUrls, clientUrls, isLearner }: Member): MemberDescription => ({
  name: name === '' ? idText(id) : name,
  replicaId: String(id),
  role: isLearner ? 'learner' : 'voter',
  peer: peerUrls[0]?.replace(/^https?:\/\//, '') ?? '',
  url: clientUrls[0] ?? '',
  matchIndex: undefined,
})

/** As etcdctl shows ids. */
export const idText = (id = 0n): string => id.toString(16)
