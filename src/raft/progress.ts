// Replication progress of one follower on its leader, with flow control (etcd's tracker).
//
//   probe      the end of the follower's log is unknown: one append at a time, until a response shows where logs match
//   replicate  it is known: appends are pipelined within the window
//   snapshot   the next entry is compacted: nothing is sent until the follower has a snapshot
//
// Invariant: match < next. `match` never decreases within one leadership (paper §5.3): ids are never reused (RAFT-19),
// so no response can come from an earlier replica with a shorter log.

import { invariant } from './invariant.ts'
import type {
  ConfirmedContact,
  Entry,
  LogIndex,
  MonotonicMs,
  ProgressStatus,
  RaftLimits,
  ReplicaId,
} from './types.ts'

/** Time after which a snapshot stream without a reported end is started again. */
export const SNAPSHOT_REPORT_MS_MAX = 60_000

/** Time of a response that awaits a quorum round begun after it (see `ConfirmedContact`). */
interface OpenContact extends ConfirmedContact {
  readonly round: number
}

export class Progress {
  readonly id: ReplicaId
  readonly #limits: RaftLimits
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Highest index known to be durable on the follower and equal to the leader's entry. */
  match = 0 as LogIndex
  /** Next index to send. */
  next: LogIndex
  /** Whether a probe is in flight. Nothing more is sent until a response arrives. */
  probing = false
  /** Appends that the follower may not have received. */
  readonly inflight = new Inflight()
  /** Bytes that it takes beyond what it has received, as it reported last. */
  room = Number.POSITIVE_INFINITY
  /** Index that the follower must reach by snapshot, and the start of the snapshot state. */
  pendingSnapshot = 0 as LogIndex
  snapshotSince: MonotonicMs = 0
  /** Whether a snapshot was transmitted since the follower was last caught up, and how many of them came too late. */
  #hasSnapshot = false
  lateSnapshots = 0
  /** Time of the last response in this leadership; -Infinity before the first. */
  lastContactAt: MonotonicMs = Number.NEGATIVE_INFINITY
  applied = 0 as LogIndex
  /** The last commit index sent to the follower. */
  commitSent = 0 as LogIndex
  /** Index of the last entry that it forwarded. One of its clients waits until this entry is committed. */
  awaitedIndex = 0 as LogIndex
  /** Newest round that it has echoed, and the newest after it had applied the leader lease setting. */
  round = 0
  leaderLeaseRound = 0
  openContact: OpenContact | undefined
  confirmedContact: ConfirmedContact | undefined
  /** Catch-up round (thesis §4.2.1): its target index, its start, and the duration of the last one. */
  catchUpTo: LogIndex
  catchUpSince: MonotonicMs
  lastCatchUpMs = Number.POSITIVE_INFINITY

  constructor(id: ReplicaId, lastIndex: LogIndex, now: MonotonicMs, limits: RaftLimits) {
    this.id = id
    this.#limits = limits
    this.next = (lastIndex + 1) as LogIndex
    this.catchUpTo = lastIndex
    this.catchUpSince = now
  }

  get full(): boolean {
    return this.inflight.messages >= this.#limits.inflightMessagesMax || this.windowLeft <= 0
  }

