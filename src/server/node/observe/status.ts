// The status of a node, and the numbers that `inspect` reports.

import type { KvSettings, Revision } from '../../../operations/forms/index.ts'
import {
  DISK_QUEUE_MAX,
  type InFlightCounts,
  isJoint,
  isVoter,
  type Raft,
  type RaftStatus,
  type RaftTiming,
} from '../../../raft/index.ts'
import type { ReplicaId } from '../../../raft/types.ts'
import type { Storage } from '../../../storage/types.ts'
import type { ApplyLoop } from '../apply/apply-loop.ts'
import type { DiskSpace, DiskSpaceState } from '../disk-space/disk-space.ts'
import { diskFullText } from '../disk-space/disk-space-policy.ts'
import type { HostStatus } from '../driver-options.ts'
import type { LeaseCounts, LeaseService } from '../leases/lease-service.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Members } from '../membership/members.ts'
import type { SnapshotTransfers } from '../membership/snapshot-transfers.ts'
import type { BackgroundChecks } from '../upkeep/background-checks.ts'

export interface DriverStatus {
  readonly name: string
  readonly clusterId: string
  readonly replicaId: ReplicaId
  readonly raft: RaftStatus
  /** Free bytes of the file system with the data directory, at the last check. */
  readonly diskFreeBytes: number
  readonly diskSpace: DiskSpaceState
  readonly revision: Revision
  readonly settings: KvSettings
  /** Keys and values of the whole store. */
  readonly storeBytes: number
  readonly stateHash: bigint
  readonly leases: LeaseCounts
  readonly host: HostStatus
  /** Problems for an operator; empty when all is well. */
  readonly errors: readonly string[]
  /**
   * Reasons why the node is not ready. Empty when it serves linearizable reads and forwards changes, is a voter, and
   * its disk is not far behind.
   */
  readonly notReady: readonly string[]
}

interface StatusSources {
  readonly storage: Pick<Storage, 'identity' | 'stateHash'>
  readonly raft: Pick<Raft, 'id' | 'leader' | 'status'>
  readonly lifecycle: Pick<Lifecycle, 'end' | 'isDraining'>
  readonly members: Pick<Members, 'configuration' | 'findName'>
  readonly space: Pick<DiskSpace, 'freeBytes' | 'state'>
  readonly applyLoop: Pick<ApplyLoop, 'notReady' | 'state'>
  readonly leases: Pick<LeaseService, 'counts'>
  readonly checks: Pick<BackgroundChecks, 'error'>
  readonly snapshots: Pick<SnapshotTransfers, 'errorOf'>
  readonly host: HostStatus | undefined
  readonly timing: Pick<RaftTiming, 'electionMaxMs'>
}

/**
 * Limit on the staleness of a node that is ready, in election timeouts. The leader confirms it with every second
 * heartbeat or so.
 */
const STALENESS_MAX = 2

/**
 * Limit on the time that a write of a node that is ready waits for its disk, in election timeouts. A disk that became
 * slow all at once exceeds it, and a disk that is kept busy does not.
 */
const WRITE_MAX = 2 * DISK_QUEUE_MAX

const UNKNOWN_HOST: HostStatus = {
  diskTotalBytes: Number.POSITIVE_INFINITY,
  certificates: [],
  lastBackupAgeMs: undefined,
  backupFailure: undefined,
}

