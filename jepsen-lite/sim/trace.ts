// A rolling hash of all events, to compare two runs of one schedule: 64 bits, as two words.

export class Trace {
  #a = 0x811c9dc5
  #b = 0x1b873593

  mix(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193)
    this.#b = Math.imul((this.#b << 5) | (this.#b >>> 27), 0x2c1b3c6d) ^ this.#a
  }

  text(text: string): void {
    for (let at = 0; at < text.length; at++) this.mix(text.charCodeAt(at))
  }

  get value(): string {
    return (this.#a >>> 0).toString(16).padStart(8, '0') + (this.#b >>> 0).toString(16).padStart(8, '0')
  }
}
