// Rows as of one applied index: the engine's snapshot, and over it the layers that were not durable at that instant.

import type { EngineSnapshot, Pair, Scan } from './engine.ts'
import { asError } from './errors.ts'
import type { FirstError } from './first-error.ts'
import { keyString, prefixed, ROW_PREFIX_BYTES } from './keys.ts'
import { findIn, type Layer, type LayerRow, merged } from './overlay.ts'
import { openRow } from './rows.ts'
import type { AppliedRecord, Range, StoredRow, View } from './types.ts'

/** Rows asked of the engine at once: small steps keep the event loop free. */
const SCAN_ROWS = 256

type RangeDone = (error: Error | undefined, rows: StoredRow[], more: boolean) => void

export class OverlayView implements View {
  readonly applied: AppliedRecord
  readonly stateHash: bigint
  readonly #snapshot: EngineSnapshot
  readonly #layers: readonly Layer[]
  readonly #prefix: Uint8Array
  readonly #first: FirstError
  readonly #closed: (view: OverlayView) => void
  #isClosed = false
  /** Ranges that are being read. */
  #reading = 0

  constructor(
    state: { readonly applied: AppliedRecord; readonly stateHash: bigint },
    snapshot: EngineSnapshot,
    layers: readonly Layer[],
    prefix: Uint8Array,
    first: FirstError,
    closed: (view: OverlayView) => void,
  ) {
    this.applied = state.applied
    this.stateHash = state.stateHash
    this.#snapshot = snapshot
    this.#layers = layers
    this.#prefix = prefix
    this.#first = first
    this.#closed = closed
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#assertOpen()
    return this.#first.guard(() => {
      const found = this.#layers.length === 0 ? undefined : findIn(this.#layers, keyString(key))
      const stored = found === undefined ? this.#snapshot.get(prefixed(this.#prefix, key)) : found.stored
      return stored === undefined ? undefined : openRow(key, stored)
    })
  }

  range(range: Range, done: RangeDone): void {
    this.#assertOpen()
    const scan = this.#first.guard(() =>
      this.#snapshot.scan({
        gte: prefixed(this.#prefix, range.gte),
        lt: prefixed(this.#prefix, range.lt),
        reverse: range.reverse,
        keysOnly: false,
      }),
    )
    const page = new Page(range, this.#overlaid(range))
    this.#reading++
    this.#fill(page, scan, (error) => {
      this.#reading--
      if (this.#isClosed) this.#release()
      done(error, error === undefined ? page.rows : [], page.more)
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#closed(this)
    this.#release()
  }

  /** Not while a range is being read: the engine would call what it cannot read any more an error. */
  #release(): void {
    if (this.#reading === 0) this.#snapshot.close()
  }

  #fill(page: Page, scan: Scan, done: (error: Error | undefined) => void): void {
    // One row more than wanted tells whether any are left.
    const wanted = Math.min(SCAN_ROWS, page.rowsWanted + 1)
    scan.next(wanted, (scanError, pairs, ended) => {
      const error = this.#faultOf(scanError, () => page.take(pairs, ended))
      if (error === undefined && !page.full && !ended) return this.#fill(page, scan, done)
      scan.finish((unread) => done(error ?? this.#faultOf(unread)))
    })
  }

  /** Why what was read does not count, if it does not. */
  #faultOf(error: Error | undefined, take: () => void = () => {}): Error | undefined {
    if (this.#isClosed) return closedError()
    if (error !== undefined) return this.#first.fail(error)
    try {
      this.#first.guard(take)
      return undefined
    } catch (thrown) {
      return asError(thrown)
    }
  }

  /** Overlaid rows of the range, in its order. */
  #overlaid(range: Range): readonly (readonly [string, LayerRow])[] {
    const gte = keyString(range.gte)
    const lt = keyString(range.lt)
    const rows = [...merged(this.#layers)].filter(([key]) => key >= gte && key < lt)
    const sign = range.reverse ? -1 : 1
    return rows.sort(([a], [b]) => (a < b ? -sign : sign))
  }

  #assertOpen(): void {
    if (this.#isClosed) throw closedError()
  }
}

const closedError = (): Error => new Error('the view is closed')

/**
 * One page being put together from two sorted streams, of which the overlaid one wins. The first row that does not fit ends it, from whichever
 * stream it comes: a smaller one behind it must not be taken, since the next page begins after the last row of this one.
 */
class Page {
  readonly rows: StoredRow[] = []
  more = false
  full = false
  readonly #range: Range
  readonly #overlaid: readonly (readonly [string, LayerRow])[]
  #overlaidAt = 0
  #bytes = 0

  constructor(range: Range, overlaid: readonly (readonly [string, LayerRow])[]) {
    this.#range = range
    this.#overlaid = overlaid
  }

  get rowsWanted(): number {
    return this.#range.rowsMax - this.rows.length
  }

  take(pairs: readonly Pair[], ended: boolean): void {
    for (const [engineKey, stored] of pairs) {
      const key = engineKey.subarray(ROW_PREFIX_BYTES)
      if (!this.#overlaidBefore(key)) this.#add(key, stored)
      if (this.full) break
    }
    if (ended && !this.full) this.#overlaidBefore(undefined)
  }

  /** Adds the overlaid rows that come before `key` (undefined: all of them); true when there is one at `key` itself. */
  #overlaidBefore(key: Uint8Array | undefined): boolean {
    if (this.#overlaidAt === this.#overlaid.length) return false
    const limit = key === undefined ? undefined : keyString(key)
    for (; this.#overlaidAt < this.#overlaid.length && !this.full; this.#overlaidAt++) {
      const [at, row] = this.#overlaid[this.#overlaidAt] ?? ['', undefined]
      const isSame = at === limit
      if (limit !== undefined && (this.#range.reverse ? at < limit : at > limit)) return false
      if (row?.stored !== undefined) this.#add(row.engineKey.subarray(ROW_PREFIX_BYTES), row.stored)
      if (isSame) {
        this.#overlaidAt++
        return true
      }
    }
    return false
  }

  #add(key: Uint8Array, stored: Uint8Array): void {
    if (this.full) return
    const value = openRow(key, stored)
    const bytes = key.length + value.length
    const { rowsMax, bytesMax } = this.#range
    if (this.rows.length >= rowsMax || (this.rows.length > 0 && this.#bytes + bytes > bytesMax)) {
      this.more = true
      this.full = true
      return
    }
    this.rows.push({ key, value })
    this.#bytes += bytes
  }
}
