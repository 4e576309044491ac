// What a leader decides when disks are short of room (NODE-15): which entries it accepts, whether another replica
// should lead, and which followers cannot follow. Each replica reports the room on its disk in its heartbeat answers.
//
// A replica with room `none` writes only entries of the core, which are small: the first entry of a term, and changes
// of members. A replica with room `low` also writes entries that make room (deletes), but takes no snapshot.

import type { LeaderState } from './leader-state.ts'
import type { RaftLog } from './log.ts'
import type { Progress } from './progress.ts'
import { quorumValue } from './quorum.ts'
import type { ReplicaView } from './replica-view.ts'
import type { DiskRoom, Refusal } from './types.ts'

const ROOMS: readonly DiskRoom[] = ['none', 'low', 'enough']
const rank = (room: DiskRoom): number => ROOMS.indexOf(room)

/**
 * Whether a follower lacks something that it has no room for: changes, or a snapshot. It writes nothing that comes
 * later in the log until it has more room.
 */
export function cannotCatchUp(
  { room, match, next }: Progress,
  log: Pick<RaftLog, 'first' | 'commit'>,
): boolean {
  if (room === 'low') return next < log.first
  return room === 'none' && match < log.commit
}

/**
 * Why an entry is refused for lack of room: on the leader's own disk, or on so many others that it could not be
 * committed. As long as a new leader may still find a follower to hand over to, the entry waits for that.
 */
export function whyNoRoom(
  replica: ReplicaView,
  lead: LeaderState,
  ofCore: boolean,
  makesRoom: boolean,
): Refusal | undefined {
  const { now, room, timing } = replica
  const needed = rank(ofCore || makesRoom ? 'low' : 'enough')
  const isShort = rank(room) < needed
  const hasMajority = roomOfMajority(replica, lead, 'enough', ofCore) >= needed
  // It writes entries of the core without any room, as a follower does.
  if (hasMajority && (ofCore || !isShort)) return undefined
  const mayHandOver = now - lead.electedAt <= timing.electionMaxMs && now >= lead.noHandOverUntil
  if (hasMajority && mayHandOver) return { reason: 'transferring' }
  const detail = isShort
    ? 'the disk of the leader is nearly full'
    : 'the disks of too many nodes are nearly full, or out of reach'
  return { reason: 'storage-full', detail }
}

/** The room that a majority of the disks has, the leader's among them. `unknown` counts where none is reported yet. */
function roomOfMajority(replica: ReplicaView, lead: LeaderState, unknown: DiskRoom, ofCore: boolean): number {
  const { configuration, log, now, room, timing } = replica
  // If the leader itself is late, it counts from the time of its next heartbeat: it has sent none since that time.
  const silentSince = Math.min(now, lead.heartbeatAt) - timing.electionMaxMs
  return quorumValue(configuration, (id) => {
    const follower = lead.progress.get(id)
    if (follower === undefined) return rank(room)
    // A silent replica counts as one without room, whatever it reported before. Entries of the core are tried anyway:
    // they may replace it.
    const isSilent = Math.max(follower.heardAt, lead.electedAt) <= silentSince
    if (!ofCore && (isSilent || cannotCatchUp(follower, log))) return rank('none')
    return rank(follower.hasToldRoom && !isSilent ? follower.room : unknown)
  })
}

/** Whether another leader would accept more: a majority of the disks has more room than the disk of this one. */
export function hasMajorityMoreRoom(replica: ReplicaView, lead: LeaderState): boolean {
  return roomOfMajority(replica, lead, 'none', false) > rank(replica.room)
}

/**
 * Whether a follower could lead instead, because its disk has more room. A follower that is far behind would not take
 * over in time. A follower that has not reported its room may be as short of room as the leader, and would hand over
 * again.
 */
export function hasMoreRoom(replica: ReplicaView, { room, hasToldRoom, match }: Progress): boolean {
  return hasToldRoom && rank(room) > rank(replica.room) && match >= replica.log.commit
}

/**
 * Whether a replica with a shorter log could be elected and could commit, while this leader can commit nothing until
 * there is room. That is so when uncommitted changes lie before the first entry of its term, and a majority lacks them
 * and has no room for them.
 */
export function couldOthersCommit(replica: ReplicaView, lead: LeaderState): boolean {
  const { configuration, log, now, timing } = replica
  const activeSince = now - timing.electionMaxMs
  const isMajority = (counts: (follower: Progress) => boolean, countsSelf: boolean): boolean =>
    quorumValue(configuration, (id) => {
      const follower = lead.progress.get(id)
      if (follower === undefined) return Number(countsSelf)
      return Number(follower.heardAt > activeSince && counts(follower))
    }) === 1
  // A replica that lacks committed entries counts too: it grants its vote to any replica that has them.
  const couldElect = ({ room, match }: Progress): boolean => room === 'none' && match + 1 < lead.firstIndex
  return isMajority(couldElect, false) && isMajority(({ match }) => match >= log.commit, true)
}
