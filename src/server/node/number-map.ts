// A map from whole numbers to objects that come and go fast, in arrays that are changed in place (open addressing,
// linear probing).
//
// Whenever a `Map` grows or shrinks, it leaves its old table behind, and each old table refers to the next one. Once
// one of them is in the old generation, the garbage collector treats everything in all of them as alive until its next
// full collection: every request in flight at such a moment, in the end nearly all requests. This took a third of the
// time that a leader spent on collecting.

const CAPACITY_MIN = 256
/** Marks a free slot: keys are never negative. */
const FREE = -1

export class NumberMap<T extends object> {
  #keys: number[] = freeKeys(CAPACITY_MIN)
  #values: (T | undefined)[] = new Array(CAPACITY_MIN).fill(undefined)
  /** The home of a key is given by the highest bits of its hash. */
  #shift = 32 - Math.log2(CAPACITY_MIN)
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: number): T | undefined {
    return this.#values[this.#slotOf(key)]
  }

  set(key: number, value: T): void {
    if (2 * this.#size >= this.#keys.length) this.#grow()
    const slot = this.#slotOf(key)
    if (this.#keys[slot] === FREE) this.#size++
    this.#keys[slot] = key
    this.#values[slot] = value
  }

  /** Returns whether the key was in the map. */
  delete(key: number): boolean {
    let hole = this.#slotOf(key)
    if (this.#keys[hole] === FREE) return false
    this.#size--
    // Entries that were pushed past the hole move back, so that a search may end at the first free slot.
    const mask = this.#keys.length - 1
    for (let slot = (hole + 1) & mask; ; slot = (slot + 1) & mask) {
      const other = this.#keys[slot] ?? FREE
      if (other === FREE) break
      const home = this.#homeOf(other)
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue
      this.#keys[hole] = other
      this.#values[hole] = this.#values[slot]
      hole = slot
    }
    this.#keys[hole] = FREE
    this.#values[hole] = undefined
    return true
  }

  /** In no particular order. The map must not change meanwhile. */
  forEach(run: (value: T) => void): void {
    for (const value of this.#values) if (value !== undefined) run(value)
  }

  /** The current entries, by rising key. */
  entries(): (readonly [key: number, value: T])[] {
    const found = this.#keys.flatMap((key, slot) => {
      const value = this.#values[slot]
      return value === undefined ? [] : [[key, value] as const]
    })
    return found.sort(([a], [b]) => a - b)
  }

  /** The slot of `key`, or the one where it would be put. */
  #slotOf(key: number): number {
    const mask = this.#keys.length - 1
    let slot = this.#homeOf(key)
    while (this.#keys[slot] !== key && this.#keys[slot] !== FREE) slot = (slot + 1) & mask
    return slot
  }

  /**
   * Keys that follow each other are spread (Fibonacci hashing; Knuth, The Art of Computer Programming, 6.4). In slots
   * side by side they would form one run, and each deletion would search it to its end.
   */
  #homeOf(key: number): number {
    return Math.imul(key, 0x9e3779b1) >>> this.#shift
  }

  #grow(): void {
    const entries = this.entries()
    const capacity = 2 * this.#keys.length
    this.#shift--
    this.#keys = freeKeys(capacity)
    this.#values = new Array(capacity).fill(undefined)
    this.#size = 0
    for (const [key, value] of entries) this.set(key, value)
  }
}

const freeKeys = (capacity: number): number[] => new Array<number>(capacity).fill(FREE)
