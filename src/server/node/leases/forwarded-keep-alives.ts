// Keep-alives of a node that does not lead. It forwards them to the leader, which notes them in memory, without an
// entry of the log. If the leader does not answer, because it no longer leads or the connection has broken, the node
// proposes an entry instead. To keep a lease alive twice does no harm. In the same way the node requests the times that
// leases have left, which only the leader knows.

import type { LeaseId } from '../../../operations/forms/index.ts'
import type { ReplicaId } from '../../../raft/index.ts'
import type { Clock } from '../clock.ts'
import { PeerRequests } from '../membership/peer-requests.ts'
import type { ForwardedKeepAlive, KeepAliveAnswer } from '../network.ts'

interface LeaderLink {
  /** The other node that leads. */
  leader(): ReplicaId | undefined
  forward(leader: ReplicaId, question: ForwardedKeepAlive): void
}

export class ForwardedKeepAlives {
  readonly #link: LeaderLink
  readonly #requests: PeerRequests<KeepAliveAnswer['kept']>
  /** The receiver of all open questions, until `check` finds another leader. */
  #leader: ReplicaId | undefined
  #isStopped = false

  /** `boot`: which process of this node it is, counted. */
  constructor(link: LeaderLink, clock: Clock, boot: number) {
    this.#link = link
    this.#requests = new PeerRequests(clock, boot)
  }

  /** Number of questions without an answer. */
  get size(): number {
    return this.#requests.size
  }

  /**
   * Returns whether another node leads. `done` is called once, never within this call; with undefined if the leader has
   * not answered.
   */
  forward(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (kept: KeepAliveAnswer['kept']) => void,
    renews = true,
  ): boolean {
    const leader = this.#link.leader()
    if (leader === undefined || this.#isStopped) return false
    if (this.#requests.size === 0) this.#leader = leader
    const number = this.#requests.add(leader, timeoutMs, done, () => done(undefined))
    // A frame has whole milliseconds.
    this.#link.forward(leader, { number, timeoutMs: Math.max(1, Math.floor(timeoutMs)), renews, ids })
    return true
  }

  /** A reply of a previous leader is ignored: its request has ended. */
  answered(from: ReplicaId, { number, kept }: KeepAliveAnswer): void {
    this.#requests.answered(from, number, kept)
  }

  /**
   * Called after each step of the core, since the leader may have changed. Also called with a node whose connection
   * has broken or is back: requests from before, or in between, may be lost.
   */
  check(broken?: ReplicaId): void {
    if (this.#requests.size === 0) return
    const leader = this.#link.leader()
    if (leader === this.#leader && leader !== broken) return
    this.#leader = leader
    this.#requests.end((member) => member !== leader || member === broken)
  }

  /** The node ends. It still knows the leader, but cannot reach it. */
  stop(): void {
    this.#isStopped = true
    this.#requests.end(() => true)
  }
}