  /** Bytes that may be sent ahead of answers. The last append may exceed them. */
  get windowLeft(): number {
    return Math.min(this.#limits.inflightBytesMax, this.room) - this.inflight.bytes
  }

  /** Whether only heartbeats may be sent now. */
  get paused(): boolean {
    return this.state === 'probe' ? this.probing : this.state === 'snapshot' || this.full
  }

  /** Index up to which the follower holds the log. A snapshot in flight counts as received. */
  get holds(): LogIndex {
    if (this.state === 'probe') return (this.next - 1) as LogIndex
    return Math.max(this.match, this.pendingSnapshot) as LogIndex
  }

  /** Enters the probe state from another state. */
  becomeProbe(): void {
    // A transmitted snapshot counts even before the follower acknowledges it.
    const from = this.holds
    this.state = 'probe'
    this.pendingSnapshot = 0 as LogIndex
    this.probing = false
    this.inflight.clear()
    this.next = (from + 1) as LogIndex
  }

  becomeReplicate(): void {
    this.state = 'replicate'
    this.pendingSnapshot = 0 as LogIndex
    this.probing = false
    this.next = (this.match + 1) as LogIndex
  }

  becomeSnapshot(atLeast: LogIndex, now: MonotonicMs): void {
    if (this.#hasSnapshot) this.lateSnapshots++
    this.#hasSnapshot = false
    this.state = 'snapshot'
    this.inflight.clear()
    this.pendingSnapshot = atLeast
    this.snapshotSince = now
  }

  /** Returns to probing after a snapshot of this index, or a later one, was transmitted. */
  snapshotTransmitted(index: LogIndex): void {
    this.pendingSnapshot = Math.max(this.pendingSnapshot, index) as LogIndex
    this.becomeProbe()
    this.#hasSnapshot = true
  }

  /** Returns to probing after a failed snapshot. */
  abandonSnapshot(): void {
    this.pendingSnapshot = 0 as LogIndex
    this.becomeProbe()
  }

  sent(entries: readonly Entry[]): void {
    if (this.state === 'probe') {
      this.probing = true
      return
    }
    const last = entries.at(-1)
    if (last === undefined) return
    let bytes = 0
    for (const { frame } of entries) bytes += frame.length
    this.next = (last.index + 1) as LogIndex
    this.inflight.add(last.index, bytes)
  }

  /** Records that the log is durable on the follower up to `index`. Returns whether `match` rose. */
  accepted(index: LogIndex): boolean {
    this.inflight.freeUpTo(index)
    if (index <= this.match) return false
    this.match = index
    if (this.next <= index) this.next = (index + 1) as LogIndex
    return true
  }

  /**
   * Records that the log of the follower is equal to the leader's up to `index`, although not all of it is durable
   * there, and that it takes `room` more bytes. So a follower with a slow disk gets what is new meanwhile.
   */
  received(index: LogIndex, room: number): void {
    this.room = room
    this.inflight.freeUpTo(index)
    // Before that end a snapshot may be on its way, or a probe that will show more.
    if (this.state !== 'probe' || index <= this.match || index + 1 < this.next) return
    this.becomeReplicate()
    this.next = (index + 1) as LogIndex
  }

  /**
   * Records the rejection of an append after `refused`. The logs may match up to `hint`. Returns whether this is new.
   */
  rejected(refused: LogIndex, hint: LogIndex): boolean {
    if (this.state === 'snapshot' || refused <= this.match) return false
    if (this.state === 'replicate') {
      this.becomeProbe()
      return true
    }
    // Only the response to the newest probe counts. Others are late.
    if (this.next - 1 !== refused) return false
    this.next = Math.max(Math.min(refused, hint + 1), this.match + 1) as LogIndex
    this.probing = false
    return true
  }

  /**
   * Ends the catch-up round of a follower that has reached its target, and begins the next one. `withinMs`: the
   * duration of a round after which few entries can be missing.
   */
  catchUp(lastIndex: LogIndex, now: MonotonicMs, withinMs: MonotonicMs): void {
    if (this.match < this.catchUpTo) return
    this.lastCatchUpMs = now - this.catchUpSince
    this.catchUpTo = lastIndex
    this.catchUpSince = now
    if (this.lastCatchUpMs >= withinMs) return
    this.#hasSnapshot = false
    this.lateSnapshots = 0
  }

  /** Whether the last round was short and the current one is so far, so that few entries can be missing. */
  isCaughtUp(now: MonotonicMs, withinMs: number): boolean {
    return this.state === 'replicate' && this.lastCatchUpMs < withinMs && now - this.catchUpSince < withinMs
  }

  forgetContact(): void {
    this.openContact = undefined
    this.confirmedContact = undefined
  }

  check(): void {
    invariant(
      this.match < this.next,
      () => `replica ${this.id} has match ${this.match} but next ${this.next}`,
    )
  }

  status(activeSince: MonotonicMs): ProgressStatus {
    return {
      id: this.id,
      state: this.state,
      match: this.match,
      next: this.next,
      applied: this.applied,
      inflightMessages: this.inflight.messages,
      paused: this.paused,
      recentlyActive: this.lastContactAt > activeSince,
      lateSnapshots: this.lateSnapshots,
    }
  }
}

/** Appends in flight to one follower, oldest first. */
class Inflight {
  #sent: { readonly last: LogIndex; readonly bytes: number }[] = []
  bytes = 0

  get messages(): number {
    return this.#sent.length
  }

  add(last: LogIndex, bytes: number): void {
    this.#sent.push({ last, bytes })
    this.bytes += bytes
  }

  freeUpTo(index: LogIndex): void {
    for (let [oldest] = this.#sent; oldest !== undefined && oldest.last <= index; [oldest] = this.#sent) {
      this.bytes -= oldest.bytes
      this.#sent.shift()
    }
  }

  clear(): void {
    this.#sent = []
    this.bytes = 0
  }
}
