// The codec of the API for clients in the process of the node: operations of the client become operations of the API,
// and results become answers. No bytes are encoded.

import {
  CHANGES,
  type ChangeOperation,
  type ClientOperation,
  COMPACT,
  conditionOf,
  DELETE,
  DELETE_RANGE,
  GET,
  isPut,
  KEEP_ALIVE,
  PUT,
  RANGE,
  type ReadFreshness,
  TXN,
} from '../client/operation.ts'
import type { CompleteAnswer, Json } from '../client/transport/transport.ts'
import type { OutcomeOfKey } from '../kv/index.ts'
import {
  ApiError,
  asRevision,
  checkedKey,
  checkedValue,
  durationText,
  type FreshnessOptions,
  type Idempotency,
  type KeyRow,
  leaseIdOf,
  problemDocument,
  putLeaseOf,
  type ReadGrant,
  type Revision,
  rangeOf,
  rangeToDelete,
} from '../operations/forms/index.ts'
import type { Operation } from '../operations/index.ts'
import { errorOfOutcome } from '../server/api/errors.ts'
import { apiLimits } from '../server/api/limits.ts'
import type { AcceptedOutcome, ApiResult, PageCollector } from '../server/api/operation.ts'
import { bytesOfTxn, checkTxnBytes } from '../server/api/txn.ts'
import { txnOf } from '../server/api/txn-fields.ts'
import { txnJson } from '../server/http/txn-json.ts'
import type { NodeApi } from '../server/node/types.ts'

/** Whether `decode` knows the operation. */
export const hasCodec = ({ op }: { readonly op: number }): boolean => CODED.has(op)

const CODED: ReadonlySet<number> = new Set([
  PUT,
  DELETE,
  CHANGES,
  GET,
  RANGE,
  TXN,
  DELETE_RANGE,
  COMPACT,
  KEEP_ALIVE,
])

/** Throws `ApiError`. */
export function decode(operation: ClientOperation, writeId: Idempotency | undefined): Operation {
  const idempotency = writeId
  switch (operation.op) {
    case PUT:
    case DELETE:
      return { ...changeOf(operation), idempotency }
    case CHANGES:
      return { kind: 'batch', commands: operation.changes.map(changeOf), idempotency }
    case GET: {
      const revision = revisionOf(operation.revision)
      return { kind: 'get', key: checkedKey(operation.key), revision, freshness: freshnessOf(operation) }
    }
    case RANGE: {
      const { after, limit, order, keysOnly } = operation
      const shape = { range: rangeOf(operation), after, limit, order, keysOnly }
      return {
        kind: 'range',
        ...shape,
        revision: revisionOf(operation.revision),
        freshness: freshnessOf(operation),
      }
    }
    case TXN: {
      const txn = txnOf<Buffer>(operation.txn, (bytes) => Buffer.from(bytes))
      checkTxnBytes(bytesOfTxn(txn), apiLimits)
      return { kind: 'txn', txn, idempotency, freshness: freshnessOf(operation.freshness) }
    }
    case DELETE_RANGE:
      return { kind: 'delete-range', range: rangeToDelete(operation.range, operation.range.all), idempotency }
    case COMPACT:
      return { kind: 'compact', revision: asRevision(operation.revision), idempotency }
    case KEEP_ALIVE:
      return { kind: 'keep-alive', ids: operation.leases.map((id) => leaseIdOf(id, 'id')), one: false }
    default:
      throw new Error(`no codec for operation ${operation.op}`)
  }
}

function changeOf(change: ChangeOperation) {
  const key = checkedKey(change.key)
  const condition = conditionOf(change)
  if (!isPut(change)) return { kind: 'delete', key, condition, prev: false } as const
  const { lease, ttlMs } = change
  return {
    kind: 'put',
    key,
    value: checkedValue(change.value),
    condition,
    prev: false,
    lease: putLeaseOf(lease, ttlMs && durationText(ttlMs)),
  } as const
}

const revisionOf = (revision: number | undefined): Revision | undefined =>
  revision === undefined ? undefined : asRevision(revision)

