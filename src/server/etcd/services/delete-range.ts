// KV.DeleteRange

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { decodeWhere, encodePrev, encodeRow } from '../fields.ts'
import { serveUnary } from '../rpc.ts'

export const deleteRange = serveUnary(RPC.deleteRange, async ({ key, rangeEnd, prevKv }, call) => {
  if (key.length === 0) throw ETCD_ERRORS.emptyKey
  const where = decodeWhere(key, rangeEnd)
  const idempotency = undefined
  if ('key' in where) {
    const condition = undefined
    const { result } = await call.execute({ kind: 'delete', key, condition, prev: prevKv, idempotency })
    const prev = encodePrev(result.prev)
    return {
      header: call.header(result.revision),
      deleted: result.deleted,
      prevKvs: prev === undefined ? [] : [prev],
    }
  }
  if (!prevKv) {
    const { result } = await call.execute({ kind: 'delete-range', range: where, idempotency })
    return { header: call.header(result.revision), deleted: result.deleted }
  }
  // Only a transaction answers with the rows of the range that it has deleted.
  const txn = { compare: [], success: [{ kind: 'delete' as const, where, prev: true }], failure: [] }
  const { result } = await call.execute({ kind: 'txn', txn, freshness: {}, idempotency })
  const [deletion] = result.results
  if (deletion?.kind !== 'delete') throw new Error('a deletion is answered with what it has deleted')
  const { deleted, prev = [] } = deletion
  return { header: call.header(result.revision), deleted, prevKvs: prev.map(encodeRow) }
})
