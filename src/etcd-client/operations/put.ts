import { RPC } from '../../etcd/rpcs.ts'
import { checkKeepsNothing } from '../../operations/forms/leases.ts'
import type { PutOutcome, PutRequest } from '../../operations/put.ts'
import { revisionFrom } from '../fields.ts'
import { withLeases } from './leases.ts'
import type { EtcdOperation } from './operation.ts'
import { asRequestOp, decodePut, encodeCondition, grantLease, preconditionFailed } from './transactions.ts'

export const put: EtcdOperation<PutRequest, PutOutcome> = (request, calls) =>
  withLeases(calls, async (granted) => {
    checkKeepsNothing(request)
    const { key, value, condition, prev } = request
    const compare = condition && encodeCondition(key, condition)
    const lease = await grantLease(request.lease, calls, granted)
    const requestPut = { key, value, lease, prevKv: true }
    if (compare === undefined) {
      const response = await calls.change(RPC.put, requestPut)
      const { header } = response
      return { result: outcome(decodePut(response, revisionFrom(header)), prev), header }
    }
    const { header, responses } = await calls.change(RPC.txn, {
      compare,
      success: [asRequestOp({ requestPut })],
      failure: [asRequestOp({ requestRange: { key, keysOnly: true } })],
    })
    const [response] = responses
    if (response?.responsePut === undefined) throw preconditionFailed(response?.responseRange)
    return { result: outcome(decodePut(response.responsePut, revisionFrom(header)), prev), header }
  })

const outcome = (done: ReturnType<typeof decodePut>, wantsPrev: boolean): PutOutcome => ({
  kind: 'put',
  revision: done.modRevision,
  ...done,
  prev: wantsPrev ? done.prev : undefined,
})
