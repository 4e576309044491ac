// v3lockpb.Lock

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { acquire, goError } from '../candidates.ts'
import { decodeKey } from '../fields.ts'
import { serveUnary } from '../rpc.ts'

const EXPIRED = goError('mutex: session is expired')

export const lock = serveUnary(RPC.lock, async ({ name, lease }, call) => {
  const { key } = await acquire(name, lease, undefined, EXPIRED, call)
  return { header: call.header(), key }
})

export const unlock = serveUnary(RPC.unlock, async ({ key }, call) => {
  if (key.length === 0) throw ETCD_ERRORS.emptyKey
  const { result } = await call.execute({
    ...{ kind: 'delete', key: decodeKey(key), condition: undefined, prev: false, idempotency: undefined },
  })
  return { header: call.header(result.revision) }
})
