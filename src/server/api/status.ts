// The node and its cluster, as this node knows them.

import type { ClusterResult, MemberDescription } from '../../operations/documents/members.ts'
import type { StatusResult } from '../../operations/documents/status.ts'
import type { SettingsResult } from '../../operations/forms/settings.ts'
import { isVoter } from '../../raft/index.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { DriverStatus } from '../node/observe/status.ts'
import { hex } from '../node/upkeep/state-hashes.ts'
import type { Api } from './api.ts'

export function describeNode({ node, version }: Pick<Api, 'node' | 'version'>): StatusResult {
  const { raft, host, settings, ...status } = node.status()
  return {
    name: status.name,
    version,
    clusterId: status.clusterId,
    replicaId: status.replicaId,
    role: raft.role,
    leader: node.leaderName,
    term: raft.term,
    commitIndex: raft.commit,
    appliedIndex: raft.applied,
    logFirstIndex: raft.firstIndex,
    revision: status.revision,
    clusterVersion: settings.clusterVersion,
    stateHash: hex(status.stateHash),
    members: describeMembers(raft),
    diskFreeBytes: finite(status.diskFreeBytes),
    diskTotalBytes: finite(host.diskTotalBytes),
    certificates: host.certificates.map(({ file, seconds }) => ({
      file,
      expiresInMs: Math.round(seconds * 1000),
    })),
    lastBackupAgeMs: host.lastBackupAgeMs,
    errors: status.errors,
  }
}

const finite = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined)

export function describeCluster(node: KvNode): ClusterResult {
  const { raft } = node.status()
  const joint = raft.configuration.votersOutgoing.length > 0
  return {
    clusterId: node.clusterId,
    leader: node.leaderName,
    term: raft.term,
    joint,
    members: describeMembers(raft),
  }
}

/** Only the leader knows the `matchIndex` of each member. */
function describeMembers(raft: DriverStatus['raft']): readonly MemberDescription[] {
  const { configuration, progress, id: self, stableIndex, role } = raft
  return configuration.members.map(({ id, name, peer, url }) => ({
    name,
    replicaId: id,
    role: isVoter(configuration, id) ? 'voter' : 'learner',
    peer,
    url,
    matchIndex:
      role === 'leader' && id === self ? stableIndex : progress.find((follower) => follower.id === id)?.match,
  }))
}

/** The settings that this node has applied. */
export function describeSettings(node: KvNode): SettingsResult {
  const { settings, raft } = node.status()
  return { settings, leaderLeases: raft.leaderLeases }
}
