// Requests of this node to other members that wait for an answer. They are no messages of the core, which repeats its
// own: a request that is lost ends when its time is over.

import type { ReplicaId } from '../../../raft/index.ts'
import type { Clock, Timer } from '../clock.ts'

/**
 * Each process of a node numbers its requests in a range of its own. Otherwise a late answer to the previous process
 * would match another request. The product of both constants is a whole number that JavaScript holds exactly.
 */
const PROCESS_NUMBERS = 2 ** 20
const REQUESTS_PER_PROCESS = 2 ** 32

/** Why a request ended without an answer. */
export type NoAnswer = 'late' | 'lost'

interface PendingRequest<A> {
  readonly member: ReplicaId
  readonly timer: Timer
  readonly answered: (answer: A) => void
  readonly unanswered: (why: NoAnswer) => void
}

/** `A`: an answer. */
export class PeerRequests<A> {
  readonly #clock: Clock
  readonly #pending = new Map<number, PendingRequest<A>>()
  #last: number

  /** `boot`: which process of this node it is, counted. */
  constructor(clock: Clock, boot: number) {
    this.#clock = clock
    this.#last = (boot % PROCESS_NUMBERS) * REQUESTS_PER_PROCESS
  }

  /** Number of requests without an answer. */
  get size(): number {
    return this.#pending.size
  }

  /** Adds a request and returns its number. One of the callbacks is called once, never within this call. */
  add(
    member: ReplicaId,
    timeoutMs: number,
    answered: (answer: A) => void,
    unanswered: (why: NoAnswer) => void,
  ): number {
    const number = ++this.#last
    const timer = this.#clock.after(timeoutMs, () => this.#take(number)?.unanswered('late'))
    this.#pending.set(number, { member, timer, answered, unanswered })
    return number
  }

  /** An answer counts only from the member that was asked. */
  answered(from: ReplicaId, number: number, answer: A): void {
    if (this.#pending.get(number)?.member === from) this.#take(number)?.answered(answer)
  }

  /** The request was not sent, or its answer will not come. */
  lost(number: number): void {
    this.#take(number)?.unanswered('lost')
  }

  /** Ends the requests to some members: their answers, or the requests themselves, may be lost. */
  end(isLost: (member: ReplicaId) => boolean): void {
    for (const [number, { member }] of [...this.#pending]) if (isLost(member)) this.lost(number)
  }

  #take(number: number): PendingRequest<A> | undefined {
    const pending = this.#pending.get(number)
    this.#pending.delete(number)
    pending?.timer.cancel()
    return pending
  }
}
