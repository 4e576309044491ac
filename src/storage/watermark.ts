// The side file: how far LevelDB had come when the last batch was reported done.
//
// Written over in place after each completed batch, before anything that depends on the batch leaves, and not synced. The batch was synced first, so
// every version of this file that survives is a lower bound: a database that ends below it has lost acknowledged writes. After a power cut the
// file may be an old one, or torn; then it says less, or nothing. It is what tells a newest WAL that was emptied, deleted or cut from a young one.
//
//   "QMRK" | sequence (8) | CRC-32 (4)

import { closeSync, fsyncSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Decoder, Encoder, seal, unseal } from './codec.ts'
import { CorruptionError } from './errors.ts'

export const WATERMARK_FILE = 'WATERMARK'
const MAGIC = new TextEncoder().encode('QMRK')

const encode = (sequence: number): Uint8Array => seal(MAGIC, MAGIC, new Encoder().uint64(sequence).finish())

export class Watermark {
  readonly #file: number

  constructor(dir: string) {
    this.#file = openSync(join(dir, WATERMARK_FILE), 'r+')
  }

  raise(sequence: number): void {
    const bytes = encode(sequence)
    const written = writeSync(this.#file, bytes, 0, bytes.length, 0)
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

/** The lower bound; undefined when the file is torn and says nothing. A missing file throws: it is made with the directory and stays. */
export function readWatermark(dir: string): number | undefined {
  const bytes = readFileSync(join(dir, WATERMARK_FILE))
  try {
    const decoder = new Decoder(unseal(MAGIC, bytes, WATERMARK_FILE).subarray(MAGIC.length), WATERMARK_FILE)
    const sequence = decoder.uint64()
    decoder.end()
    return sequence
  } catch (error) {
    if (error instanceof CorruptionError) return undefined
    throw error
  }
}
