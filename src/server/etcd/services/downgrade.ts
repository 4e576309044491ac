// Maintenance.Downgrade

import { RPC } from '../../../etcd/rpcs.ts'
import { GRPC, GrpcError } from '../../../etcd/status.ts'
import { serveUnary } from '../rpc.ts'

export const downgrade = serveUnary(RPC.downgrade, () => {
  throw new GrpcError(
    GRPC.unimplemented,
    'etcdserver: the version of etcd is only that of the API, and there is nothing to downgrade',
  )
})
