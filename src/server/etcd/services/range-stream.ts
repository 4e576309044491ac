// KV.RangeStream, of etcd 3.7: a range in chunks, all at one revision.

import { RPC } from '../../../etcd/rpcs.ts'
import { GRPC, GrpcError } from '../../../etcd/status.ts'
import type { Revision } from '../../../operations/forms/index.ts'
import { decodeRevision, decodeWhere } from '../fields.ts'
import { checkRange, isFiltered } from '../range-order.ts'
import { readInTurn } from '../read-turns.ts'
import { serveStream } from '../rpc.ts'
import { RowPage, readKey } from './range.ts'

/** Keys of the first chunk. */
const CHUNK_KEYS = 10
/** Size that chunks approach. */
const CHUNK_BYTES = 1.5 * 1024 * 1024

export const rangeStream = serveStream(RPC.rangeStream, async (request, call, responses) => {
  checkRange(request)
  if (request.sortOrder !== 0 || request.sortTarget !== 0)
    throw new GrpcError(GRPC.unimplemented, 'etcdserver: RangeStream does not support custom sort orders')
  if (isFiltered(request))
    throw new GrpcError(GRPC.unimplemented, 'etcdserver: RangeStream does not support revision filters')
  const where = decodeWhere(request.key, request.rangeEnd)
  if ('key' in where) {
    responses.send({ rangeResponse: await readKey(where.key, request, call) })
    return
  }
  const freshness = { consistency: request.serializable ? ('stale' as const) : ('linearizable' as const) }
  const { keysOnly, countOnly } = request
  let pinned = decodeRevision(request.revision)
  let left = request.limit > 0 ? request.limit : Number.POSITIVE_INFINITY
  // Without a limit, the keys of the range are counted while they are read.
  const isCounted = countOnly || request.limit > 0
  let keys = CHUNK_KEYS
  let sent = 0
  let first: { readonly revision: Revision; readonly count: number | undefined } | undefined
  let after: Uint8Array | undefined
  for (;;) {
    const page = new RowPage(call)
    const limit = Math.min(keys, left, call.api.limits.pageRowsMax)
    const isFirst = first === undefined
    // A stream takes as long as its client does.
    const deadline = isFirst ? call.deadline : call.nextDeadline()
    const read = () =>
      call.execute(
        {
          ...{ kind: 'range', range: where, order: 'asc', keysOnly, countOnly, freshness },
          ...{ after, limit, count: isFirst && isCounted, revision: pinned },
        },
        { page, deadline },
      )
    const answer = await readInTurn(call, read, deadline)
    if (answer.kind !== 'page') throw new Error('a range that is no stream is answered with a page')
    const { head, more, last } = answer
    first ??= { revision: head.revision, count: answer.count }
    pinned ??= head.revision
    after = last
    const { rows: kvs, bytes } = page
    left -= kvs.length
    sent += kvs.length
    if (countOnly || !more || left <= 0 || last === undefined) {
      const { revision, count = sent } = first
      responses.send({
        rangeResponse: { header: call.header(revision), kvs, more: more && !countOnly, count },
      })
      return
    }
    responses.send({ rangeResponse: { ...UNKNOWN, kvs } })
    await responses.drained()
    if (call.isOver) return
    if (bytes < CHUNK_BYTES / 2) keys *= 2
    else if (bytes > CHUNK_BYTES) keys = Math.max(1, Math.floor(keys / 2))
  }
})

/** Facts that only the last chunk says. */
const UNKNOWN = { header: undefined, more: false, count: 0 }
