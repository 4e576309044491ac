// KV.Range

import { EncodedValues } from '../../../etcd/message.ts'
import { type KeyValue, type RangeRequest, RangeResponse } from '../../../etcd/messages/kv.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../etcd/status.ts'
import {
  ApiError,
  type FreshnessOptions,
  type KeyRange,
  type KeyRow,
  type Revision,
} from '../../../operations/forms/index.ts'
import type { OperationOf } from '../../../operations/index.ts'
import { FREE_BYTES } from '../../api/budget.ts'
import type { PageCollector } from '../../api/call.ts'
import type { EtcdCall } from '../call.ts'
import { CANCELLED } from '../errors.ts'
import { decodeRevision, decodeWhere, encodeRow } from '../fields.ts'
import {
  arrange,
  checkRange,
  isDescending,
  isInKeyOrder,
  isKept,
  limited,
  needsAll,
  type RowSteps,
  sortInSteps,
  withoutValue,
} from '../range-order.ts'
import { readInTurn } from '../read-turns.ts'
import { serveUnary } from '../rpc.ts'

export const range = serveUnary(RPC.range, async (request, call) => {
  checkRange(request)
  const where = decodeWhere(request.key, request.rangeEnd)
  if ('key' in where) return readKey(where.key, request, call)
  return readInTurn(call, () => readRange(where, request, call))
})

interface ReadOptions {
  readonly freshness: FreshnessOptions
  readonly revision: Revision | undefined
}

const readOptions = ({ serializable, revision }: RangeRequest): ReadOptions => ({
  freshness: { consistency: serializable ? 'stale' : 'linearizable' },
  revision: decodeRevision(revision),
})

/** The response for one key. */
export async function readKey(key: Uint8Array, request: RangeRequest, call: EtcdCall) {
  const get = () => call.execute({ kind: 'get', key, ...readOptions(request) })
  // A read of the past has open scans, as one of a range has.
  const answer = await (request.revision > 0 ? readInTurn(call, get) : get())
  if (answer.kind === 'unchanged') throw new Error('a get without a condition is answered with its record')
  const rows = answer.result === undefined ? [] : [encodeRow(answer.result)]
  for (const row of rows) if (rowBytes(row) > FREE_BYTES) call.hold(rowBytes(row))
  const found = limited(arrange(request.countOnly ? [] : rows, request), request)
  return { header: call.header(answer.head.revision), ...found, count: rows.length }
}

async function readRange(range: KeyRange, request: RangeRequest, call: EtcdCall) {
  const { freshness, revision } = readOptions(request)
  const page = needsAll(request) ? new ArrangedPage(request, call) : new EncodedPage(call)
  // Values are needed to sort by them.
  const keysOnly = request.keysOnly && isInKeyOrder(request)
  const limit = needsAll(request) || request.limit <= 0 ? Number.POSITIVE_INFINITY : request.limit
  const order = isInKeyOrder(request) && isDescending(request) ? ('desc' as const) : ('asc' as const)
  const { pageRowsMax } = call.api.limits
  const all = { kind: 'range', range, order, keysOnly, freshness } as const
  const first = await readPage(
    {
      ...all,
      ...{ limit: Math.min(limit, pageRowsMax), countOnly: request.countOnly, revision },
      // Without a limit, its keys are counted while they are read.
      count: limit !== Number.POSITIVE_INFINITY,
    },
    page,
    call,
  )
  const { revision: now } = first.head
  const pinned = revision ?? now
  let { more, last } = first
  while (more && last !== undefined && page.count < limit) {
    const rows = Math.min(limit - page.count, pageRowsMax)
    const next = await readPage({ ...all, after: last, limit: rows, revision: pinned }, page, call)
    more = next.more
    last = next.last
  }
  return { header: call.header(now), ...(await page.take(more)), count: first.count ?? page.count }
}

async function readPage(operation: OperationOf<'range'>, page: Page, call: EtcdCall) {
  const answer = await call.execute(operation, { page }).catch((error: unknown) => {
    const isLate =
      error instanceof ApiError && error.code === 'overloaded' && performance.now() > call.deadline
    throw page.refusal ?? (isLate ? ETCD_ERRORS.timeout : error)
  })
  if (answer.kind !== 'page') throw new Error('a range that is no stream is answered with a page')
  return answer
}

/** Size of a row beside its key and value, at most. */
const ROW_BYTES = 64

/** Size of a row in a response, at most. */
export const rowBytes = ({ key, value }: Pick<KeyRow, 'key' | 'value'>): number =>
  ROW_BYTES + key.length + value.length

/**
 * Memory of a row that is kept as an object, beside its key and value: of 30,000 rows that a node had read and sorted,
 * 540 to 590 bytes each with Node.js 24. Half of it is that of the two arrays of bytes.
 */
const ROW_OBJECT_BYTES = 600

const rowObjectBytes = ({ key, value }: Pick<KeyRow, 'key' | 'value'>): number =>
  ROW_OBJECT_BYTES + key.length + value.length

