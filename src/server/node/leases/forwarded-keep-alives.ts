// Keep-alives of a node that does not lead. It forwards them to the leader, which notes them in memory, without an
// entry of the log. If the leader does not answer, because it no longer leads or the connection has broken, the node
// proposes an entry instead. To keep a lease alive twice does no harm. In the same way the node requests the times that
// leases have left, which only the leader knows.

import type { LeaseId } from '../../../operations/forms/index.ts'
import type { ReplicaId } from '../../../raft/index.ts'
import type { Clock, Timer } from '../clock.ts'
import type { ForwardedKeepAlive, KeepAliveAnswer } from '../network.ts'

/**
 * Each process of a node numbers its requests in a range of its own. Otherwise a late answer to the previous process
 * would match another request. The product of both constants is a whole number that JavaScript holds exactly.
 */
const PROCESS_NUMBERS = 2 ** 20
const REQUESTS_PER_PROCESS = 2 ** 32

type RemainingTtls = readonly (number | undefined)[]

interface PendingKeepAlive {
  readonly leader: ReplicaId
  readonly timer: Timer
  /** undefined: the leader has not answered. */
  readonly done: (kept: RemainingTtls | undefined) => void
}

interface LeaderLink {
  /** The other node that leads. */
  leader(): ReplicaId | undefined
  forward(leader: ReplicaId, question: ForwardedKeepAlive): void
}

export class ForwardedKeepAlives {
  readonly #link: LeaderLink
  readonly #clock: Clock
  readonly #pending = new Map<number, PendingKeepAlive>()
  /** The receiver of all open questions, until `check` finds another leader. */
  #leader: ReplicaId | undefined
  #last: number
  #isStopped = false

  /** `boot`: which process of this node it is, counted. */
  constructor(link: LeaderLink, clock: Clock, boot: number) {
    this.#link = link
    this.#clock = clock
    this.#last = (boot % PROCESS_NUMBERS) * REQUESTS_PER_PROCESS
  }

  /** Number of questions without an answer. */
  get size(): number {
    return this.#pending.size
  }

  /** Returns whether another node leads. `done` is called once, never within this call. */
  forward(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: PendingKeepAlive['done'],
    renews = true,
  ): boolean {
    const leader = this.#link.leader()
    if (leader === undefined || this.#isStopped) return false
    if (this.#pending.size === 0) this.#leader = leader
    const number = ++this.#last
    const timer = this.#clock.after(timeoutMs, () => this.#end(number, undefined))
    this.#pending.set(number, { leader, timer, done })
    // A frame has whole milliseconds.
    this.#link.forward(leader, { number, timeoutMs: Math.max(1, Math.floor(timeoutMs)), renews, ids })
    return true
  }

  answered(from: ReplicaId, { number, kept }: KeepAliveAnswer): void {
    // A reply of a previous leader is ignored: its request has ended.
    if (this.#pending.get(number)?.leader === from) this.#end(number, kept)
  }

  /**
   * Called after each step of the core, since the leader may have changed. Also called with a node whose connection
   * has broken or is back: requests from before, or in between, may be lost.
   */
  check(broken?: ReplicaId): void {
    if (this.#pending.size === 0) return
    const leader = this.#link.leader()
    if (leader === this.#leader && leader !== broken) return
    this.#leader = leader
    for (const [number, pending] of [...this.#pending])
      if (pending.leader !== leader || pending.leader === broken) this.#end(number, undefined)
  }

  /** The node ends. It still knows the leader, but cannot reach it. */
  stop(): void {
    this.#isStopped = true
    for (const number of [...this.#pending.keys()]) this.#end(number, undefined)
  }

  #end(number: number, kept: RemainingTtls | undefined): void {
    const pending = this.#pending.get(number)
    if (pending === undefined) return
    this.#pending.delete(number)
    pending.timer.cancel()
    pending.done(kept)
  }
}
