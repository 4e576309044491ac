// Requests on keys over etcd's API: KV.Range, RangeStream, Put, DeleteRange, and Txn where there is a condition.

import {
  type DeleteRangeResponse,
  type KeyValue,
  type RangeRequest,
  type RangeResponse,
  SORT_ORDERS,
  type TxnResponse,
} from '../../../../src/etcd/messages/kv.ts'
import { RPC } from '../../../../src/etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../../src/etcd/status.ts'
import type {
  ConditionFields,
  ListedRow,
  ReadFields,
  RecordedRange,
  RecordedResult,
} from '../../../workload/history.ts'
import type { KeyRequests } from '../perform.ts'
import { optional, type RequestEnd, WrongAnswer } from '../wire.ts'
import {
  decodeKey,
  decodeValue,
  deletedOne,
  encodeBounds,
  encodeKey,
  encodeRest,
  encodeValue,
  isAt,
  metaOfPut,
  metaOfRow,
  requestOp,
  resultOfRead,
  revisionFrom,
  rowOf,
} from './fields.ts'
import { changeEnd, type GrpcCalls, isRefusedWith, readEnd, readFailed } from './grpc-nodes.ts'

const DESCENDING = SORT_ORDERS.indexOf('DESCEND')

export function grpcKeyRequests(calls: GrpcCalls): KeyRequests {
  return {
    async get(op) {
      const { key, at = 0 } = op
      const end = await calls.unary(RPC.range, {
        ...{ key: encodeKey(key), revision: at },
        serializable: isSerializable(op),
      })
      if (at > 0 && isRefusedWith(end, ETCD_ERRORS.compacted)) return REFUSED
      return readEnd(end, ({ header, kvs }) =>
        ok({ ...resultOfRead(key, kvs), revision: revisionFrom(header), ...served(op) }),
      )
    },
    range: (op) => list(calls, op),
    async put(op) {
      const { key, value, lease } = op
      const requestPut = {
        ...{ key: encodeKey(key), value: encodeValue(value), prevKv: true },
        ...(lease !== undefined && { lease: BigInt(lease) }),
      }
      const condition = conditionOf(op)
      if (condition === undefined) {
        const end = await calls.unary(RPC.put, requestPut)
        if (lease !== undefined && isRefusedWith(end, ETCD_ERRORS.leaseNotFound)) return REFUSED
        return changeEnd(end, (response) => {
          const revision = revisionFrom(response.header)
          return ok({ revision, ...metaOfPut(key, response, revision) })
        })
      }
      return conditionally(calls, key, condition, { requestPut }, ({ responsePut }, revision) => {
        if (responsePut === undefined) throw new WrongAnswer('a transaction without the result of its put')
        return { revision, ...metaOfPut(key, responsePut, revision) }
      })
    },
    async del(op) {
      const { key } = op
      const requestDeleteRange = { key: encodeKey(key) }
      const condition = conditionOf(op)
      const result = ({ deleted }: DeleteRangeResponse, revision: number): RecordedResult => ({
        ...{ revision, deleted: deletedOne(deleted) },
      })
      if (condition === undefined)
        return changeEnd(await calls.unary(RPC.deleteRange, requestDeleteRange), (response) =>
          ok(result(response, revisionFrom(response.header))),
        )
      return conditionally(calls, key, condition, { requestDeleteRange }, (response, revision) => {
        const { responseDeleteRange } = response
        if (responseDeleteRange === undefined)
          throw new WrongAnswer('a transaction without the result of its delete')
        return result(responseDeleteRange, revision)
      })
    },
  }
}

const ok = (result: RecordedResult): RequestEnd => ({ kind: 'ok', result })

const REFUSED = ok({ applied: false })

const isSerializable = ({ consistency }: ReadFields): boolean => consistency === 'stale'

const served = (op: ReadFields): RecordedResult => ({
  ...{ served: isSerializable(op) ? 'stale' : 'linearizable' },
})

/** The revision at which the key must be; 0: it must not exist. */
const conditionOf = ({ ifRevision, ifAbsent }: ConditionFields): number | undefined =>
  ifAbsent === true ? 0 : ifRevision

