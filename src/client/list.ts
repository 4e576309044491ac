// Reading many records: page by page, or one stream of one snapshot.

import { types } from 'node:util'
import { judgeProblem } from '../operations/forms/answers.ts'
import { DisagreementError, disagree } from '../operations/forms/decode.ts'
import type { FreshnessOptions } from '../operations/forms/index.ts'
import { type RangePage, type RangeRequest, range } from '../operations/range.ts'
import { problemError } from './call-error.ts'
import { incomplete, recordFrom, unexpected } from './decode.ts'
import { AbortedError, CompactedError, QuorateError, UnavailableError } from './errors.ts'
import type { Interruption } from './interruption.ts'
import { asMaybeRevision, ownRange } from './request.ts'
import { LEFT_MIN_MS } from './retry-policy.ts'
import { afterPendingEvents } from './timer.ts'
import { SILENCE_MAX_MS } from './transport/http-transport.ts'
import { type ByteStream, type NodeAnswer, resultFrom } from './transport/transport.ts'
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

/** The parts of a request that are the same for all pages and streams of a list. */
const rangeFieldsFrom = ({ prefix, start, end, order, keysOnly }: ListOptions) => ({
  kind: 'range' as const,
  range: ownRange({ prefix, start, end }),
  order,
  keysOnly: keysOnly === true,
})

/** Calls that reads of ranges need of the client. */
export interface RangeReads {
  /** Timeout of a call without one. */
  readonly timeoutMs: number
  readonly read: (request: RangeRequest, options: ReadOptions) => Promise<NodeAnswer<RangePage>>
  readonly freshness: (options: ReadOptions) => FreshnessOptions
  readonly interruption: (signal: AbortSignal | undefined) => Interruption
  /** How long a node may be silent in a stream until another one continues it; undefined: there is no other. */
  readonly streamSilenceMs: (timeoutMs: number) => number | undefined
}

export async function* list(
  reads: RangeReads,
  options: ListOptions,
): AsyncGenerator<KvRecord, void, undefined> {
  checkList(options)
  const interruption = reads.interruption(options.signal)
  yield* options.snapshot === true
    ? snapshot(reads, options, interruption)
    : pages(reads, options, interruption)
}

/** A list of one revision: a stream, which another node continues when it breaks or stands still. */
async function* snapshot(
  reads: RangeReads,
  options: ListOptions,
  interruption: Interruption,
): AsyncGenerator<KvRecord, void, undefined> {
  const timeoutMs = options.timeoutMs ?? reads.timeoutMs
  const reader = new ChunkReader(timeoutMs)
  const position = new ListPosition(options)
  const shared = rangeFieldsFrom(options)
  const silenceMs = reads.streamSilenceMs(timeoutMs)
  let { revision } = options
  for (;;) {
    const request = {
      ...shared,
      after: position.last,
      stream: true,
      revision: asMaybeRevision(revision),
      freshness: reads.freshness({ ...options, revision }),
    }
    let answer: NodeAnswer<RangePage>
    try {
      answer = await reader.timing(reads.read(request, { ...options, timeoutMs: reader.leftMs }))
    } catch (error) {
      throw position.interruptedBy === undefined ? error : brokenOff(error, position, revision)
    }
    revision ??= answer.head.revision
    reader.silenceMs = silenceMs && silenceMs * 2 ** position.emptyStreams
    const { count } = position
    try {
      yield* streamed(answer, reader, options, interruption, position)
      return
    } catch (error) {
      position.emptyStreams = position.count > count ? 0 : position.emptyStreams + 1
      const mayContinue = error === position.interruptedBy && position.emptyStreams < EMPTY_STREAMS_MAX
      // A timer may fire a little early, so the time is up although some of it is left.
      if (!mayContinue || revision === undefined || reader.leftMs < LEFT_MIN_MS) throw error
      answer.endpoint.failed(performance.now())
    }
  }
}

/** Limit on streams in a row without a record: a node that always breaks them is not requested without end. */
const EMPTY_STREAMS_MAX = 3

/** How far a list of one revision has come, in all of its streams. */
class ListPosition {
  /** Number of records. */
  count = 0
  /** The key of the last record. */
  last: Uint8Array | undefined
  /** Number of streams in a row without a record. */
  emptyStreams = 0
  /** Why the last stream ended, if another one may continue the list. */
  interruptedBy: unknown
  readonly inOrder: (record: KvRecord) => KvRecord

