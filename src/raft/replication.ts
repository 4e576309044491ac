// Log replication, the leader's side (paper §5.3): appends, heartbeats, the responses to both, and commitment.
// Heartbeats also carry the rounds that confirm leadership (`quorum-rounds.ts`).

import { isMember, isVoter } from './configuration.ts'
import { invariant } from './invariant.ts'
import type { LeaderState } from './leader-state.ts'
import type { Membership } from './membership.ts'
import type { Peers } from './peers.ts'
import { type Progress, SNAPSHOT_REPORT_MS_MAX } from './progress.ts'
import { quorumValue } from './quorum.ts'
import type { ReadOrigin } from './quorum-rounds.ts'
import type { ReplicaView } from './replica-view.ts'
import type {
  AppendAcceptedMessage,
  AppendRejectedMessage,
  ConfirmedContact,
  HeartbeatAnswerMessage,
  LogIndex,
  ReplicaId,
  SnapshotRequest,
} from './types.ts'

/** Callbacks into the rest of the state machine. */
interface ReplicationActions {
  /** A quorum has confirmed that this replica led at `at` with this commit index. `origins` wait for it. */
  confirmed(origins: readonly ReadOrigin[], contact: ConfirmedContact): void
  /** The match index of a follower has risen. */
  acknowledged(lead: LeaderState, follower: Progress): void
}

export class Replication {
  readonly #replica: ReplicaView
  readonly #membership: Membership
  readonly #peers: Peers
  readonly #actions: ReplicationActions
  #snapshots: SnapshotRequest[] = []

  constructor(replica: ReplicaView, membership: Membership, peers: Peers, actions: ReplicationActions) {
    this.#replica = replica
    this.#membership = membership
    this.#peers = peers
    this.#actions = actions
  }

  /** The snapshots that followers need, for the output of this step. */
  takeSnapshots(): readonly SnapshotRequest[] {
    const snapshots = this.#snapshots
    this.#snapshots = []
    return snapshots
  }

  replicateToAll(lead: LeaderState): void {
    for (const follower of lead.followers) this.replicate(follower, false)
  }

  /** Sends a follower all that the window allows. With `force` it sends at least an empty append as a probe. */
  replicate(follower: Progress, force: boolean): void {
    if (follower.state === 'snapshot' || follower.probing) return
    if (this.#peers.lostState(follower.id) !== undefined) return
    const { lead, limits, log } = this.#replica
    const { last } = log
    let forced = force
    while (forced || (follower.next <= last && !follower.paused)) {
      const prevIndex = (follower.next - 1) as LogIndex
      const prevTerm = log.termAt(prevIndex)
      if (prevTerm === undefined) {
        this.#requestSnapshot(follower)
        return
      }
      const { next, paused, windowLeft } = follower
      const entries =
        next <= last && !paused
          ? log.entries(next, (last + 1) as LogIndex, Math.min(limits.appendBytesMax, windowLeft))
          : []
      if (entries.length === 0 && !forced) return
      const commit = this.commitFor(follower)
      follower.sent(entries)
      follower.commitSent = Math.min(commit, prevIndex + entries.length) as LogIndex
      follower.check()
      const round = lead?.rounds.newest ?? 0
      this.#replica.send(follower.id, { type: 'append', prevIndex, prevTerm, entries, commit, round })
      forced = false
    }
  }

  /**
   * Sends or schedules the commit index. While entries are in flight, the next append carries it. An idle follower
   * receives it at once if a client of that follower waits for it, otherwise after `commitDelayMs`. Under load the next
   * entries come first, which saves a message.
   */
  propagateCommit(lead: LeaderState, follower: Progress): void {
    const { now, timing } = this.#replica
    const { commitDelayMs } = timing
    if (commitDelayMs === 0 || follower.awaitedIndex > follower.commitSent) this.#sendCommit(follower)
    else lead.commitSendAt = Math.min(lead.commitSendAt, now + commitDelayMs)
  }

  /** Sends the commit index to idle followers once its delay is over. */
  sendDueCommits(lead: LeaderState): void {
    if (this.#replica.now < lead.commitSendAt) return
    lead.commitSendAt = Number.POSITIVE_INFINITY
    for (const follower of lead.followers) this.#sendCommit(follower)
  }

  #sendCommit(follower: Progress): void {
    if (follower.state !== 'replicate' || follower.inflight.messages > 0) return
    const commit = Math.min(this.commitFor(follower), follower.match) as LogIndex
    if (follower.commitSent >= commit) return
    follower.commitSent = commit
    this.sendHeartbeat(follower, 0)
  }

  /**
   * The commit index that this follower may learn. A removed replica stops once it learns of its removal, and the
   * operator may then delete it. So it learns of it only when the others no longer need it.
   */
  commitFor({ id }: Progress): LogIndex {
    const { configuration, lead, log, visibleCommit: commit } = this.#replica
    if (lead === undefined) return commit
    // An entry that is not applied yet may remove a replica that is still a member now.
    const leave = this.#membership.unapplied.leavesJointAfter(log.applied)
    if (leave !== undefined && leave <= commit && !configuration.voters.includes(id))
      return (leave - 1) as LogIndex
    if (this.#membership.settled || isMember(configuration, id)) return commit
    return Math.min(commit, this.#membership.leftJointAt - 1) as LogIndex
  }

  /** The commit index is limited to the match index, because the follower's log may differ after that. */
  sendHeartbeat(follower: Progress, round: number): void {
    this.#replica.send(follower.id, {
      type: 'heartbeat',
      commit: Math.min(this.commitFor(follower), follower.match) as LogIndex,
      round,
      confirmed: follower.confirmedContact,
      appliedByMajority: this.#membership.appliedByMajority,
    })
  }

  #requestSnapshot(follower: Progress): void {
    const { log, now, onDecision, timing } = this.#replica
    if (follower.lastContactAt <= now - timing.electionMaxMs) return
    const atLeast = (log.first - 1) as LogIndex
    onDecision?.({ kind: 'snapshot', follower: follower.id, atLeast })
    follower.becomeSnapshot(atLeast, now)
    this.#snapshots.push({ to: follower.id, atLeast, late: follower.lateSnapshots })
  }

