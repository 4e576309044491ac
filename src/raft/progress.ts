// What a leader knows about one follower, and how fast it may send to it.
//
//   probe      the end of the follower's log is unknown: one append at a time, until an answer says where the logs meet
//   replicate  it is known: appends are sent without waiting for answers, as many as the window allows
//   snapshot   the next entry is compacted: nothing is sent until a snapshot has arrived there
//
// Invariant: match < next. `match` never decreases within one leadership (paper §5.3): ids are never used twice
// (RAFT-19), so an answer cannot come from an earlier replica with less in its log.

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

/** A snapshot without a reported end is offered again after this long. */
export const SNAPSHOT_REPORT_MS_MAX = 60_000

/** The time of an answer. It waits for a quorum round that began after the answer (see `ConfirmedContact`). */
interface OpenContact extends ConfirmedContact {
  readonly round: number
}

export class Progress {
  readonly id: ReplicaId
  readonly #limits: RaftLimits
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Highest index that is known to be durable on the follower and equal to the leader's entry. */
  match = 0 as LogIndex
  /** Next index to send. */
  next: LogIndex
  /** A probe is under way: nothing more is sent until an answer arrives. */
  probing = false
  readonly inflight = new Inflight()
  /** The index that the follower must reach by snapshot, and since when. */
  pendingSnapshot = 0 as LogIndex
  snapshotSince: MonotonicMs = 0
  /** Last answer in this leadership; -Infinity before the first. */
  heardAt: MonotonicMs = Number.NEGATIVE_INFINITY
  applied = 0 as LogIndex
  /** The last commit index sent to the follower. */
  commitSent = 0 as LogIndex
  /** The last entry that it forwarded: a client of that node waits until this entry is committed. */
  awaits = 0 as LogIndex
  /** The newest round that it has echoed, and the newest that it echoed after applying the lease setting. */
  round = 0
  leaseRound = 0
  openContact: OpenContact | undefined
  confirmedContact: ConfirmedContact | undefined
  /**
   * Catch-up of a learner (thesis §4.2.1): the end of the log when the round began, when the round began, and how long
   * the last round took.
   */
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
    const { inflightMessagesMax, inflightBytesMax } = this.#limits
    return this.inflight.messages >= inflightMessagesMax || this.inflight.bytes >= inflightBytesMax
  }

  /** Whether only heartbeats may be sent now. */
  get paused(): boolean {
    return this.state === 'probe' ? this.probing : this.state === 'snapshot' || this.full
  }

  /** The follower is known to hold the log up to this index. A snapshot under way counts as arrived. */
  get holds(): LogIndex {
    if (this.state === 'probe') return (this.next - 1) as LogIndex
    return Math.max(this.match, this.pendingSnapshot) as LogIndex
  }

  /** Called in another state. */
  becomeProbe(): void {
    // A snapshot that has arrived moves the follower to its index, even before the follower acknowledges it.
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
    this.state = 'snapshot'
    this.inflight.clear()
    this.pendingSnapshot = atLeast
    this.snapshotSince = now
  }

  /** The snapshot failed. */
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

  /** Everything up to `index` is durable on the follower. Returns whether `match` rose. */
  accepted(index: LogIndex): boolean {
    this.inflight.freeUpTo(index)
    if (index <= this.match) return false
    this.match = index
    if (this.next <= index) this.next = (index + 1) as LogIndex
    return true
  }

  /**
   * The follower refused an append after `refused`; the logs may be equal up to `hint`. Returns whether the leader
   * learned something new.
   */
  rejected(refused: LogIndex, hint: LogIndex): boolean {
    if (this.state === 'snapshot' || refused <= this.match) return false
    if (this.state === 'replicate') {
      this.becomeProbe()
      return true
    }
    // In the probe state only the answer to the newest probe counts. Answers to older appends are late.
    if (this.next - 1 !== refused) return false
    this.next = Math.max(Math.min(refused, hint + 1), this.match + 1) as LogIndex
    this.probing = false
    return true
  }

  /** If the learner has reached the end of its catch-up round, ends that round and begins the next one. */
  catchUp(lastIndex: LogIndex, now: MonotonicMs): void {
    if (this.match < this.catchUpTo) return
    this.lastCatchUpMs = now - this.catchUpSince
    this.catchUpTo = lastIndex
    this.catchUpSince = now
  }

  /** The last round was short, and so is this one so far. The entries that are still missing take little time. */
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
      inflightBytes: this.inflight.bytes,
      paused: this.paused,
      recentlyActive: this.heardAt > activeSince,
    }
  }
}

/** Appends under way to one follower, oldest first. */
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
