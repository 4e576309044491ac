// Members of the cluster as etcd's API names them.

import type { Member } from '../../etcd/messages/cluster.ts'
import type { MemberDescription } from '../../operations/documents/members.ts'
import type { EtcdCall } from './call.ts'

export async function listMembers(call: EtcdCall): Promise<readonly MemberDescription[]> {
  const { result } = await call.execute({ kind: 'cluster' })
  return result.members
}

export const findMember = async (id: bigint, call: EtcdCall): Promise<MemberDescription | undefined> =>
  (await listMembers(call)).find(({ replicaId }) => replicaId === String(id))

export const encodeMember = ({ name, replicaId, peer, url, role }: MemberDescription): Member => ({
  id: BigInt(replicaId),
  name,
  // A peer has no protocol of its own, and clients require a URL.
  peerUrls: [`tcp://${peer}`],
  clientUrls: [url],
  isLearner: role === 'learner',
})
