// A large entry that is applied in parts, with other work of the node between them. Nobody else sees its changes before
// all of them are made. Its rows are a table and a batch of their own. When it ends, both become a layer of the overlay
// at once. So neither step depends on the number of rows.

import type { EngineBatch } from './engine.ts'
import { keyString } from './keys.ts'
import type { ClosedLayer } from './overlay.ts'
import type { AppliedState } from './records.ts'
import { RowTable } from './row-table.ts'
import { putRow, type Row } from './rows.ts'

/** A head as readers know it; undefined: it is not in memory. */
export type Head = Uint8Array | 'absent' | undefined

export class EntryInParts {
  /** The state without this entry. */
  readonly before: AppliedState
  readonly #rows = new RowTable()
  readonly #batch: EngineBatch
  /** The heads that the entry has changed, as they were before, by key. */
  readonly #heads = new Map<string, Head>()
  #bytes = 0
  /** The rows that are not in the batch yet. */
  #unprepared: IterableIterator<Row> | undefined

  constructor(before: AppliedState, batch: EngineBatch) {
    this.before = before
    this.#batch = batch
  }

  /** `hash`: `hashOfKey(key)`. */
  get(key: Uint8Array, hash: number): Row | undefined {
    return this.#rows.get(key, hash)
  }

  put(row: Row): void {
    this.#rows.put(row)
    this.#bytes += row.size
  }

  /** The head before the entry; 'unchanged': the entry has not changed it. */
  headBefore(key: Uint8Array): Head | 'unchanged' {
    const name = keyString(key)
    return this.#heads.has(name) ? this.#heads.get(name) : 'unchanged'
  }

  /** Called before a head is changed. `head` is valid until the next call: its memory is used again. */
  keepHead(key: Uint8Array, head: Head): void {
    const name = keyString(key)
    if (!this.#heads.has(name)) this.#heads.set(name, head instanceof Uint8Array ? head.slice() : head)
  }

  /** Called when the entry has made all changes. Puts rows into the batch. Returns whether more of them are left. */
  prepare(rowsMax: number): boolean {
    this.#unprepared ??= this.#rows[Symbol.iterator]()
    for (let left = rowsMax; left > 0; left--) {
      const next = this.#unprepared.next()
      if (next.done) return false
      putRow(this.#batch, next.value)
    }
    return true
  }

  /** The layer, once `prepare` has put all rows into the batch. */
  layer(state: AppliedState): ClosedLayer {
    return { rows: this.#rows, bytes: this.#bytes, state, batch: this.#batch }
  }

  abandon(): void {
    this.#batch.abandon()
  }
}
