// The results of `api` as items: which form encodes each one, and the memory that it takes until it is sent.

import { ApiError, type Revision } from '../../operations/forms/index.ts'
import { OPERATIONS } from '../../operations/index.ts'
import { changeOutcomes } from '../api/errors.ts'
import type { ApiResult } from '../api/operation.ts'
import type { MuxCall } from './mux-call.ts'

const FOUND = 200
const NOT_FOUND = 404

/** Ends the call with its result. Throws `ApiError` if there is no room for the result of a read. */
export function endWithResult(call: MuxCall, result: ApiResult, newest: Revision): void {
  if (result instanceof ApiError) {
    call.fail(result)
    return
  }
  const { id } = call
  switch (result.kind) {
    case 'applied': {
      endWithOutcome(call, result)
      return
    }
    case 'found': {
      const { encodeResult, resultBytes } = OPERATIONS.get.mux
      const { grant, row } = result
      const bytes = resultBytes(row)
      call.checkRoom(bytes)
      call.end(row === undefined ? NOT_FOUND : FOUND, encodeResult(id, row, grant), bytes)
      return
    }
    case 'page': {
      const { records = [], bytes = 0 } = call.page ?? {}
      call.checkRoom(bytes)
      call.end(FOUND, OPERATIONS.range.mux.encodePage(id, records, result, result.grant), bytes)
      return
    }
    case 'txn-read': {
      const { encodeResult, resultBytes } = OPERATIONS.txn.mux
      const {
        grant,
        result: { succeeded, results },
      } = result
      const bytes = resultBytes(result.result, result)
      call.checkRoom(bytes)
      const outcome = { revision: grant.revision, succeeded, results }
      call.end(FOUND, encodeResult(id, outcome, grant, result), bytes)
      return
    }
    case 'watching': {
      call.beginWatch(result.watch)
      call.end(FOUND, OPERATIONS.watch.mux.encodeResult(id, result.grant.revision))
      return
    }
    case 'kept-alive': {
      const { encodeResult, resultBytes } = OPERATIONS['keep-alive'].mux
      const { ttlsMs } = result
      call.end(FOUND, encodeResult(id, ttlsMs, { revision: newest }), resultBytes(ttlsMs))
      return
    }
    default:
      throw new Error(`no multiplexed operation ends as ${result.kind}`)
  }
}

function endWithOutcome(call: MuxCall, applied: Extract<ApiResult, { readonly kind: 'applied' }>): void {
  const { id } = call
  const { outcome } = applied
  switch (outcome.kind) {
    case 'put': {
      const { encodeResult, resultBytes } = OPERATIONS.put.mux
      call.end(FOUND, encodeResult(id, outcome, applied), resultBytes(outcome))
      return
    }
    case 'delete': {
      const { encodeResult, resultBytes } = OPERATIONS.delete.mux
      call.end(FOUND, encodeResult(id, outcome, applied), resultBytes(outcome))
      return
    }
    case 'batch': {
      const { encodeResult, resultBytes } = OPERATIONS.batch.mux
      const { kind, revision } = outcome
      const batch = { kind, revision, outcomes: [...changeOutcomes(outcome.outcomes)] }
      call.end(FOUND, encodeResult(id, batch, applied), resultBytes(batch))
      return
    }
    case 'txn': {
      const { encodeResult, resultBytes } = OPERATIONS.txn.mux
      const { txn } = applied
      if (txn === undefined) throw new Error('the outcome of a transaction comes without the transaction')
      call.end(FOUND, encodeResult(id, outcome, applied, { txn }), resultBytes(outcome, { txn }))
      return
    }
    case 'delete-range':
      call.end(FOUND, OPERATIONS['delete-range'].mux.encodeResult(id, outcome, applied))
      return
    case 'compacted':
      call.end(FOUND, OPERATIONS.compact.mux.encodeResult(id, outcome, applied))
      return
    case 'session':
      call.end(FOUND, OPERATIONS['open-session'].mux.encodeResult(id, outcome))
      return
    default:
      throw new Error(`no multiplexed operation ends as ${outcome.kind}`)
  }
}
