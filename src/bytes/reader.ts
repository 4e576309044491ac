// Reads a record from its start to its end. Throws for bytes that `Writer` cannot have written.

import { readBigUint64, readUint8, readUint16, readUint32 } from './integers.ts'
import { decodeUtf8 } from './utf8.ts'

const float = new DataView(new ArrayBuffer(8))

export class Reader {
  readonly #bytes: Uint8Array
  readonly #what: string
  readonly #error: new (
    message: string,
  ) => Error
  #at = 0

  /** `what` names the record in error messages, as in "the meta record is cut short". */
  constructor(bytes: Uint8Array, what: string, error: new (message: string) => Error) {
    this.#bytes = bytes
    this.#what = what
    this.#error = error
  }

  /** The number of bytes read so far. */
  get at(): number {
    return this.#at
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  uint8(): number {
    return readUint8(this.#bytes, this.#skip(1))
  }

  uint16(): number {
    return readUint16(this.#bytes, this.#skip(2))
  }

  uint32(): number {
    return readUint32(this.#bytes, this.#skip(4))
  }

  /** Reads a safe integer from eight bytes. */
  uint64(): number {
    const value = this.uint32() * 2 ** 32 + this.uint32()
    if (!Number.isSafeInteger(value)) throw this.#malformed('holds an integer beyond 2^53')
    return value
  }

  bigUint64(): bigint {
    return readBigUint64(this.#bytes, this.#skip(8))
  }

  float64(): number {
    float.setUint32(0, this.uint32())
    float.setUint32(4, this.uint32())
    const value = float.getFloat64(0)
    if (!Number.isFinite(value)) throw this.#malformed('holds a number that is not finite')
    return value
  }

  flag(): boolean {
    const value = this.uint8()
    if (value > 1) throw this.#malformed(`holds a flag of ${value}`)
    return value === 1
  }

  /** The next `count` bytes, as a view, not a copy. */
  slice(count: number): Uint8Array {
    const at = this.#skip(count)
    // Twice as fast as `subarray`, which is another function for a Buffer of Node.
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, count)
  }

  /** Reads a length (4 bytes) and that many bytes, as a view, not a copy. */
  bytes(): Uint8Array {
    return this.slice(this.uint32())
  }

  /** All remaining bytes, as a view, not a copy. */
  rest(): Uint8Array {
    return this.slice(this.left)
  }

  /** The next `count` bytes as text. */
  ascii(count: number): string {
    let text = ''
    for (let left = count; left > 0; left--) {
      const byte = this.uint8()
      if (byte > 0x7f) throw this.#malformed(`holds the byte ${byte} in place of ASCII`)
      text += String.fromCharCode(byte)
    }
    return text
  }

  /** Reads the number of code units (2 bytes), then two bytes for each. */
  utf16(): string {
    let text = ''
    for (let left = this.uint16(); left > 0; left--) text += String.fromCharCode(this.uint16())
    return text
  }

  /** Reads the number of bytes in UTF-8 (4 bytes), then those bytes. */
  utf8(): string {
    return decodeUtf8(this.bytes())
  }

  end(): void {
    if (this.left > 0) throw this.#malformed('is longer than its content')
  }

  #skip(count: number): number {
    const at = this.#at
    if (count > this.#bytes.length - at) throw this.#malformed('is cut short')
    this.#at = at + count
    return at
  }

  #malformed(fault: string): Error {
    return new this.#error(`${this.#what} ${fault}`)
  }
}

/**
 * Keeps the compiled code of the class: V8 drops it at each full collection in which no instance is alive, and a Reader
 * exists for one record only.
 */
export const KEPT_READER = new Reader(new Uint8Array(), '', Error)
