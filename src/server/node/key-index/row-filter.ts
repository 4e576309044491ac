// Bloom filters over the keys of all rows: which rows certainly do not exist (README.md).

const PROBES = 4
/** With this many bits a key, one in five hundred absent keys passes the filter. */
const BITS_PER_KEY = 16
/** The last filter is not larger, and takes every further key. All of them together have room for 60 million keys. */
const FILTER_BYTES_MAX = 64 * 1024 * 1024

export class RowFilter {
  readonly #bytes: number
  /** The newest last. A key is in one of them. */
  #filters: Int32Array[] = []
  /** How many keys may still be added to the newest. */
  #room = 0
  #isComplete = false

  /** `bytes`: the size of the first filter. */
  constructor(bytes: number) {
    this.#bytes = bytes
    this.#addFilter(bytes)
  }

  /** True: the row certainly does not exist. `hash`: `hashOfKey` of its key. */
  excludes(hash: number): boolean {
    return this.#isComplete && !this.#filters.some((filter) => contains(filter, hash))
  }

  /** Must be called for every new row. */
  add(hash: number): void {
    if (this.#filters.some((filter) => contains(filter, hash))) return
    if (this.#room === 0) this.#addFilter(2 * this.#newest.byteLength)
    this.#room--
    const filter = this.#newest
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = probeBit(filter, hash, probe)
      filter[bit >>> 5] = (filter[bit >>> 5] ?? 0) | (1 << (bit & 31))
    }
  }

  /** Every row that there was has been added. */
  complete(): void {
    this.#isComplete = true
  }

  /** Forgets all keys. Nothing is excluded until `complete`. */
  forgetAll(): void {
    this.#isComplete = false
    this.#filters = []
    this.#addFilter(this.#bytes)
  }

  get #newest(): Int32Array {
    return this.#filters.at(-1) ?? new Int32Array(1)
  }

  #addFilter(bytes: number): void {
    const filter = new Int32Array(Math.ceil(Math.min(bytes, FILTER_BYTES_MAX) / 4))
    const isLast = bytes >= FILTER_BYTES_MAX
    this.#filters.push(filter)
    this.#room = isLast ? Number.POSITIVE_INFINITY : Math.ceil((8 * bytes) / BITS_PER_KEY)
  }
}

function contains(filter: Int32Array, hash: number): boolean {
  for (let probe = 0; probe < PROBES; probe++) {
    const bit = probeBit(filter, hash, probe)
    if (((filter[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false
  }
  return true
}

function probeBit(filter: Int32Array, hash: number, probe: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  const step = (mixed ^ (mixed >>> 13)) | 1
  return ((hash + Math.imul(probe, step)) >>> 0) % (filter.length * 32)
}
