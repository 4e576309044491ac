// Maintenance.Defragment: the store compacts its files by itself.

import { RPC } from '../../../etcd/rpcs.ts'
import { serveUnary } from '../rpc.ts'

export const defragment = serveUnary(RPC.defragment, async (_request, call) => {
  await call.execute({ kind: 'status' })
  return { header: call.header() }
})
