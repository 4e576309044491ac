// The transfer of leadership that this process was asked for (thesis §3.10), on the leader or on a follower. It stays
// open until another replica leads or the time is over. What a leader does for a transfer is in `transfer.ts`.

import type { MonotonicMs, Output, ReplicaId } from './types.ts'

interface TransferRequest {
  /** undefined: any voter. */
  readonly target: ReplicaId | undefined
  /** The leader when the request came. */
  readonly from: ReplicaId
  readonly deadline: MonotonicMs
}

export class PendingTransfer {
  #asked: TransferRequest | undefined
  #outcome: Output['transfer']

  get isOpen(): boolean {
    return this.#asked !== undefined
  }

  get deadline(): MonotonicMs {
    return this.#asked?.deadline ?? Number.POSITIVE_INFINITY
  }

  /** A second request replaces the first. A request without a target keeps the target of an open request. */
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

  /** Answers a request that needs no transfer or is refused. An open request stays open. */
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

  /** Called when a leader is known. */
  leaderIs(leader: ReplicaId, name: string): void {
    if (this.#asked === undefined || leader === this.#asked.from) return
    const { target } = this.#asked
    if (target === undefined || target === leader) this.end('done', `${name} leads`)
    else this.end('aborted', `${name} was elected instead`)
  }

  /** The outcome for the output of this step. */
  takeOutcome(): Output['transfer'] {
    const outcome = this.#outcome
    this.#outcome = undefined
    return outcome
  }
}
