// Frames on a connection between replicas:
//
//   offset, size:
//    0, 4:  length of the body, which is everything from offset 8 on
//    4, 4:  CRC-32 (IEEE) of the body
//    8, 4:  group number, 0 today
//   12, 1:  type
//   13, …:  the content, which depends on the type
//
// The writer copies small parts into one buffer, which is used again when the kernel has taken it. It does not copy
// long entry frames. So all messages of a turn are sent in one system call, and no large entry is copied between the
// log and the socket.

import { crc32 } from 'node:zlib'
import { Reader, type Writer } from '../../../bytes/index.ts'

const PREFIX_BYTES = 8
const HEADER_BYTES = 13
const GROUP = 0
const SLAB_BYTES = 64 * 1024
/** Parts of at least this length are not copied. */
const BY_REFERENCE_BYTES = 8 * 1024

export const frameBytes = (fixed: Uint8Array, tail: readonly Uint8Array[]): number =>
  tail.reduce((sum, part) => sum + part.length, HEADER_BYTES + fixed.length)

/** Frames that the socket does not have yet, in as few pieces as possible. */
export class FrameWriter {
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #used = 0
  #pieces: Uint8Array[] = []
  /** The last piece ends where the unused part of the slab begins, so the piece can grow. */
  #open = false

  /**
   * Appends a frame: `fixed`, then `tail`. If `stable`, nothing changes the bytes of `tail` later, and its long parts
   * are not copied.
   */
  append(type: number, fixed: Uint8Array, tail: readonly Uint8Array[], stable: boolean): void {
    const inPlace = (part: Uint8Array) => stable && part.length >= BY_REFERENCE_BYTES
    const copied = tail.reduce(
      (sum, part) => (inPlace(part) ? sum : sum + part.length),
      HEADER_BYTES + fixed.length,
    )
    this.#reserve(copied)
    const start = this.#used
    const slab = this.#slab
    slab.writeUInt32BE(GROUP, start + PREFIX_BYTES)
    slab.writeUInt8(type, start + PREFIX_BYTES + 4)
    slab.set(fixed, start + HEADER_BYTES)
    let from = start
    let to = start + HEADER_BYTES + fixed.length
    let length = to - start - PREFIX_BYTES
    let crc = 0
    let summed = start + PREFIX_BYTES
    for (const part of tail) {
      length += part.length
      if (!inPlace(part)) {
        slab.set(part, to)
        to += part.length
        continue
      }
      crc = crc32(part, crc32(slab.subarray(summed, to), crc))
      if (to > from) this.#addCopied(from, to)
      this.#addInPlace(part)
      from = to
      summed = to
    }
    if (to > summed) crc = crc32(slab.subarray(summed, to), crc)
    if (to > from) this.#addCopied(from, to)
    this.#used = to
    slab.writeUInt32BE(length, start)
    slab.writeUInt32BE(crc, start + 4)
  }

  get empty(): boolean {
    return this.#pieces.length === 0
  }

  /** The pieces that were appended since the last call, for a writev. */
  takePieces(): readonly Uint8Array[] {
    const pieces = this.#pieces
    this.#pieces = []
    this.#open = false
    return pieces
  }

  /** The kernel has all pieces that were taken. Their memory may be used again. */
  allSent(): void {
    if (!this.empty) return
    this.#used = 0
    if (this.#slab.length > SLAB_BYTES) this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  }

  #reserve(count: number): void {
    if (this.#used + count <= this.#slab.length) return
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, count))
    this.#used = 0
    this.#open = false
  }

  #addCopied(from: number, to: number): void {
    const last = this.#pieces.at(-1)
    if (this.#open && last !== undefined) {
      const start = last.byteOffset - this.#slab.byteOffset
      this.#pieces[this.#pieces.length - 1] = this.#slab.subarray(start, to)
    } else {
      this.#pieces.push(this.#slab.subarray(from, to))
    }
    this.#open = true
  }

  #addInPlace(part: Uint8Array): void {
    this.#pieces.push(part)
    this.#open = false
  }
}

