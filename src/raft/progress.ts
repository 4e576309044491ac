// What a leader knows of one follower, and how fast it may send to it.
//
//   probe      the follower's log end is not known: one append at a time, until an answer says where the logs meet
//   replicate  it is known: appends are sent ahead of their answers, as many as the window allows
//   snapshot   what it needs next is compacted: nothing is sent until a snapshot has brought it back into the log
//
// Invariant: match < next. `match` never falls within one leadership (paper §5.3): ids are never used twice
// (RAFT-19), so an answer cannot come from an earlier life of the follower with less in its log.

import { invariant } from './invariant.ts'
import type {
  ConfirmedContact,
  DiskRoom,
  Entry,
  LogIndex,
  MonotonicMs,
  ProgressStatus,
  RaftLimits,
  ReplicaId,
} from './types.ts'

/** A snapshot whose end nobody reports is offered again after this long. */
export const SNAPSHOT_REPORT_MS_MAX = 60_000

/** An answer's time, waiting for a quorum round that began after it (see `ConfirmedContact`). */
interface OpenContact extends ConfirmedContact {
  readonly round: number
}

export class Progress {
  readonly id: ReplicaId
  readonly #limits: RaftLimits
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Highest index known to be durable there and equal to the leader's. */
  match = 0 as LogIndex
  /** Next index to send. */
  next: LogIndex
  /** A probe is under way: nothing more until an answer. */
  probing = false
  readonly inflight = new Inflight()
  /** Index that the follower must get by snapshot, and since when. */
  pendingSnapshot = 0 as LogIndex
  snapshotSince: MonotonicMs = 0
  /** Last answer in this leadership; -Infinity before the first. */
  heardAt: MonotonicMs = Number.NEGATIVE_INFINITY
  applied = 0 as LogIndex
  /** Of its disk. Without any it is sent no entries: it could not write them. */
  room: DiskRoom = 'enough'
  /** It has said so in this leadership; until then nobody knows. */
  hasToldRoom = false
  /** Commit index that the follower was last sent. */
  commitSent = 0 as LogIndex
  /** Last entry that it forwarded: somebody there waits until that is committed. */
  awaits = 0 as LogIndex
  /** Newest round that it has echoed, and the newest echoed after it had applied the lease setting. */
  round = 0
  leaseRound = 0
  openContact: OpenContact | undefined
  confirmedContact: ConfirmedContact | undefined
  /**
   * Catch-up of a learner (thesis §4.2.1): the end of the log when the round began, when that was, how long the last
   * one took.
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

  /** Nothing may be sent now but heartbeats. */
  get paused(): boolean {
    return this.state === 'probe' ? this.probing : this.state === 'snapshot' || this.full
  }

  /** The follower holds the log up to here, as far as that is known: it counts on a snapshot that is under way. */
  get holds(): LogIndex {
    if (this.state === 'probe') return (this.next - 1) as LogIndex
    return Math.max(this.match, this.pendingSnapshot) as LogIndex
  }

  /** From another state. */
  becomeProbe(): void {
    // A snapshot that has arrived moves the follower to its index, acknowledged or not.
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

  /** The snapshot failed: forget it. */
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

  /** Everything up to `index` is durable there. Returns whether that is news. */
  accepted(index: LogIndex): boolean {
    this.inflight.freeUpTo(index)
    if (index <= this.match) return false
    this.match = index
    if (this.next <= index) this.next = (index + 1) as LogIndex
    return true
  }

  /** An append after `refused` did not fit; the logs may meet at `hint`. Returns whether that is news. */
  rejected(refused: LogIndex, hint: LogIndex): boolean {
    if (this.state === 'snapshot' || refused <= this.match) return false
    if (this.state === 'replicate') {
      this.becomeProbe()
      return true
    }
    // In a probe only the answer to the probe itself counts; older ones were answered before.
    if (this.next - 1 !== refused) return false
    this.next = Math.max(Math.min(refused, hint + 1), this.match + 1) as LogIndex
    this.probing = false
    return true
  }

  /** Whether the learner has reached the end of its catch-up round; begins the next one. */
  catchUp(lastIndex: LogIndex, now: MonotonicMs): void {
    if (this.match < this.catchUpTo) return
    this.lastCatchUpMs = now - this.catchUpSince
    this.catchUpTo = lastIndex
    this.catchUpSince = now
  }

  /**
   * The last round was short, and so is this one up to now: what the learner still lacks is soon sent (thesis §4.2.1).
   */
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
      room: this.room,
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
