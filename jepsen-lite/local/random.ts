// All random choices of a run come from its seed, through named streams: the numbers that one client draws do not
// depend on how many another client has drawn.

export class Random {
  readonly #path: string
  #state: number

  constructor(seed: number | string) {
    this.#path = String(seed)
    this.#state = hash(this.#path)
  }

  /** A separate stream. It does not depend on what was drawn from this one before. */
  stream(name: string): Random {
    return new Random(`${this.#path}/${name}`)
  }

  /** In [0, 1): mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor(this.next() * below)
  }

  between(min: number, max: number): number {
    return min + this.next() * (max - min)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }

  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items]
    for (let at = result.length - 1; at > 0; at--) {
      const other = this.below(at + 1)
      const [a, b] = [result[at], result[other]]
      if (a !== undefined && b !== undefined) [result[at], result[other]] = [b, a]
    }
    return result
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value | 0
}
