// Reading many records: page by page, or one stream of one snapshot.

import { types } from 'node:util'
import { encodeUtf8 } from '../bytes/utf8.ts'
import { keyBytes, withQuery } from './address.ts'
import { problemError } from './call-error.ts'
import {
  arrayIn,
  bytesFromJson,
  DisagreementError,
  decoded,
  disagree,
  incomplete,
  isObject,
  objectOf,
  parseObject,
  problemFrom,
  recordFromJson,
  unexpected,
  wholeNumberIn,
} from './decode.ts'
import { type AbortedError, QuorateError, UnavailableError } from './errors.ts'
import type { Interruption } from './interruption.ts'
import { API, type CallRequest, RANGE, type RangeQuery, type ReadFreshness } from './operation.ts'
import { afterPendingEvents } from './timer.ts'
import { freshPath, rangePath } from './transport/http-codec.ts'
import { SILENCE_MAX_MS } from './transport/http-transport.ts'
import type { ByteStream, NodeAnswer } from './transport/transport.ts'
import type { KvRecord, ListOptions, RangeOptions, ReadOptions } from './types.ts'
import { checkCount, checkList } from './validate-arguments.ts'

const PAGE_RECORDS = 1_000
/** About as many bytes as a node sends in one page. */
const PAGE_BYTES = 4 * 1024 * 1024

/** The bounds are copied when a list or mirror is requested, and checked when its first record or view is. */
export function ownBorders<T extends Pick<ListOptions, 'prefix' | 'start' | 'end'>>(options: T): T {
  if (typeof options !== 'object' || options === null) return options
  const own = (bound: string | Uint8Array | undefined) =>
    types.isUint8Array(bound) ? new Uint8Array(bound) : bound
  return { ...options, prefix: own(options.prefix), start: own(options.start), end: own(options.end) }
}

const rangeOf = ({ prefix, start, end, order, keysOnly, revision }: ListOptions): RangeQuery => ({
  prefix: maybeBytes(prefix),
  start: maybeBytes(start),
  end: maybeBytes(end),
  order,
  keysOnly: keysOnly === true,
  revision,
})

const maybeBytes = (value: string | Uint8Array | undefined) =>
  value === undefined ? undefined : keyBytes(value)

/** Calls that reads of ranges need of the client. */
export interface RangeReads {
  /** Time-out of a call without one. */
  readonly timeoutMs: number
  readonly read: (request: CallRequest, options: ReadOptions) => Promise<NodeAnswer>
  readonly freshness: (options: ReadOptions) => ReadFreshness
  readonly interruption: (signal: AbortSignal | undefined) => Interruption
}

export async function* list(
  reads: RangeReads,
  options: ListOptions,
): AsyncGenerator<KvRecord, void, undefined> {
  checkList(options)
  const interruption = reads.interruption(options.signal)
  if (options.snapshot === true) {
    const path = freshPath(rangePath(rangeOf(options)), reads.freshness(options))
    const headers = { Accept: 'application/x-ndjson' }
    const answer = await reads.read({ op: API, method: 'GET', path, headers, stream: true }, options)
    yield* streamed(answer, options.timeoutMs ?? reads.timeoutMs, options, interruption)
  } else yield* pages(reads, options, interruption)
}

export async function count(reads: RangeReads, options: RangeOptions): Promise<number> {
  checkCount(options)
  const range = withQuery(rangePath(rangeOf(options)), { count_only: true })
  const headers = { Accept: 'application/json' }
  const path = freshPath(range, reads.freshness(options))
  const answer = await reads.read({ op: API, method: 'GET', path, headers }, options)
  return decoded(answer, 'no', (json) => wholeNumberIn(json, 'count'))
}

async function* pages(
  { read, freshness }: RangeReads,
  options: ListOptions,
  interruption: Interruption,
): AsyncGenerator<KvRecord, void, undefined> {
  const range = rangeOf(options)
  const { keysOnly } = range
  let left = options.limit ?? Number.POSITIVE_INFINITY
  let after: Uint8Array | undefined
  const inOrder = orderOf(options)
  while (left > 0) {
    const limit = Math.min(left, PAGE_RECORDS)
    const answer = await read({ op: RANGE, ...range, limit, after, ...freshness(options) }, options)
    const { records, next } = decoded(answer, 'no', (json) => pageFromJson(json, limit, keysOnly, inOrder))
    for (const record of records) {
      throwIf(interruption.reason())
      yield record
    }
    left -= records.length
    if (next === undefined) return
    after = next
  }
}

interface Page {
  readonly records: readonly KvRecord[]
  /** The last key of the page, when there are more keys. */
  readonly next: Uint8Array | undefined
}

function pageFromJson(
  json: Readonly<Record<string, unknown>>,
  limit: number,
  keysOnly: boolean,
  inOrder: (record: KvRecord) => KvRecord,
): Page {
  const records = arrayIn(json, 'kvs').map((record) =>
    inOrder(recordFromJson(objectOf(record, 'a record'), keysOnly)),
  )
  if (records.length > limit) disagree(`${records.length} records are more than the limit, ${limit}`)
  const { more } = json
  if (typeof more !== 'boolean') disagree('"more" is neither true nor false')
  if (!more) return { records, next: undefined }
  const next = bytesFromJson(json.next)
  const last = records.at(-1)
  if (last === undefined || Buffer.compare(last.keyBytes, next) !== 0) disagree('"next" is not the last key')
  return { records, next }
}

/**
 * Refuses a record that is outside of the range or not after the previous one. So a list is finite, has no key twice,
 * and has nothing of another list.
 */
