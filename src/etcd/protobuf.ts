// The encoding of protocol buffers, version 3: https://protobuf.dev/programming-guides/encoding. Only what etcd's
// messages need: varints and fields with a length. A reader skips the other two types of a field that it does not know.

import { decodeUtf8, utf8Text } from '../bytes/index.ts'

export const VARINT = 0
export const FIXED64 = 1
export const LENGTH = 2
export const FIXED32 = 5

const TWO_32 = 2 ** 32
const MORE = 0x80
const BITS = 0x7f
const VARINT_BYTES_MAX = 10

/** Bytes that are no message. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
}

/** Reads fields from the bytes of one message. Everything that it returns is a copy, except `view`. */
export class FieldReader {
  readonly #bytes: Uint8Array
  #at: number
  readonly #end: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
  }

  get isDone(): boolean {
    return this.#at >= this.#end
  }

  /** The number of the next field, times 8, and its wire type. */
  tag(): number {
    const tag = this.uint32()
    if (tag < 8) throw new ProtobufError('a field has the number 0')
    return tag
  }

  uint32(): number {
    const first = this.#bytes[this.#at]
    if (first !== undefined && first < MORE && this.#at < this.#end) {
      this.#at++
      return first
    }
    this.#varint()
    return this.#low
  }

  bool(): boolean {
    this.#varint()
    return (this.#low | this.#high) !== 0
  }

  /** An int32 or an enum. */
  int32(): number {
    this.#varint()
    return this.#low | 0
  }

  /** An int64 as a number. It is exact from -(2^53 - 1) to 2^53 - 1. */
  int64(): number {
    this.#varint()
    return (this.#high | 0) * TWO_32 + this.#low
  }

  bigInt64(): bigint {
    return BigInt.asIntN(64, this.bigUint64())
  }

  bigUint64(): bigint {
    this.#varint()
    return (BigInt(this.#high) << 32n) | BigInt(this.#low)
  }

  /** The next field with a length. It shares the memory of the message. */
  view(): Uint8Array {
    const length = this.uint32()
    const end = this.#at + length
    if (end > this.#end) throw truncated()
    const view = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return view
  }

  text(): string {
    const view = this.view()
    const text = utf8Text(view)
    if (text === undefined) throw new ProtobufError(`a text is not UTF-8: ${decodeUtf8(view)}`)
    return text
  }

  /** A reader of the next field with a length, which is a message. */
  nested(): FieldReader {
    const view = this.view()
    return new FieldReader(view)
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.#varint()
    else if (wireType === LENGTH) this.view()
    else if (wireType === FIXED64) this.#jump(8)
    else if (wireType === FIXED32) this.#jump(4)
    else throw new ProtobufError(`a field has the wire type ${wireType}`)
  }

  #jump(bytes: number): void {
    this.#at += bytes
    if (this.#at > this.#end) throw truncated()
  }

  #low = 0
  #high = 0

  /** Reads a varint into `#low` and `#high`, which have 32 bits each. */
  #varint(): void {
    let low = 0
    let high = 0
    for (let index = 0; index < VARINT_BYTES_MAX; index++) {
      if (this.#at >= this.#end) throw truncated()
      const byte = this.#bytes[this.#at++] ?? 0
      const bits = byte & BITS
      const shift = 7 * index
      if (shift < 32) low |= bits << shift
      if (shift > 31) high |= bits << (shift - 32)
      else if (shift > 25) high |= bits >>> (32 - shift)
      if (byte >= MORE) continue
      this.#low = low >>> 0
      this.#high = high >>> 0
      return
    }
    throw new ProtobufError('a number has more than 10 bytes')
  }
}

const truncated = () => new ProtobufError('the message ends within a field')

const BYTES_FIRST = 1024
/** A larger buffer is not kept for the next message. */
const BYTES_KEPT_MAX = 256 * 1024

/**
 * Writes one message from its end to its beginning, so that the length of a nested message is known when it is
 * written.
 */
export class FieldWriter {
  #bytes = new Uint8Array(BYTES_FIRST)
  /** Where the bytes that are written begin. */
  #at = BYTES_FIRST

  /** Number of bytes that are written. */
  get length(): number {
    return this.#bytes.length - this.#at
  }

  /** The message, as a copy behind `head` bytes of the caller. The writer is empty afterwards. */
  take(head = 0): Uint8Array<ArrayBuffer> {
    const { length } = this
    const taken = new Uint8Array(head + length)
    taken.set(this.#bytes.subarray(this.#at), head)
    if (this.#bytes.length > BYTES_KEPT_MAX) this.#bytes = new Uint8Array(BYTES_FIRST)
    this.#at = this.#bytes.length
    return taken
  }

  tag(number: number, wireType: number): void {
    this.uint32(number * 8 + wireType)
  }

  uint32(value: number): void {
    if (value < MORE) {
      this.#room(1)
      this.#bytes[--this.#at] = value
    } else this.#varint(value >>> 0, 0)
  }

  /** A number from -(2^53 - 1) to 2^53 - 1. */
  int64(value: number): void {
    if (value >= 0 && value < MORE) this.uint32(value)
    else this.#varint(value >>> 0, Math.floor(value / TWO_32) >>> 0)
  }

  bigInt64(value: bigint): void {
    this.#varint(Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)))
  }

  bytes(value: Uint8Array): void {
    this.encoded(value)
    this.uint32(value.length)
  }

  /** Fields that are encoded already. */
  encoded(fields: Uint8Array): void {
    this.#room(fields.length)
    this.#at -= fields.length
    this.#bytes.set(fields, this.#at)
  }

  #room(bytes: number): void {
    if (this.#at >= bytes) return
    const { length } = this
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, 2 * (length + bytes)))
    grown.set(this.#bytes.subarray(this.#at), grown.length - length)
    this.#at = grown.length - length
    this.#bytes = grown
  }

  #varint(low: number, high: number): void {
    this.#room(VARINT_BYTES_MAX)
    let count = 1
    for (let rest = { low, high }; rest.high > 0 || rest.low >= MORE; count++) rest = shifted(rest)
    let at = this.#at - count
    this.#at = at
    let rest = { low, high }
    for (let index = 1; index < count; index++) {
      this.#bytes[at++] = (rest.low & BITS) | MORE
      rest = shifted(rest)
    }
    this.#bytes[at] = rest.low
  }
}

interface Words {
  readonly low: number
  readonly high: number
}

/** Without its lowest 7 bits. */
const shifted = ({ low, high }: Words): Words => ({
  low: ((low >>> 7) | (high << 25)) >>> 0,
  high: high >>> 7,
})
