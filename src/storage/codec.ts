// Reading and writing the small records of storage: big-endian, lengths before bytes, a CRC-32 at the end that covers
// the key as well, so that a record found under the wrong key is as bad as a flipped one.

import { crc32 } from 'node:zlib'
import { CorruptionError } from './errors.ts'

const TWO_32 = 0x1_0000_0000
const CRC_BYTES = 4

export class Encoder {
  #bytes = Buffer.allocUnsafe(512)
  #length = 0

  uint8(value: number): this {
    const at = this.#grow(1)
    this.#bytes.writeUInt8(value, at)
    return this
  }
  uint16(value: number): this {
    const at = this.#grow(2)
    this.#bytes.writeUInt16BE(value, at)
    return this
  }
  uint32(value: number): this {
    const at = this.#grow(4)
    this.#bytes.writeUInt32BE(value, at)
    return this
  }
  /** A non-negative safe integer in eight bytes. */
  uint64(value: number): this {
    return this.uint32(Math.floor(value / TWO_32)).uint32(value % TWO_32)
  }
  bytes(value: Uint8Array): this {
    this.uint32(value.length)
    const at = this.#grow(value.length)
    this.#bytes.set(value, at)
    return this
  }
  text(value: string): this {
    return this.bytes(Buffer.from(value))
  }

  /** What was written, for as long as nothing more is. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Makes room; where the bytes lie may change, so it comes before they are touched. */
  #grow(by: number): number {
    const at = this.#length
    this.#length += by
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, this.#bytes.length * 2))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return at
  }
}

/** Reads what an `Encoder` wrote; anything missing or left over is corruption of `what`. */
export class Decoder {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #what: string
  #at = 0

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1))
  }
  uint16(): number {
    return this.#view.getUint16(this.#take(2))
  }
  uint32(): number {
    return this.#view.getUint32(this.#take(4))
  }
  uint64(): number {
    const at = this.#take(8)
    const value = this.#view.getUint32(at) * TWO_32 + this.#view.getUint32(at + 4)
    if (!Number.isSafeInteger(value)) throw new CorruptionError(`${this.#what} holds an integer beyond 2^53`)
    return value
  }
  /** A view of the bytes, not a copy. */
  bytes(): Uint8Array {
    const length = this.uint32()
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }
  text(): string {
    return new TextDecoder().decode(this.bytes())
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length
  }

  end(): void {
    if (!this.ended) throw new CorruptionError(`${this.#what} is longer than its content`)
  }

  #take(bytes: number): number {
    const at = this.#at
    if (at + bytes > this.#bytes.length) throw new CorruptionError(`${this.#what} is cut short`)
    this.#at = at + bytes
    return at
  }
}

/** Appends the CRC-32 of key and payload. */
export function seal(key: Uint8Array, ...payload: readonly Uint8Array[]): Uint8Array {
  const length = payload.reduce((sum, part) => sum + part.length, 0)
  const sealed = Buffer.allocUnsafe(length + CRC_BYTES)
  let at = 0
  for (const part of payload) {
    sealed.set(part, at)
    at += part.length
  }
  sealed.writeUInt32BE(crc32(sealed.subarray(0, length), crc32(key)), length)
  return sealed
}

/** The payload of a sealed record, or `CorruptionError`. */
export function unseal(key: Uint8Array, sealed: Uint8Array, what: string): Uint8Array {
  const length = sealed.length - CRC_BYTES
  const payload = sealed.subarray(0, length)
  if (new Decoder(sealed.subarray(length), what).uint32() !== crc32(payload, crc32(key)))
    throw new CorruptionError(`the checksum of ${what} does not hold`)
  return payload
}