  /** Gives up snapshot streams whose end was not reported in time. */
  abandonLateSnapshots(lead: LeaderState): void {
    for (const follower of lead.followers) {
      const isLate = this.#replica.now - follower.snapshotSince >= SNAPSHOT_REPORT_MS_MAX
      if (follower.state === 'snapshot' && isLate) follower.abandonSnapshot()
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Responses of followers

  onAccepted(message: AppendAcceptedMessage): void {
    const { lead, log, now, timing } = this.#replica
    if (lead === undefined) return
    const follower = this.#recordContact(lead, message, message.applied)
    if (follower === undefined) return
    invariant(
      message.index <= log.last,
      () => `replica ${message.from} acknowledges entry ${message.index}, but the log ends at ${log.last}`,
    )
    const hasRisen = follower.accepted(message.index)
    if (follower.state === 'probe' && (hasRisen || message.index === follower.match)) {
      follower.becomeReplicate()
    } else if (follower.state === 'snapshot' && follower.match + 1 >= log.first) follower.becomeReplicate()
    follower.catchUp(log.last, now, timing.electionMinMs)
    if (hasRisen) this.commitByCounting()
    this.replicate(follower, false)
    this.propagateCommit(lead, follower)
    if (hasRisen) this.#actions.acknowledged(lead, follower)
  }

  onRejected(message: AppendRejectedMessage): void {
    const { lead, log } = this.#replica
    if (lead === undefined) return
    const follower = this.#recordContact(lead, message, undefined)
    if (follower === undefined) return
    const { index, hintIndex, hintTerm } = message
    const hint = hintTerm > 0 ? log.findConflictByTerm(hintIndex, hintTerm).index : hintIndex
    if (follower.rejected(index, hint)) this.replicate(follower, true)
  }

  onHeartbeatAnswer(message: HeartbeatAnswerMessage): void {
    const { lead, log, now, timing } = this.#replica
    if (lead === undefined) return
    const follower = this.#recordContact(lead, message, message.applied)
    if (follower === undefined) return
    follower.probing = false
    invariant(
      message.matched <= log.last,
      () => `replica ${message.from} has the log up to ${message.matched}, but it ends at ${log.last}`,
    )
    follower.received(message.matched, message.room)
    follower.catchUp(log.last, now, timing.electionMinMs)
    // Appends may be lost without notice. An empty append detects the loss (etcd).
    if (follower.match < log.last || follower.state === 'probe') this.replicate(follower, true)
  }

  /** Records what every response of this term carries. Undefined when the sender is not a follower. */
  #recordContact(
    lead: LeaderState,
    { from, round, sentAt }: AppendAcceptedMessage | AppendRejectedMessage | HeartbeatAnswerMessage,
    applied: LogIndex | undefined,
  ): Progress | undefined {
    const { leaderLeases, log, now } = this.#replica
    const follower = lead.progress.get(from)
    if (follower === undefined) return undefined
    invariant(round <= lead.rounds.newest, () => `replica ${from} answers round ${round}, which never began`)
    follower.lastContactAt = now
    if (applied !== undefined) {
      if (applied > follower.applied) follower.applied = applied
      // A follower keeps the lease promise only after it has applied the lease setting (RAFT-25). It keeps the promise
      // through a restart only if the entry is on its disk. A follower may apply an entry that only other disks hold.
      const { since } = leaderLeases
      const keepsPromise = applied >= since && follower.match >= since
      if (keepsPromise && round > follower.leaderLeaseRound) follower.leaderLeaseRound = round
    }
    if (follower.openContact === undefined && lead.knowsCommit(log.commit)) {
      const next = lead.rounds.newest + 1
      follower.openContact = { at: sentAt, readIndex: log.commit, round: next }
    }
    if (round > follower.round) {
      follower.round = round
      this.confirmRounds(lead)
    }
    return follower
  }

  /** Counting commits only an entry of the leader's own term. That commits the entries before it (paper §5.4.2). */
  commitByCounting(): void {
    const { configuration, id: self, lead, log, onDecision, term } = this.#replica
    if (lead === undefined) return
    const index = quorumValue(configuration, (id) =>
      id === self ? log.stable : (lead.progress.get(id)?.match ?? (0 as LogIndex)),
    )
    if (index <= log.commit) return
    const entryTerm = log.termAt(index as LogIndex)
    if (entryTerm !== term) {
      if (entryTerm !== undefined)
        onDecision?.({ kind: 'commit-waits', index: index as LogIndex, term: entryTerm })
      return
    }
    onDecision?.({ kind: 'committed', index: index as LogIndex, durableOn: this.#durableOn(lead, index) })
    log.commitTo(index as LogIndex)
  }

  #durableOn(lead: LeaderState, index: number): readonly ReplicaId[] {
    const { id: self, log } = this.#replica
    const others = lead.followers.filter(({ match }) => match >= index).map(({ id }) => id)
    return log.stable >= index ? [self, ...others] : others
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Confirmation of leadership by rounds (thesis §6.4) and leader leases (thesis §6.4.1; RAFT-25)

  beginRound(lead: LeaderState, origins: readonly ReadOrigin[], to: 'voters' | 'all'): void {
    const { configuration, leaderLeases, log, now } = this.#replica
    const readIndex = lead.knowsCommit(log.commit) ? log.commit : undefined
    const { number, startedAt } = lead.rounds.begin(now, readIndex, origins)
    if (leaderLeases.trustMs > 0) lead.leaderLease.began(number, startedAt, leaderLeases.trustMs)
    for (const follower of lead.followers) {
      if (to === 'all' || isVoter(configuration, follower.id)) this.sendHeartbeat(follower, number)
    }
    this.confirmRounds(lead)
  }

  confirmRounds(lead: LeaderState): void {
    const { newest } = lead.rounds
    const { configuration, id: self } = this.#replica
    const confirmed = quorumValue(configuration, (id) =>
      id === self ? newest : (lead.progress.get(id)?.round ?? 0),
    )
    for (const { readIndex, startedAt, origins } of lead.rounds.confirm(confirmed)) {
      if (readIndex !== undefined) this.#actions.confirmed(origins, { at: startedAt, readIndex })
    }
    for (const follower of lead.followers) {
      const contact = follower.openContact
      if (contact === undefined || contact.round > confirmed) continue
      follower.confirmedContact = { at: contact.at, readIndex: contact.readIndex }
      follower.openContact = undefined
    }
    this.#extendLeaderLease(lead)
  }

  restartLeaderLease(): void {
    const { lead } = this.#replica
    if (lead === undefined) return
    lead.leaderLease.restart()
    for (const follower of lead.followers) follower.leaderLeaseRound = 0
  }

  #extendLeaderLease(lead: LeaderState): void {
    if (lead.leaderLease.openRounds === 0) return
    const { newest } = lead.rounds
    const { configuration, id: self, leaderLeases, now } = this.#replica
    const counted = quorumValue(configuration, (id) =>
      id === self ? newest : (lead.progress.get(id)?.leaderLeaseRound ?? 0),
    )
    lead.leaderLease.confirmed(counted, now, leaderLeases.applied.durationMs)
  }
}
