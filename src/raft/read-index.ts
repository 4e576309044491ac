// Linearizable reads on every replica (ReadIndex, thesis §6.4). The leader notes its commit index and confirms that it
// still leads: by a round of heartbeats (`rounds.ts`), or by its lease (`leases.ts`). A follower asks its leader for
// that index. The read may be served once its replica has applied the index.

import type { EarlyRead, LeaderState } from './leader-state.ts'
import { PendingReads } from './pending-reads.ts'
import type { Progress } from './progress.ts'
import type { Reader } from './quorum-rounds.ts'
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

/** Limit of reads that wait for a new leader's first commit. More are refused as not ready. */
export const EARLY_READS_MAX = 10_000

/** What the rest of the state machine does for reads. */
export interface ReadActions {
  /** Begins a round of heartbeats to the voters. It calls `confirmed` when a quorum has answered. */
  beginRound(lead: LeaderState, readers: readonly Reader[]): void
  /** The commit index that this follower may know. */
  commitFor(follower: Progress): LogIndex
  learnCommit(commit: LogIndex): void
}

export class ReadIndex {
  readonly #replica: ReplicaView
  readonly #actions: ReadActions
  /** Reads of this replica that its leader was asked for. */
  readonly #asked: PendingReads
  #outcomes: ReadOutcome[] = []

  constructor(replica: ReplicaView, actions: ReadActions) {
    this.#replica = replica
    this.#actions = actions
    this.#asked = new PendingReads(replica.boot)
  }

  /** How many requests wait for the leader's answer. */
  get asked(): number {
    return this.#asked.size
  }

  get deadline(): MonotonicMs {
    return this.#asked.deadline
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
      const asked = reads.map(({ id, lease }): EarlyRead => ({ reader: { kind: 'local', id }, lease }))
      this.#serve(lead, asked)
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
    for (const lease of [false, true]) {
      const ids = reads.filter((read) => read.lease === lease).map(({ id }) => id)
      if (ids.length === 0) continue
      const request = this.#asked.ask(ids, now + timing.electionMaxMs)
      this.#replica.send(to, { type: 'read-index', request, lease })
    }
  }

  onRequest({ from, request, lease }: ReadIndexMessage): void {
    const { lead } = this.#replica
    const reader: Reader = { kind: 'remote', from, request }
    if (lead === undefined) this.#refuse(reader, 'not-leader')
    else this.#serve(lead, [{ reader, lease }])
  }

  onAnswer({ from, request, index, refusal, lease, commit }: ReadIndexAnswerMessage): void {
    const ids = from === this.#replica.leader ? this.#asked.answered(request) : undefined
    if (ids === undefined) return
    if (index === undefined) {
      this.#refuseAll(ids, refusal ?? 'not-leader')
      return
    }
    this.#actions.learnCommit(commit)
    for (const id of ids) this.#outcomes.push({ id, outcome: 'confirmed', index, lease })
  }

  /** Serves the reads that waited for a new leader's knowledge of what is committed. */
  serveEarly(lead: LeaderState): void {
    const early = lead.earlyReads
    lead.earlyReads = []
    this.#serve(lead, early)
  }

  /** A quorum has confirmed that this replica led after `readIndex` was noted. */
  confirmed(readers: readonly Reader[], readIndex: LogIndex): void {
    for (const reader of readers) this.#confirm(reader, readIndex, false)
  }

  /** This replica leads no longer. */
  leadershipLost(lead: LeaderState): void {
    for (const { readers } of lead.rounds.open) {
      for (const reader of readers) this.#refuse(reader, 'leadership-lost')
    }
    for (const { reader } of lead.earlyReads) this.#refuse(reader, 'leadership-lost')
  }

  /** The leader that was asked cannot answer any more. */
  endAsked(refusal: ReadRefusal): void {
    this.#refuseAll(this.#asked.endAll(), refusal)
  }

  expire(): void {
    this.#refuseAll(this.#asked.expire(this.#replica.now), 'leadership-lost')
  }

  /** Whether the leader may serve a read without a round (thesis §6.4.1; RAFT-25). */
  leaseHolds(lead: LeaderState): boolean {
    const { leases, log, now, timing } = this.#replica
    if (lead.retiring !== undefined || !lead.committedInTerm(log.commit)) return false
    return lead.lease.holds(now, leases.trustMs, timing.driftMax)
  }

  #serve(lead: LeaderState, asked: readonly EarlyRead[]): void {
    const { commit: index } = this.#replica.log
    if (!lead.knowsCommit(index)) {
      for (const read of asked) {
        if (lead.earlyReads.length < EARLY_READS_MAX) lead.earlyReads.push(read)
        else this.#refuse(read.reader, 'not-ready')
      }
      return
    }
    const leaseHolds = this.leaseHolds(lead)
    const inRound: Reader[] = []
    for (const { reader, lease } of asked) {
      if (lease && leaseHolds) this.#confirm(reader, index, true)
      else inRound.push(reader)
    }
    if (inRound.length > 0) this.#actions.beginRound(lead, inRound)
  }

  #confirm(reader: Reader, index: LogIndex, lease: boolean): void {
    if (reader.kind === 'local') {
      this.#outcomes.push({ id: reader.id, outcome: 'confirmed', index, lease })
      return
    }
    const { from: to, request } = reader
    const follower = this.#replica.lead?.progress.get(to)
    const commit = follower === undefined ? 0 : Math.min(follower.match, this.#actions.commitFor(follower))
    this.#replica.send(to, {
      type: 'read-index-answer',
      request,
      index,
      refusal: undefined,
      lease,
      commit: commit as LogIndex,
    })
  }

  #refuse(reader: Reader, refusal: ReadRefusal): void {
    if (reader.kind === 'local') {
      this.#outcomes.push({ id: reader.id, outcome: 'refused', refusal })
      return
    }
    const { from: to, request } = reader
    this.#replica.send(to, {
      type: 'read-index-answer',
      request,
      index: undefined,
      refusal,
      lease: false,
      commit: 0 as LogIndex,
    })
  }

  #refuseAll(ids: readonly number[], refusal: ReadRefusal): void {
    for (const id of ids) this.#outcomes.push({ id, outcome: 'refused', refusal })
  }
}
