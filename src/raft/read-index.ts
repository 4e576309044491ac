// Linearizable reads on every replica (ReadIndex, thesis §6.4). The leader records its commit index and confirms its
// leadership by a round of heartbeats (`quorum-rounds.ts`) or by its lease (`leader-lease.ts`). A follower requests
// that index from its leader. The read may be served once its replica has applied the index.

import type { EarlyRead, LeaderState } from './leader-state.ts'
import { PendingReads } from './pending-reads.ts'
import type { Progress } from './progress.ts'
import type { ReadOrigin } from './quorum-rounds.ts'
import type { ReplicaView } from './replica-view.ts'
import type {
  LogIndex,
  MonotonicMs,
  ReadIndexAnswerMessage,
  ReadIndexMessage,
  ReadOutcome,
  ReadRefusal,
  ReadRequest,
} from './types.ts'

/**
 * Limit on reads that wait in the core: on a leader for its first commit, on a leader for a round, and on a follower
 * for the response of the leader. More are refused as not ready.
 */
export const WAITING_READS_MAX = 10_000

/** Callbacks into the rest of the state machine. */
interface ReadActions {
  /** Begins a round of heartbeats to the voters. `confirmed` is called once a quorum has echoed it. */
  beginRound(lead: LeaderState, origins: readonly ReadOrigin[]): void
  /** Commit index that this follower may learn. */
  commitFor(follower: Progress): LogIndex
  learnCommit(commit: LogIndex): void
}

export class ReadIndex {
  readonly #replica: ReplicaView
  readonly #actions: ReadActions
  /** Reads of this replica that wait for its leader's response. */
  readonly #pending: PendingReads
  #outcomes: ReadOutcome[] = []

  constructor(replica: ReplicaView, actions: ReadActions) {
    this.#replica = replica
    this.#actions = actions
    this.#pending = new PendingReads(replica.boot)
  }

  /** Number of requests that wait for the leader's response. */
  get pending(): number {
    return this.#pending.size
  }

  get deadline(): MonotonicMs {
    return this.#pending.deadline
  }

  /** The outcomes for the output of this step. */
  takeOutcomes(): readonly ReadOutcome[] {
    const outcomes = this.#outcomes
    this.#outcomes = []
    return outcomes
  }

