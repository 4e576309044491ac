// Pages of a range. A stream is made of pages at one revision.

import { Readable } from 'node:stream'
import { SORT_ORDERS } from '../../etcd/messages/kv.ts'
import { RPC } from '../../etcd/rpcs.ts'
import { GrpcError } from '../../etcd/status.ts'
import { ApiError, type KeyRange, keyAfter } from '../../operations/forms/index.ts'
import { type RangePage, type RangeRequest, range as rangeForms } from '../../operations/range.ts'
import { checkFreshness, decodeRow, encodeWhere, isSerializable, readAt, revisionFrom } from '../fields.ts'
import { problemFrom } from '../problems.ts'
import type { EtcdCalls, EtcdOperation, EtcdResult } from './operation.ts'

const PAGE_RECORDS = 1_000
/** The first page of a stream is small: its values may be large. etcd has no limit on the bytes of a response. */
const FIRST_PAGE_RECORDS = 64
/** About as many bytes of keys and values as each later page has. */
const PAGE_BYTES = 2 * 1024 * 1024
const DESCENDING = SORT_ORDERS.indexOf('DESCEND')

export const range: EtcdOperation<RangeRequest, RangePage> = async (request, calls) => {
  if (request.stream !== true) return readPage(request, calls)
  const first = await readPage({ ...request, limit: FIRST_PAGE_RECORDS }, calls)
  const stream = Readable.from(encodeLines(request, first, calls), { objectMode: false })
  return { stream, header: first.header }
}

async function readPage(request: RangeRequest, calls: EtcdCalls): Promise<EtcdResult<RangePage>> {
  const {
    order,
    limit = PAGE_RECORDS,
    keysOnly = false,
    countOnly = false,
    revision = 0,
    freshness,
  } = request
  const serializable = isSerializable(freshness)
  const reading = calls.read(RPC.range, {
    ...encodeWhere(rangeBehind(request)),
    limit: countOnly ? 0 : limit,
    sortOrder: order === 'desc' ? DESCENDING : 0,
    revision,
    serializable,
    keysOnly,
    countOnly,
  })
  const { header, kvs, more, count } = await readAt(revision, freshness, reading)
  checkFreshness(freshness, header)
  const records = kvs.map(decodeRow)
  const result = { records, more: more && !countOnly, last: records.at(-1)?.key, count }
  return { result, header, served: serializable ? 'stale' : 'linearizable' }
}

/** The part of the range that no page has had. */
function rangeBehind({ range: { start, end }, after, order }: RangeRequest): KeyRange {
  if (after === undefined) return { start, end }
  return order === 'desc' ? { start, end: after } : { start: keyAfter(after), end }
}

function nextLimit({ records }: RangePage): number {
  const bytes = records.reduce((sum, { key, value }) => sum + key.length + value.length, 1)
  return Math.min(PAGE_RECORDS, Math.ceil((PAGE_BYTES * records.length) / bytes))
}

/** The lines of a stream, which a client decodes as those of a node. */
async function* encodeLines(
  request: RangeRequest,
  first: EtcdResult<RangePage>,
  calls: EtcdCalls,
): AsyncGenerator<Buffer, void> {
  const { keysOnly = false, revision = revisionFrom(first.header) } = request
  const { encodeRecordLine, encodeEndLine, encodeErrorLine } = rangeForms.http
  const grant = { served: first.served ?? 'linearizable', stalenessMs: undefined, revision }
  let page = first.result
  let count = 0
  for (;;) {
    yield Buffer.from(page.records.map((row) => encodeRecordLine(row, keysOnly)).join(''))
    count += page.records.length
    if (!page.more) break
    try {
      const next = { ...request, after: page.last, revision, limit: nextLimit(page) }
      page = (await readPage(next, calls)).result
    } catch (error) {
      if (!(error instanceof GrpcError || error instanceof ApiError)) throw error
      yield Buffer.from(encodeErrorLine(error instanceof ApiError ? error : problemFrom(error)))
      return
    }
  }
  yield Buffer.from(encodeEndLine(count, grant))
}
