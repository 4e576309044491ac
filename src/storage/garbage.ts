// Deletes the rows of dead generations: those that a snapshot has replaced, and those of snapshots that never became complete. A slice of keys is read
// ahead and deleted with the next batch; `level`'s own `clear` would write unsynced.

import type { Engine, EngineBatch, Scan } from './engine.ts'
import type { FirstError } from './first-error.ts'
import { rowRange } from './keys.ts'

const SLICE_ROWS = 1000

interface Slice {
  readonly generation: number
  readonly keys: readonly Uint8Array[]
  readonly bytes: number
  /** No row of the generation is left behind this slice. */
  readonly last: boolean
}

export class Garbage {
  readonly #engine: Engine
  readonly #first: FirstError
  #ahead: Slice | undefined
  #scan: Scan | undefined
  /** Where the next slice begins: LevelDB would have to step over everything deleted before. */
  #after: { readonly generation: number; readonly key: Uint8Array } | undefined

  constructor(engine: Engine, first: FirstError) {
    this.#engine = engine
    this.#first = first
  }

  /**
   * Deletes the slice read ahead, if there is one and the batch has room for it; returns the generation that is done with by that. `roomBytes`
   * undefined: however large it is.
   */
  sweep(batch: EngineBatch, roomBytes = Number.POSITIVE_INFINITY): number | undefined {
    const slice = this.#ahead
    if (slice === undefined || slice.bytes > roomBytes) return undefined
    this.#ahead = undefined
    for (const key of slice.keys) batch.delete(key)
    return slice.last ? slice.generation : undefined
  }

  /** Reads the next slice of the first of these generations, whose rows are no longer added to. */
  readAhead(dead: readonly number[]): void {
    const [generation] = dead
    if (generation === undefined || this.#ahead !== undefined || this.#scan !== undefined) return
    const after = this.#after?.generation === generation ? this.#after.key : undefined
    const scan = this.#engine.scan({ ...rowRange(generation, after), reverse: false, keysOnly: true })
    this.#scan = scan
    scan.next(SLICE_ROWS, (error, pairs, ended) => {
      this.#scan = undefined
      scan.close()
      if (error !== undefined) {
        this.#first.fail(error)
        return
      }
      const keys = pairs.map(([key]) => key)
      const key = keys.at(-1)
      this.#after = key === undefined ? undefined : { generation, key }
      const bytes = keys.reduce((sum, { length }) => sum + length, 0)
      this.#ahead = { generation, keys, bytes, last: ended }
    })
  }
}
