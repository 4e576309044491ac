// A snapshot that is being sent: the rows of one scan, page by page.

import { encodeChunk } from './chunk.ts'
import { ALL_ROWS, prefixed } from './keys.ts'
import type { RowScan, SnapshotSource } from './types.ts'

const CHUNK = { rowsMax: 4096, bytesMax: 256 * 1024 }

/** The rows of a snapshot. */
export const SNAPSHOT_ROWS = { ...ALL_ROWS, reverse: false }

export class ScanSource implements SnapshotSource {
  readonly id: string
  readonly meta: SnapshotSource['meta']
  readonly #scan: RowScan
  /** Where each chunk read so far begins, and where the next one begins; undefined after the last. */
  readonly #begins: (Uint8Array | undefined)[] = [SNAPSHOT_ROWS.gte]
  /** The number of the chunk at the scan's position. */
  #at = 0

  constructor(id: string, scan: RowScan) {
    const { applied, stateHash } = scan
    this.id = id
    this.meta = { index: applied.index, term: applied.term, applied, stateHash }
    this.#scan = scan
  }

  read(number: number, done: (error: Error | undefined, chunk: Uint8Array | undefined) => void): void {
    if (number >= this.#begins.length) {
      // A chunk begins where the one before it ends.
      this.read(this.#begins.length - 1, (error, chunk) => {
        if (error !== undefined || chunk === undefined) done(error, undefined)
        else this.read(number, done)
      })
      return
    }
    const gte = this.#begins[number]
    if (gte === undefined) {
      done(undefined, undefined)
      return
    }
    if (number !== this.#at) this.#scan.seek(gte)
    this.#scan.next(CHUNK, (error, rows, more) => {
      if (error !== undefined) return done(error, undefined)
      this.#at = number + 1
      const last = rows.at(-1)
      if (last === undefined) return done(undefined, undefined)
      // Copied: a slice of Node's pool would keep the whole slab alive as long as the snapshot is being sent.
      this.#begins[number + 1] = more ? new Uint8Array(prefixed(last.key, Uint8Array.of(0))) : undefined
      done(undefined, encodeChunk(this.id, number, rows))
    })
  }

  close(): void {
    this.#scan.close()
  }
}
