// A range in another order than that of its keys: its rows are kept in memory until all are there.

import { RangeRowWriter, rangeRowBytes } from '../../etcd/key-values.ts'
import { EncodedValues } from '../../etcd/message.ts'
import type { RangeRequest, RangeResponse } from '../../etcd/messages/kv.ts'
import { GRPC, GrpcError } from '../../etcd/status.ts'
import type { KeyRow } from '../../operations/forms/index.ts'
import type { OpenedRange } from '../api/opened-range.ts'
import type { EtcdCall } from './call.ts'
import { decodeRows, type RangeAnswer } from './range-body.ts'
import { isKept, type RowSteps, sortInSteps } from './range-order.ts'
import { type RangeReading, readRange, tookTooLong, waitingSlices } from './range-reading.ts'
import { type LaterTurn, readWithLaterTurn } from './read-turns.ts'
import { checkMessageBytes, ResponseInParts, type ValuesInParts } from './rpc.ts'

/**
 * Memory of a row that is kept as an object, beside its key and value: of 30,000 rows that a node had read and sorted,
 * 540 to 590 bytes each with Node.js 24. Half of it is that of the two arrays of bytes.
 */
const ROW_OBJECT_BYTES = 600

const rowObjectBytes = ({ key, value }: KeyRow): number => ROW_OBJECT_BYTES + key.length + value.length

const tooManyRows = (bytesMax: number): GrpcError =>
  new GrpcError(
    GRPC.resourceExhausted,
    `etcdserver: sorting this range takes more than ${bytesMax} bytes of memory: set a limit, or sort by key`,
  )

/** Rows beyond the limit of the request that are kept before they are sorted, and the last ones dropped. */
const ROWS_BEYOND_LIMIT = 1_024

/** Reads a range and sorts it. */
export const readSorted = (
  reading: RangeReading,
  request: RangeRequest,
  call: EtcdCall,
): Promise<RangeAnswer> =>
  readWithLaterTurn(call.etcd.largeTurns, call, (turn) =>
    readRange(call, reading, async (range) => ({ result: await readOnce(range, request, call, turn) })),
  )

async function readOnce(
  range: OpenedRange,
  request: RangeRequest,
  call: EtcdCall,
  turn: LaterTurn,
): Promise<RangeAnswer> {
  const sorted = new SortedRows(request, call, turn)
  const total = await sorted.read(range)
  const header = call.header(range.head.revision)
  const { more } = sorted
  range.counted(total)
  const body = await sorted.body()
  if (body.bytes > call.api.limits.etcdHeldBytesMax) {
    body.takenUntil = performance.now() + call.api.limits.streamMsMax
    void body.closed.then(() => turn.leave())
    return new ResponseInParts<RangeResponse>({ header, more, count: total }, 'kvs', body)
  }
  const parts: Uint8Array[] = []
  for (let part = await body.next(); part !== undefined; part = await body.next()) parts.push(part)
  await call.holdInTurn(body.bytes)
  turn.leave()
  return { header, kvs: new EncodedValues(parts, body.rows, decodeRows), more, count: total }
}

class SortedRows {
  readonly #request: RangeRequest
  readonly #call: EtcdCall
  readonly #limit: number
  #rows: KeyRow[] = []
  /** Memory that the call holds. */
  #bytes = 0
  readonly #turn: LaterTurn
  more = false

  constructor(request: RangeRequest, call: EtcdCall, turn: LaterTurn) {
    this.#turn = turn
    this.#request = request
    this.#call = call
    this.#limit = request.limit > 0 ? request.limit : Number.MAX_SAFE_INTEGER
  }

