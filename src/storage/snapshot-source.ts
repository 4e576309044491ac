// A snapshot being read out: the rows of one view, page by page.

import { encodeChunk } from './chunk.ts'
import { ALL_ROWS, prefixed } from './keys.ts'
import type { SnapshotSource, View } from './types.ts'

const CHUNK_BYTES = 256 * 1024
const CHUNK_ROWS_MAX = 4096

export class ViewSource implements SnapshotSource {
  readonly id: string
  readonly meta: SnapshotSource['meta']
  readonly #view: View
  /** Where each chunk read so far begins, and the one after them; undefined behind the last. */
  readonly #begins: (Uint8Array | undefined)[] = [ALL_ROWS.gte]

  constructor(id: string, view: View) {
    const { applied, stateHash } = view
    this.id = id
    this.meta = { index: applied.index, term: applied.term, applied, stateHash }
    this.#view = view
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
    const page = { gte, lt: ALL_ROWS.lt, reverse: false, rowsMax: CHUNK_ROWS_MAX, bytesMax: CHUNK_BYTES }
    this.#view.range(page, (error, rows, more) => {
      if (error !== undefined) return done(error, undefined)
      const last = rows.at(-1)
      if (last === undefined) return done(undefined, undefined)
      // Copied: a slice of Node's pool would keep the whole slab for as long as the snapshot is sent.
      this.#begins[number + 1] = more ? new Uint8Array(prefixed(last.key, Uint8Array.of(0))) : undefined
      done(undefined, encodeChunk(this.id, number, rows))
    })
  }

  close(): void {
    this.#view.close()
  }
}
