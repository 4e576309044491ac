// KV.RangeStream, of etcd 3.7: a range in chunks, all of one instant.

import { RangeRowWriter } from '../../../etcd/key-values.ts'
import { EncodedValues } from '../../../etcd/message.ts'
import type { KeyValue, RangeRequest } from '../../../etcd/messages/kv.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import { GRPC, GrpcError } from '../../../etcd/status.ts'
import type { KeyRange } from '../../../operations/forms/index.ts'
import type { OpenedRange } from '../../api/opened-range.ts'
import type { EtcdCall } from '../call.ts'
import { decodeRevision, decodeWhere } from '../fields.ts'
import { decodeRows } from '../range-body.ts'
import { checkRange, isFiltered } from '../range-order.ts'
import { type RangeResult, readRange, tookTooLong, waitingSlices } from '../range-reading.ts'
import { type Responses, serveStream } from '../rpc.ts'
import { readKey } from './range.ts'

/** Keys of the first chunk. */
const CHUNK_KEYS = 10
/** Size that chunks approach. */
const CHUNK_BYTES = 1.5 * 1024 * 1024

type StreamResponses = Responses<{ readonly rangeResponse: object }>

export const rangeStream = serveStream(RPC.rangeStream, async (request, call, responses) => {
  checkRange(request)
  if (request.sortOrder !== 0 || request.sortTarget !== 0)
    throw new GrpcError(GRPC.unimplemented, 'etcdserver: RangeStream does not support custom sort orders')
  if (isFiltered(request))
    throw new GrpcError(GRPC.unimplemented, 'etcdserver: RangeStream does not support revision filters')
  const where = decodeWhere(request.key, request.rangeEnd)
  if ('key' in where) responses.send({ rangeResponse: await readKey(where.key, request, call) })
  else await stream(where, request, call, responses as StreamResponses)
})

function stream(
  range: KeyRange,
  request: RangeRequest,
  call: EtcdCall,
  responses: StreamResponses,
): Promise<void> {
  const { serializable, keysOnly, countOnly, limit } = request
  const reading = {
    ...{ range, keysOnly, countOnly, count: countOnly || limit > 0 },
    freshness: { consistency: serializable ? ('stale' as const) : ('linearizable' as const) },
    revision: decodeRevision(request.revision),
  }
  const send = async (opened: OpenedRange): Promise<RangeResult<void>> => {
    if (countOnly) sendLast(responses, call, opened, { kvs: [], more: false, count: await opened.count() })
    else await new Chunks(opened, request, call, responses).send()
    return { result: undefined }
  }
  return readRange(call, reading, send, call.etcd.streamTurns)
}

interface LastChunk {
  readonly kvs: readonly KeyValue[] | EncodedValues<KeyValue>
  readonly more: boolean
  readonly count: number
}

function sendLast(responses: StreamResponses, call: EtcdCall, { head }: OpenedRange, last: LastChunk): void {
  responses.send({ rangeResponse: { header: call.header(head.revision), ...last } })
}

class Chunks {
  readonly #range: OpenedRange
  readonly #limit: number
  readonly #call: EtcdCall
  readonly #responses: StreamResponses
  readonly #until: number
  readonly #writer = new RangeRowWriter()
  /** Rows of the next chunk, and its size so far. */
  #keys = CHUNK_KEYS
  #rows = 0
  #bytes = 0

  constructor(range: OpenedRange, { limit }: RangeRequest, call: EtcdCall, responses: StreamResponses) {
    this.#range = range
    this.#limit = limit > 0 ? limit : Number.MAX_SAFE_INTEGER
    this.#call = call
    this.#responses = responses
    this.#until = performance.now() + call.api.limits.streamMsMax
  }

  async send(): Promise<void> {
    const writer = this.#writer
    let more = false
    for await (const slice of waitingSlices(this.#call, this.#range.records(this.#limit))) {
      more = slice.more ?? false
      for (const row of slice.rows) {
        if (this.#rows >= this.#keys || this.#bytes >= 2 * CHUNK_BYTES) await this.#sendChunk()
        const before = writer.bytes
        writer.add(row, row.value)
        this.#rows++
        this.#bytes += writer.bytes - before
      }
    }
    await this.#range.finish()
    const count = more ? await this.#range.count() : writer.rows
    if (!more) this.#range.counted(count)
    sendLast(this.#responses, this.#call, this.#range, { kvs: this.#take(), more, count })
  }

  #take(): EncodedValues<KeyValue> {
    const kvs = new EncodedValues(this.#writer.take(), this.#rows, decodeRows)
    this.#rows = 0
    this.#bytes = 0
    return kvs
  }

  async #sendChunk(): Promise<void> {
    const bytes = this.#bytes
    await this.#call.holdInTurn(bytes)
    this.#responses.send({ rangeResponse: { ...UNKNOWN, kvs: this.#take() } })
    await this.#responses.drained(Math.min(this.#until, this.#call.endsAt))
    this.#call.checkWaiting()
    if (performance.now() > this.#until) throw tookTooLong()
    if (bytes < CHUNK_BYTES / 2) this.#keys *= 2
    else if (bytes > CHUNK_BYTES) this.#keys = Math.max(1, Math.floor(this.#keys / 2))
  }
}

/** Facts that only the last chunk says. */
const UNKNOWN = { header: undefined, more: false, count: 0 }
