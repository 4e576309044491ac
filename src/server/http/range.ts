// Reading many keys: GET /v1/kv, as a page of JSON or as a stream of NDJSON. Both read one instant of the store, in
// slices. The slices are small enough for the event loop to do other work between them.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { KeyRow } from '../../kv/index.ts'
import { dataRange, decodeKeyRow, keyAfter, prefixEnd, userKey } from '../../kv/index.ts'
import { ScanEndedError } from '../../storage/index.ts'
import type { PageLimits, RowScan, StoredRow } from '../../storage/types.ts'
import type { NodeApi, ReadGrant, Result } from '../types.ts'
import { namesMediaType } from './accept.ts'
import { type Answer, type ApiRequest, answering, type Respond, type Sink } from './answer.ts'
import { bytesJson, metaJson, recordJson } from './json.ts'
import type { HttpLimits } from './limits.ts'
import type { Backlog, Hold } from './outflow.ts'
import {
  bytes,
  flag,
  integer,
  order,
  type Parameter,
  type ParameterValues,
  READ_PARAMETERS,
  readQuery,
} from './parameters.ts'
import { problemDocument, Refused, refusedByNode } from './problem.ts'
import { freshnessHeaders, readOptions } from './reading.ts'
import { Turns } from './turns.ts'

function limitUpTo(max: number): Parameter<number> {
  return integer('Records at most; a page has 1000 unless given, and never more than 10000', 1, max)
}

export const RANGE_PARAMETERS = {
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  after: bytes('Only keys behind this one in the order asked for: `next` of the page before'),
  limit: limitUpTo(Number.MAX_SAFE_INTEGER),
  order,
  keys_only: flag('Leave the values out'),
  count: flag('Count the whole range as well'),
  count_only: flag('Count the whole range and answer no records'),
  ...READ_PARAMETERS,
}

interface Bounds {
  readonly start: Uint8Array
  /** Exclusive; undefined means up to the last key. */
  readonly end: Uint8Array | undefined
}

/** A range that is being read. */
interface Reading {
  readonly asked: ApiRequest
  readonly values: ParameterValues<typeof RANGE_PARAMETERS>
  readonly limit: number
  readonly grant: ReadGrant
  /** The scan after `after`; undefined if no records are asked for. */
  readonly records: RowScan | undefined
  /** The scan of the whole range; undefined if no count is asked for. */
  readonly counted: RowScan | undefined
  readonly limits: HttpLimits
  readonly backlog: Backlog
  /** For reading slices. */
  readonly turns: Turns
  /** The problem for an error. Reports the error if it is not the client's fault. */
  readonly failed: (error: unknown) => Refused
}

/** GET /v1/kv. */
export class Ranges {
  readonly #node: NodeApi
  readonly #limits: HttpLimits
  readonly #backlog: Backlog
  readonly #failed: Reading['failed']
  readonly #pageParameters: typeof RANGE_PARAMETERS
  readonly #turns: Turns
  #open = 0

  constructor(node: NodeApi, limits: HttpLimits, backlog: Backlog, failed: Reading['failed']) {
    this.#node = node
    this.#limits = limits
    this.#backlog = backlog
    this.#failed = failed
    this.#turns = new Turns(limits.slicesMax)
    this.#pageParameters = { ...RANGE_PARAMETERS, limit: limitUpTo(limits.pageRowsMax) }
  }

  /** Number of ranges that are being read. */
  get open(): number {
    return this.#open
  }

