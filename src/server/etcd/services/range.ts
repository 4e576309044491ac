// KV.Range

import type { KeyValue, RangeRequest } from '../../../etcd/messages/kv.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import {
  asRevision,
  type FreshnessOptions,
  type KeyRow,
  type Revision,
} from '../../../operations/forms/index.ts'
import type { PageCollector } from '../../api/call.ts'
import type { EtcdCall } from '../call.ts'
import { decodeWhere, encodeRow } from '../fields.ts'
import { arrange, checkRange, isDescending, isInKeyOrder, limited, needsAll } from '../range-order.ts'
import { serveUnary } from '../rpc.ts'

export const range = serveUnary(RPC.range, async (request, call) => {
  checkRange(request)
  const { rows, revision, count } = await read(request, call)
  const { kvs, more } = limited(arrange(rows, request), request)
  return { header: call.header(revision), kvs, more, count }
})

interface Found {
  /** One more than the limit, if there is one more. */
  readonly rows: readonly KeyValue[]
  readonly count: number
  readonly revision: Revision
}

async function read(request: RangeRequest, call: EtcdCall): Promise<Found> {
  const where = decodeWhere(request.key, request.rangeEnd)
  const freshness: FreshnessOptions = { consistency: request.serializable ? 'stale' : 'linearizable' }
  const revision = request.revision > 0 ? asRevision(request.revision) : undefined
  if ('key' in where) {
    const answer = await call.execute({ kind: 'get', key: where.key, revision, freshness })
    if (answer.kind === 'unchanged') throw new Error('a get without a condition is answered with its record')
    const rows = answer.result === undefined ? [] : [encodeRow(answer.result)]
    return { rows: request.countOnly ? [] : rows, count: rows.length, revision: answer.head.revision }
  }
  const page = new Page(call)
  // Values are needed to sort by them.
  const keysOnly = request.keysOnly && isInKeyOrder(request)
  const limit = needsAll(request) || request.limit <= 0 ? Number.POSITIVE_INFINITY : request.limit + 1
  const order = isInKeyOrder(request) && isDescending(request) ? ('desc' as const) : ('asc' as const)
  const { pageRowsMax } = call.api.limits
  const first = await call.execute(
    {
      kind: 'range',
      range: where,
      order,
      keysOnly,
      limit: Math.min(limit, pageRowsMax),
      count: true,
      countOnly: request.countOnly,
      revision,
      freshness,
    },
    { page },
  )
  if (first.kind !== 'page') throw new Error('a range that is no stream is answered with a page')
  const { revision: now } = first.head
  const pinned = revision ?? now
  let { more, last } = first
  while (more && last !== undefined && page.rows.length < limit) {
    const rows = Math.min(limit - page.rows.length, pageRowsMax)
    const next = await call.execute(
      { kind: 'range', range: where, after: last, order, keysOnly, limit: rows, revision: pinned, freshness },
      { page },
    )
    if (next.kind !== 'page') throw new Error('a range that is no stream is answered with a page')
    more = next.more
    last = next.last
  }
  return { rows: page.rows, count: first.count ?? 0, revision: now }
}

/** Size of a row beside its key and value, at most. */
const ROW_BYTES = 64

/** Size of a row in a response, at most. */
export const rowBytes = ({ key, value }: KeyRow): number => ROW_BYTES + key.length + value.length

/** The rows of a range. Their memory counts until the response is sent. */
export class Page implements PageCollector {
  readonly rows: KeyValue[] = []
  bytes = 0
  readonly #call: EtcdCall

  constructor(call: EtcdCall) {
    this.#call = call
  }

  add(row: KeyRow, bytesMax: number): number {
    const bytes = rowBytes(row)
    if (bytes > bytesMax) return bytes
    this.#call.hold(bytes)
    this.rows.push(encodeRow(row))
    this.bytes += bytes
    return bytes
  }
}
