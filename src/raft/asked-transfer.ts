// The transfer of leadership that this process was asked for (thesis §3.10), on the leader or on a follower, until
// somebody else leads or the time is over. What a leader does for a transfer is in `leadership.ts` and `raft.ts`.

import type { MonotonicMs, Output, ReplicaId } from './types.ts'

interface Asked {
  /** Undefined: nobody in particular. */
  readonly target: ReplicaId | undefined
  /** The leader at that time. */
  readonly from: ReplicaId
  readonly deadline: MonotonicMs
}

export class AskedTransfer {
  #asked: Asked | undefined
  #outcome: Output['transfer']

  get isOpen(): boolean {
    return this.#asked !== undefined
  }

  get deadline(): MonotonicMs {
    return this.#asked?.deadline ?? Number.POSITIVE_INFINITY
  }

  /** A second request replaces the first. A request without a target agrees with any other. */
  ask(
    target: ReplicaId | undefined,
    from: ReplicaId,
    deadline: MonotonicMs,
    nameOf: (id: ReplicaId) => string,
  ): void {
    const before = this.#asked?.target
    if (before !== undefined && target !== undefined && before !== target)
      this.end('aborted', `leadership is handed to ${nameOf(target)} instead`)
    this.#asked = { target: target ?? before, from, deadline }
  }

  /** Of a request that needs no transfer, or gets none. One that is open goes on. */
  answer(outcome: 'done' | 'refused', detail: string): void {
    this.#outcome = { outcome, detail }
  }

  end(outcome: 'done' | 'aborted', detail: string): void {
    this.#asked = undefined
    this.#outcome = { outcome, detail }
  }

  expire(now: MonotonicMs): void {
    if (now >= this.deadline) this.end('aborted', 'nobody took over leadership in time')
  }

  /** A leader is known. */
  leaderIs(leader: ReplicaId, name: string): void {
    if (this.#asked === undefined || leader === this.#asked.from) return
    const { target } = this.#asked
    if (target === undefined || target === leader) this.end('done', `${name} leads`)
    else this.end('aborted', `${name} was elected instead`)
  }

  /** What is to be told of it in the output of this step. */
  takeOutcome(): Output['transfer'] {
    const outcome = this.#outcome
    this.#outcome = undefined
    return outcome
  }
}
