// Rows that are applied and not durable yet, in layers over the rows of the engine.
//
// A layer holds the changes between two moments. A deleted row stays in it as a tombstone. Changes go into the newest
// layer until it is closed. A layer is closed when a scan or a batch takes it, or when it is large enough. So a scan is
// one of the engine plus the layers of that instant, and a batch holds whole layers. Each layer has the state that its
// rows lead to.
//
// Each scan after a change closes a layer, which may hold a single row, and a scan costs a search in every layer. So a
// closed layer is merged with the one before it if that is not much larger, as in an LSM tree, and both fit into one.
// Open scans keep the layers that they took.
//
// A scan needs sorted layers. The newest layers, which the next batches will take, are sorted by the first scan that
// needs them. All others are sorted one at a time as further layers are closed: then the disk is slower than apply, and
// apply has time. So no scan sorts more rows than those of two batches.

import type { LogIndex } from '../raft/types.ts'
import type { EngineBatch } from './engine.ts'
import type { AppliedState } from './records.ts'
import { RowTable } from './row-table.ts'
import type { Row } from './rows.ts'
import type { Room } from './types.ts'

export type Layer = Omit<RowTable, 'put'>

/** A layer that changes no more. */
export interface ClosedLayer {
  readonly rows: Layer
  readonly bytes: number
  /** The state with these rows. */
  readonly state: AppliedState
  /** The rows as a batch, if it was made already. Such a layer is submitted alone. */
  readonly batch?: EngineBatch
}

/** Rows for one batch. */
export interface Submission {
  /** The newest version of each row; none if there is a batch. */
  readonly rows: Iterable<Row>
  /** The batch with the rows, if it was made already. */
  readonly batch: EngineBatch | undefined
  /** The state that these rows lead to; undefined: nothing was applied since the last batch, or nothing of it fits. */
  readonly state: AppliedState | undefined
  /** There are more rows for a batch with more room. */
  readonly left: boolean
  /** Called when the rows are durable: drops them here. */
  readonly stored: () => void
}

/** A batch has room for this many layers. Rows that do not fit go with the next batch. */
const LAYERS_PER_BATCH = 16
/** Layers of as many batches may be unsorted. */
const UNSORTED_BATCHES = 2

export class Overlay {
  readonly #layerMax: Room
  readonly #unsortedRowsMax: number
  /** Oldest first. */
  #closed: ClosedLayer[] = []
  #open = new RowTable()
  #openBytes = 0
  #submitted: readonly Layer[] = []
  /** Bytes of the rows that a batch has taken and that are not durable yet. */
  submittedBytes = 0

  /** A layer is closed before it becomes larger than its share of a batch. Only a single entry can make it larger. */
  constructor(batchMax: Room) {
    this.#layerMax = { bytes: batchMax.bytes / LAYERS_PER_BATCH, items: batchMax.items / LAYERS_PER_BATCH }
    this.#unsortedRowsMax = UNSORTED_BATCHES * batchMax.items
  }

  /** Called before the rows of one entry, with their size. `state`: the state without them. */
  makeRoom({ bytes, items }: Room, state: () => AppliedState): void {
    const isFull =
      this.#openBytes + bytes > this.#layerMax.bytes || this.#open.size + items > this.#layerMax.items
    if (isFull) this.#close(state)
  }

  /** Bytes of all rows here, replaced ones included. */
  get bytes(): number {
    return this.#closed.reduce((sum, { bytes }) => sum + bytes, this.#openBytes + this.submittedBytes)
  }

  put(row: Row): void {
    this.#open.put(row)
    this.#openBytes += row.size
  }

  /** Adds the rows of an entry as a layer. `before`: the state without it. */
  add(layer: ClosedLayer, before: () => AppliedState): void {
    this.#close(before)
    this.#closed.push(layer)
    this.#sortOlder()
  }

