// Transactions of quorate as transactions of etcd, and their results back.

import {
  COMPARE_RESULTS,
  COMPARE_TARGETS,
  type Compare,
  type DeleteRangeRequest,
  type KeyValue,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  type RequestOp,
  type ResponseOp,
  type TxnRequest,
} from '../../etcd/messages/kv.ts'
import { RPC } from '../../etcd/rpcs.ts'
import { disagree } from '../../operations/forms/decode.ts'
import {
  ApiError,
  type Condition,
  type KeyRow,
  type PutLease,
  type Revision,
} from '../../operations/forms/index.ts'
import type {
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
} from '../../operations/forms/transactions.ts'
import { decodeRow, encodeSeconds, encodeWhere } from '../fields.ts'
import { notInEtcd } from '../problems.ts'
import type { EtcdCalls } from './operation.ts'

/** Fields that are missing have their defaults. */
type Draft =
  | { readonly requestRange: Partial<RangeRequest> }
  | { readonly requestPut: Partial<PutRequest> }
  | { readonly requestDeleteRange: Partial<DeleteRangeRequest> }
  | { readonly requestTxn: TxnRequest }

export const asRequestOp = (draft: Draft): RequestOp => draft as RequestOp
export const asCompare = (draft: Partial<Compare>): Compare => draft as Compare

const EQUAL = COMPARE_RESULTS.indexOf('EQUAL')
const GREATER = COMPARE_RESULTS.indexOf('GREATER')
const NOT_EQUAL = COMPARE_RESULTS.indexOf('NOT_EQUAL')
const VERSION = COMPARE_TARGETS.indexOf('VERSION')
const MOD = COMPARE_TARGETS.indexOf('MOD')

// ---------------------------------------------------------------------------------------------------------------------
// Conditions of one key

/** Throws `ApiError`. */
export function encodeCondition(key: Uint8Array, { ifMatch, ifNoneMatch }: Condition): readonly Compare[] {
  const comparisons: Compare[] = []
  if (ifMatch === 'any') comparisons.push(asCompare({ key, target: VERSION, result: GREATER, version: 0 }))
  else if (ifMatch !== undefined) {
    const [modRevision, ...others] = ifMatch
    if (others.length > 0) throw notInEtcd('one of several revisions as a condition')
    comparisons.push(asCompare({ key, target: MOD, result: EQUAL, modRevision: modRevision ?? -1 }))
  }
  if (ifNoneMatch === 'any') comparisons.push(asCompare({ key, target: VERSION, result: EQUAL, version: 0 }))
  else
    for (const modRevision of ifNoneMatch ?? [])
      comparisons.push(asCompare({ key, target: MOD, result: NOT_EQUAL, modRevision }))
  return comparisons
}

/** The error for a condition that does not hold. `found`: what the transaction has read then. */
export function preconditionFailed(found: RangeResponse | undefined): ApiError {
  const [row] = found?.kvs ?? []
  const current = row === undefined ? null : decodeRow(row)
  const detail = current === null ? 'the key does not exist' : `the key is at revision ${current.modRevision}`
  return new ApiError('precondition_failed', detail, { current })
}

// ---------------------------------------------------------------------------------------------------------------------
// Leases of puts

