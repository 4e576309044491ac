// Writes a record from its start to its end. Its memory grows with the record.

import {
  writeAscii,
  writeBigUint64,
  writeUint8,
  writeUint16,
  writeUint32,
  writeUint48,
  writeUint64,
} from './integers.ts'
import { encodeUtf8, utf8Length } from './utf8.ts'

const FIRST_BYTES = 512

/** Code units of a text that is written without the encoder if it is ASCII. */
const SHORT_TEXT = 64

const float = new DataView(new ArrayBuffer(8))

export class Writer {
  #bytes = new Uint8Array(FIRST_BYTES)
  #length = 0

  /** The number of bytes written so far. */
  get length(): number {
    return this.#length
  }

  uint8(value: number): this {
    const at = this.#room(1)
    writeUint8(this.#bytes, at, value)
    return this
  }

  uint16(value: number): this {
    const at = this.#room(2)
    writeUint16(this.#bytes, at, value)
    return this
  }

  uint32(value: number): this {
    const at = this.#room(4)
    writeUint32(this.#bytes, at, value)
    return this
  }

  uint48(value: number): this {
    const at = this.#room(6)
    writeUint48(this.#bytes, at, value)
    return this
  }

  /** Writes a safe integer in eight bytes. */
  uint64(value: number): this {
    const at = this.#room(8)
    writeUint64(this.#bytes, at, value)
    return this
  }

  bigUint64(value: bigint): this {
    const at = this.#room(8)
    writeBigUint64(this.#bytes, at, value)
    return this
  }

  float64(value: number): this {
    float.setFloat64(0, value)
    return this.uint32(float.getUint32(0)).uint32(float.getUint32(4))
  }

  flag(value: boolean): this {
    return this.uint8(value ? 1 : 0)
  }

  /** Writes the length (4 bytes), then the bytes. */
  bytes(value: Uint8Array): this {
    this.uint32(value.length)
    const at = this.#room(value.length)
    this.#bytes.set(value, at)
    return this
  }

  /** Writes the bytes alone. */
  raw(value: Uint8Array): this {
    const at = this.#room(value.length)
    this.#bytes.set(value, at)
    return this
  }

  /** Writes the text alone. */
  ascii(text: string): this {
    const at = this.#room(text.length)
    writeAscii(this.#bytes, at, text)
    return this
  }

  /** Writes the number of code units (2 bytes), then two bytes for each. */
  utf16(text: string): this {
    this.uint16(text.length)
    for (let at = 0; at < text.length; at++) this.uint16(text.charCodeAt(at))
    return this
  }

  /** Writes the number of bytes in UTF-8 (4 bytes), then those bytes. */
  utf8(text: string): this {
    // A call of the encoder takes longer than it takes to write a short text here.
    if (text.length <= SHORT_TEXT && utf8Length(text) === text.length)
      return this.uint32(text.length).ascii(text)
    return this.bytes(encodeUtf8(text))
  }

  /** A view of the bytes written so far. It is valid until the next `clear`. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** A copy of the bytes written so far. */
  copy(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  clear(): this {
    this.#length = 0
    return this
  }

  /** Returns where the next `count` bytes go. It may replace `#bytes`, so read `#bytes` after the call. */
  #room(count: number): number {
    const at = this.#length
    this.#length += count
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return at
  }
}