function freshnessOf(freshness: ReadFreshness | undefined): FreshnessOptions {
  if (freshness === undefined) return {}
  const { consistency, maxStalenessMs, minRevision } = freshness
  return { consistency, maxStalenessMs, minRevision: revisionOf(minRevision === 0 ? undefined : minRevision) }
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** Bytes of a record beside its key and value. */
const RECORD_BYTES = 48

/** The records of a page. */
export class RecordPage implements PageCollector {
  readonly records: Json[] = []

  add(row: KeyRow, bytesMax: number): number {
    const bytes = RECORD_BYTES + row.key.length + row.value.length
    if (bytes <= bytesMax) this.records.push(recordOf(row))
    return bytes
  }
}

/** An answer in the terms of HTTP, which all transports of the client share. */
export function encode(result: ApiResult, page: RecordPage, node: NodeApi): CompleteAnswer {
  if (result instanceof ApiError) {
    const problem = problemDocument(result)
    return answer(problem.status, { ...problem }, node, result.revision, result.grant)
  }
  switch (result.kind) {
    case 'applied': {
      const { outcome, txn } = result
      const body =
        outcome.kind === 'txn' && txn !== undefined
          ? Buffer.from(txnJson(txn, outcome, outcome.revision))
          : outcomeBody(outcome)
      return answer(200, body, node, outcome.revision)
    }
    case 'found': {
      const { grant, row } = result
      if (row !== undefined) return answer(200, recordOf(row), node, grant.revision, grant)
      return encode(new ApiError('not_found', 'the key does not exist', { grant }), page, node)
    }
    case 'page': {
      const { grant, more, last: next } = result
      return answer(200, { kvs: page.records, more, next }, node, grant.revision, grant)
    }
    case 'txn-read': {
      const { grant, txn, result: outcome } = result
      return answer(200, Buffer.from(txnJson(txn, outcome, grant.revision)), node, grant.revision, grant)
    }
    case 'kept-alive': {
      const { ids, ttlsMs } = result
      const leases = ids.map((id, at) =>
        ttlsMs[at] === undefined ? { id, missing: true } : { id, ttl_ms: ttlsMs[at] },
      )
      return answer(200, { leases }, node)
    }
    default:
      throw new Error(`no operation of a client in this process ends as ${result.kind}`)
  }
}

function answer(
  status: number,
  body: Buffer | Json,
  node: NodeApi,
  revision: Revision = node.revision,
  grant?: ReadGrant,
): CompleteAnswer {
  const headers: Record<string, string> = {
    ...{ 'kv-cluster': node.clusterId, 'kv-node': node.name, 'kv-revision': String(revision) },
  }
  if (grant !== undefined) headers['kv-consistency'] = grant.served
  // Rounded up, because a bound must not become smaller.
  if (grant?.stalenessMs !== undefined) headers['kv-staleness-ms'] = String(Math.ceil(grant.stalenessMs))
  return { kind: 'answered', status, headers, body }
}

function outcomeBody(outcome: AcceptedOutcome): Json {
  const { revision } = outcome
  switch (outcome.kind) {
    case 'put':
      return { revision, ...revisionsOf(outcome) }
    case 'delete':
    case 'delete-range':
      return { revision, deleted: outcome.deleted }
    case 'batch':
      return { revision, results: outcome.outcomes.map(changeBody) }
    case 'compacted':
      return { revision, compact_revision: outcome.compactRevision }
    default:
      throw new Error(`no operation of a client in this process ends as ${outcome.kind}`)
  }
}

function changeBody(outcome: OutcomeOfKey): Json {
  if (outcome.kind === 'put') return { put: revisionsOf(outcome) }
  if (outcome.kind === 'delete') return { delete: { deleted: outcome.deleted, revision: outcome.revision } }
  return { problem: { ...problemDocument(errorOfOutcome(outcome)), written: 'no' } }
}

const revisionsOf = ({
  createRevision,
  modRevision,
  version,
}: Pick<KeyRow, 'createRevision' | 'modRevision' | 'version'>): Json => ({
  create_revision: createRevision,
  mod_revision: modRevision,
  version,
})

const recordOf = (row: KeyRow): Json => ({
  key: row.key,
  value: row.value,
  ...revisionsOf(row),
  lease: row.lease,
  by: row.by,
})