  /** Reads all rows, and sorts them. Returns the number of keys. */
  async read(range: OpenedRange): Promise<number> {
    let total = 0
    for await (const { rows } of waitingSlices(this.#call, range.records(Number.MAX_SAFE_INTEGER))) {
      total += rows.length
      let bytes = 0
      for (const row of rows) {
        if (!isKept(row, this.#request)) continue
        this.#rows.push(row)
        bytes += rowObjectBytes(row)
      }
      await this.#hold(bytes)
      if (this.#rows.length > 2 * this.#limit + ROWS_BEYOND_LIMIT) await this.#sort()
    }
    await range.finish()
    await this.#sort()
    return total
  }

  /** One response at a time takes more memory than all take, so that none waits for another that waits for it. */
  async #hold(bytes: number): Promise<void> {
    const { etcdHeldBytesMax, etcdSortBytesMax } = this.#call.api.limits
    if (this.#bytes + bytes > etcdSortBytesMax) throw tooManyRows(etcdSortBytesMax)
    if (!this.#turn.hasBegun && this.#bytes + bytes <= etcdHeldBytesMax) await this.#call.holdInTurn(bytes)
    else {
      this.#turn.begin(this.#call, this.#bytes)
      this.#call.holdBeyond(bytes)
    }
    this.#bytes += bytes
  }

  /** Sorts the rows, and drops those beyond the limit. */
  async #sort(): Promise<void> {
    const sorted = await inTurns(this.#call, sortInSteps(this.#rows, this.#request))
    this.#rows = sorted.slice(0, this.#limit)
    let dropped = 0
    for (let at = this.#limit; at < sorted.length; at++) dropped += rowObjectBytes(sorted[at] as KeyRow)
    if (sorted.length > this.#limit) this.more = true
    this.#call.giveBack(dropped)
    this.#bytes -= dropped
  }

  async body(): Promise<SortedBody> {
    const { keysOnly } = this.#request
    let bytes = 0
    for (const row of this.#rows) bytes += rangeRowBytes(row, keysOnly ? 0 : row.value.length)
    checkMessageBytes(bytes)
    return new SortedBody(this.#rows, bytes, keysOnly, this.#call)
  }
}

/** Takes the steps beside those of other answers. */
async function inTurns<T>(call: EtcdCall, steps: RowSteps<T>): Promise<T> {
  const { turns } = call.api.outbound
  for (;;) {
    await turns.next()
    const { done, value } = steps.next()
    if (done) return value
    call.checkWaiting()
  }
}

/** Rows that are encoded together, at most, and the size that they approach. */
const PART_ROWS = 256
const PART_BYTES = 256 * 1024

/** Sorted rows, which are encoded while the client takes them. */
class SortedBody implements ValuesInParts<unknown> {
  readonly bytes: number
  readonly rows: number
  readonly decode = decodeRows
  /** Its client has so long to take it, on the clock of `performance.now()`: others wait for its memory. */
  takenUntil = Number.POSITIVE_INFINITY
  readonly #rows: (KeyRow | undefined)[]
  readonly #keysOnly: boolean
  readonly #call: EtcdCall
  readonly #writer = new RangeRowWriter()
  #parts: readonly Uint8Array[] = []
  #at = 0
  readonly #closed = Promise.withResolvers<void>()

  constructor(rows: KeyRow[], bytes: number, keysOnly: boolean, call: EtcdCall) {
    this.bytes = bytes
    this.rows = rows.length
    this.#rows = rows
    this.#keysOnly = keysOnly
    this.#call = call
  }

  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** Rejects with `ApiError`: the response is not complete. */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#parts.length === 0 && this.#at < this.#rows.length) {
      if (performance.now() > this.takenUntil) throw tookTooLong()
      await this.#call.api.outbound.turns.next()
      this.#encode()
    }
    const [part, ...rest] = this.#parts
    this.#parts = rest
    return part
  }

  #encode(): void {
    const writer = this.#writer
    const from = writer.bytes
    for (let rows = 0; rows < PART_ROWS && writer.bytes - from < PART_BYTES; rows++, this.#at++) {
      const row = this.#rows[this.#at]
      if (row === undefined) break
      writer.add(row, this.#keysOnly ? NO_VALUE : row.value)
      this.#call.giveBack(rowObjectBytes(row))
      // Its memory is free when its part is sent.
      this.#rows[this.#at] = undefined
    }
    this.#parts = writer.take()
  }

  close(): void {
    this.#closed.resolve()
  }
}

const NO_VALUE = new Uint8Array()
