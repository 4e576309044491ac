// Judges whether the content of a directory is what it had to be.

import { assertNever } from '../../src/raft/index.ts'
import type { OpenOutcome } from './open-worker.ts'
import { type Demand, differencesTo, type Reference } from './reference.ts'
import type { ReplicaState } from './trace-markers.ts'

export interface PowerFault {
  /**
   * lost: something acknowledged is gone. refused: an intact directory was refused. strange: a state that never
   * existed. broken: anything worse.
   */
  readonly kind: 'lost' | 'refused' | 'strange' | 'broken'
  readonly what: string
}

/** Judges one outcome at the many cuts that may have left the directory. The matching states are looked up once. */
export class Judge {
  readonly #reference: Reference
  readonly #outcome: OpenOutcome
  readonly #matches: readonly number[]

  constructor(reference: Reference, outcome: OpenOutcome) {
    this.#reference = reference
    this.#outcome = outcome
    this.#matches = outcome.kind === 'opened' ? reference.matches(outcome.replica) : []
  }

  /** The violation, if there is one. */
  at(demand: Demand): PowerFault | undefined {
    const outcome = this.#outcome
    switch (outcome.kind) {
      case 'broken':
        return { kind: 'broken', what: `it broke: ${outcome.message}` }
      case 'refused':
        return { kind: 'refused', what: `it was refused, although nothing is damaged: ${outcome.message}` }
      case 'empty':
        if (demand.phase === 'formatting') return undefined
        return { kind: 'lost', what: 'the node is gone: the directory is empty' }
      case 'opened':
        return this.#bootFault(outcome.replica, demand) ?? this.#stateFault(outcome.replica, demand)
      default:
        return assertNever(outcome)
    }
  }

  /**
   * Opening raises the counter once more. If the cut happened while the recorded process raised it, that may have been
   * kept or not.
   */
  #bootFault({ boot }: ReplicaState, { phase }: Demand): PowerFault | undefined {
    const { boot: recorded } = this.#reference.start
    if (boot === recorded + 1 || (phase !== 'running' && boot === recorded)) return undefined
    return { kind: 'lost', what: `the boot counter is ${boot}, after ${recorded} had been reached` }
  }

  #stateFault(found: ReplicaState, { atLeast, because, atMost }: Demand): PowerFault | undefined {
    if (this.#matches.some((number) => number >= atLeast && number <= atMost)) return undefined
    const newest = this.#matches.at(-1)
    if (newest === undefined) return { kind: 'strange', what: this.#nearest(found, atMost) }
    if (newest < atLeast) {
      const what = `it is found after ${newest} batches, but ${because}: that takes ${atLeast}`
      return { kind: 'lost', what }
    }
    return { kind: 'strange', what: `it is found after ${newest} batches, of which ${atMost} were written` }
  }

  #nearest(found: ReplicaState, atMost: number): string {
    const candidates = this.#reference.states
      .slice(0, atMost + 1)
      .map((state, number) => ({ number, differences: differencesTo(state, found) }))
    const nearest = candidates.reduce((a, b) => (b.differences.length <= a.differences.length ? b : a))
    return `it never was in the state that was found; after ${nearest.number} batches ${nearest.differences.join(', ')}`
  }
}
