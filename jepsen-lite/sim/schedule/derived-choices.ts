// Derives several choices from the one number that an operation of a schedule has. The number is small and plain, so
// that it can be shrunk; the choices are spread evenly.

export class DerivedChoices {
  #bits: number

  constructor(x: number) {
    const spread = Math.imul(x + 1, 0x9e37_79b1)
    this.#bits = (spread ^ (spread >>> 15)) >>> 0
  }

  /** From 0 up to, not including, `below`. All choices of one number together have 32 bits. */
  below(below: number): number {
    const chosen = this.#bits % below
    this.#bits = Math.floor(this.#bits / below)
    return chosen
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0]
  }
}