/** A change if the key is at this revision. Otherwise the answer has the revision at which it is. */
async function conditionally(
  calls: GrpcCalls,
  key: string,
  condition: number,
  change: Parameters<typeof requestOp>[0],
  result: (response: TxnResponse['responses'][number], revision: number) => RecordedResult,
): Promise<RequestEnd> {
  const end = await calls.unary(RPC.txn, {
    compare: [isAt(key, condition)],
    success: [requestOp(change)],
    failure: [requestOp({ requestRange: { key: encodeKey(key), keysOnly: true } })],
  })
  return changeEnd(end, ({ header, succeeded, responses }) => {
    const revision = revisionFrom(header)
    const [response, ...others] = responses
    if (response === undefined || others.length > 0)
      throw new WrongAnswer(`a transaction of one operation with ${responses.length} results`)
    if (succeeded) return ok(result(response, revision))
    if (response.responseRange === undefined)
      throw new WrongAnswer('a transaction without the result of its read')
    const row = rowOf(key, response.responseRange.kvs)
    return ok({ applied: false, current: row?.modRevision ?? null, revision })
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Ranges

function list(calls: GrpcCalls, op: RecordedRange): Promise<RequestEnd> {
  const { order, limit, stream, count, countOnly, after } = op
  const options = { serializable: isSerializable(op), countOnly: countOnly === true }
  const request = {
    ...{ ...encodeRest(op), ...options, limit: limit ?? 0, keysOnly: op.keysOnly === true },
    // Only another order than the ascending one is requested.
    ...(order === 'desc' && { sortOrder: DESCENDING }),
  }
  // A stream of etcd has the ascending order only.
  if (stream === true && countOnly !== true && order !== 'desc') return listStream(calls, op, request)
  // etcd counts the keys of its range, which begins after that key.
  if (after !== undefined && (count === true || countOnly === true))
    return listAndCount(calls, op, request, { ...encodeBounds(op), ...options, countOnly: true })
  return calls
    .unary(RPC.range, request)
    .then((end) => readEnd(end, (response) => ok(pageFrom(op, response, response))))
}

/** Both are read at one revision. */
async function listAndCount(
  calls: GrpcCalls,
  op: RecordedRange,
  rest: Partial<RangeRequest>,
  whole: Partial<RangeRequest>,
): Promise<RequestEnd> {
  const success = [requestOp({ requestRange: rest }), requestOp({ requestRange: whole })]
  const end = await calls.unary(RPC.txn, { success })
  return readEnd(end, ({ header, responses }) => {
    const [listed, counted] = responses.map(({ responseRange }) => responseRange)
    if (listed === undefined || counted === undefined || responses.length > 2)
      throw new WrongAnswer('a transaction without the results of its two reads')
    return ok(pageFrom(op, { ...listed, header }, counted))
  })
}

function pageFrom(
  op: RecordedRange,
  { header, kvs, more }: RangeResponse,
  { count: counted }: Pick<RangeResponse, 'count'>,
): RecordedResult {
  const { stream, count, countOnly, keysOnly } = op
  const rows = kvs.map((row) => listedRow(row, keysOnly === true))
  const isCounted = count === true || countOnly === true
  const sent = stream === true && countOnly !== true ? rows.length : undefined
  return {
    ...{ rows, revision: revisionFrom(header), ...served(op) },
    ...(stream !== true && { more, ...(more && optional('next', rows.at(-1)?.key)) }),
    ...optional('count', sent ?? (isCounted ? counted : undefined)),
  }
}

async function listStream(
  calls: GrpcCalls,
  op: RecordedRange,
  request: Partial<RangeRequest>,
): Promise<RequestEnd> {
  const end = await calls.all(RPC.rangeStream, request)
  if (end.kind !== 'answer') return readFailed(end)
  return readEnd(end, (parts) => {
    const responses = parts.map(({ rangeResponse }) => rangeResponse)
    const last = responses.at(-1)
    if (last === undefined || responses.slice(0, -1).some((part) => part?.header !== undefined))
      throw new WrongAnswer('a stream of which not the last part has the revision')
    const kvs = responses.flatMap((part) => part?.kvs ?? [])
    return ok(pageFrom(op, { ...last, kvs }, last))
  })
}

function listedRow(row: KeyValue, keysOnly: boolean): ListedRow {
  const key = decodeKey(row.key)
  if (keysOnly && row.value.length > 0) throw new WrongAnswer(`${key} has a value, where none was requested`)
  return { key, ...(!keysOnly && { value: decodeValue(row.value) }), ...metaOfRow(row) }
}