function orderOf({ order, prefix, start, end }: ListOptions): (record: KvRecord) => KvRecord {
  const sign = order === 'desc' ? -1 : 1
  const [beginning, first, beyond] = [prefix, start, end].map(maybeBytes)
  let last: Uint8Array | undefined
  return (record) => {
    const key = record.keyBytes
    if (last !== undefined && Buffer.compare(key, last) !== sign)
      disagree('the records are not in the order of their keys')
    const isInRange =
      (beginning === undefined || Buffer.compare(key.subarray(0, beginning.length), beginning) === 0) &&
      (first === undefined || Buffer.compare(key, first) >= 0) &&
      (beyond === undefined || Buffer.compare(key, beyond) < 0)
    if (!isInRange) disagree('a record is not in the requested range')
    last = key
    return record
  }
}

/**
 * Lines of NDJSON up to the end line. Without that line the answer is incomplete, whatever was read. As for a page,
 * every 1,000 records must arrive within `timeoutMs`; the time that the consumer takes for them does not count.
 */
export async function* streamed(
  answer: NodeAnswer,
  timeoutMs: number,
  options: ListOptions,
  interruption: Interruption,
): AsyncGenerator<KvRecord, void, undefined> {
  const { endpoint } = answer
  const { limit, keysOnly = false } = options
  const inOrder = orderOf(options)
  if (answer.kind !== 'streaming' || 'messages' in answer.stream)
    throw incomplete('the node does not stream', endpoint.url)
  const { stream } = answer
  const stopListening = interruption.listen(() => stream.destroy())
  const waiting = new ChunkReader(stream, timeoutMs)
  let count = 0
  try {
    for await (const line of linesOf(waiting.chunks())) {
      throwIf(interruption.reason())
      const json = parseObject(line)
      if (json === undefined) throw incomplete('a line of the stream is not a JSON object', endpoint.url)
      if (json.end === true) {
        if (json.count === count) return
        throw incomplete(`the stream has ${count} records, its end says ${json.count}`, endpoint.url)
      }
      if (isObject(json.error)) {
        const body = encodeUtf8(JSON.stringify(json.error))
        const problem = problemFrom(Number(json.error.status ?? 500), answer.headers, body)
        throw problemError(problem, answer.headers, endpoint, 'read')
      }
      if (count === limit) return
      yield inOrder(recordFromJson(json, keysOnly))
      count += 1
      if (count === limit) return
      if (count % PAGE_RECORDS === 0) waiting.beginAgain()
    }
  } catch (error) {
    throwIf(interruption.reason())
    if (error instanceof DisagreementError) throw unexpected(error, endpoint.url, 'no')
    if (error instanceof QuorateError) throw error
    if (waiting.stoodStillMs !== undefined) {
      const seconds = Number((waiting.stoodStillMs / 1_000).toFixed(3))
      throw new UnavailableError(`the stream stood still for ${seconds} s after ${count} records`, {
        code: 'timeout',
        written: 'no',
        endpoint: endpoint.url,
      })
    }
    const reason = error instanceof Error ? error.message : String(error)
    throw incomplete(`the stream broke after ${count} records: ${reason}`, endpoint.url, error)
  } finally {
    stopListening()
    stream.destroy()
  }
  throwIf(interruption.reason())
  throw incomplete(`the stream ended after ${count} records without its end line`, endpoint.url)
}

/**
 * The chunks of a stream, and the limits for waiting: at most `timeoutMs` for the records of one page, and for one
 * chunk not longer than any node may be silent.
 */
export class ChunkReader {
  readonly #stream: ByteStream
  readonly #timeoutMs: number
  #leftMs: number
  #bytes = 0
  /** Set when a wait was too long. */
  stoodStillMs: number | undefined

  constructor(stream: ByteStream, timeoutMs: number) {
    this.#stream = stream
    this.#timeoutMs = timeoutMs
    this.#leftMs = timeoutMs
  }

  beginAgain(): void {
    this.#leftMs = this.#timeoutMs
    this.#bytes = 0
  }

  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    const chunks: AsyncIterator<Buffer> = this.#stream[Symbol.asyncIterator]()
    for (;;) {
      const { done, value } = await this.#next(chunks)
      if (done === true) return
      this.#bytes += value.length
      if (this.#bytes >= PAGE_BYTES) this.beginAgain()
      yield value
    }
  }

  async #next(chunks: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
    const askedAt = performance.now()
    const isSilenceFirst = SILENCE_MAX_MS < this.#leftMs
    const stopTimer = afterPendingEvents(isSilenceFirst ? SILENCE_MAX_MS : this.#leftMs, () => {
      this.stoodStillMs = isSilenceFirst ? SILENCE_MAX_MS : this.#timeoutMs
      this.#stream.destroy(new Error('its time is up'))
    })
    try {
      return await chunks.next()
    } finally {
      stopTimer()
      this.#leftMs -= performance.now() - askedAt
    }
  }
}

export function throwIf(reason: AbortedError | undefined): void {
  if (reason !== undefined) throw reason
}

/** The lines of a stream, without their LF. `tooLong` makes the error for a line of more than `bytesMax`. */
export async function* linesOf(
  stream: AsyncIterable<Buffer>,
  bytesMax = Number.POSITIVE_INFINITY,
  tooLong = () => new Error(),
): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer[] = []
  let bytes = 0
  const add = (piece: Buffer): void => {
    bytes += piece.length
    if (bytes > bytesMax) throw tooLong()
    rest.push(piece)
  }
  for await (const chunk of stream) {
    let from = 0
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
      const piece = chunk.subarray(from, at)
      add(piece)
      yield rest.length === 1 ? piece : Buffer.concat(rest)
      rest = []
      bytes = 0
      from = at + 1
    }
    if (from < chunk.length) add(chunk.subarray(from))
  }
  if (bytes > 0) yield Buffer.concat(rest)
}

const LF = 0x0a
