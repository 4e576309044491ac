// Transactions of etcd as transactions of quorate, and their results back.

import {
  COMPARE_RESULTS,
  COMPARE_TARGETS,
  type Compare,
  type RangeRequest,
  type RequestOp,
  type ResponseOp,
  type TxnRequest,
} from '../../etcd/messages/kv.ts'
import { ETCD_ERRORS } from '../../etcd/status.ts'
import type { Where } from '../../operations/forms/index.ts'
import type { KvComparison, KvTxn, KvTxnOperation, KvTxnOperationResult } from '../../operations/index.ts'
import {
  decodeKept,
  decodeKey,
  decodeLease,
  decodeLeaseId,
  decodeRevision,
  decodeWhere,
  encodePrev,
  encodeRow,
} from './fields.ts'
import { arrange, checkRange, limited, needsAll } from './range-order.ts'

/** Compares, puts, reads and deletions of one level (`--max-txn-ops` of etcd). */
const OPERATIONS_MAX = 128

/** Throws `GrpcError`, in etcd's order of checks (server/etcdserver/api/v3rpc/key.go). */
export function checkTxn({ compare, success, failure }: TxnRequest, operationsMax = OPERATIONS_MAX): void {
  const operations = Math.max(compare.length, success.length, failure.length)
  if (operations > operationsMax) throw ETCD_ERRORS.tooManyOps
  for (const { key } of compare) if (key.length === 0) throw ETCD_ERRORS.emptyKey
  for (const operation of [...success, ...failure]) checkOperation(operation, operationsMax - operations)
}

function checkOperation(operation: RequestOp, operationsMax: number): void {
  const { requestRange, requestPut, requestDeleteRange, requestTxn } = operation
  if (requestRange !== undefined) checkRange(requestRange)
  else if (requestPut !== undefined) checkPut(requestPut)
  else if (requestDeleteRange !== undefined) {
    if (requestDeleteRange.key.length === 0) throw ETCD_ERRORS.emptyKey
  } else if (requestTxn !== undefined) checkTxn(requestTxn, operationsMax)
  // etcd answers an operation of no kind so.
  else throw ETCD_ERRORS.keyNotFound
}

/** Throws `GrpcError`. */
export function checkPut({
  key,
  value,
  lease,
  ignoreValue,
  ignoreLease,
}: Pick<
  NonNullable<RequestOp['requestPut']>,
  'key' | 'value' | 'lease' | 'ignoreValue' | 'ignoreLease'
>): void {
  if (key.length === 0) throw ETCD_ERRORS.emptyKey
  decodeKey(key)
  if (ignoreValue && value.length > 0) throw ETCD_ERRORS.valueProvided
  if (ignoreLease && lease !== 0n) throw ETCD_ERRORS.leaseProvided
}

export const decodeTxn = ({ compare, success, failure }: TxnRequest): KvTxn => ({
  compare: compare.map(decodeCompare),
  success: success.map(decodeOperation),
  failure: failure.map(decodeOperation),
})

const OPS: Readonly<Record<string, KvComparison['op']>> = {
  EQUAL: '=',
  GREATER: '>',
  LESS: '<',
  NOT_EQUAL: '!=',
}

function decodeCompare(comparison: Compare): KvComparison {
  const { key, rangeEnd, result, target } = comparison
  const where = decodeWhere(key, rangeEnd)
  const op = OPS[COMPARE_RESULTS[result] ?? ''] ?? '='
  const compareNumber = (of: NumberTarget, to = 0): KvComparison =>
    to < 0 ? compareWithNegative(where, op) : { where, op, target: of, to: Math.min(to, NEVER_REACHED) }
  switch (COMPARE_TARGETS[target]) {
    case 'CREATE':
      return compareNumber('create_revision', comparison.createRevision)
    case 'MOD':
      return compareNumber('mod_revision', comparison.modRevision)
    case 'VALUE':
      return { where, op, target: 'value', to: comparison.value ?? new Uint8Array() }
    case 'LEASE': {
      const { lease = 0n } = comparison
      if (lease < 0n) return compareWithNegative(where, op)
      return { where, op, target: 'lease', to: lease === 0n ? undefined : decodeLeaseId(lease) }
    }
    default:
      return compareNumber('version', comparison.version)
  }
}

type NumberTarget = 'version' | 'create_revision' | 'mod_revision'

/** No version and no revision is so high. */
const NEVER_REACHED = Number.MAX_SAFE_INTEGER

