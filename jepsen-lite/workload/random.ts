// Seeded randomness of simulator, runs, study and power cuts. A draw is a function of its keys: a seed, a purpose, an
// entity and a count. So the draws of one purpose do not depend on how often another one has drawn. If one event is
// taken out of a schedule of the simulator, the draws of the others stay the same, and shrinking works.
//
// Saved schedules and printed seeds need that these functions never change.

/** 32 random bits from a seed and three keys. */
export function bits(seed: number, purpose: number, entity: number, count: number): number {
  let hash = Math.imul(seed ^ Math.imul(purpose, 0x9e3779b1), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 15) ^ Math.imul(entity + 1, 0xc2b2ae35), 0x2c1b3c6d)
  hash = Math.imul(hash ^ (hash >>> 13) ^ Math.imul(count + 1, 0x27d4eb2f), 0x297a2d39)
  return mixed(hash)
}

/** Different bits from the same draw. */
export function mixed(word: number): number {
  let hash = word
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Uniform in [0, 1). */
export const unit = (word: number): number => (word >>> 0) / 0x1_0000_0000

export const uniform = (seed: number, purpose: number, entity: number, count: number): number =>
  unit(bits(seed, purpose, entity, count))

/** A separate stream for one consumer, such as the election timeouts of one process. */
export function stream(seed: number, purpose: number, entity: number): () => number {
  let count = 0
  return () => uniform(seed, purpose, entity, count++)
}

/** One stream, and what is drawn from it. */
export class Random {
  readonly #seed: number
  /** In [0, 1). */
  readonly next: () => number

  /** Stream of one purpose and one entity. Real runs name neither: their streams have names as seeds. */
  constructor(seed: number | string, purpose = 0, entity = 0) {
    this.#seed = typeof seed === 'string' ? hashText(seed) : seed
    this.next = stream(this.#seed, purpose, entity)
  }

  /** A separate stream. It does not depend on what was drawn from this one before. */
  named(name: string): Random {
    return new Random(bits(this.#seed, 0, 0, hashText(name)))
  }

  /** A whole number from 0 up to, not including, `below`. */
  below(below: number): number {
    return this.int(0, below)
  }

  /** A whole number from `min` up to, not including, `max`. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min))
  }

  between(min: number, max: number): number {
    return min + this.next() * (max - min)
  }

  /** Milliseconds; short times are more likely than long ones. */
  ms(min: number, max: number): number {
    const u = this.next()
    return Math.round(min + (max - min) * u * u * u)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<const T>(items: readonly T[]): T {
    const at = this.below(items.length)
    if (at >= items.length) throw new RangeError('nothing to pick from')
    return items[at] as T
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
function hashText(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value | 0
}
