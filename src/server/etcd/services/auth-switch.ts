// Auth.AuthEnable, AuthDisable, AuthStatus and Authenticate

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { ApiError } from '../../../operations/forms/index.ts'
import { logIn } from '../../../operations/log-in.ts'
import { showAuth } from '../../../operations/show-auth.ts'
import { changeAuth, checkMayAdminister, findUser, ROOT } from '../auth.ts'
import { serveUnary } from '../rpc.ts'

export const authEnable = serveUnary(RPC.authEnable, (_request, call) =>
  changeAuth(call, { kind: 'enable' }, async () => {
    const root = await findUser(ROOT, call)
    if (call.api.node.auth.enabled) return undefined
    if (root === undefined) throw ETCD_ERRORS.rootUserNotExist
    if (!root.roles.includes(ROOT)) throw ETCD_ERRORS.rootRoleNotExist
    return { kind: 'enable' }
  }),
)

export const authDisable = serveUnary(RPC.authDisable, (_request, call) =>
  changeAuth(call, { kind: 'disable' }, async () => {
    // A read, after which the node knows whether rights are checked.
    await checkMayAdminister(call)
    return call.api.node.auth.enabled ? { kind: 'disable' } : undefined
  }),
)

export const authStatus = serveUnary(
  RPC.authStatus,
  async (_request, call) => {
    const { result } = await call.execute({ kind: 'show-auth' })
    return { header: call.header(), enabled: result.enabled, authRevision: result.revision }
  },
  { open: showAuth.open },
)

/** Anybody may try: it is how a client becomes known. */
export const authenticate = serveUnary(
  RPC.authenticate,
  async ({ name, password }, call) => {
    const { result } = await call.execute({ kind: 'log-in', user: name, password }).catch(throwLoginError)
    return { header: call.header(), token: result.token }
  },
  { open: logIn.open },
)

function throwLoginError(error: unknown): never {
  const code = error instanceof ApiError ? error.code : undefined
  if (code === 'unauthenticated') throw ETCD_ERRORS.authFailed
  // A login is refused so only while rights are not checked.
  throw code === 'bad_request' ? ETCD_ERRORS.authNotEnabled : error
}
