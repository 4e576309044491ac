// Reads of many keys. A range is read at one instant of the store, in slices that are small enough for the event loop
// to do other work between them.

import timers from 'node:timers/promises'
import {
  ApiError,
  type FreshnessOptions,
  type KeyRange,
  type KeyRow,
  keyAfter,
  type ReadGrant,
  type Revision,
} from '../../operations/forms/index.ts'
import type { RangeRequest } from '../../operations/index.ts'
import { ScanEndedError } from '../../storage/index.ts'
import { asError } from '../../system/errors.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { MetadataScan } from '../node/read/metadata-scan.ts'
import type { RecordScan, RecordScanOptions, SlicedScan, SliceLimits } from '../node/read/record-scan.ts'
import type { Result } from '../node/result.ts'
import type { OpenAnswer, Respond, RowStream } from './answer.ts'
import type { OutboundBudget, Reservation } from './budget.ts'
import type { Call, PageCollector } from './call.ts'
import { errorOfNode } from './errors.ts'
import type { ApiLimits } from './limits.ts'
import { OpenedRange, type Slice } from './opened-range.ts'
import { refusalNow } from './permit.ts'
import { RangeCounts } from './range-counts.ts'
import { checkRevision, readOptions, timeLeftMs } from './read-options.ts'

/** The store at one instant, while one operation reads it. */
export interface Instant {
  readonly call: Call
  readonly grant: ReadGrant
  /**
   * Opens a scan. All scans that are opened in the turn of the event loop in which the reading begins show the same
   * instant. They are closed when the reading has ended.
   */
  readonly open: <T extends SlicedScan<unknown>>(newScan: () => T) => T
  readonly list: (options: RecordScanOptions) => RecordScan
  readonly listMetadata: (options: RecordScanOptions) => MetadataScan
  readonly listKeys: (options: RecordScanOptions) => SlicedScan<unknown>
}

/** Limits the slices that are read at the same time. Without it, many ranges would block all threads of LevelDB. */
class Semaphore {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(permits: number) {
    this.#free = permits
  }

  /** Runs `run` when a permit is free, in the order of the calls. */
  async run<T>(run: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await run()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}

/** All ranges that a node reads for its clients. */
export class Ranges {
  readonly #node: KvNode
  readonly #limits: ApiLimits
  readonly #outbound: OutboundBudget
  readonly #slices: Semaphore
  readonly #counts: RangeCounts
  #open = 0

  constructor(node: KvNode, limits: ApiLimits, outbound: OutboundBudget) {
    this.#node = node
    this.#limits = limits
    this.#outbound = outbound
    this.#slices = new Semaphore(limits.slicesMax)
    this.#counts = new RangeCounts(limits.rangeCountsMax)
  }

  /** Number of open scans. */
  get open(): number {
    return this.#open
  }

  get limits(): ApiLimits {
    return this.#limits
  }

  reserve(): Reservation {
    return this.#outbound.reserve()
  }

