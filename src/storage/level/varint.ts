// LevelDB's encoding of numbers and of byte strings (leveldb 1.20, util/coding.cc).

/** Reading beyond the end gives zeros and sets `overrun`. */
export class VarintReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length
  }

  get overrun(): boolean {
    return this.#at > this.#bytes.length
  }

  varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.#bytes[this.#at++] ?? 0
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }

  bytes(): Uint8Array {
    return this.take(this.varint())
  }

  take(length: number): Uint8Array {
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}
