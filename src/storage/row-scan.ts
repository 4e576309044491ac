// The rows of a range at one applied index: the rows of the engine's scan, and over them the layers that were not
// durable at that instant.

import { asError } from '../system/errors.ts'
import type { Pair, Scan } from './engine.ts'
import { ScanEndedError } from './errors.ts'
import type { IoScheduler } from './io-scheduler.ts'
import { prefixed, ROW_PREFIX_BYTES } from './keys.ts'
import { LayerCursor } from './layer-cursor.ts'
import type { Layer } from './overlay.ts'
import type { RowSum } from './row-sum.ts'
import { openRow } from './rows.ts'
import type { StickyError } from './sticky-error.ts'
import type { AppliedRecord, PageLimits, Range, RowScan, StoredRow, WriteCallback } from './types.ts'

/** Rows per request to the engine: small steps keep the event loop free. */
const SCAN_ROWS = 256

type PageCallback = (error: Error | undefined, rows: StoredRow[], more: boolean) => void

export class OverlayScan implements RowScan {
  readonly applied: AppliedRecord
  readonly stateHash: bigint
  readonly #scan: Scan
  /** The prefix of rows in the engine. */
  readonly #prefix: Uint8Array
  readonly #reverse: boolean
  readonly #keysOnly: boolean
  readonly #rowsPerRequest: number
  /** The rows of the layers that have not been given out. */
  readonly #overlaid: LayerCursor
  readonly #first: StickyError
  readonly #foreground: IoScheduler
  readonly #closed: () => void
  /** The sum of a scan of all rows. */
  readonly #sum: RowSum | undefined
  /** Rows read from the engine. Those before `#pairsAt` have been given out. */
  #pairs: readonly Pair[] = []
  #pairsAt = 0
  /** The engine has no more. */
  #isRead = false
  /** The end of the rows, if it is before that of the range. */
  #lt: Uint8Array | undefined
  /** All rows before that end have been given out. */
  #isBehind = false
  #isFinished = false
  #isClosed = false
  /** Whether the scan waits for the engine. */
  #isRequesting = false
  #isOld = false
  /** Why it was ended by somebody else than its reader. */
  #ended: Error | undefined

  constructor(
    state: { readonly applied: AppliedRecord; readonly stateHash: bigint },
    scan: Scan,
    layers: readonly Layer[],
    prefix: Uint8Array,
    range: Range,
    first: StickyError,
    foreground: IoScheduler,
    closed: () => void,
    sum?: RowSum,
  ) {
    this.applied = state.applied
    this.stateHash = state.stateHash
    this.#scan = scan
    this.#prefix = prefix
    this.#reverse = range.reverse
    this.#keysOnly = range.keysOnly ?? false
    this.#rowsPerRequest = range.rowsPerRequest ?? SCAN_ROWS
    this.#overlaid = new LayerCursor(layers, range)
    this.#first = first
    this.#foreground = foreground
    this.#closed = closed
    this.#sum = sum
  }

