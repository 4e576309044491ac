// LevelDB's log format, used for its WALs and its MANIFEST (leveldb 1.20, doc/log_format). It is read here because
// LevelDB drops bad data without an error.
//
// A file is a sequence of blocks of 32 KiB. A block is a sequence of frames, and zeros where fewer than 7 bytes are
// left:
//
//   masked CRC-32C of type and content (4, little-endian) | length of the content (2, little-endian) | type (1) | content
//
// A record is one frame of type FULL, or one FIRST, any number of MIDDLE and one LAST. Each of those except LAST fills
// its block.

import { crc32c, hasPrefixWithCrc32c, storedCrc } from './crc32c.ts'

const BLOCK_BYTES = 32 * 1024
const HEADER_BYTES = 7

const FULL = 1
const FIRST = 2
const MIDDLE = 3
const LAST = 4

/** How a file ends. */
type LogFileEnd =
  | { readonly kind: 'clean' }
  /** The file ends in the middle of a record, as after an interrupted append. */
  | { readonly kind: 'torn'; readonly at: number }
  /**
   * The file ends with a whole frame whose checksum is wrong. On some file systems a power cut during an append may
   * leave this.
   */
  | { readonly kind: 'suspect'; readonly at: number }
  | Corrupt

/** A fault that no interrupted append leaves. */
interface Corrupt {
  readonly kind: 'corrupt'
  readonly at: number
  readonly detail: string
}

const corrupt = (at: number, detail: string): Corrupt => ({ kind: 'corrupt', at, detail })

/** A file in memory, or read piece by piece. */
export interface LogFile {
  readonly length: number
  subarray(from: number, to: number): Uint8Array
}

/**
 * Reads record after record up to the end or the first fault, with one block in memory at a time. `couldFollow`
 * decides whether content found after a fault may be a later record. Values of users may look like frames.
 */
export function readLogFile(
  file: LogFile,
  onRecord: (content: Uint8Array, at: number) => string | undefined,
  couldFollow: (content: Uint8Array) => boolean,
): LogFileEnd {
  let parts: Uint8Array[] = []
  let begunAt = 0
  for (let blockAt = 0; blockAt < file.length; blockAt += BLOCK_BYTES) {
    const block = file.subarray(blockAt, Math.min(blockAt + BLOCK_BYTES, file.length))
    for (let at = 0; at < block.length; ) {
      if (BLOCK_BYTES - at < HEADER_BYTES) {
        if (block.subarray(at).some((byte) => byte !== 0))
          return corrupt(blockAt + at, 'the end of a block is not zero')
        break
      }
      const frame = frameAt(block, at)
      if (frame.kind !== 'whole') {
        const isLast = blockAt + block.length === file.length
        return { ...judge(block, at, frame.kind, isLast, couldFollow), at: blockAt + at }
      }
      const { type, content } = frame
      const continues = type === MIDDLE || type === LAST
      if (continues !== parts.length > 0)
        return corrupt(blockAt + at, continues ? 'a record has no beginning' : 'a record has no end')
      if (parts.length === 0) begunAt = blockAt + at
      parts.push(content)
      if (type === FULL || type === LAST) {
        const fault = onRecord(parts.length === 1 ? content : Buffer.concat(parts), begunAt)
        if (fault !== undefined) return corrupt(begunAt, fault)
        parts = []
      }
      at += HEADER_BYTES + content.length
    }
  }
  return parts.length > 0 ? { kind: 'torn', at: begunAt } : { kind: 'clean' }
}

type Frame =
  | { readonly kind: 'whole'; readonly type: number; readonly content: Uint8Array }
  /**
   * `short`: fewer bytes are left than it needs. `oversized`: it is longer than its block. `damaged`: only its checksum
   * is wrong.
   */
  | { readonly kind: 'short' | 'oversized' | 'damaged' }

function frameAt(block: Uint8Array, at: number): Frame {
  const contentAt = at + HEADER_BYTES
  const contentEnd = contentAt + byteAt(block, at + 4) + byteAt(block, at + 5) * 0x100
  if (contentEnd > BLOCK_BYTES) return { kind: 'oversized' }
  if (contentEnd > block.length) return { kind: 'short' }
  const type = byteAt(block, at + 6)
  if (type < FULL || type > LAST || crc32c(block, at + 6, contentEnd) !== storedCrc(block, at))
    return { kind: 'damaged' }
  return { kind: 'whole', type, content: block.subarray(contentAt, contentEnd) }
}

/** `isLast`: the file ends with this block. */
function judge(
  block: Uint8Array,
  at: number,
  kind: 'short' | 'oversized' | 'damaged',
  isLast: boolean,
  couldFollow: (content: Uint8Array) => boolean,
): Exclude<LogFileEnd, { kind: 'clean' }> {
  if (kind === 'oversized') return corrupt(at, 'a frame is longer than its block')
  // The checksum does not cover the length. So a frame in which only the length is wrong is not a torn one.
  if (hasPrefixWithCrc32c(block, at + 6, block.length, storedCrc(block, at)))
    return corrupt(at, 'the length of a frame is damaged')
  if (isFollowed(block, at, couldFollow)) return corrupt(at, 'a damaged frame is followed by a whole one')
  if (kind === 'short') return { kind: 'torn', at }
  const length = byteAt(block, at + 4) + byteAt(block, at + 5) * 0x100
  if (isLast && at + HEADER_BYTES + length === block.length) return { kind: 'suspect', at }
  return corrupt(at, 'the checksum of a frame does not hold')
}

/** Whether a record begins anywhere in the rest of the block. */
function isFollowed(block: Uint8Array, at: number, couldFollow: (content: Uint8Array) => boolean): boolean {
  for (let next = at; next < block.length; next++) {
    const type = byteAt(block, next + 6)
    if (type !== FULL && type !== FIRST) continue
    const frame = frameAt(block, next)
    if (frame.kind === 'whole' && couldFollow(frame.content)) return true
  }
  return false
}

const byteAt = (block: Uint8Array, at: number): number => block[at] ?? 0
