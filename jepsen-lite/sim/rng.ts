// Random numbers of the generator: a separate stream for each part of a schedule.

import { DRAW, stream } from './random.ts'

export class Rng {
  readonly #next: () => number

  constructor(seed: number, entity: number) {
    this.#next = stream(seed, DRAW.swarm, entity)
  }

  /** From `min` up to, not including, `max`. */
  int(min: number, max: number): number {
    return min + Math.floor(this.#next() * (max - min))
  }
  chance(probability: number): boolean {
    return this.#next() < probability
  }
  pick<T>(first: T, ...others: readonly T[]): T {
    const at = this.int(0, others.length + 1)
    return at === 0 ? first : (others[at - 1] ?? first)
  }
  /** Short times are more likely than long ones. */
  ms(min: number, max: number): number {
    const u = this.#next()
    return Math.round(min + (max - min) * u * u * u)
  }
}
