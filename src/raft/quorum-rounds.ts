// Rounds that confirm that a leader still leads (thesis §6.4). Each round has a number that is unique within the term.
// Heartbeats and appends carry the newest number, and every answer of that term echoes it. When a quorum has echoed a
// round, the leader was still leading at some moment after the round began. So the reads that were waiting then are
// safe at the index noted then, and the bound on staleness is proven.

import type { LogIndex, MonotonicMs, ReplicaId } from './types.ts'

/** The origin of a read: this node, or another one that asked for a read index. */
export type Reader =
  | { readonly kind: 'local'; readonly id: number }
  | { readonly kind: 'remote'; readonly from: ReplicaId; readonly request: number }

export interface QuorumRound {
  readonly number: number
  readonly startedAt: MonotonicMs
  /** Commit index when the round began. Undefined if the leader did not know everything that was committed then. */
  readonly readIndex: LogIndex | undefined
  readonly readers: readonly Reader[]
}

export class QuorumRounds {
  #newest = 0
  #open: QuorumRound[] = []

  get newest(): number {
    return this.#newest
  }
  /** Rounds without a quorum, oldest first. */
  get open(): readonly QuorumRound[] {
    return this.#open
  }

  begin(startedAt: MonotonicMs, readIndex: LogIndex | undefined, readers: readonly Reader[]): QuorumRound {
    const round = { number: ++this.#newest, startedAt, readIndex, readers }
    this.#open.push(round)
    return round
  }

  /** A quorum has echoed all rounds up to `number`. Returns the rounds that this confirms. */
  confirm(number: number): readonly QuorumRound[] {
    const waits = this.#open.findIndex((round) => round.number > number)
    return this.#open.splice(0, waits === -1 ? this.#open.length : waits)
  }
}