  /** `hash`: `hashOfKey(key)`. */
  get(key: Uint8Array, hash: number): Row | undefined {
    const open = this.#open.get(key, hash)
    if (open !== undefined) return open
    for (let at = this.#closed.length - 1; at >= 0; at--) {
      const row = this.#closed[at]?.rows.get(key, hash)
      if (row !== undefined) return row
    }
    return findRow(this.#submitted, key, hash)
  }

  /** All layers of this instant, oldest first. They do not change any more. `state`: the state with all of them. */
  freeze(state: () => AppliedState): readonly Layer[] {
    this.#close(state)
    return [...this.#submitted, ...this.#closed.map(({ rows }) => rows)]
  }

  /**
   * Takes the oldest layers, none beyond index `upTo`: the first one, and as many more as fit. `state`: the state with
   * all layers.
   */
  submit(room: Room, upTo: LogIndex, state: AppliedState): Submission {
    const open: ClosedLayer = { rows: this.#open, bytes: this.#openBytes, state }
    const layers: Layer[] = []
    let newest: ClosedLayer | undefined
    let [bytes, items, left] = [0, 0, false]
    for (const layer of [...this.#closed, open]) {
      if (layer.state.applied.index > upTo) break
      const isAlone = layer.batch !== undefined || newest?.batch !== undefined
      const fits = bytes + layer.bytes <= room.bytes && items + layer.rows.size <= room.items
      left = newest !== undefined && (isAlone || !fits)
      if (left) break
      newest = layer
      layers.push(layer.rows)
      bytes += layer.bytes
      items += layer.rows.size
    }
    if (newest === open) this.#reopen()
    this.#closed = this.#closed.slice(layers.length)
    this.#submitted = [...this.#submitted, ...layers]
    this.submittedBytes += bytes
    const batch = newest?.batch
    return {
      rows: batch === undefined ? mergeLayers(layers) : [],
      batch,
      state: newest?.state,
      left,
      stored: () => {
        this.#submitted = this.#submitted.filter((layer) => !layers.includes(layer))
        this.submittedBytes -= bytes
      },
    }
  }

  /** A snapshot is about to replace all rows, so none is written. They stay readable until it has replaced them. */
  submitAll(): Submission {
    this.submittedBytes = this.bytes
    this.#submitted = [...this.#submitted, ...this.#closed.map(({ rows }) => rows), this.#open]
    this.#closed = []
    this.#reopen()
    return {
      rows: [],
      batch: undefined,
      state: undefined,
      left: false,
      stored: () => {
        this.#submitted = []
        this.submittedBytes = 0
      },
    }
  }

  #close(state: () => AppliedState): void {
    if (this.#open.size === 0) return
    let newest: ClosedLayer = { rows: this.#open, bytes: this.#openBytes, state: state() }
    for (;;) {
      const before = this.#closed.at(-1)
      if (before === undefined || !this.#mayMerge(before, newest)) break
      this.#closed.pop()
      const rows = mergeLayers([before.rows, newest.rows])
      newest = { rows, bytes: before.bytes + newest.bytes, state: newest.state }
    }
    this.#closed.push(newest)
    this.#reopen()
    this.#sortOlder()
  }

  /** Sorts the layers before the newest ones. Layers before a sorted one are sorted. */
  #sortOlder(): void {
    const layers = [...this.#submitted, ...this.#closed.map(({ rows }) => rows)]
    let rows = 0
    for (let layer = layers.pop(); layer !== undefined && !layer.isSorted; layer = layers.pop()) {
      rows += layer.size
      if (rows > this.#unsortedRowsMax) layer.sorted
    }
  }

  /** A row is merged only into a layer that grows by half, so it is copied a logarithmic number of times. */
  #mayMerge(older: ClosedLayer, newer: ClosedLayer): boolean {
    const { bytes, items } = this.#layerMax
    return (
      older.batch === undefined &&
      older.rows.size <= 2 * newer.rows.size &&
      older.bytes + newer.bytes <= bytes &&
      older.rows.size + newer.rows.size <= items
    )
  }

  #reopen(): void {
    this.#open = new RowTable()
    this.#openBytes = 0
  }
}

function findRow(layers: readonly Layer[], key: Uint8Array, hash: number): Row | undefined {
  for (let at = layers.length - 1; at >= 0; at--) {
    const row = layers[at]?.get(key, hash)
    if (row !== undefined) return row
  }
  return undefined
}

/** The newest version of each row. */
export function mergeLayers(layers: readonly Layer[]): Layer {
  const [only] = layers
  if (only !== undefined && layers.length === 1) return only
  const all = new RowTable(layers.reduce((sum, { size }) => sum + size, 0))
  for (const layer of layers) for (const row of layer) all.put(row)
  return all
}
