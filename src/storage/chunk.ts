// One chunk of a snapshot on its way between replicas: rows and a CRC. The CRC also covers the snapshot's id, so that a
// chunk of another snapshot is rejected like a damaged one.
//
//   number (8) | { key length (4) | key | value length (4) | value } … | CRC-32 (4)
//
// A row of events has all keys that one entry has changed, so it may be longer than a message between replicas. Rows
// of more than PART_BYTES go in parts. Each is a chunk with a number of its own:
//
//   number (8) | 2^32 - 1 (4): no key is so long | number of parts that follow (4) | bytes of the rows | CRC-32 (4)

import { encodeUtf8, Reader, Writer } from '../bytes/index.ts'
import { CorruptionError } from './errors.ts'
import { readChecksummed, seal } from './records.ts'
import type { StoredRow } from './types.ts'

/** Longer than any page of rows that one command puts. Much shorter than a message may be (`frameBytesMax`). */
export const PART_BYTES = 2 * 1024 * 1024
const IS_PART = 2 ** 32 - 1

/** Some of the bytes of rows. */
interface ChunkPart {
  readonly bytes: Uint8Array
  /** Parts of the same rows that follow. */
  readonly left: number
}

export function encodeRows(rows: readonly StoredRow[]): Uint8Array {
  const out = new Writer()
  for (const { key, value } of rows) out.bytes(key).bytes(value)
  return out.written()
}

export const encodeChunk = (id: string, number: number, rows: readonly StoredRow[]): Uint8Array =>
  sealChunk(id, number, encodeRows(rows))

/** How many chunks these rows are. */
export const countParts = (rows: Uint8Array): number => Math.max(1, Math.ceil(rows.length / PART_BYTES))

/** The chunk of these rows after `before` others. `number`: its own. */
export function encodePart(id: string, number: number, rows: Uint8Array, before: number): Uint8Array {
  const count = countParts(rows)
  if (count === 1) return sealChunk(id, number, rows)
  const header = new Writer().uint32(IS_PART).uint32(count - 1 - before)
  const bytes = rows.subarray(before * PART_BYTES, (before + 1) * PART_BYTES)
  return sealChunk(id, number, header.written(), bytes)
}

const sealChunk = (id: string, number: number, ...content: readonly Uint8Array[]): Uint8Array =>
  seal(encodeUtf8(id), new Writer().uint64(number).written(), ...content)

/** The rows of a chunk, or a part of some. */
export function readChunk(id: string, number: number, chunk: Uint8Array): readonly StoredRow[] | ChunkPart {
  const what = `chunk ${number} of snapshot ${id}`
  const from = readChecksummed(encodeUtf8(id), chunk, what)
  const carried = from.uint64()
  if (carried !== number) throw new CorruptionError(`${what} is chunk ${carried}`)
  const bytes = from.rest()
  const start = new Reader(bytes, what, CorruptionError)
  if (bytes.length < 8 || start.uint32() !== IS_PART) return decodeRows(bytes, what)
  return { left: start.uint32(), bytes: start.rest() }
}

/** The rows of all parts. */
export const joinParts = (id: string, parts: readonly Uint8Array[]): readonly StoredRow[] =>
  decodeRows(Buffer.concat(parts), `a row of snapshot ${id} in ${parts.length} parts`)

/** The rows of a chunk that is no part. */
export function decodeChunk(id: string, number: number, chunk: Uint8Array): readonly StoredRow[] {
  const read = readChunk(id, number, chunk)
  if ('left' in read) throw new CorruptionError(`chunk ${number} of snapshot ${id} is a part of rows`)
  return read
}

function decodeRows(bytes: Uint8Array, what: string): readonly StoredRow[] {
  const from = new Reader(bytes, what, CorruptionError)
  const rows: StoredRow[] = []
  while (from.left > 0) rows.push({ key: from.bytes(), value: from.bytes() })
  return rows
}