/** As a server of gRPC refuses it. */
const tooLarge = (bytes: number, bytesMax: number): GrpcError =>
  new GrpcError(
    GRPC.resourceExhausted,
    `grpc: trying to send message larger than max (${bytes} vs. ${bytesMax})`,
  )

/** The rows of a response. Their memory counts until it is sent. */
abstract class Page implements PageCollector {
  count = 0
  /** Size in the response. */
  bytes = 0
  #memory = 0
  /** The client receives it in place of the error of the read. */
  refusal: GrpcError | undefined
  readonly #call: EtcdCall

  constructor(call: EtcdCall) {
    this.#call = call
  }

  add(row: KeyRow, bytesMax: number): number {
    const bytes = rowBytes(row)
    if (bytes > bytesMax) return bytes
    const memory = this.memoryOf(row)
    const { etcdRangeBytesMax } = this.#call.api.limits
    if (this.#memory + memory > etcdRangeBytesMax) {
      this.refusal = tooLarge(this.#memory + memory, etcdRangeBytesMax)
      throw new ApiError('range_too_large', this.refusal.message)
    }
    this.#call.hold(memory)
    this.keep(row)
    this.count++
    this.bytes += bytes
    this.#memory += memory
    return bytes
  }

  protected memoryOf(row: KeyRow): number {
    return rowBytes(row)
  }

  protected abstract keep(row: KeyRow): void

  /** Takes the steps beside those of other answers. */
  protected async inTurns<T>(steps: RowSteps<T>): Promise<T> {
    const { turns } = this.#call.api.outbound
    for (;;) {
      await turns.next()
      const { done, value } = steps.next()
      if (done) return value
      if (this.#call.isOver) throw CANCELLED
    }
  }
}

/** Rows as they are. */
export class RowPage extends Page {
  readonly rows: KeyValue[] = []

  protected override memoryOf(row: KeyRow): number {
    return rowObjectBytes(row)
  }

  protected keep(row: KeyRow): void {
    this.rows.push(encodeRow(row))
  }
}

/** Rows that are encoded together, at most, and the size that they approach. */
const PART_ROWS = 256
const PART_BYTES = 256 * 1024

/**
 * Encodes rows in parts, while they are read: as objects, small ones take ten times the memory, and their encoding at
 * the end would block the node.
 */
class RowEncoder {
  readonly #parts: Uint8Array[] = []
  #rows: KeyValue[] = []
  #bytes = 0
  #length = 0

  /** Returns whether a part is complete. */
  add(row: KeyValue): boolean {
    this.#rows.push(row)
    this.#bytes += rowBytes(row)
    const isFull = this.#rows.length >= PART_ROWS || this.#bytes >= PART_BYTES
    if (isFull) this.#encode()
    return isFull
  }

  take(): EncodedValues<KeyValue> {
    this.#encode()
    return new EncodedValues(this.#parts, this.#length, (part) => RangeResponse.decode(part).kvs)
  }

  #encode(): void {
    if (this.#rows.length === 0) return
    this.#parts.push(RangeResponse.encode({ kvs: this.#rows }))
    this.#length += this.#rows.length
    this.#rows = []
    this.#bytes = 0
  }
}

/** Rows in the order of the response. */
class EncodedPage extends Page {
  readonly #encoder = new RowEncoder()

  protected keep(row: KeyRow): void {
    this.#encoder.add(encodeRow(row))
  }

  /** `more`: the range has more rows than the request wants. */
  async take(more: boolean) {
    return { kvs: this.#encoder.take(), more }
  }
}

/** All rows of a range, whose order and limit are found when all are there. */
class ArrangedPage extends Page {
  readonly #request: RangeRequest
  #rows: KeyValue[] = []

  constructor(request: RangeRequest, call: EtcdCall) {
    super(call)
    this.#request = request
  }

  protected override memoryOf(row: KeyRow): number {
    return isKept(row, this.#request) ? rowObjectBytes(row) : rowBytes(row)
  }

  protected keep(row: KeyRow): void {
    if (isKept(row, this.#request)) this.#rows.push(encodeRow(row))
  }

  async take(_more: boolean) {
    const { limit, keysOnly } = this.#request
    const sorted = await this.inTurns(sortInSteps(this.#rows, this.#request))
    this.#rows = []
    const more = limit > 0 && sorted.length > limit
    const kvs = await this.inTurns(encodeInSteps(more ? sorted.slice(0, limit) : [...sorted], keysOnly))
    return { kvs, more }
  }
}

function* encodeInSteps(rows: KeyValue[], keysOnly: boolean): RowSteps<EncodedValues<KeyValue>> {
  const encoder = new RowEncoder()
  for (const [at, row] of rows.entries()) {
    if (encoder.add(keysOnly ? withoutValue(row) : row)) yield
    // Its memory is free when its part is encoded.
    rows[at] = ENCODED
  }
  return encoder.take()
}

const NOTHING = new Uint8Array()
const ENCODED: KeyValue = {
  ...{ key: NOTHING, value: NOTHING, lease: 0n },
  ...{ createRevision: 0, modRevision: 0, version: 0 },
}
