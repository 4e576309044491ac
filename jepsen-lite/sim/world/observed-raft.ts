// A core whose steps are checked before its driver carries them out. It is the shipped core, or one with a wrong rule,
// which must be loaded before a run needs it (../../wrong-rules).

import { type Input, type Output, Raft, type RaftOptions } from '../../../src/raft/index.ts'
import type { Invariants, ObservedReplica } from '../oracle/invariants.ts'
import type { WrongRuleName } from '../wrong-rules.ts'

export type RaftClass = typeof Raft

export type ObservedRaftClass = new (
  options: RaftOptions,
  replica: ObservedReplica,
  invariants: Invariants,
) => Raft

const classes = new Map<WrongRuleName | undefined, ObservedRaftClass>([[undefined, observed(Raft)]])

/** undefined: the rules as they are. */
export function observedRaft(rule: WrongRuleName | undefined): ObservedRaftClass {
  const found = classes.get(rule)
  if (found === undefined)
    throw new RangeError(`the schedule has the wrong rule ${rule}, and no core with it is loaded here`)
  return found
}

export const isWrongRaftLoaded = (rule: WrongRuleName): boolean => classes.has(rule)

/** Makes a core with this wrong rule available to runs. */
export function addWrongRaft(rule: WrongRuleName, wrong: RaftClass): void {
  classes.set(rule, observed(wrong))
}

function observed(base: RaftClass): ObservedRaftClass {
  return class ObservedRaft extends base {
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
}
