// A transaction under the names of `POST /v1/txn`, which both wires share. Bytes stay bytes. Fields that are undefined
// are not sent.

import { durationText, rangeBounds, type Where } from '../../operations/forms/index.ts'
import type { KvComparison, KvTxn, KvTxnOperation } from '../../operations/index.ts'
import { definedFields } from '../decode.ts'
import type { Json } from './transport.ts'

export const txnFields = ({ compare, success, failure }: KvTxn): Json => ({
  compare: compare.map(comparisonFields),
  success: success.map(operationFields),
  failure: failure.map(operationFields),
})

function comparisonFields(comparison: KvComparison): Json {
  const { where, target, op, to } = comparison
  const isExistence = target === 'version' && to === 0 && 'key' in where
  if (isExistence && (op === '=' || op === '!=')) return { key: where.key, exists: op === '!=' }
  return { ...whereFields(where), target, op, to: to ?? NO_LEASE }
}

/** In place of the id of a lease. */
const NO_LEASE = '0'

function operationFields(operation: KvTxnOperation): Json {
  switch (operation.kind) {
    case 'put': {
      const { key, value, lease, prev } = operation
      const options = { ...(lease && leaseFields(lease)), prev: prev || undefined }
      return { put: { key, value, ...definedFields(options) } }
    }
    case 'get': {
      const { where, limit, keysOnly, count, countOnly } = operation
      const flags = {
        keys_only: keysOnly || undefined,
        count: count || undefined,
        count_only: countOnly || undefined,
      }
      return { get: { ...whereFields(where), ...definedFields({ limit, ...flags }) } }
    }
    case 'delete':
      return {
        delete: { ...whereFields(operation.where), ...definedFields({ prev: operation.prev || undefined }) },
      }
    case 'txn':
      return { txn: txnFields(operation.txn) }
  }
}

const leaseFields = (lease: { readonly id: string } | { readonly ttlMs: number }): Json =>
  'id' in lease ? { lease: lease.id } : { ttl: durationText(lease.ttlMs) }

/** A place is never left out: it would be no place, and not all keys. */
function whereFields(where: Where): Json {
  if ('key' in where) return { key: where.key }
  const fields = definedFields(rangeBounds(where))
  return Object.keys(fields).length === 0 ? { start: where.start } : fields
}
