// A snapshot that is being sent: the rows of one scan, page by page. The rows of a page are one chunk, or several if
// they are long (`chunk.ts`).

import { countParts, encodePart, encodeRows } from './chunk.ts'
import { ALL_ROWS, prefixed } from './keys.ts'
import type { RowScan, SnapshotSource } from './types.ts'

const CHUNK = { rowsMax: 4096, bytesMax: 256 * 1024 }

/** Where a chunk begins. */
interface Begin {
  /** Where its page of rows begins. */
  readonly gte: Uint8Array
  /** Chunks of the same page before it. */
  readonly part: number
}

export class ScanSource implements SnapshotSource {
  readonly id: string
  readonly meta: SnapshotSource['meta']
  readonly #scan: RowScan
  /** The beginning of each chunk read so far, and of the next one; undefined after the last. */
  readonly #begins: (Begin | undefined)[] = [{ gte: ALL_ROWS.gte, part: 0 }]
  /** The number of the chunk at the scan's position. */
  #at = 0
  /** The page that was read last, if it is several chunks. `first`: the number of the first one. */
  #long: { readonly first: number; readonly rows: Uint8Array } | undefined

  /** `scan`: of all rows. Its last page is sent only if they are those that were written. */
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
    const begin = this.#begins[number]
    if (begin === undefined) {
      done(undefined, undefined)
      return
    }
    const { gte, part } = begin
    const first = number - part
    if (this.#long?.first === first) {
      done(undefined, encodePart(this.id, number, this.#long.rows, part))
      return
    }
    if (first !== this.#at) this.#scan.seek(gte)
    this.#scan.next(CHUNK, (error, page, more) => {
      if (error !== undefined) return done(error, undefined)
      const last = page.at(-1)
      if (last === undefined) {
        this.#at = first + 1
        return done(undefined, undefined)
      }
      const rows = encodeRows(page)
      const count = countParts(rows)
      this.#at = first + count
      this.#long = count === 1 ? undefined : { first, rows }
      for (let at = 1; at < count; at++) this.#begins[first + at] = { gte, part: at }
      // Copied: a slice of Node's pool would keep the whole slab alive as long as the snapshot is being sent.
      const next = () => new Uint8Array(prefixed(last.key, Uint8Array.of(0)))
      this.#begins[first + count] = more ? { gte: next(), part: 0 } : undefined
      done(undefined, encodePart(this.id, number, rows, part))
    })
  }

  close(): void {
    this.#long = undefined
    this.#scan.close()
  }
}
