// Whether what became of a directory is what had to become of it.

import { assertNever } from '../../src/raft/index.ts'
import type { Replica } from './marks.ts'
import type { Outcome } from './opener.ts'
import { type Demand, differenceTo, type Reference } from './reference.ts'

/** Judges one outcome at the many cuts that may have left the directory: what it matches is looked up once. */
export class Judge {
  readonly #reference: Reference
  readonly #outcome: Outcome
  readonly #matches: readonly number[]

  constructor(reference: Reference, outcome: Outcome) {
    this.#reference = reference
    this.#outcome = outcome
    this.#matches = outcome.kind === 'opened' ? reference.matches(outcome.replica) : []
  }

  /** What is wrong; undefined when all is well. */
  at(demand: Demand): string | undefined {
    const outcome = this.#outcome
    switch (outcome.kind) {
      case 'broken':
        return `it broke: ${outcome.message}`
      case 'refused':
        return demand.phase === 'formatting'
          ? undefined
          : `it was refused, although nothing is damaged: ${outcome.message}`
      case 'empty':
        return demand.phase === 'formatting' ? undefined : 'the node is gone: the directory is empty'
      case 'opened':
        return this.#bootFault(outcome.replica, demand) ?? this.#stateFault(outcome.replica, demand)
      default:
        return assertNever(outcome)
    }
  }

  /** Opening raises the counter once more; a cut while the recorded process did it may have kept that or not. */
  #bootFault({ boot }: Replica, { phase }: Demand): string | undefined {
    const { boot: recorded } = this.#reference.start
    if (boot === recorded + 1 || (phase !== 'running' && boot === recorded)) return undefined
    return `the boot counter is ${boot}, after ${recorded} had been reached`
  }

  #stateFault(found: Replica, { atLeast, because, atMost }: Demand): string | undefined {
    if (this.#matches.some((number) => number >= atLeast && number <= atMost)) return undefined
    const older = this.#matches.findLast((number) => number < atLeast)
    if (older !== undefined)
      return `what was acknowledged is gone: it is found after ${older} batches, but ${because}, which takes ${atLeast}`
    const [, newer] = [older, this.#matches[0]]
    if (newer !== undefined) return `it is found after ${newer} batches, of which only ${atMost} were written`
    const expected = this.#reference.states[Math.min(atLeast, atMost)]
    const difference = expected === undefined ? 'there is none' : differenceTo(expected, found)
    return `it never was in the state that was found; compared with the one after ${Math.min(atLeast, atMost)} batches: ${difference}`
  }
}