  get(asked: ApiRequest, respond: Respond): void {
    const limits = this.#limits
    const streams = namesMediaType(asked.headers.accept, 'application/x-ndjson')
    const values = readQuery(asked.pairs, streams ? RANGE_PARAMETERS : this.#pageParameters)
    const whole = wholeBounds(values)
    const rest = restBounds(whole, values)
    const { limit = streams ? Number.MAX_SAFE_INTEGER : limits.pageRowsDefault } = values

    const granted = answering(respond, (result: Result<ReadGrant>) => {
      if (!result.ok) throw refusedByNode(result.problem)
      if (this.#open >= limits.rangesMax) throw new Refused('overloaded', 'too many ranges are being read')
      // Checked before anything is read and encoded.
      this.#backlog.check(limits.pageBytesMax)
      // A stream counts the records that it sends.
      const counts = values.count_only || (values.count && !streams)
      const counted = counts ? this.#scan(whole, values) : undefined
      const records = values.count_only ? undefined : this.#scan(rest, values)
      this.#open++
      const reading = {
        asked,
        values,
        limit,
        grant: result.value,
        records,
        counted,
        limits,
        backlog: this.#backlog,
        turns: this.#turns,
        failed: this.#failed,
      }
      void (streams ? stream(reading, respond) : page(reading, respond)).catch(respond).finally(() => {
        records?.close()
        counted?.close()
        this.#open--
      })
    })
    this.#node.read(readOptions(asked, values), granted)
  }

  #scan({ start, end }: Bounds, { order }: Reading['values']): RowScan {
    return this.#node.scan({ ...dataRange(start, end), reverse: order === 'desc' })
  }
}

function wholeBounds({ prefix, start, end }: Reading['values']): Bounds {
  if (prefix === undefined) return { start: start ?? new Uint8Array(), end }
  if (start !== undefined || end !== undefined)
    throw new Refused('bad_request', 'prefix cannot be combined with start or end')
  return { start: prefix, end: prefixEnd(prefix) }
}

function restBounds({ start, end }: Bounds, { after, order }: Reading['values']): Bounds {
  if (after === undefined) return { start, end }
  if (order === 'desc') return { start, end: end === undefined || isBefore(after, end) ? after : end }
  const next = keyAfter(after)
  return { start: isBefore(start, next) ? next : start, end }
}

const isBefore = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) < 0

// ---------------------------------------------------------------------------------------------------------------------
// One page

async function page(reading: Reading, respond: Respond): Promise<void> {
  const { grant, backlog } = reading
  const hold = backlog.hold()
  try {
    const { slices, more, last } = await readPage(reading, hold)
    const count = await countRows(reading)
    const next = more && last !== undefined ? `,"next":${bytesJson(last)}` : ''
    const counted = count === undefined ? '' : `,"count":${count}`
    const tail = `],"more":${more}${next}${counted},"revision":${grant.revision}}`
    hold.release()
    respond({ ...rangeAnswer(grant, 'application/json'), body: ['{"kvs":[', ...slices, tail] })
  } finally {
    hold.release()
  }
}

interface Page {
  /** Their records in JSON, separated by commas. */
  readonly slices: readonly string[]
  readonly more: boolean
  readonly last: Uint8Array | undefined
}

const NO_RECORDS: Page = { slices: [], more: false, last: undefined }

/** Ends at the limit of records, bytes or time. `more`: something is left. */
async function readPage(reading: Reading, hold: Hold): Promise<Page> {
  const { asked, limit, limits, records: scan } = reading
  if (scan === undefined) return NO_RECORDS
  const toJson = reading.values.keys_only ? metaJson : recordJson
  const slices: string[] = []
  let last: Uint8Array | undefined
  let pageBytes = 0
  let count = 0
  for await (const { rows, more } of slicesOf(reading, scan, limit)) {
    const records: string[] = []
    const before = pageBytes
    let isFull = false
    for (const row of rows) {
      const record = toJson(row)
      const bytes = Buffer.byteLength(record)
      isFull = last !== undefined && pageBytes + bytes > limits.pageBytesMax
      if (isFull) break
      pageBytes += bytes
      records.push(record)
      last = row.key
    }
    if (records.length > 0) slices.push(`${slices.length > 0 ? ',' : ''}${records.join(',')}`)
    hold.grow(pageBytes - before)
    count += rows.length
    if (isFull || (more && (count === limit || performance.now() > asked.deadline))) {
      await finish(scan)
      return { slices, more: true, last }
    }
  }
  await finish(scan)
  return { slices, more: false, last }
}

