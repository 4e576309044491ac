// A request to this process for a leadership transfer (thesis §3.10), on the leader or on a follower. It stays open
// until another replica leads or the deadline passes. `transfer.ts` has the leader's work for a transfer.

import type { MonotonicMs, Output, ReplicaId } from './types.ts'

interface TransferRequest {
  /** undefined: any voter. */
  readonly target: ReplicaId | undefined
  /** The leader at the time of the request. */
  readonly from: ReplicaId
  readonly deadline: MonotonicMs
}

export class PendingTransfer {
  #request: TransferRequest | undefined
  #outcome: Output['transfer']

  get isOpen(): boolean {
    return this.#request !== undefined
  }

  get deadline(): MonotonicMs {
    return this.#request?.deadline ?? Number.POSITIVE_INFINITY
  }

  /** A second request replaces the first. A request without a target keeps the target of an open request. */
  register(
    target: ReplicaId | undefined,
    from: ReplicaId,
    deadline: MonotonicMs,
    memberName: (id: ReplicaId) => string,
  ): void {
    const before = this.#request?.target
    if (before !== undefined && target !== undefined && before !== target)
      this.end('aborted', `leadership is handed to ${memberName(target)} instead`)
    this.#request = { target: target ?? before, from, deadline }
  }

  /** Resolves a request that needs no transfer or is refused. An open request stays open. */
  resolve(outcome: 'done' | 'refused', detail: string): void {
    this.#outcome = { outcome, detail }
  }

  end(outcome: 'done' | 'aborted', detail: string): void {
    this.#request = undefined
    this.#outcome = { outcome, detail }
  }

  expire(now: MonotonicMs): void {
    if (now >= this.deadline) this.end('aborted', 'nobody took over leadership in time')
  }

  /** Ends the request when another replica leads. */
  onLeader(leader: ReplicaId, name: string): void {
    if (this.#request === undefined || leader === this.#request.from) return
    const { target } = this.#request
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