export function nodeStatus(sources: StatusSources): DriverStatus {
  const {
    applyLoop,
    checks,
    host = UNKNOWN_HOST,
    leases,
    lifecycle,
    members,
    raft,
    snapshots,
    space,
    storage,
  } = sources
  const errors: string[] = []
  if (lifecycle.end !== undefined) errors.push(lifecycle.end.reason)
  if (checks.error !== undefined) errors.push(checks.error)
  const { freeBytes, state } = space
  if (state !== 'enough') errors.push(diskFullText(state, freeBytes))
  if (raft.leader === undefined) errors.push('no leader is known')
  if (host.backupFailure !== undefined) errors.push(`the last scheduled backup failed: ${host.backupFailure}`)
  const raftStatus = raft.status()
  errors.push(
    ...lateFollowers(raftStatus, members),
    ...failedSnapshots(raftStatus, snapshots),
    ...slowDisk(sources, raftStatus),
  )
  return {
    name: storage.identity.name,
    clusterId: storage.identity.clusterId,
    replicaId: raft.id,
    raft: raftStatus,
    diskFreeBytes: freeBytes,
    diskSpace: state,
    revision: applyLoop.state.revision,
    settings: applyLoop.state.settings,
    storeBytes: applyLoop.state.storeBytes,
    stateHash: storage.stateHash,
    leases: leases.counts,
    host,
    errors,
    notReady: notReady(sources, raftStatus),
  }
}

/** Followers that do not catch up by snapshots, on their leader. */
function lateFollowers({ progress }: RaftStatus, members: Pick<Members, 'findName'>): string[] {
  return progress
    .filter(({ lateSnapshots }) => lateSnapshots > 0)
    .map(({ id, lateSnapshots: late }) => {
      const snapshots = late === 1 ? 'a snapshot' : `${late} snapshots`
      return `${members.findName(id) ?? id} does not catch up: ${snapshots} for it came too late for the log`
    })
}

/** Followers that need a snapshot and have received none of the last ones, on their leader. */
const failedSnapshots = (
  { progress }: RaftStatus,
  snapshots: Pick<SnapshotTransfers, 'errorOf'>,
): readonly string[] =>
  progress.flatMap(({ id, state }) => (state === 'snapshot' ? (snapshots.errorOf(id) ?? []) : []))

function lateState(
  { applied, stalenessMs }: RaftStatus,
  { electionMaxMs }: StatusSources['timing'],
): string[] {
  if (stalenessMs === undefined) return ['catching up: it is not known what is committed']
  if (stalenessMs <= STALENESS_MAX * electionMaxMs) return []
  return [`catching up: applied ${applied}, which is ${(stalenessMs / 1000).toFixed(1)} s old`]
}

function slowDisk({ timing }: StatusSources, { oldestWriteMs }: RaftStatus): string[] {
  if (oldestWriteMs <= WRITE_MAX * timing.electionMaxMs) return []
  return [`the disk is slow: a write has waited for it for ${Math.round(oldestWriteMs / 1000)} s`]
}

/**
 * Reasons why the node does not serve linearizable reads, or does not forward changes, or why the cluster cannot count
 * on it now. An update that waits for each node relies on them.
 */
function notReady(sources: StatusSources, status: RaftStatus): string[] {
  const { applyLoop, lifecycle, members, raft, timing } = sources
  const reasons: string[] = []
  if (lifecycle.end !== undefined) reasons.push(lifecycle.end.reason)
  if (lifecycle.isDraining) reasons.push('the node is stopping')
  if (raft.leader === undefined) reasons.push('no leader is known')
  else if (!status.reachesLeader) reasons.push('the leader cannot be reached, or the disk takes nothing more')
  if (!isVoter(members.configuration, raft.id)) reasons.push('this replica is not a voter yet')
  // During a joint configuration the loss of one node may cost the majority of one half.
  if (isJoint(members.configuration)) reasons.push('a change of voters is in progress')
  if (applyLoop.notReady !== undefined) reasons.push(applyLoop.notReady)
  else if (raft.leader !== undefined) reasons.push(...lateState(status, timing))
  return [...reasons, ...slowDisk(sources, status)]
}

/** The counts of one part of a node. Their names begin with `prefix`. */
export interface PartCounts {
  readonly prefix: '' | `${string}.`
  readonly counts: InFlightCounts
}

/** The counts of all parts in one record. */
export function flattenCounts(parts: readonly PartCounts[]): InFlightCounts {
  const all: Record<string, number> = {}
  for (const { prefix, counts } of parts)
    for (const name in counts) all[`${prefix}${name}`] = counts[name] ?? 0
  return all
}