  /**
   * Calls `use` when the store may be read, and closes its scans when `use` has ended. Calls `failed` if the read is
   * refused or `use` fails. Throws `ApiError` for a wrong request.
   */
  readInstant(
    call: Call,
    freshness: FreshnessOptions,
    use: (instant: Instant) => Promise<void>,
    failed: (error: unknown) => void,
  ): void {
    const options = readOptions(freshness, timeLeftMs(call))
    call.withdraw = this.#node.read(options, (result) => {
      try {
        this.#granted(call, result, use, failed)
      } catch (error) {
        failed(error)
      }
    })
  }

  #granted(
    call: Call,
    result: Result<ReadGrant>,
    use: (instant: Instant) => Promise<void>,
    failed: (error: unknown) => void,
  ): void {
    if (!result.ok) throw errorOfNode(result.problem, true)
    const refusal = refusalNow(this.#node, call)
    if (refusal !== undefined) throw refusal
    this.#checkScans()
    // Checked before anything is read and encoded. A reader waits for room itself.
    if (call.rangeReader === undefined) this.#outbound.check(this.#limits.pageBytesMax)
    const scans: Pick<SlicedScan<unknown>, 'close'>[] = []
    const open = <T extends SlicedScan<unknown>>(newScan: () => T): T => {
      this.#checkScans()
      const scan = newScan()
      this.#open++
      scans.push(scan)
      return scan
    }
    const instant: Instant = {
      call,
      grant: result.value,
      open,
      list: (options) => open(() => this.#node.list(options)),
      listMetadata: (options) => open(() => this.#node.listMetadata(options)),
      // One request to the engine for each slice: it takes as long as reading some dozens of keys.
      listKeys: (options) =>
        open(() => this.#node.listKeys({ ...options, rowsPerRequest: this.#limits.sliceKeysMax + 2 })),
    }
    const reading = async (): Promise<void> => use(instant)
    void reading()
      .catch(failed)
      .finally(() => {
        for (const scan of scans) scan.close()
        this.#open -= scans.length
      })
  }

  /** Throws `ApiError` if no further scan may be opened. */
  #checkScans(): void {
    if (this.#open >= this.#limits.rangesMax)
      throw new ApiError('overloaded', 'too many ranges are being read')
  }

  /** Reads a page, a stream or a count. */
  execute(
    call: Call,
    operation: RangeRequest,
    respond: Respond<OpenAnswer<'range'>>,
    failed: (error: unknown) => void,
  ): void {
    const { range, order = 'asc', revision, count, countOnly, keysOnly = false, stream } = operation
    const rest = remainingRange(operation)
    const read = async (instant: Instant): Promise<void> => {
      const { grant } = instant
      checkRevision(this.#node, revision, grant)
      const at = revision ?? grant.revision
      const isCounted = countOnly || (count && !stream)
      const known = isCounted ? this.#findCount(range, at, grant) : undefined
      const options = ({ start, end }: KeyRange): RecordScanOptions => ({
        start,
        end,
        revision,
        reverse: order === 'desc',
      })
      const counted = isCounted && known === undefined ? instant.listKeys(options(range)) : undefined
      const list = keysOnly ? instant.listMetadata : instant.list
      const records = countOnly ? undefined : list(options(rest))
      const { rangeReader } = call
      if (rangeReader !== undefined) {
        const { needsSizes } = rangeReader
        const sizes = needsSizes && !countOnly ? instant.listMetadata(options(rest)) : undefined
        const noteCount = (keys: number): void => this.#counts.set(range, at, keys)
        const noteRest = (keys: number, last: Uint8Array): void =>
          this.#counts.setRest(rest, at, keys, last, order)
        await rangeReader.read(
          new OpenedRange({
            read: (scan, rowsMax, sliceRowsMax) => this.slices(call, scan, rowsMax, true, sliceRowsMax),
            ...{ finish, countKeys: (scan) => this.countKeys(call, scan) },
            ...{ sliceKeysMax: this.#limits.sliceKeysMax, isAbandoned: () => call.isAbandoned() },
            ...{ head: grant, range: rest, order, records, sizes },
            ...{ count: known ?? counted, counted: noteCount, continued: noteRest },
          }),
        )
        respond({ kind: 'page', more: false, last: undefined, count: undefined, head: grant })
        return
      }
      if (stream && records !== undefined)
        return this.stream(instant, records, operation.limit, (rows) =>
          respond({ kind: 'records', rows, keysOnly, head: grant }),
        )
      const reservation = this.reserve()
      try {
        const { more, last, keys } =
          records === undefined
            ? NO_RECORDS
            : await this.#readPage(instant, records, operation.limit, reservation)
        const isWhole = records !== undefined && rest === range && !more
        const scanned = counted === undefined || isWhole ? undefined : await this.count(instant, counted)
        const total = isCounted ? (known ?? scanned ?? keys) : undefined
        // A range that is read for nobody ends early.
        if (!instant.call.isAbandoned()) {
          if (total !== undefined) this.#counts.set(range, at, total)
          if (more && last !== undefined) this.#counts.setRest(rest, at, keys, last, order)
        }
        reservation.release()
        respond({ kind: 'page', more, last, count: total, head: grant })
      } finally {
        reservation.release()
      }
    }
    this.readInstant(call, operation.freshness, read, failed)
  }

  /** The number of keys of a range if no key must be read for it. */
  #findCount(range: KeyRange, at: Revision, { revision: now }: ReadGrant): number | undefined {
    return at === now && isEverything(range) ? this.#node.keys : this.#counts.find(range, at)
  }

  /** Ends at the limit of records, bytes or time. */
  async #readPage(
    { call }: Instant,
    scan: SlicedScan<KeyRow>,
    limit = this.#limits.pageRowsDefault,
    reservation: Reservation,
  ): Promise<{ readonly more: boolean; readonly last: Uint8Array | undefined; readonly keys: number }> {
    const { pageBytesMax } = this.#limits
    const collector: PageCollector = call.page ?? NO_COLLECTOR
    let last: Uint8Array | undefined
    let bytes = 0
    let keys = 0
    for await (const { rows, more } of this.slices(call, scan, limit, true)) {
      const before = bytes
      let isFull = false
      for (const row of rows) {
        const bytesMax = last === undefined ? Number.POSITIVE_INFINITY : pageBytesMax - bytes
        const added = collector.add(row, bytesMax)
        isFull = added > bytesMax
        if (isFull) break
        bytes += added
        last = row.key
        keys++
      }
      reservation.grow(bytes - before)
      if (more === undefined && !isFull) checkTime(call)
      if (isFull || (more && (keys === limit || performance.now() > call.deadline))) {
        await finish(scan)
        return { more: true, last, keys }
      }
    }
    await finish(scan)
    return { more: false, last, keys }
  }

  /** The first record of a range; undefined: there is none. */
  async first({ call }: Instant, scan: RecordScan): Promise<KeyRow | undefined> {
    let first: KeyRow | undefined
    for await (const { rows } of this.slices(call, scan, 1)) first ??= rows[0]
    await finish(scan)
    return first
  }

  /** The number of rows of a scan. Rejects with `ApiError` after the deadline of the call. */
  count({ call }: Instant, scan: SlicedScan<unknown>): Promise<number> {
    return this.countKeys(call, scan, () => checkTime(call, 'counted'))
  }

  /** The number of rows of a scan. `check` throws if it must not be read further. */
  async countKeys(call: Call, scan: SlicedScan<unknown>, check = (): void => {}): Promise<number> {
    const { sliceKeysMax } = this.#limits
    let count = 0
    for await (const { rows } of this.slices(call, scan, Number.MAX_SAFE_INTEGER, false, sliceKeysMax)) {
      count += rows.length
      check()
    }
    await finish(scan)
    return count
  }

  /**
   * Reads the first slice, passes the stream to `begin`, and resolves when the stream has ended. A failure before that
   * is an ordinary error. With `whole`, rows of one slice are passed to it in place of a stream, and are complete.
   */
  async stream<T>(
    { call }: Instant,
    scan: SlicedScan<T>,
    limit: number | undefined,
    begin: (rows: RowStream<T>) => void,
    whole?: (rows: readonly T[]) => void,
  ): Promise<void> {
    const slices = this.slices(call, scan, limit ?? Number.MAX_SAFE_INTEGER)
    let first = await slices.next()
    while (!first.done && first.value.rows.length === 0 && first.value.more === undefined) {
      checkTime(call)
      first = await slices.next()
    }
    const rows = first.done ? undefined : first.value.rows
    if (whole !== undefined && (first.done || first.value.more === false)) {
      await finish(scan)
      whole(rows ?? [])
      return
    }
    await new Promise<void>((resolve) => {
      begin(new SliceStream(rows, slices, scan, this.#limits.streamMsMax, resolve))
    })
  }

  /**
   * Slices of a scan. Their rows are known to be complete after `finish`. With `looksAhead` the last slice knows
   * whether the scan has more rows than `rowsMax`.
   */
  async *slices<T>(
    call: Call,
    scan: SlicedScan<T>,
    rowsMax: number,
    looksAhead = false,
    sliceRowsMax = this.#limits.sliceRowsMax,
  ): AsyncGenerator<Slice<T>, void, undefined> {
    const { sliceBytesMax } = this.#limits
    let isKnown = !looksAhead
    for (let left = rowsMax; left > 0 || !isKnown; ) {
      const slice = { rowsMax: Math.min(left, sliceRowsMax), bytesMax: sliceBytesMax, readsMax: READS_MAX }
      const { rows, more } = await this.#slices.run(async () => {
        await this.#outbound.turns.next()
        return readSlice(scan, slice)
      })
      yield { rows, more }
      if (more === false) return
      left -= rows.length
      isKnown = !looksAhead || more !== undefined
      await timers.setImmediate()
      if (call.isAbandoned()) return
    }
  }
}

const NO_RECORDS = { more: false, last: undefined, keys: 0 } as const
const NO_COLLECTOR: PageCollector = {
  add() {
    throw new Error('a page needs a collector')
  },
}

/** Reads of rows for one slice: where many keys were deleted, most rows have no record. */
const READS_MAX = 32

class SliceStream<T> implements RowStream<T> {
  readonly #slices: AsyncGenerator<Slice<T>, void, undefined>
  readonly #scan: SlicedScan<T>
  readonly #until: number
  readonly #ended: () => void
  /** The slice that is read already. */
  #first: readonly T[] | undefined

  constructor(
    first: readonly T[] | undefined,
    slices: AsyncGenerator<Slice<T>, void, undefined>,
    scan: SlicedScan<T>,
    msMax: number,
    ended: () => void,
  ) {
    this.#first = first
    this.#slices = slices
    this.#scan = scan
    this.#until = performance.now() + msMax
    this.#ended = ended
  }

  async next(): Promise<readonly T[] | undefined> {
    const first = this.#first
    this.#first = undefined
    if (first !== undefined) return first
    if (performance.now() > this.#until) throw new ApiError('overloaded', 'the stream took too long to read')
    const slice = await this.#slices.next()
    if (!slice.done) return slice.value.rows
    await finish(this.#scan)
    return undefined
  }

  close(): void {
    this.#ended()
  }
}

/** The part of a range that follows `after`. */
function remainingRange({ range, after, order }: RangeRequest): KeyRange {
  const { start, end } = range
  if (after === undefined) return range
  if (order === 'desc') return { start, end: end === undefined || isBefore(after, end) ? after : end }
  const next = keyAfter(after)
  return { start: isBefore(start, next) ? next : start, end }
}

/** Whether the range has all keys: each is longer than 0 bytes, so none is before a zero byte. */
const isEverything = ({ start, end }: KeyRange): boolean =>
  end === undefined && (start.length === 0 || (start.length === 1 && start[0] === 0))

const isBefore = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) < 0

/** Throws `ApiError` when the time of the call is over. */
export function checkTime({ deadline }: Call, done = 'read'): void {
  if (performance.now() > deadline)
    throw new ApiError('overloaded', `the range could not be ${done} within the timeout`)
}

function readSlice<T>(scan: SlicedScan<T>, slice: SliceLimits): Promise<Slice<T>> {
  return new Promise((resolve, reject) => {
    scan.next(slice, (error, rows, more) =>
      error === undefined ? resolve({ rows, more }) : reject(errorOfScan(error)),
    )
  })
}

export function finish(scan: Pick<SlicedScan<unknown>, 'finish'>): Promise<void> {
  return new Promise((resolve, reject) => {
    scan.finish((error) => (error === undefined ? resolve() : reject(errorOfScan(error))))
  })
}

export const errorOfScan = (error: Error): Error =>
  error instanceof ScanEndedError
    ? new ApiError('overloaded', `${error.message}: read fewer keys at a time, or from another node`)
    : asError(error)