/** The lease of a put. One of its own is granted first: if the put is not made, it ends unused. */
export async function grantLease(
  lease: PutLease | undefined,
  calls: EtcdCalls,
  granted: bigint[],
): Promise<bigint> {
  if (lease === undefined) return 0n
  if ('id' in lease) return BigInt(lease.id)
  const { id } = await calls.prepare(RPC.leaseGrant, { ttl: encodeSeconds(lease.ttlMs) })
  granted.push(id)
  return id
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests

/** How the reads of a transaction are made: in one that only reads they may have a revision. */
export type TxnReads = Pick<RangeRequest, 'revision' | 'serializable'>

/** Grants the leases of its puts, in both branches. Rejects with `GrpcError` or `ApiError`. */
export async function encodeTxn(
  { compare, success, failure }: KvTxn,
  reads: TxnReads,
  calls: EtcdCalls,
  granted: bigint[],
): Promise<TxnRequest> {
  const encodeAll = async (operations: readonly KvTxnOperation[]) => {
    const encoded: RequestOp[] = []
    for (const each of operations) encoded.push(await encodeOperation(each, reads, calls, granted))
    return encoded
  }
  return {
    compare: compare.map(encodeComparison),
    success: await encodeAll(success),
    failure: await encodeAll(failure),
  }
}

const RESULTS = { '=': 'EQUAL', '!=': 'NOT_EQUAL', '<': 'LESS', '>': 'GREATER' } as const
const TARGETS = {
  value: 'VALUE',
  version: 'VERSION',
  create_revision: 'CREATE',
  mod_revision: 'MOD',
  lease: 'LEASE',
} as const

function encodeComparison(comparison: KvComparison): Compare {
  const { where, op, target, to } = comparison
  const compare = {
    ...encodeWhere(where),
    result: COMPARE_RESULTS.indexOf(RESULTS[op]),
    target: COMPARE_TARGETS.indexOf(TARGETS[target]),
  }
  switch (target) {
    case 'value':
      return asCompare({ ...compare, value: to })
    case 'version':
      return asCompare({ ...compare, version: to })
    case 'create_revision':
      return asCompare({ ...compare, createRevision: to })
    case 'mod_revision':
      return asCompare({ ...compare, modRevision: to })
    case 'lease':
      return asCompare({ ...compare, lease: BigInt(to ?? 0) })
  }
}

async function encodeOperation(
  operation: KvTxnOperation,
  reads: TxnReads,
  calls: EtcdCalls,
  granted: bigint[],
): Promise<RequestOp> {
  switch (operation.kind) {
    case 'put': {
      const { key, value } = operation
      const lease = await grantLease(operation.lease, calls, granted)
      // The result of a put follows from the record before.
      return asRequestOp({ requestPut: { key, value, lease, prevKv: true } })
    }
    case 'get': {
      const { where, limit = 0, keysOnly, countOnly } = operation
      return asRequestOp({ requestRange: { ...encodeWhere(where), limit, keysOnly, countOnly, ...reads } })
    }
    case 'delete': {
      const { where, prev } = operation
      return asRequestOp({ requestDeleteRange: { ...encodeWhere(where), prevKv: prev } })
    }
    case 'txn':
      return asRequestOp({ requestTxn: await encodeTxn(operation.txn, reads, calls, granted) })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Results

/** Throws `DisagreementError`. `revision`: of the changes. */
export function decodeTxnResult(
  { success, failure }: KvTxn,
  succeeded: boolean,
  responses: readonly ResponseOp[],
  revision: Revision,
): KvTxnResult {
  const operations = succeeded ? success : failure
  return {
    succeeded,
    results: operations.map((operation, at) => decodeOperationResult(operation, responses[at], revision)),
  }
}

function decodeOperationResult(
  operation: KvTxnOperation,
  response: ResponseOp | undefined,
  revision: Revision,
): KvTxnOperationResult {
  const { responsePut, responseRange, responseDeleteRange, responseTxn } = response ?? {}
  if (operation.kind === 'put' && responsePut !== undefined) {
    const { prev, ...revisions } = decodePut(responsePut, revision)
    return { kind: 'put', ...revisions, prev: operation.prev ? prev : undefined }
  }
  if (operation.kind === 'get' && responseRange !== undefined) {
    const { kvs, more, count } = responseRange
    const { countOnly } = operation
    const isCounted = operation.count || countOnly
    const records = kvs.map(decodeRow)
    return {
      kind: 'get',
      found: { records, more: more && !countOnly, count: isCounted ? count : undefined },
    }
  }
  if (operation.kind === 'delete' && responseDeleteRange !== undefined) {
    const { deleted, prevKvs } = responseDeleteRange
    return { kind: 'delete', deleted, prev: operation.prev ? prevKvs.map(decodeRow) : undefined }
  }
  if (operation.kind === 'txn' && responseTxn !== undefined) {
    const { succeeded, responses } = responseTxn
    return { kind: 'txn', ...decodeTxnResult(operation.txn, succeeded, responses, revision) }
  }
  return disagree(`the result of a ${operation.kind} is missing`)
}

/** The revisions of a key after its put, by the record before. */
export function decodePut({ prevKv }: PutResponse, revision: Revision) {
  const prev = decodePrev(prevKv)
  return {
    createRevision: prev?.createRevision ?? revision,
    modRevision: revision,
    version: (prev?.version ?? 0) + 1,
    prev,
  }
}

const decodePrev = (prevKv: KeyValue | undefined): KeyRow | null =>
  prevKv === undefined ? null : decodeRow(prevKv)
