// A large entry that is applied in parts, with other work of the node between them. Nobody else sees its changes before
// all of them are made. Its rows are a table and a batch of their own. When it ends, both become a layer of the overlay
// at once. So neither step depends on the number of rows.

import type { EngineBatch } from './engine.ts'
import { keyString } from './keys.ts'
import type { ClosedLayer } from './overlay.ts'
import type { AppliedState } from './records.ts'
import { RowTable } from './row-table.ts'
import { putRow, type Row } from './rows.ts'

/** The metadata of a key as readers know it; undefined: it is not in memory. */
type MetadataLookup = Uint8Array | 'absent' | undefined

export class EntryInParts {
  /** The state without this entry. */
  readonly before: AppliedState
  readonly #rows = new RowTable()
  readonly #batch: EngineBatch
  /** The metadata that the entry has changed, as it was before, by key. */
  readonly #metadata = new Map<string, MetadataLookup>()
  #bytes = 0
  /** The rows that are not in the batch yet, and the steps that sort them. */
  #unprepared: IterableIterator<Row> | undefined
  #unsorted: Generator<undefined, void, undefined> | undefined

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

  /** The metadata before the entry; 'unchanged': the entry has not changed it. */
  keyMetadataBefore(key: Uint8Array): MetadataLookup | 'unchanged' {
    const name = keyString(key)
    return this.#metadata.has(name) ? this.#metadata.get(name) : 'unchanged'
  }

  /** Called before metadata is changed. It is valid until the next call: its memory is used again. */
  keepKeyMetadata(key: Uint8Array, metadata: MetadataLookup): void {
    const name = keyString(key)
    if (this.#metadata.has(name)) return
    this.#metadata.set(name, metadata instanceof Uint8Array ? metadata.slice() : metadata)
  }

  /**
   * Called when the entry has made all changes. Puts rows into the batch, and then sorts some of them, as the next scan
   * needs them. Returns whether something is left to do.
   */
  prepare(rowsMax: number): boolean {
    this.#unprepared ??= this.#rows[Symbol.iterator]()
    for (let left = rowsMax; left > 0; left--) {
      const next = this.#unprepared.next()
      if (next.done) {
        this.#unsorted ??= this.#rows.sort()
        return this.#unsorted.next().done !== true
      }
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
