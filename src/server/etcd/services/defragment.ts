// Maintenance.Defragment: the store compacts its files by itself.

import { RPC } from '../../../etcd/rpcs.ts'
import { serveUnary } from '../rpc.ts'

export const defragment = serveUnary(RPC.defragment, async (_request, call) => {
  // The right to administer, as in etcd.
  await call.execute({ kind: 'show-users', name: undefined })
  // As in etcd, without a header.
  return {}
})
