// Reading many keys, whichever way they are asked for. A range is read at one instant of the store, in slices. The
// slices are small enough for the event loop to do other work between them.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { KeyRow, Revision } from '../../kv/index.ts'
import { keyAfter, prefixEnd } from '../../kv/index.ts'
import { ScanEndedError } from '../../storage/index.ts'
import type { ListOptions, RecordScan, SliceLimits } from '../node/record-scan.ts'
import type { NodeApi, ReadGrant, Result, Scan } from '../node/types.ts'
import { type Answer, asError, type Respond, type Sink, timeLeftMs } from './answer.ts'
import type { HttpLimits } from './limits.ts'
import { ApiError, refusedByNode } from './problem.ts'
import { checkRevision, type Freshness, readOptions } from './read-options.ts'
import type { OutboundBudget, Reservation } from './response-budget.ts'
import { Semaphore } from './semaphore.ts'

/** Which keys, in which order, and what of them. */
export interface RangeValues {
  readonly prefix: Uint8Array | undefined
  readonly start: Uint8Array | undefined
  readonly end: Uint8Array | undefined
  readonly after: Uint8Array | undefined
  readonly limit: number | undefined
  readonly order: 'asc' | 'desc' | undefined
  readonly keys_only: boolean | undefined
  readonly count: boolean | undefined
  readonly count_only: boolean | undefined
  /** As the store was then. */
  readonly revision: Revision | undefined
}

/** Who asks for a range. */
interface RangeAsked {
  /** Deadline of the answer, on the clock of `performance.now()`. */
  readonly deadline: number
  /** Nobody will read the answer. */
  readonly isAbandoned: () => boolean
}

export interface RangeRequest {
  readonly asked: RangeAsked
  readonly values: RangeValues
  readonly freshness: Freshness
  /** Records at most. */
  readonly limit: number
  /** The whole range is counted as well. */
  readonly counts: boolean
}

/** The store at one instant, while it is being read. */
export interface Instant {
  readonly asked: RangeAsked
  readonly grant: ReadGrant
  /**
   * Opens a scan. All scans that are opened in the turn of the event loop in which the reading begins show the same
   * instant. They are closed when the reading has ended.
   */
  readonly open: (options: ListOptions) => RecordScan
  readonly limits: HttpLimits
  readonly backlog: OutboundBudget
  /** For reading slices. */
  readonly turns: Semaphore
}

/** A range that is being read. */
export interface Reading extends RangeRequest, Instant {
  readonly asked: RangeAsked
  /** The scan after `after`; undefined if no records are asked for. */
  readonly records: RecordScan | undefined
  /** The scan of the whole range; undefined if no count is asked for. */
  readonly counted: RecordScan | undefined
}

interface Bounds {
  readonly start: Uint8Array
  /** Exclusive; undefined means up to the last key. */
  readonly end: Uint8Array | undefined
}

/** All ranges of a node that are being read. */
export class RangeReader {
  readonly #node: NodeApi
  readonly #limits: HttpLimits
  readonly #backlog: OutboundBudget
  readonly #turns: Semaphore
  #open = 0

  constructor(node: NodeApi, limits: HttpLimits, backlog: OutboundBudget) {
    this.#node = node
    this.#limits = limits
    this.#backlog = backlog
    this.#turns = new Semaphore(limits.slicesMax)
  }

  /** Number of ranges that are being read. */
  get open(): number {
    return this.#open
  }

