// A core whose steps are checked before its driver carries them out.

import { type Input, type Output, Raft, type RaftOptions } from '../../../src/raft/index.ts'
import type { Invariants, ObservedReplica } from '../oracle/invariants.ts'

export class ObservedRaft extends Raft {
  readonly #replica: ObservedReplica
  readonly #invariants: Invariants

  constructor(options: RaftOptions, replica: ObservedReplica, invariants: Invariants) {
    super(options)
    this.#replica = replica
    this.#invariants = invariants
    invariants.coreBegins(replica, this)
  }

  override step(input: Input): Output {
    const output = super.step(input)
    // The core of a process that has ended may still take the step in which it ends.
    if (this.#replica.core?.reader === this) this.#invariants.stepped(this.#replica, output)
    return output
  }
}
