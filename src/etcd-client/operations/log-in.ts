import { RPC } from '../../etcd/rpcs.ts'
import type { TokenResult } from '../../operations/documents/auth.ts'
import type { LogInRequest } from '../../operations/log-in.ts'
import type { EtcdOperation } from './operation.ts'

/** etcd does not say how long a token lives. A request whose token has ended is made again after a login. */
export const logIn: EtcdOperation<LogInRequest, TokenResult> = async ({ user, password }, calls) => {
  const { header, token } = await calls.read(RPC.authenticate, { name: user, password })
  return { result: { token, expiresInMs: Number.POSITIVE_INFINITY }, header }
}