  next(limits: PageLimits, done: PageCallback): void {
    if (this.#ended !== undefined) {
      done(this.#ended, [], false)
      return
    }
    this.#assertOpen()
    const page = new Page(limits, this.#keysOnly, this.#sum)
    this.#fill(page, (error) => done(error, error === undefined ? page.rows : [], page.isFull))
  }

  seek(key: Uint8Array, lt = this.#lt): void {
    if (this.#ended !== undefined) return
    this.#assertOpen()
    this.#first.guard(() => this.#scan.seek(prefixed(this.#prefix, key)))
    this.#pairs = []
    this.#isRead = false
    this.#lt = lt
    this.#isBehind = false
    this.#overlaid.seek(key, lt)
  }

  finish(done: WriteCallback): void {
    if (this.#ended !== undefined) {
      done(this.#ended)
      return
    }
    this.#assertOpen()
    this.#isFinished = true
    this.#beginRequest()
    this.#scan.finish((unread) => {
      const error = this.#findFault(unread)
      this.#receive(() => {
        this.close()
        done(error)
      })
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    // A dead object in the old space of V8 may keep a closed scan until a full collection.
    this.#pairs = []
    this.#closed()
    this.#receive(() => {})
    if (!this.#isFinished) this.#scan.close()
  }

  /** Ends the scan on the second call. Its reader gets an error. */
  endIfOld(): void {
    if (this.#isOld) this.end(new ScanEndedError())
    this.#isOld = true
  }

  /** Ends the scan. Its reader gets this error. */
  end(error: Error): void {
    this.#ended ??= error
    this.close()
  }

  #beginRequest(): void {
    this.#isRequesting = true
    this.#foreground.begin()
  }

  /** `then` may start another read. */
  #receive(then: () => void): void {
    const wasRequesting = this.#isRequesting
    this.#isRequesting = false
    then()
    if (wasRequesting) this.#foreground.end()
  }

  #fill(page: Page, done: WriteCallback): void {
    const error = this.#findFault(undefined, () => this.#addToPage(page))
    if (error !== undefined || page.isFull || this.#isBehind) {
      done(error)
      return
    }
    if (this.#isRead) {
      done(this.#findFault(undefined, () => this.#sum?.check(this.stateHash)))
      return
    }
    // One row more than wanted shows whether any are left.
    this.#beginRequest()
    this.#scan.next(Math.min(this.#rowsPerRequest, page.rowsRequested + 1), (scanError, pairs, ended) => {
      this.#pairs = pairs
      this.#pairsAt = 0
      this.#isRead = ended
      const fault = this.#findFault(scanError)
      this.#receive(() => {
        if (fault === undefined) this.#fill(page, done)
        else done(fault)
      })
    })
  }

  /**
   * Gives the rows that have been read to the page until that is full. Of two rows with the same key, the overlaid one
   * counts.
   */
  #addToPage(page: Page): void {
    while (!page.isFull) {
      const pair = this.#pairs[this.#pairsAt]
      if (pair === undefined && !this.#isRead) return
      const key = pair && rowKeyFrom(pair[0])
      const overlaid = this.#overlaid.current
      const order = overlaid === undefined ? 1 : this.#order(overlaid.key, key)
      const next = order <= 0 ? overlaid?.key : key
      this.#isBehind = this.#lt !== undefined && next !== undefined && Buffer.compare(next, this.#lt) >= 0
      if (this.#isBehind) return
      if (overlaid !== undefined && order <= 0) {
        if (!overlaid.row.isDeleted && !page.add(overlaid.key, overlaid.row.stored)) return
        this.#overlaid.advance()
        if (order === 0) this.#pairsAt++
      } else {
        if (key === undefined || !page.add(key, pair?.[1])) return
        this.#pairsAt++
      }
    }
  }

  /** Below 0: the overlaid row is first; 0: they are the same row. */
  #order(overlaid: Uint8Array, key: Uint8Array | undefined): number {
    if (key === undefined) return -1
    const order = Buffer.compare(overlaid, key)
    return this.#reverse ? -order : order
  }

  /** Why the rows that were read must not be used; undefined when they may. */
  #findFault(error: Error | undefined, read: () => void = () => {}): Error | undefined {
    if (this.#ended !== undefined) return this.#ended
    if (this.#isClosed) return closedError()
    if (error !== undefined) return this.#first.fail(error)
    try {
      this.#first.guard(read)
      return undefined
    } catch (thrown) {
      return asError(thrown)
    }
  }

  #assertOpen(): void {
    if (this.#isClosed) throw closedError()
  }
}

/** The key of a row without the prefix, as `subarray` makes it, in a third of its time: that of a Buffer is slow. */
const rowKeyFrom = ({ buffer, byteOffset, length }: Uint8Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset + ROW_PREFIX_BYTES, length - ROW_PREFIX_BYTES)

const NO_VALUE = new Uint8Array()

const closedError = (): Error => new Error('the scan is closed')

/** A page ends with the first row that does not fit. A smaller row after it must not take its place. */
class Page {
  readonly rows: StoredRow[] = []
  isFull = false
  readonly #limits: PageLimits
  readonly #keysOnly: boolean
  readonly #sum: RowSum | undefined
  #bytes = 0

  constructor(limits: PageLimits, keysOnly: boolean, sum: RowSum | undefined) {
    this.#limits = limits
    this.#keysOnly = keysOnly
    this.#sum = sum
  }

  get rowsRequested(): number {
    return this.#limits.rowsMax - this.rows.length
  }

  /** Returns whether the row fits. `stored`: the sealed row. */
  add(key: Uint8Array, stored: Uint8Array = NO_VALUE): boolean {
    const value = this.#keysOnly ? NO_VALUE : openRow(key, stored)
    const bytes = key.length + value.length
    const isTooLarge = this.rows.length > 0 && this.#bytes + bytes > this.#limits.bytesMax
    this.isFull = isTooLarge || this.rowsRequested === 0
    if (this.isFull) return false
    this.rows.push({ key, value })
    this.#sum?.add(key, stored)
    this.#bytes += bytes
    return true
  }
}
