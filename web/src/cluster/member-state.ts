// The one state of a member that its mark shows.

import type { NodeState } from '../design/mark.tsx'
import type { ClusterMember } from './cluster-view.ts'

/** Entries behind the leader from which a member counts as lagging, and the age of its state, in seconds. */
const LAG_ENTRIES = 1_000
const LAG_SECONDS = 5

export interface Lag {
  readonly entries: number | undefined
  readonly seconds: number | undefined
}

/** `leaderCommit`: the commit index of the leader; undefined: there is none. */
export function readLag({ status, metrics, error }: ClusterMember, leaderCommit: number | undefined): Lag {
  if (error !== undefined || status === undefined) return { entries: undefined, seconds: undefined }
  return {
    entries: leaderCommit === undefined ? undefined : Math.max(0, leaderCommit - status.appliedIndex),
    seconds: metrics?.get('quorate_staleness_seconds')?.[0]?.value,
  }
}

export function memberState(member: ClusterMember, lag: Lag): NodeState {
  const { status, error, isLearner } = member
  if (error !== undefined || status === undefined) return 'down'
  if (status.role === 'leader') return 'leader'
  if (status.role !== 'follower') return 'candidate'
  if ((lag.entries ?? 0) >= LAG_ENTRIES || (lag.seconds ?? 0) >= LAG_SECONDS) return 'lagging'
  return isLearner ? 'learner' : 'follower'
}

/** The leader of the newest term among the members that answer. */
export const findLeader = (members: readonly ClusterMember[]): ClusterMember | undefined =>
  members
    .filter(({ status, error }) => error === undefined && status?.role === 'leader')
    .sort((a, b) => (b.status?.term ?? 0) - (a.status?.term ?? 0))[0]
