// Reading and writing the few small records of the core, big-endian, with every bound checked.

import { asReplicaId, type ReplicaId } from './types.ts'

export class Writer {
  readonly #bytes: number[] = []

  uint8(value: number): this {
    return this.#integer(value, 1)
  }

  uint16(value: number): this {
    return this.#integer(value, 2)
  }

  uint32(value: number): this {
    return this.#integer(value, 4)
  }

  id(id: ReplicaId): this {
    const value = BigInt(id)
    return this.uint32(Number(value >> 32n)).uint32(Number(value & 0xffff_ffffn))
  }

  text(text: string): this {
    this.uint16(text.length)
    for (let at = 0; at < text.length; at++) this.uint16(text.charCodeAt(at))
    return this
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes)
  }

  #integer(value: number, size: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 256 ** size) {
      throw new RangeError(`${value} does not fit into ${size * 8} bits`)
    }
    for (let shift = size - 1; shift >= 0; shift--) this.#bytes.push(Math.floor(value / 256 ** shift) % 256)
    return this
  }
}

export class Reader {
  readonly #bytes: Uint8Array
  readonly #what: string
  #at = 0

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  uint8(): number {
    return this.#integer(1)
  }

  uint16(): number {
    return this.#integer(2)
  }

  uint32(): number {
    return this.#integer(4)
  }

  id(): ReplicaId {
    const high = BigInt(this.uint32())
    return asReplicaId(((high << 32n) | BigInt(this.uint32())).toString())
  }

  text(): string {
    let text = ''
    for (let left = this.uint16(); left > 0; left--) text += String.fromCharCode(this.uint16())
    return text
  }

  list<T>(one: () => T): T[] {
    const list: T[] = []
    for (let left = this.uint16(); left > 0; left--) list.push(one())
    return list
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new RangeError(`a ${this.#what} has bytes after its end`)
  }

  #integer(size: number): number {
    let value = 0
    for (let left = size; left > 0; left--) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new RangeError(`a ${this.#what} ends too early`)
      value = value * 256 + byte
    }
    return value
  }
}
