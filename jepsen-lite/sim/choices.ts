// Several choices out of the one number that an operation of a schedule has. The number is small and flat, so that it
// can be shrunk; what it is spread over is not.

export class Choices {
  #bits: number

  constructor(x: number) {
    const spread = Math.imul(x + 1, 0x9e37_79b1)
    this.#bits = (spread ^ (spread >>> 15)) >>> 0
  }

  /** From 0 on, below `below`. All choices of one number together have 32 bits to choose by. */
  below(below: number): number {
    const chosen = this.#bits % below
    this.#bits = Math.floor(this.#bits / below)
    return chosen
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0]
  }
}
