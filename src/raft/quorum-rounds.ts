// Rounds that confirm leadership (thesis §6.4). Each round has a number that is unique within the term. Heartbeats and
// appends carry the newest number, and every response of that term echoes it. Once a quorum has echoed a round, the
// leader still led at some time after the round began. So the reads of the round are safe at the commit index recorded
// at its start, and the staleness bound is proven.

import type { LogIndex, MonotonicMs, ReplicaId } from './types.ts'

/** The origin of a read: this node, or a follower that requested a read index. */
export type ReadOrigin =
  | { readonly kind: 'local'; readonly id: number }
  | { readonly kind: 'remote'; readonly from: ReplicaId; readonly request: number }

interface QuorumRound {
  readonly number: number
  readonly startedAt: MonotonicMs
  /** Commit index at the start of the round; undefined if the leader did not know all committed entries then. */
  readonly readIndex: LogIndex | undefined
  readonly origins: readonly ReadOrigin[]
}

export class QuorumRounds {
  #newest = 0
  #open: QuorumRound[] = []
  #readers = 0

  get newest(): number {
    return this.#newest
  }
  /** Rounds without a quorum, oldest first. */
  get open(): readonly QuorumRound[] {
    return this.#open
  }
  /** Number of reads that wait for these rounds. */
  get readers(): number {
    return this.#readers
  }

  begin(
    startedAt: MonotonicMs,
    readIndex: LogIndex | undefined,
    origins: readonly ReadOrigin[],
  ): QuorumRound {
    const round = { number: ++this.#newest, startedAt, readIndex, origins }
    this.#open.push(round)
    this.#readers += origins.length
    return round
  }

  /** Removes and returns the rounds up to `number`, which a quorum has echoed. */
  confirm(number: number): readonly QuorumRound[] {
    const waits = this.#open.findIndex((round) => round.number > number)
    const confirmed = this.#open.splice(0, waits === -1 ? this.#open.length : waits)
    for (const { origins } of confirmed) this.#readers -= origins.length
    return confirmed
  }
}