  read(reads: readonly ReadRequest[]): void {
    const { lead, now, timing } = this.#replica
    if (lead !== undefined) {
      this.#serve(
        lead,
        reads.map(({ id, leaderLease }) => ({ origin: { kind: 'local', id }, leaderLease })),
      )
      return
    }
    const to = this.#replica.reachableLeader
    if (to === undefined) {
      this.#refuseAll(
        reads.map(({ id }) => id),
        'no-leader',
      )
      return
    }
    for (const leaderLease of [false, true]) {
      const ids = reads.filter((read) => read.leaderLease === leaderLease).map(({ id }) => id)
      if (ids.length === 0) continue
      if (this.#pending.size >= WAITING_READS_MAX) {
        this.#refuseAll(ids, 'not-ready')
        continue
      }
      const request = this.#pending.register(ids, now + timing.electionMaxMs)
      this.#replica.send(to, { type: 'read-index', request, leaderLease })
    }
  }

  onRequest({ from, request, leaderLease }: ReadIndexMessage): void {
    const { lead } = this.#replica
    const origin: ReadOrigin = { kind: 'remote', from, request }
    if (lead === undefined) this.#refuse(origin, 'not-leader')
    else this.#serve(lead, [{ origin, leaderLease }])
  }

  onAnswer({ from, request, index, refusal, leaderLease, commit }: ReadIndexAnswerMessage): void {
    const ids = from === this.#replica.leader ? this.#pending.take(request) : undefined
    if (ids === undefined) return
    if (index === undefined) {
      this.#refuseAll(ids, refusal ?? 'not-leader')
      return
    }
    this.#actions.learnCommit(commit)
    for (const id of ids) this.#outcomes.push({ id, outcome: 'confirmed', index, leaderLease })
  }

  /** Serves the reads that arrived before the leader knew all committed entries. */
  serveEarly(lead: LeaderState): void {
    const early = lead.earlyReads
    lead.earlyReads = []
    this.#serve(lead, early)
  }

  /** Confirms the reads of a round after a quorum has echoed it. */
  confirmed(origins: readonly ReadOrigin[], readIndex: LogIndex): void {
    for (const origin of origins) this.#confirm(origin, readIndex, false)
  }

  /** Refuses all reads of a former leader. */
  leadershipLost(lead: LeaderState): void {
    for (const { origins } of lead.rounds.open) {
      for (const origin of origins) this.#refuse(origin, 'leadership-lost')
    }
    for (const { origin } of lead.earlyReads) this.#refuse(origin, 'leadership-lost')
  }

  /** Refuses the reads that wait for a leader that can no longer respond. */
  refusePending(refusal: ReadRefusal): void {
    this.#refuseAll(this.#pending.takeAll(), refusal)
  }

  expire(): void {
    this.#refuseAll(this.#pending.takeExpired(this.#replica.now), 'leadership-lost')
  }

  /** Whether the leader may serve a read without a round (thesis §6.4.1; RAFT-25). */
  leaderLeaseHolds(lead: LeaderState): boolean {
    const { leaderLeases, log, now, timing } = this.#replica
    if (lead.retirement !== undefined || !lead.committedInTerm(log.commit)) return false
    return lead.leaderLease.holds(now, leaderLeases.trustMs, timing.driftMax)
  }

  #serve(lead: LeaderState, reads: readonly EarlyRead[]): void {
    const { commit: index } = this.#replica.log
    if (!lead.knowsCommit(index)) {
      for (const read of reads) {
        if (lead.earlyReads.length < WAITING_READS_MAX) lead.earlyReads.push(read)
        else this.#refuse(read.origin, 'not-ready')
      }
      return
    }
    const leaderLeaseHolds = this.leaderLeaseHolds(lead)
    const inRound: ReadOrigin[] = []
    for (const { origin, leaderLease } of reads) {
      if (leaderLease && leaderLeaseHolds) this.#confirm(origin, index, true)
      else inRound.push(origin)
    }
    const room = WAITING_READS_MAX - lead.rounds.readers
    for (const origin of inRound.slice(room)) this.#refuse(origin, 'not-ready')
    const accepted = inRound.slice(0, room)
    if (accepted.length > 0) this.#actions.beginRound(lead, accepted)
  }

  #confirm(origin: ReadOrigin, index: LogIndex, leaderLease: boolean): void {
    if (origin.kind === 'local') {
      this.#outcomes.push({ id: origin.id, outcome: 'confirmed', index, leaderLease })
      return
    }
    const { from: to, request } = origin
    const follower = this.#replica.lead?.progress.get(to)
    const commit = follower === undefined ? 0 : Math.min(follower.match, this.#actions.commitFor(follower))
    this.#replica.send(to, {
      type: 'read-index-answer',
      request,
      index,
      refusal: undefined,
      leaderLease,
      commit: commit as LogIndex,
    })
  }

  #refuse(origin: ReadOrigin, refusal: ReadRefusal): void {
    if (origin.kind === 'local') {
      this.#outcomes.push({ id: origin.id, outcome: 'refused', refusal })
      return
    }
    const { from: to, request } = origin
    this.#replica.send(to, {
      type: 'read-index-answer',
      request,
      index: undefined,
      refusal,
      leaderLease: false,
      commit: 0 as LogIndex,
    })
  }

  #refuseAll(ids: readonly number[], refusal: ReadRefusal): void {
    for (const id of ids) this.#outcomes.push({ id, outcome: 'refused', refusal })
  }
}