/** Everything is larger than a negative number: a comparison that always holds, or never. */
const compareWithNegative = (where: Where, op: KvComparison['op']): KvComparison => ({
  where,
  op: op === '!=' || op === '>' ? '!=' : '=',
  target: 'version',
  to: NEVER_REACHED,
})

function decodeOperation({
  requestRange,
  requestPut,
  requestDeleteRange,
  requestTxn,
}: RequestOp): KvTxnOperation {
  if (requestRange !== undefined) return decodeGet(requestRange)
  if (requestPut !== undefined) {
    const { key, value, prevKv, lease } = requestPut
    return { kind: 'put', key, value, prev: prevKv, lease: decodeLease(lease), ...decodeKept(requestPut) }
  }
  if (requestDeleteRange !== undefined) {
    const { key, rangeEnd, prevKv } = requestDeleteRange
    return { kind: 'delete', where: decodeWhere(key, rangeEnd), prev: prevKv }
  }
  if (requestTxn !== undefined) return { kind: 'txn', txn: decodeTxn(requestTxn) }
  throw ETCD_ERRORS.keyNotFound
}

/** Order and filters are applied to the result, so all of the range is read where they need it. */
function decodeGet(request: RangeRequest): KvTxnOperation {
  const { key, rangeEnd, limit, keysOnly, countOnly, revision } = request
  const isAll = limit <= 0 || needsAll(request) || request.sortOrder !== 0
  return {
    kind: 'get',
    where: decodeWhere(key, rangeEnd),
    limit: isAll ? undefined : limit,
    // Values are needed to sort by them.
    keysOnly: keysOnly && request.sortTarget === 0,
    count: true,
    countOnly,
    revision: decodeRevision(revision),
  }
}

/** `operations`: of the branch that was done. `revision`: that of its changes, or at which it has read. */
export const encodeResults = (
  operations: readonly RequestOp[],
  results: readonly KvTxnOperationResult[],
  revision: number,
): readonly ResponseOp[] =>
  new ResultEncoder(results.some(isChange) ? revision - 1 : revision).encode(operations, results)

/** Whether the store has another revision afterwards. */
function isChange(result: KvTxnOperationResult): boolean {
  if (result.kind === 'put') return true
  if (result.kind === 'delete') return result.deleted > 0
  return result.kind === 'txn' && result.results.some(isChange)
}

const NO_RESPONSE: ResponseOp = {
  responseRange: undefined,
  responsePut: undefined,
  responseDeleteRange: undefined,
  responseTxn: undefined,
}

class ResultEncoder {
  readonly #revisionBefore: number
  /** Whether an operation so far has changed something. */
  #hasChanged = false

  constructor(revisionBefore: number) {
    this.#revisionBefore = revisionBefore
  }

  encode(operations: readonly RequestOp[], results: readonly KvTxnOperationResult[]): readonly ResponseOp[] {
    return results.map((result, at) => {
      const operation = operations[at]
      if (operation === undefined) throw new Error('a transaction has more results than operations')
      return { ...NO_RESPONSE, ...this.#encode(operation, result) }
    })
  }

  #encode({ requestRange, requestTxn }: RequestOp, result: KvTxnOperationResult): Partial<ResponseOp> {
    if (result.kind === 'txn') {
      if (requestTxn === undefined) throw new Error('a transaction is answered as one')
      const branch = result.succeeded ? requestTxn.success : requestTxn.failure
      const responses = this.encode(branch, result.results)
      return { responseTxn: { header: innerHeader(0), succeeded: result.succeeded, responses } }
    }
    this.#hasChanged ||= isChange(result)
    const header = innerHeader(this.#revisionBefore + (this.#hasChanged ? 1 : 0))
    if (result.kind === 'put') return { responsePut: { header, prevKv: encodePrev(result.prev) } }
    if (result.kind === 'delete') {
      const { deleted, prev = [] } = result
      return { responseDeleteRange: { header, deleted, prevKvs: prev.map(encodeRow) } }
    }
    if (requestRange === undefined || result.found === undefined)
      throw new Error('a get is answered with what it has found')
    const { records, more, count = 0 } = result.found
    const found = limited(arrange(records.map(encodeRow), requestRange), requestRange)
    return { responseRange: { header, kvs: found.kvs, more: more || found.more, count } }
  }
}

/** The header of an operation has the revision up to it, that of a nested transaction none. */
const innerHeader = (revision: number) => ({ clusterId: 0n, memberId: 0n, revision, raftTerm: 0 })
