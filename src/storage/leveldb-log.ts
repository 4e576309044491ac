// LevelDB's log format, in which both its WALs and its MANIFEST are written (leveldb 1.20, doc/log_format). Read here by ourselves, because LevelDB
// drops what it does not like without an error.
//
// A file is a row of blocks of 32 KiB; a block is a row of frames and, where fewer than 7 bytes are left, zeros:
//
//   masked CRC-32C of type and content (4, little-endian) | length of the content (2, little-endian) | type (1) | content
//
// A record is one frame of type FULL, or one FIRST, any number of MIDDLE and one LAST; each of those but the LAST fills its block.

import { crc32c, hasPrefixWithCrc32c, storedCrc } from './crc32c.ts'

const BLOCK_BYTES = 32 * 1024
const HEADER_BYTES = 7

const FULL = 1
const FIRST = 2
const MIDDLE = 3
const LAST = 4

/** How a file ends. */
export type LogFileEnd =
  | { readonly kind: 'clean' }
  /** In the middle of a record: what an append leaves that was cut off. */
  | { readonly kind: 'torn'; readonly at: number }
  /** With a whole frame whose checksum does not hold. An append cut off by a power cut may leave it on some file systems. */
  | { readonly kind: 'suspect'; readonly at: number }
  /** Something that no interrupted append leaves. */
  | { readonly kind: 'corrupt'; readonly at: number; readonly detail: string }

const corrupt = (at: number, detail: string): LogFileEnd => ({ kind: 'corrupt', at, detail })

/**
 * Reads record after record up to the end or the first fault. `couldFollow` tells whether content found behind a fault may be that of a later
 * record; values of users may look like frames.
 */
export function readLogFile(
  file: Uint8Array,
  onRecord: (content: Uint8Array, at: number) => string | undefined,
  couldFollow: (content: Uint8Array) => boolean,
): LogFileEnd {
  let at = 0
  let parts: Uint8Array[] = []
  let begunAt = 0
  while (at < file.length) {
    const blockEnd = at - (at % BLOCK_BYTES) + BLOCK_BYTES
    if (blockEnd - at < HEADER_BYTES) {
      const trailer = file.subarray(at, blockEnd)
      if (trailer.some((byte) => byte !== 0)) return corrupt(at, 'the end of a block is not zero')
      at = blockEnd
      continue
    }
    const frame = frameAt(file, at, blockEnd)
    if (frame.kind !== 'whole')
      return judge(file, at, frame.kind, Math.min(blockEnd, file.length), couldFollow)
    const { type, content } = frame
    const continues = type === MIDDLE || type === LAST
    if (continues !== parts.length > 0)
      return corrupt(at, continues ? 'a record has no beginning' : 'a record has no end')
    if (parts.length === 0) begunAt = at
    parts.push(content)
    if (type === FULL || type === LAST) {
      const fault = onRecord(parts.length === 1 ? content : Buffer.concat(parts), begunAt)
      if (fault !== undefined) return corrupt(begunAt, fault)
      parts = []
    }
    at += HEADER_BYTES + content.length
  }
  return parts.length > 0 ? { kind: 'torn', at: begunAt } : { kind: 'clean' }
}

type Frame =
  | { readonly kind: 'whole'; readonly type: number; readonly content: Uint8Array }
  /** Fewer bytes are left than it needs; more than its block holds; neither, but the checksum does not hold. */
  | { readonly kind: 'short' | 'oversized' | 'damaged' }

function frameAt(file: Uint8Array, at: number, end: number): Frame {
  const contentAt = at + HEADER_BYTES
  const contentEnd = contentAt + byteAt(file, at + 4) + byteAt(file, at + 5) * 0x100
  if (contentEnd > end) return { kind: 'oversized' }
  if (contentEnd > file.length) return { kind: 'short' }
  const type = byteAt(file, at + 6)
  if (type < FULL || type > LAST || crc32c(file, at + 6, contentEnd) !== storedCrc(file, at))
    return { kind: 'damaged' }
  return { kind: 'whole', type, content: file.subarray(contentAt, contentEnd) }
}

function judge(
  file: Uint8Array,
  at: number,
  kind: 'short' | 'oversized' | 'damaged',
  end: number,
  couldFollow: (content: Uint8Array) => boolean,
): LogFileEnd {
  if (kind === 'oversized') return corrupt(at, 'a frame is longer than its block')
  // The checksum does not cover the length: a frame that is whole but for its length is not a torn one.
  if (hasPrefixWithCrc32c(file, at + 6, end, storedCrc(file, at)))
    return corrupt(at, 'the length of a frame is damaged')
  if (isFollowed(file, at, end, couldFollow)) return corrupt(at, 'a damaged frame is followed by a whole one')
  if (kind === 'short') return { kind: 'torn', at }
  const length = byteAt(file, at + 4) + byteAt(file, at + 5) * 0x100
  if (at + HEADER_BYTES + length === file.length) return { kind: 'suspect', at }
  return corrupt(at, 'the checksum of a frame does not hold')
}

/** Whether a record begins anywhere in the rest of the block. */
function isFollowed(
  file: Uint8Array,
  at: number,
  end: number,
  couldFollow: (content: Uint8Array) => boolean,
): boolean {
  for (let next = at; next < end; next++) {
    const type = byteAt(file, next + 6)
    if (type !== FULL && type !== FIRST) continue
    const frame = frameAt(file, next, end)
    if (frame.kind === 'whole' && couldFollow(frame.content)) return true
  }
  return false
}

const byteAt = (file: Uint8Array, at: number): number => file[at] ?? 0