  constructor(options: ListOptions) {
    this.inOrder = recordOrder(options)
  }
}

/** No other node continues the list. */
function brokenOff(
  cause: unknown,
  { count, interruptedBy }: ListPosition,
  revision: number | undefined,
): unknown {
  if (!(cause instanceof QuorateError) || cause instanceof AbortedError) return cause
  const { message, endpoint = '' } = cause
  const text = `the list of revision ${revision} broke off after ${count} records: ${message}`
  if (cause instanceof CompactedError)
    return new CompactedError(text, { ...cause, cause: interruptedBy }, cause)
  return incomplete(text, endpoint, cause)
}

export async function count(reads: RangeReads, options: RangeOptions): Promise<number> {
  checkCount(options)
  const revision = asMaybeRevision(options.revision)
  const request = {
    ...rangeFieldsFrom(options),
    countOnly: true,
    revision,
    freshness: reads.freshness(options),
  }
  const answer = await reads.read(request, options)
  return resultFrom(answer).count ?? disagree('it has no count')
}

async function* pages(
  { read, freshness }: RangeReads,
  options: ListOptions,
  interruption: Interruption,
): AsyncGenerator<KvRecord, void, undefined> {
  const shared = rangeFieldsFrom(options)
  const revision = asMaybeRevision(options.revision)
  let left = options.limit ?? Number.POSITIVE_INFINITY
  let after: Uint8Array | undefined
  const inOrder = recordOrder(options)
  while (left > 0) {
    const limit = Math.min(left, PAGE_RECORDS)
    const answer = await read({ ...shared, limit, after, revision, freshness: freshness(options) }, options)
    const { records, next } = checkedPage(answer, limit, inOrder)
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

/** Throws if it is not a page of this list. */
function checkedPage(
  answer: NodeAnswer<RangePage>,
  limit: number,
  inOrder: (record: KvRecord) => KvRecord,
): Page {
  try {
    const { records: rows, more, last } = resultFrom(answer)
    const records = rows.map((row) => inOrder(recordFrom(row)))
    if (records.length > limit) disagree(`${records.length} records are more than the limit, ${limit}`)
    if (!more) return { records, next: undefined }
    const key = records.at(-1)?.keyBytes
    if (key === undefined || last === undefined || Buffer.compare(key, last) !== 0)
      disagree('"next" is not the last key')
    return { records, next: last }
  } catch (error) {
    throw error instanceof DisagreementError ? unexpected(error, answer.endpoint.url, 'no') : error
  }
}

/**
 * Refuses a record that is outside of the range or not after the previous one. So a list is finite, has no key twice,
 * and has nothing of another list.
 */
function recordOrder({ order, prefix, start, end }: ListOptions): (record: KvRecord) => KvRecord {
  const sign = order === 'desc' ? -1 : 1
  const { start: first, end: beyond } = ownRange({ prefix, start, end })
  let last: Uint8Array | undefined
  return (record) => {
    const key = record.keyBytes
    if (last !== undefined && Buffer.compare(key, last) !== sign)
      disagree('the records are not in the order of their keys')
    const isInRange =
      Buffer.compare(key, first) >= 0 && (beyond === undefined || Buffer.compare(key, beyond) < 0)
    if (!isInRange) disagree('a record is not in the requested range')
    last = key
    return record
  }
}

/**
 * Lines of NDJSON up to the end line. Without that line the answer is incomplete, whatever was read. As for a page,
 * every 1,000 records must arrive within a time; the time that the consumer takes for them does not count.
 */
export async function* streamed(
  answer: NodeAnswer,
  reader: ChunkReader,
  options: ListOptions,
  interruption: Interruption,
  position = new ListPosition(options),
): AsyncGenerator<KvRecord, void, undefined> {
  const { endpoint } = answer
  const { limit, keysOnly = false } = options
  if (answer.kind !== 'streaming' || 'messages' in answer.stream)
    throw incomplete('the node does not stream', endpoint.url)
  const { stream } = answer
  const interruptedBy = (error: QuorateError): QuorateError => {
    position.interruptedBy = error
    return error
  }
  const stopListening = interruption.listen(() => stream.destroy())
  const countBefore = position.count
  try {
    for await (const line of splitLines(reader.chunks(stream))) {
      throwIf(interruption.reason())
      const decoded = range.http.decodeLine(line, keysOnly)
      if (decoded === undefined) throw incomplete('a line of the stream is not a JSON object', endpoint.url)
      if (decoded.kind === 'end') {
        const count = position.count - countBefore
        if (decoded.count === count) return
        throw incomplete(`the stream has ${count} records, its end says ${decoded.count}`, endpoint.url)
      }
      if (decoded.kind === 'error') {
        const { node } = answer.head
        const problem = judgeProblem(decoded.problem)
        const error = problemError(problem, node, endpoint, 'freely')
        throw problem.passing ? interruptedBy(error) : error
      }
      if (position.count === limit) return
      const record = position.inOrder(recordFrom(decoded.row))
      position.last = record.keyBytes
      position.count += 1
      yield record
      if (position.count === limit) return
      if (position.count % PAGE_RECORDS === 0) reader.beginAgain()
    }
  } catch (error) {
    throwIf(interruption.reason())
    if (error instanceof DisagreementError) throw unexpected(error, endpoint.url, 'no')
    if (error instanceof QuorateError) throw error
    if (reader.stoodStillMs !== undefined) {
      const seconds = Number((reader.stoodStillMs / 1_000).toFixed(3))
      const text = `the stream stood still for ${seconds} s after ${position.count} records`
      const details = { code: 'timeout', written: 'no', endpoint: endpoint.url } as const
      throw interruptedBy(new UnavailableError(text, details))
    }
    const reason = error instanceof Error ? error.message : String(error)
    throw interruptedBy(
      incomplete(`the stream broke after ${position.count} records: ${reason}`, endpoint.url, error),
    )
  } finally {
    stopListening()
    stream.destroy()
  }
  throwIf(interruption.reason())
  throw interruptedBy(
    incomplete(`the stream ended after ${position.count} records without its end line`, endpoint.url),
  )
}

/**
 * The chunks of streams, and the limits for waiting: at most `timeoutMs` for the records of one page, in whatever
 * streams they arrive, and for one chunk not longer than any node may be silent.
 */
export class ChunkReader {
  readonly #timeoutMs: number
  #leftMs: number
  #bytes = 0
  /** Limit on the silence of the node; undefined: that of any node. */
  silenceMs: number | undefined
  /** Set when a wait was too long. */
  stoodStillMs: number | undefined

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
    this.#leftMs = timeoutMs
  }

  /** The time that is left for the records of this page. */
  get leftMs(): number {
    return Math.max(0, this.#leftMs)
  }

  beginAgain(): void {
    this.#leftMs = this.#timeoutMs
    this.#bytes = 0
  }

  /** Subtracts the time of this from the time that is left. */
  async timing<T>(waiting: Promise<T>): Promise<T> {
    const startedAt = performance.now()
    try {
      return await waiting
    } finally {
      this.#leftMs -= performance.now() - startedAt
    }
  }

  async *chunks(stream: ByteStream): AsyncGenerator<Buffer, void, undefined> {
    this.stoodStillMs = undefined
    const chunks: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]()
    for (;;) {
      const { done, value } = await this.timing(this.#next(stream, chunks))
      if (done === true) return
      this.#bytes += value.length
      if (this.#bytes >= PAGE_BYTES) this.beginAgain()
      yield value
    }
  }

  async #next(stream: ByteStream, chunks: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
    const silenceMs = this.silenceMs ?? SILENCE_MAX_MS
    const isSilenceFirst = silenceMs < this.#leftMs
    const stopTimer = afterPendingEvents(isSilenceFirst ? silenceMs : this.#leftMs, () => {
      this.stoodStillMs = isSilenceFirst ? silenceMs : this.#timeoutMs
      stream.destroy(new Error('its time is up'))
    })
    try {
      return await chunks.next()
    } finally {
      stopTimer()
    }
  }
}

export function throwIf(reason: AbortedError | undefined): void {
  if (reason !== undefined) throw reason
}

/** The lines of a stream, without their LF. `tooLong` makes the error for a line of more than `bytesMax`. */
export async function* splitLines(
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