/** Divides the arriving chunks into frames. */
export class FrameReader {
  /** The longest accepted frame. It is raised after the handshake. */
  bytesMax: number
  #partial: Buffer | undefined
  #filled = 0
  #chunk: Buffer = Buffer.alloc(0)
  #at = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  /** Call it only after `next` has returned undefined. */
  push(chunk: Buffer): void {
    this.#chunk = chunk
    this.#at = 0
  }

  /**
   * The next complete frame; undefined until more bytes arrive. Throws `MalformedError`; after that nothing more can be
   * read.
   */
  next(): { readonly type: number; readonly body: Reader } | undefined {
    const frame = this.#partial === undefined ? this.#whole() : this.#completed()
    if (frame === undefined) return undefined
    const body = frame.subarray(PREFIX_BYTES)
    if (crc32(body) !== frame.readUInt32BE(4))
      throw new MalformedError('a frame whose checksum does not hold')
    const reader = payloadReader(body)
    const group = reader.uint32()
    if (group !== GROUP) throw new MalformedError(`a frame of group ${group}`)
    return { type: reader.uint8(), body: reader }
  }

  /** A frame that is complete in the chunk. The part of an incomplete frame is copied, because chunks are not kept. */
  #whole(): Buffer | undefined {
    const chunk = this.#chunk
    const at = this.#at
    const left = chunk.length - at
    if (left === 0) return undefined
    const total = left < PREFIX_BYTES ? PREFIX_BYTES : this.#total(chunk, at)
    if (left >= PREFIX_BYTES && left >= total) {
      this.#at = at + total
      return chunk.subarray(at, at + total)
    }
    this.#partial = Buffer.allocUnsafeSlow(total)
    this.#filled = chunk.copy(this.#partial, 0, at)
    this.#at = chunk.length
    return undefined
  }

  /** A frame that began in an earlier chunk: first its prefix, which contains its length, then the rest. */
  #completed(): Buffer | undefined {
    if (!this.#fill()) return undefined
    if (this.#partial !== undefined && this.#partial.length === PREFIX_BYTES) {
      const prefix = this.#partial
      this.#partial = Buffer.allocUnsafeSlow(this.#total(prefix, 0))
      prefix.copy(this.#partial)
      if (!this.#fill()) return undefined
    }
    const frame = this.#partial
    this.#partial = undefined
    this.#filled = 0
    return frame
  }

  #fill(): boolean {
    if (this.#partial === undefined) return false
    const count = this.#chunk.copy(this.#partial, this.#filled, this.#at)
    this.#filled += count
    this.#at += count
    return this.#filled === this.#partial.length
  }

  #total(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at)
    if (length > this.bytesMax - PREFIX_BYTES || length < HEADER_BYTES - PREFIX_BYTES) {
      throw new MalformedError(`a frame of ${length} bytes`)
    }
    return PREFIX_BYTES + length
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Fields of frames beside the plain values of src/bytes. A reader of frames throws `MalformedError`.

/** The error for bytes that no correct peer sends. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}

export const payloadReader = (bytes: Uint8Array): Reader => new Reader(bytes, 'a frame that', MalformedError)

/** A non-negative integer of any size. */
export function writeBig(out: Writer, value: bigint): void {
  if (value < 0n) throw new RangeError(`cannot be sent: ${value}`)
  out.utf8(value.toString(16))
}

export function readBig(input: Reader): bigint {
  const digits = input.utf8()
  if (!/^[0-9a-f]{1,128}$/.test(digits)) throw new MalformedError('a number that is not hexadecimal')
  return BigInt(`0x${digits}`)
}

/**
 * Returns `bytes`, copied if the buffer that they are a part of is more than twice as large. Bytes that are kept for a
 * long time must not keep a large buffer in memory.
 */
export const unpinned = (bytes: Uint8Array): Uint8Array =>
  bytes.buffer.byteLength > 2 * bytes.length ? new Uint8Array(bytes) : bytes
