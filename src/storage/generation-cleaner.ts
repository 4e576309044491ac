// Deletes the rows of dead generations: those that a snapshot has replaced, and those of snapshots that never became
// complete. A slice of keys is read ahead and deleted with the next batch, which takes fewer rows then. `level`'s own
// `clear` is not used, because it does not sync.

import type { Engine, EngineBatch, Pair, Scan } from './engine.ts'
import { rowRange } from './keys.ts'
import type { StickyError } from './sticky-error.ts'

const SLICE_ROWS = 1000
/** The part of a batch that the keys of a slice may take. */
const SLICE_PART = 4

interface Slice {
  readonly generation: number
  readonly keys: readonly Uint8Array[]
  readonly bytes: number
  /** The generation has no rows after this slice. */
  readonly last: boolean
}

export class GenerationCleaner {
  readonly #engine: Engine
  readonly #first: StickyError
  readonly #sliceBytesMax: number
  #ahead: Slice | undefined
  #scan: Scan | undefined
  /** Where the next slice begins. A scan from the start would have to skip all deleted keys. */
  #after: { readonly generation: number; readonly key: Uint8Array } | undefined

  constructor(engine: Engine, first: StickyError, batchBytesMax: number) {
    this.#engine = engine
    this.#first = first
    this.#sliceBytesMax = batchBytesMax / SLICE_PART
  }

  /** Bytes that `sweep` will put into a batch. */
  get bytes(): number {
    return this.#ahead?.bytes ?? 0
  }

  /** Deletes the slice read ahead, if there is one. Returns its generation if that is now empty. */
  sweep(batch: EngineBatch): number | undefined {
    const slice = this.#ahead
    if (slice === undefined) return undefined
    this.#ahead = undefined
    for (const key of slice.keys) batch.delete(key)
    return slice.last ? slice.generation : undefined
  }

  /** Reads the next slice of the first of these generations. Their rows no longer change. */
  readAhead(dead: readonly number[]): void {
    const [generation] = dead
    if (generation === undefined || this.#ahead !== undefined || this.#scan !== undefined) return
    const after = this.#after?.generation === generation ? this.#after.key : undefined
    const scan = this.#engine.scan({ ...rowRange(generation, after), reverse: false, keysOnly: true })
    this.#scan = scan
    scan.next(SLICE_ROWS, (error, pairs, ended) => {
      scan.finish((unread) => {
        if (this.#scan !== scan) return
        this.#scan = undefined
        const fault = error ?? unread
        if (fault !== undefined) {
          this.#first.fail(fault)
          return
        }
        this.#ahead = this.#slice(generation, pairs, ended)
        const key = this.#ahead.keys.at(-1)
        this.#after = key === undefined ? undefined : { generation, key }
      })
    })
  }

  /** Ends the current read. */
  close(): void {
    this.#scan?.close()
    this.#scan = undefined
  }

  /** The next slice: as many keys as fit into a batch, at least one. */
  #slice(generation: number, pairs: readonly Pair[], ended: boolean): Slice {
    const keys: Uint8Array[] = []
    let bytes = 0
    for (const [key] of pairs) {
      if (keys.length > 0 && bytes + key.length > this.#sliceBytesMax) break
      keys.push(key)
      bytes += key.length
    }
    return { generation, keys, bytes, last: ended && keys.length === pairs.length }
  }
}
