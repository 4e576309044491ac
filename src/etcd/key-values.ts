// The rows of a range in protocol buffers: fields 2 of `RangeResponse`, each a `KeyValue`. They are written in place,
// without an object or a copy for each: lists of etcd's clients have hundreds of thousands. `messages/kv.ts` describes
// the same messages, and decodes them.

const TWO_32 = 2 ** 32
const MORE = 0x80
const BITS = 0x7f

/** The field `kvs`, and those of a `KeyValue`, with their wire types. */
const KVS = 0x12
const KEY = 0x0a
const CREATE_REVISION = 0x10
const MOD_REVISION = 0x18
const VERSION = 0x20
const VALUE = 0x2a
const LEASE = 0x30

/** A key and its metadata, as a range has them. */
export interface RangeRow {
  readonly key: Uint8Array
  /** From 0 to 2^53 - 1, as the next two. */
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  /** Decimal digits of 64 bits without a sign; undefined: none. */
  readonly lease: string | undefined
}

/** Bytes of a varint of a number from 0 to 2^53 - 1. */
function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= MORE; rest = Math.floor(rest / MORE)) bytes++
  return bytes
}

const numberBytes = (value: number): number => (value === 0 ? 0 : 1 + varintBytes(value))
const lengthBytes = (length: number): number => (length === 0 ? 0 : 1 + varintBytes(length) + length)

function leaseBytes(lease: string | undefined): number {
  if (lease === undefined) return 0
  let bytes = 1
  for (let rest = BigInt(lease); rest >= 128n; rest >>= 7n) bytes++
  return 1 + bytes
}

/** Bytes of the message of a row, without its tag and its length. */
const bodyBytes = (
  { key, createRevision, modRevision, version, lease }: RangeRow,
  valueLength: number,
): number =>
  lengthBytes(key.length) +
  numberBytes(createRevision) +
  numberBytes(modRevision) +
  numberBytes(version) +
  lengthBytes(valueLength) +
  leaseBytes(lease)

/** Bytes of a row in a response, exactly. */
export function rangeRowBytes(row: RangeRow, valueLength: number): number {
  const body = bodyBytes(row, valueLength)
  return 1 + varintBytes(body) + body
}

/** Size of the parts: large enough for few writes, small enough for memory that is used again. */
const PART_BYTES = 64 * 1024

/** Writes rows into parts, each of whole rows, for `EncodedValues`. */
export class RangeRowWriter {
  #part: Uint8Array = NOTHING
  #at = 0
  #parts: Uint8Array[] = []
  /** Bytes of all rows so far, and their number. */
  bytes = 0
  rows = 0

  add(row: RangeRow, value: Uint8Array): void {
    const body = bodyBytes(row, value.length)
    const bytes = 1 + varintBytes(body) + body
    if (this.#part.length - this.#at < bytes) this.#begin(bytes)
    this.bytes += bytes
    this.rows++
    const { key, createRevision, modRevision, version, lease } = row
    this.#part[this.#at++] = KVS
    this.#varint(body)
    this.#bytes(KEY, key)
    this.#number(CREATE_REVISION, createRevision)
    this.#number(MOD_REVISION, modRevision)
    this.#number(VERSION, version)
    this.#bytes(VALUE, value)
    if (lease !== undefined) this.#lease(lease)
  }

  /** The parts since the last call. */
  take(): readonly Uint8Array[] {
    this.#cut()
    const parts = this.#parts
    this.#parts = []
    return parts
  }

  #begin(bytes: number): void {
    this.#cut()
    this.#part = new Uint8Array(Math.max(PART_BYTES, bytes))
    this.#at = 0
  }

  #cut(): void {
    if (this.#at === 0) return
    this.#parts.push(this.#part.subarray(0, this.#at))
    this.#part = NOTHING
    this.#at = 0
  }

  #varint(value: number): void {
    const part = this.#part
    let at = this.#at
    let rest = value
    while (rest >= MORE) {
      if (rest < TWO_32) {
        part[at++] = (rest & BITS) | MORE
        rest = rest >>> 7
      } else {
        part[at++] = (rest % MORE) | MORE
        rest = Math.floor(rest / MORE)
      }
    }
    part[at++] = rest
    this.#at = at
  }

  #number(tag: number, value: number): void {
    if (value === 0) return
    this.#part[this.#at++] = tag
    this.#varint(value)
  }

  #bytes(tag: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#part[this.#at++] = tag
    this.#varint(bytes.length)
    this.#part.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #lease(lease: string): void {
    this.#part[this.#at++] = LEASE
    let rest = BigInt(lease)
    for (; rest >= 128n; rest >>= 7n) this.#part[this.#at++] = Number(rest & 127n) | MORE
    this.#part[this.#at++] = Number(rest)
  }
}

const NOTHING = new Uint8Array()
