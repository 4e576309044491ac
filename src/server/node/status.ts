// The status of a node, and the numbers that `inspect` reports.

import { type InFlightCounts, isJoint, isVoter, type Raft, type RaftStatus } from '../../raft/index.ts'
import type { Storage } from '../../storage/types.ts'
import type { ApplyLoop } from './apply-loop.ts'
import type { BackgroundChecks } from './background-checks.ts'
import type { DiskSpace } from './disk-space.ts'
import { diskFullText } from './disk-space-policy.ts'
import type { LeaseService } from './leases/lease-service.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Members } from './members.ts'
import type { DriverStatus, HostStatus } from './types.ts'

export interface StatusSources {
  readonly storage: Pick<Storage, 'identity' | 'stateHash'>
  readonly raft: Pick<Raft, 'id' | 'leader' | 'status'>
  readonly lifecycle: Pick<Lifecycle, 'end' | 'isDraining'>
  readonly members: Pick<Members, 'configuration' | 'nameOf'>
  readonly space: Pick<DiskSpace, 'freeBytes' | 'state'>
  readonly applyLoop: Pick<ApplyLoop, 'notReady' | 'state'>
  readonly leases: Pick<LeaseService, 'counts'>
  readonly checks: Pick<BackgroundChecks, 'error'>
  readonly host: HostStatus | undefined
}

const UNKNOWN_HOST: HostStatus = {
  diskTotalBytes: Number.POSITIVE_INFINITY,
  certificates: [],
  lastBackupAgeMs: undefined,
  backupFailure: undefined,
}

export function nodeStatus(sources: StatusSources): DriverStatus {
  const { applyLoop, checks, host = UNKNOWN_HOST, leases, lifecycle, members, raft, space, storage } = sources
  const errors: string[] = []
  if (lifecycle.end !== undefined) errors.push(lifecycle.end.reason)
  if (checks.error !== undefined) errors.push(checks.error)
  const { freeBytes, state } = space
  if (state !== 'enough') errors.push(diskFullText(state, freeBytes))
  if (raft.leader === undefined) errors.push('no leader is known')
  if (host.backupFailure !== undefined) errors.push(`the last scheduled backup failed: ${host.backupFailure}`)
  const raftStatus = raft.status()
  errors.push(...lateFollowers(raftStatus, members))
  return {
    name: storage.identity.name,
    clusterId: storage.identity.clusterId,
    replicaId: raft.id,
    raft: raftStatus,
    diskFreeBytes: freeBytes,
    diskSpace: state,
    revision: applyLoop.state.revision,
    settings: applyLoop.state.settings,
    stateHash: storage.stateHash,
    leases: leases.counts,
    host,
    errors,
    notReady: notReady(sources),
  }
}

/** Followers that do not catch up by snapshots, on their leader. */
function lateFollowers({ progress }: RaftStatus, members: Pick<Members, 'nameOf'>): string[] {
  return progress
    .filter(({ lateSnapshots }) => lateSnapshots > 0)
    .map(({ id, lateSnapshots: late }) => {
      const snapshots = late === 1 ? 'a snapshot' : `${late} snapshots`
      return `${members.nameOf(id) ?? id} does not catch up: ${snapshots} for it came too late for the log`
    })
}

function notReady({ applyLoop, lifecycle, members, raft }: StatusSources): string[] {
  const reasons: string[] = []
  if (lifecycle.end !== undefined) reasons.push(lifecycle.end.reason)
  if (lifecycle.isDraining) reasons.push('the node is stopping')
  if (raft.leader === undefined) reasons.push('no leader is known')
  if (!isVoter(members.configuration, raft.id)) reasons.push('this replica is not a voter yet')
  // During a joint configuration the loss of one node may cost the majority of one half.
  if (isJoint(members.configuration)) reasons.push('a change of voters is in progress')
  if (applyLoop.notReady !== undefined) reasons.push(applyLoop.notReady)
  return reasons
}

/** The counts of all parts in one record, each named `part.count`. */
export function flattenCounts(parts: Readonly<Record<string, InFlightCounts>>): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const part in parts) {
    const values = parts[part]
    for (const name in values) counts[`${part}.${name}`] = values[name] ?? 0
  }
  return counts
}