  /**
   * Calls `use` when the range may be read; its scans are closed when that has ended. If it may not, or if `use` fails,
   * `failed` is called. Throws `Refused` for a wrong request.
   */
  read(
    request: RangeRequest,
    use: (reading: Reading) => Promise<void>,
    failed: (error: Error) => void,
  ): void {
    const { asked, values, freshness, counts } = request
    const { order, revision } = values
    const whole = wholeBounds(values)
    const rest = restBounds(whole, values)
    const readRange = (instant: Instant): Promise<void> => {
      checkRevision(this.#node, revision, instant.grant)
      const scan = ({ start, end }: Bounds, keysOnly: boolean): RecordScan =>
        instant.open({ start, end, reverse: order === 'desc', revision, keysOnly })
      const counted = counts ? scan(whole, true) : undefined
      const records = values.count_only ? undefined : scan(rest, values.keys_only ?? false)
      return use({ ...request, ...instant, records, counted })
    }
    this.readInstant(asked, freshness, readRange, failed)
  }

  /** The same for any scans: `use` opens them. */
  readInstant(
    asked: RangeAsked,
    freshness: Freshness,
    use: (instant: Instant) => Promise<void>,
    failed: (error: Error) => void,
  ): void {
    this.#node.read(readOptions(timeLeftMs(asked), freshness), (result) => {
      try {
        this.#granted(asked, result, use, failed)
      } catch (error) {
        failed(asError(error))
      }
    })
  }

  #granted(
    asked: RangeAsked,
    result: Result<ReadGrant>,
    use: (instant: Instant) => Promise<void>,
    failed: (error: Error) => void,
  ): void {
    const [limits, backlog, turns] = [this.#limits, this.#backlog, this.#turns]
    if (!result.ok) throw refusedByNode(result.problem)
    if (this.#open >= limits.rangesMax) throw new ApiError('overloaded', 'too many ranges are being read')
    // Checked before anything is read and encoded.
    backlog.check(limits.pageBytesMax)
    this.#open++
    const scans: RecordScan[] = []
    const open = (options: ListOptions): RecordScan => {
      const scan = this.#node.list(options)
      scans.push(scan)
      return scan
    }
    const reading = async (): Promise<void> =>
      use({ asked, grant: result.value, open, limits, backlog, turns })
    void reading()
      .catch(failed)
      .finally(() => {
        for (const scan of scans) scan.close()
        this.#open--
      })
  }
}

/** The keys that a request names; all keys if it names none. Throws `Refused`. */
export function wholeBounds({ prefix, start, end }: Pick<RangeValues, 'prefix' | 'start' | 'end'>): Bounds {
  if (prefix === undefined) return { start: start ?? new Uint8Array(), end }
  if (start !== undefined || end !== undefined)
    throw new ApiError('bad_request', 'prefix cannot be combined with start or end')
  return { start: prefix, end: prefixEnd(prefix) }
}

function restBounds({ start, end }: Bounds, { after, order }: RangeValues): Bounds {
  if (after === undefined) return { start, end }
  if (order === 'desc') return { start, end: end === undefined || isBefore(after, end) ? after : end }
  const next = keyAfter(after)
  return { start: isBefore(start, next) ? next : start, end }
}

const isBefore = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) < 0

// ---------------------------------------------------------------------------------------------------------------------
// Pages

/** How a page keeps its records. */
interface PageForm<R, S> {
  readonly record: (row: KeyRow) => R
  /** Bytes of a record in the answer. */
  readonly bytes: (record: R) => number
  /** Records that were read together. There is at least one. */
  readonly slice: (records: R[], isFirst: boolean) => S
}

interface Page<S> {
  readonly slices: readonly S[]
  readonly more: boolean
  readonly last: Uint8Array | undefined
}

/** Ends at the limit of records, bytes or time. `more`: something is left. */
export async function readPage<R, S>(
  reading: Reading,
  hold: Reservation,
  form: PageForm<R, S>,
): Promise<Page<S>> {
  const { asked, limit, limits, records: scan } = reading
  const slices: S[] = []
  let last: Uint8Array | undefined
  if (scan === undefined) return { slices, more: false, last }
  let pageBytes = 0
  let count = 0
  for await (const { rows, more } of slicesOf(reading, scan, limit, true)) {
    const records: R[] = []
    const before = pageBytes
    let isFull = false
    for (const row of rows) {
      const record = form.record(row)
      const bytes = form.bytes(record)
      isFull = last !== undefined && pageBytes + bytes > limits.pageBytesMax
      if (isFull) break
      pageBytes += bytes
      records.push(record)
      last = row.key
    }
    if (records.length > 0) slices.push(form.slice(records, slices.length === 0))
    hold.grow(pageBytes - before)
    count += rows.length
    if (more === undefined && !isFull) checkTime(asked)
    if (isFull || (more && (count === limit || performance.now() > asked.deadline))) {
      await finish(scan)
      return { slices, more: true, last }
    }
  }
  await finish(scan)
  return { slices, more: false, last }
}

export async function countRows(reading: Reading): Promise<number | undefined> {
  const { counted: scan } = reading
  if (scan === undefined) return undefined
  let count = 0
  for await (const { rows } of slicesOf(reading, scan, Number.MAX_SAFE_INTEGER)) {
    count += rows.length
    checkTime(reading.asked, 'counted')
  }
  await finish(scan)
  return count
}

/** Throws `Refused` if the answer is due. */
export function checkTime({ deadline }: Pick<RangeAsked, 'deadline'>, done = 'read'): void {
  if (performance.now() > deadline)
    throw new ApiError('overloaded', `the range could not be ${done} within the timeout`)
}

