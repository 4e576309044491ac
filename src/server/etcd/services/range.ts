// KV.Range. A range is read at one instant, and is answered in one message that begins with its length. A small one is
// held until it is known. A larger one is read twice at that instant: the sizes of its rows first, which are mostly in
// memory, and then the rows, while the client takes them.

import { RangeRowWriter, rangeRowBytes } from '../../../etcd/key-values.ts'
import { EncodedValues } from '../../../etcd/message.ts'
import type { RangeRequest, RangeResponse } from '../../../etcd/messages/kv.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import type { FreshnessOptions, KeyRow, Revision } from '../../../operations/forms/index.ts'
import type { Api } from '../../api/api.ts'
import { FREE_BYTES } from '../../api/budget.ts'
import type { OpenedRange } from '../../api/opened-range.ts'
import type { EtcdCall } from '../call.ts'
import { decodeRevision, decodeWhere, encodeRow } from '../fields.ts'
import { decodeRows, type RangeAnswer, RangeBody } from '../range-body.ts'
import {
  arrange,
  checkRange,
  isDescending,
  isInKeyOrder,
  isSortedByValue,
  limited,
  Selection,
} from '../range-order.ts'
import { type RangeResult, readRange, waitingSlices } from '../range-reading.ts'
import { readSorted } from '../range-sorted.ts'
import { type LaterTurn, readInTurn, readWithLaterTurn } from '../read-turns.ts'
import { checkMessageBytes, ResponseInParts, serveUnary } from '../rpc.ts'

export const range = serveUnary(RPC.range, async (request, call) => {
  checkRange(request)
  const where = decodeWhere(request.key, request.rangeEnd)
  if ('key' in where) return readKey(where.key, request, call)
  const { countOnly, keysOnly, limit } = request
  const isSorted = !isInKeyOrder(request) && !countOnly
  const reading = {
    ...{ range: where, countOnly, ...readOptions(request) },
    // Values are needed to sort by them.
    keysOnly: keysOnly && !isSortedByValue(request),
    order: isInKeyOrder(request) && isDescending(request) ? ('desc' as const) : ('asc' as const),
    count: countOnly || limit > 0,
    needsSizes: !countOnly && !isSorted,
  }
  if (isSorted) return readSorted(reading, request, call)
  return readWithLaterTurn(call.etcd.streamTurns, call, (turn) =>
    readRange(call, reading, (opened) => readInKeyOrder(opened, request, call, turn)),
  )
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
  const get = (deadline = call.deadline) =>
    call.execute({ kind: 'get', key, ...readOptions(request) }, { deadline })
  // A read of the past has open scans, as one of a range has.
  const answer = await (request.revision > 0 ? readInTurn(call, get) : get())
  if (answer.kind === 'unchanged') throw new Error('a get without a condition is answered with its record')
  const rows = answer.result === undefined ? [] : [encodeRow(answer.result)]
  for (const row of rows) if (rowBytes(row) > FREE_BYTES) await call.holdInTurn(rowBytes(row))
  const found = limited(arrange(request.countOnly ? [] : rows, request), request)
  return { header: call.header(answer.head.revision), ...found, count: rows.length }
}

/** Size of a row beside its key and value, at most. */
const ROW_BYTES = 64

/** Size of a row in a response, at most. */
export const rowBytes = ({ key, value }: Pick<KeyRow, 'key' | 'value'>): number =>
  ROW_BYTES + key.length + value.length

/**
 * Whether more of a response may be held until its length is known. A second scan for the length costs a third of what
 * a row of some hundred bytes costs.
 */
const mayHold = ({ limits, outbound }: Api, bytes: number): boolean =>
  bytes <= limits.etcdHeldBytesMax || outbound.bytes < limits.etcdHeldTogetherBytesMax

/** A range in the order of its keys. The turn is that of its stream, if it is too large to be held. */
async function readInKeyOrder(
  range: OpenedRange,
  request: RangeRequest,
  call: EtcdCall,
  turn: LaterTurn,
): Promise<RangeResult<RangeAnswer>> {
  const header = call.header(range.head.revision)
  if (request.countOnly) return { result: { header, kvs: [], more: false, count: await range.count() } }
  const selected = new Selection(request, request.limit > 0 ? request.limit : Number.MAX_SAFE_INTEGER)
  const slices = waitingSlices(call, range.records(selected.rowsMax))
  const writer = new RangeRowWriter()
  while (!selected.isComplete && mayHold(call.api, writer.bytes)) {
    const before = writer.bytes
    const slice = await slices.next()
    if (slice.done) break
    selected.take(slice.value, (row) => writer.add(row, row.value))
    await call.holdInTurn(writer.bytes - before)
  }
  const read = { bytes: writer.bytes, rows: writer.rows }
  const parts = writer.take()
  const isHeld = selected.isComplete
  let { bytes } = read
  if (isHeld) await range.finish()
  else {
    turn.begin(call, bytes)
    for await (const slice of waitingSlices(call, range.heads(selected.last, selected.rowsMax))) {
      selected.take(slice, (row) => {
        bytes += rangeRowBytes(row, request.keysOnly ? 0 : row.valueBytes)
      })
      checkMessageBytes(bytes)
      if (selected.isComplete) break
    }
  }
  const { more, visited, last, rows } = selected
  const count = more ? await range.count() : visited
  if (!more) range.counted(visited)
  else if (last !== undefined) range.continued(visited, last)
  call.checkWaiting()
  if (isHeld) {
    turn.leave()
    return { result: { header, kvs: new EncodedValues(parts, rows, decodeRows), more, count } }
  }
  const body = new RangeBody({ ...{ call, range, slices, request, parts, read }, all: { bytes, rows, more } })
  return {
    result: new ResponseInParts<RangeResponse>({ header, more, count }, 'kvs', body),
    ended: body.closed.then(() => turn.leave()),
  }
}
