// The configurations that a search has entered: the set of placed operations, and the state that they led to. Equal
// configurations have the same continuations, so entering one twice is useless (Lowe). Hashes only choose where to
// look. Two configurations are equal only if all their bits are.
//
// Calls are numbered by their start, so the placed ones are all calls up to some point and a few later ones. Of the
// bits only the words between the first call that is not placed and the last that is are kept. So the memory of a
// configuration depends on concurrency, not on the length of the history.

const EMPTY = 0

export class Configurations {
  /** Offsets into `#records`, open addressing; 0 is an empty slot, so the first word of `#records` is never used. */
  #slots = new Int32Array(1 << 10)
  #records = new Int32Array(1 << 12)
  #used = 1
  #count = 0

  get size(): number {
    return this.#count
  }

  /**
   * Returns false when it was there. `required` has every bit below `from` set and none above `last`; `optional` is
   * kept whole. `hashA` and `hashB` are hashes of both sets and the state.
   */
  add(
    hashA: number,
    hashB: number,
    state: number,
    from: number,
    last: number,
    required: Int32Array,
    optional: Int32Array,
  ): boolean {
    const firstWord = from >> 5
    const words = Math.max(0, (last >> 5) - firstWord + 1)
    const mask = this.#slots.length - 1
    let slot = hashA & mask
    for (let offset = this.#slots[slot] ?? 0; offset !== EMPTY; offset = this.#slots[slot] ?? 0) {
      if (this.#equals(offset, hashB, state, firstWord, words, required, optional)) return false
      slot = (slot + 1) & mask
    }
    this.#slots[slot] = this.#store(hashA, hashB, state, firstWord, words, required, optional)
    this.#count += 1
    if (this.#count * 2 > this.#slots.length) this.#grow()
    return true
  }

  #equals(
    offset: number,
    hashB: number,
    state: number,
    firstWord: number,
    words: number,
    required: Int32Array,
    optional: Int32Array,
  ): boolean {
    const records = this.#records
    if (records[offset + 1] !== hashB || records[offset + 2] !== state) return false
    if (records[offset + 3] !== firstWord || records[offset + 4] !== words) return false
    const bits = offset + 5
    for (let at = 0; at < words; at++) {
      if (records[bits + at] !== required[firstWord + at]) return false
    }
    for (let at = 0; at < optional.length; at++) {
      if (records[bits + words + at] !== optional[at]) return false
    }
    return true
  }

  #store(
    hashA: number,
    hashB: number,
    state: number,
    firstWord: number,
    words: number,
    required: Int32Array,
    optional: Int32Array,
  ): number {
    const offset = this.#used
    const end = offset + 5 + words + optional.length
    if (end > this.#records.length) {
      const larger = new Int32Array(Math.max(this.#records.length * 2, end))
      larger.set(this.#records)
      this.#records = larger
    }
    this.#records.set([hashA, hashB, state, firstWord, words], offset)
    for (let at = 0; at < words; at++) this.#records[offset + 5 + at] = required[firstWord + at] ?? 0
    this.#records.set(optional, offset + 5 + words)
    this.#used = end
    return offset
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2)
    const mask = slots.length - 1
    for (const offset of this.#slots) {
      if (offset === EMPTY) continue
      let slot = (this.#records[offset] ?? 0) & mask
      while (slots[slot] !== EMPTY) slot = (slot + 1) & mask
      slots[slot] = offset
    }
    this.#slots = slots
  }
}