// ---------------------------------------------------------------------------------------------------------------------
// Slices

/** Reads of rows for one slice: where many keys were deleted, most rows hold no record. */
const READS_MAX = 32

export interface Slice<R = KeyRow> {
  readonly rows: readonly R[]
  /** The range has rows after these; undefined: that is not known. */
  readonly more: boolean | undefined
}

/**
 * Before `finish` it is not known whether these rows are complete. `looksAhead`: the last slice knows whether the range
 * has more rows than asked for.
 */
export async function* slicesOf<R>(
  { limits, asked, turns }: Pick<Instant, 'limits' | 'asked' | 'turns'>,
  scan: Scan<R>,
  rowsMax: number,
  looksAhead = false,
): AsyncGenerator<Slice<R>, void, undefined> {
  let isKnown = !looksAhead
  for (let left = rowsMax; left > 0 || !isKnown; ) {
    const rowsMax = Math.min(left, limits.sliceRowsMax)
    const slice = { rowsMax, bytesMax: limits.sliceBytesMax, readsMax: READS_MAX }
    const { rows, more } = await turns.take(() => readSlice(scan, slice))
    yield { rows, more }
    if (more === false) return
    left -= rows.length
    isKnown = !looksAhead || more !== undefined
    await nextTurn()
    if (asked.isAbandoned()) return
  }
}

/** An answer that is as long as what is read, whatever a page may hold. */
interface Poured<R> {
  readonly answer: Omit<Answer, 'body'>
  /** Called once for each slice, in order. */
  readonly text: (rows: readonly R[]) => string
  /** What follows the last slice. */
  readonly end: () => string
  /** What follows when the rest cannot be read. Unless given, the connection is cut: half of it is no answer. */
  readonly failed?: (error: unknown) => string
}

/**
 * Each slice is read when the client has taken the one before. The answer begins with the first slice, so an earlier
 * failure is an ordinary problem.
 */
export async function pourSlices<R>(
  instant: Instant,
  scan: Scan<R>,
  rowsMax: number,
  { answer, text, end, failed }: Poured<R>,
  respond: Respond,
): Promise<void> {
  const slices = slicesOf(instant, scan, rowsMax)
  let first = await slices.next()
  while (!first.done && first.value.rows.length === 0 && first.value.more === undefined) {
    checkTime(instant.asked)
    first = await slices.next()
  }
  // An answer that cannot tell its failure is better sent as a whole, if it is short.
  if (failed === undefined && !first.done && first.value.more === false) {
    await finish(scan)
    return respond({ ...answer, body: text(first.value.rows) + end() })
  }
  const send = async (sink: Sink): Promise<void> => {
    const until = performance.now() + instant.limits.streamMsMax
    for (let slice = first; !slice.done; slice = await slices.next()) {
      if (!(await sink.write(text(slice.value.rows)))) return
      if (performance.now() > until) throw new ApiError('overloaded', 'the stream took too long to read')
    }
    await finish(scan)
    sink.end(end())
  }
  await new Promise<void>((resolve, reject) => {
    const pour = (sink: Sink): void => {
      const sent = send(sink)
      const told = failed === undefined ? sent : sent.catch((error) => sink.end(failed(error)))
      told.then(resolve, reject)
    }
    respond({ ...answer, body: { pour } })
  })
}

/** The first record of a range; undefined: there is none. */
export async function readFirst(node: NodeApi, options: ListOptions): Promise<KeyRow | undefined> {
  const scan = node.list(options)
  try {
    const { rows } = await readSlice(scan, { rowsMax: 1, bytesMax: 1 })
    await finish(scan)
    return rows[0]
  } finally {
    scan.close()
  }
}

function readSlice<R>(scan: Scan<R>, slice: SliceLimits): Promise<Slice<R>> {
  return new Promise((resolve, reject) => {
    scan.next(slice, (error, rows, more) =>
      error === undefined ? resolve({ rows, more }) : reject(refusedIfEnded(error)),
    )
  })
}

export function finish(scan: Pick<Scan<unknown>, 'finish'>): Promise<void> {
  return new Promise((resolve, reject) => {
    scan.finish((error) => (error === undefined ? resolve() : reject(refusedIfEnded(error))))
  })
}

/** The answer to an error of a scan. */
export const refusedIfEnded = (error: Error): Error =>
  error instanceof ScanEndedError
    ? new ApiError('overloaded', `${error.message}: read fewer keys at a time, or from another node`)
    : error
