// The side file: LevelDB's position when the last batch was reported as written.
//
// The file is overwritten in place after each completed batch, before any message that depends on the batch leaves. It
// is not synced. The batch was synced first, so every version of this file that survives is a lower bound: a database
// that ends below it has lost acknowledged writes. After a power cut the file may be old or torn. Then the bound is
// lower, or missing. The file distinguishes a newest WAL that was emptied, deleted or cut from a new one.
//
//   "QMRK" | sequence (8) | CRC-32 (4)
//
// The mark may be followed by a note about a failed write. LevelDB counts the operations of that write too, and a
// compaction that ends after it records their number in MANIFEST. The note states that every batch up to `from`
// exists, and that no batch numbered after `from`, up to `through`, was acknowledged. The next mark is above `from`,
// and thereby ends the note.
//
//   "QFLD" | from (8) | through (8) | CRC-32 (4)

import { closeSync, fsyncSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { encodeUtf8, Writer } from '../bytes/index.ts'
import { CorruptionError } from './errors.ts'
import { readChecksummed, seal } from './records.ts'

export const WATERMARK_FILE = 'WATERMARK'
const MAGIC = encodeUtf8('QMRK')

const MARK_BYTES = 16
const FAILED_MAGIC = encodeUtf8('QFLD')
const FILE_BYTES_MAX = MARK_BYTES + 24

/** Marks are built here and copied by `seal`. No other code runs in between. */
const scratch = new Writer()

const encode = (sequence: number): Uint8Array =>
  seal(MAGIC, MAGIC, scratch.clear().uint64(sequence).written())

/** The sequence numbers after `from`, up to `through`, which no acknowledged batch has. */
export interface FailedWrite {
  readonly from: number
  readonly through: number
}

/** The content of the side file. */
export interface WatermarkContent {
  /** The lower bound; undefined when the file is torn. */
  readonly mark: number | undefined
  /** The write that failed after the mark was made, if there was one. */
  readonly failed: FailedWrite | undefined
}

export class Watermark {
  readonly #file: number

  constructor(dir: string) {
    this.#file = openSync(join(dir, WATERMARK_FILE), 'r+')
  }

  raise(sequence: number): void {
    this.#write(encode(sequence), 0)
  }

  noteFailed({ from, through }: FailedWrite): void {
    const payload = scratch.clear().uint64(from).uint64(through).written()
    this.#write(seal(FAILED_MAGIC, FAILED_MAGIC, payload), MARK_BYTES)
  }

  /** Reads through the open descriptor, so that no other one is needed. */
  read(): WatermarkContent {
    const bytes = Buffer.alloc(FILE_BYTES_MAX)
    return decode(bytes.subarray(0, readSync(this.#file, bytes, 0, bytes.length, 0)))
  }

  #write(bytes: Uint8Array, at: number): void {
    const written = writeSync(this.#file, bytes, 0, bytes.length, at)
    if (written !== bytes.length)
      throw new Error(`${WATERMARK_FILE}: ${written} of ${bytes.length} bytes were written`)
  }

  close(): void {
    closeSync(this.#file)
  }
}

export function createWatermark(dir: string, sequence: number): void {
  const file = openSync(join(dir, WATERMARK_FILE), 'w')
  try {
    writeFileSync(file, encode(sequence))
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Throws if the file is missing: it is made with the directory and never deleted. */
export const readWatermark = (dir: string): WatermarkContent =>
  decode(readFileSync(join(dir, WATERMARK_FILE)))

function decode(bytes: Uint8Array): WatermarkContent {
  const [mark] = decodeNumbers(MAGIC, bytes.subarray(0, MARK_BYTES), 1) ?? []
  const [from, through] = decodeNumbers(FAILED_MAGIC, bytes.subarray(MARK_BYTES), 2) ?? []
  if (mark === undefined || from === undefined || through === undefined || from < mark)
    return { mark, failed: undefined }
  return { mark, failed: { from, through } }
}

/** The `count` numbers after the magic; undefined if they are torn or missing. */
function decodeNumbers(magic: Uint8Array, sealed: Uint8Array, count: number): number[] | undefined {
  try {
    const from = readChecksummed(magic, sealed, WATERMARK_FILE)
    from.slice(magic.length)
    const numbers = Array.from({ length: count }, () => from.uint64())
    from.end()
    return numbers
  } catch (error) {
    if (error instanceof CorruptionError) return undefined
    throw error
  }
}