async function countRows(reading: Reading): Promise<number | undefined> {
  const { counted: scan } = reading
  if (scan === undefined) return undefined
  let count = 0
  for await (const { rows } of slicesOf(reading, scan, Number.MAX_SAFE_INTEGER)) {
    count += rows.length
    if (performance.now() > reading.asked.deadline)
      throw new Refused('overloaded', 'the range could not be counted within the timeout')
  }
  await finish(scan)
  return count
}

// ---------------------------------------------------------------------------------------------------------------------
// A stream

/** The answer begins with the first slice, so an earlier failure is an ordinary problem. */
async function stream(reading: Reading, respond: Respond): Promise<void> {
  const { grant, records: scan } = reading
  if (scan === undefined) {
    const count = (await countRows(reading)) ?? 0
    return respond({ ...rangeAnswer(grant, NDJSON), body: endLine(count, grant) })
  }
  const slices = slicesOf(reading, scan, reading.limit)
  const first = await slices.next()
  await new Promise<void>((resolve) => {
    const pour = (sink: Sink): void => void pourLines(reading, scan, first, slices, sink).finally(resolve)
    respond({ ...rangeAnswer(grant, NDJSON), body: { pour } })
  })
}

/** A stream without the end line is incomplete. Clients check that. */
async function pourLines(
  { values, grant, failed, limits }: Reading,
  scan: RowScan,
  first: IteratorResult<Slice, void>,
  slices: AsyncGenerator<Slice, void, undefined>,
  sink: Sink,
): Promise<void> {
  const toJson = values.keys_only ? metaJson : recordJson
  const until = performance.now() + limits.streamMsMax
  let count = 0
  try {
    for (let slice = first; !slice.done; slice = await slices.next()) {
      const { rows } = slice.value
      count += rows.length
      if (!(await sink.write(rows.map((row) => `${toJson(row)}\n`).join('')))) return
      if (performance.now() > until) throw new Refused('overloaded', 'the stream took too long to read')
    }
    await finish(scan)
    sink.end(endLine(count, grant))
  } catch (error) {
    sink.end(`${JSON.stringify({ error: problemDocument(failed(error)) })}\n`)
  }
}

const NDJSON = 'application/x-ndjson'

const endLine = (count: number, { revision }: ReadGrant): string =>
  `{"end":true,"count":${count},"revision":${revision}}\n`

// ---------------------------------------------------------------------------------------------------------------------
// Rows

const rangeAnswer = (grant: ReadGrant, contentType: string): Omit<Answer, 'body'> => ({
  status: 200,
  headers: ['Content-Type', contentType, 'Vary', 'Accept', ...freshnessHeaders(grant)],
  revision: grant.revision,
})

interface Slice {
  readonly rows: readonly KeyRow[]
  /** The range has rows after these. */
  readonly more: boolean
}

/** Before `finish` it is not known whether these rows are complete. */
async function* slicesOf(
  { limits, asked, turns }: Reading,
  scan: RowScan,
  rowsMax: number,
): AsyncGenerator<Slice, void, undefined> {
  for (let left = rowsMax; left > 0; ) {
    const slice = { rowsMax: Math.min(left, limits.sliceRowsMax), bytesMax: limits.sliceBytesMax }
    const { rows, more } = await turns.take(() => readSlice(scan, slice))
    yield { rows: rows.map(({ key, value }) => decodeKeyRow(userKey(key), value)), more }
    if (!more) return
    left -= rows.length
    await nextTurn()
    if (asked.isAbandoned()) return
  }
}

function readSlice(scan: RowScan, slice: PageLimits): Promise<{ rows: StoredRow[]; more: boolean }> {
  return new Promise((resolve, reject) => {
    scan.next(slice, (error, rows, more) =>
      error === undefined ? resolve({ rows, more }) : reject(refusedIfEnded(error)),
    )
  })
}

function finish(scan: RowScan): Promise<void> {
  return new Promise((resolve, reject) => {
    scan.finish((error) => (error === undefined ? resolve() : reject(refusedIfEnded(error))))
  })
}

const refusedIfEnded = (error: Error): Error =>
  error instanceof ScanEndedError
    ? new Refused('overloaded', `${error.message}: read fewer keys at a time, or from another node`)
    : error
