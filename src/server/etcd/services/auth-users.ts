// Auth.UserAdd, UserGet, UserList, UserDelete, UserChangePassword, UserGrantRole and UserRevokeRole

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { changeAuth, findRole, findUser, listUsers, putUser, ROOT, readUser } from '../auth.ts'
import { serveUnary } from '../rpc.ts'

export const userAdd = serveUnary(RPC.userAdd, ({ name, password, options }, call) =>
  changeAuth(call, putUser(name, {}), async () => {
    const user = await findUser(name, call)
    if (name === '') throw ETCD_ERRORS.userEmpty
    if (user !== undefined) throw ETCD_ERRORS.userExists
    return putUser(name, { password: options?.noPassword ? null : password, roles: [] })
  }),
)

export const userGet = serveUnary(RPC.userGet, async ({ name }, call) => {
  const { roles } = await readUser(name, call)
  return { header: call.header(), roles }
})

export const userList = serveUnary(RPC.userList, async (_request, call) => {
  const users = await listUsers(call)
  return { header: call.header(), users: users.map(({ name }) => name) }
})

export const userDelete = serveUnary(RPC.userDelete, ({ name }, call) =>
  changeAuth(call, { kind: 'delete-user', name }, async () => {
    await readUser(name, call)
    if (name === ROOT && call.api.node.auth.enabled) throw ETCD_ERRORS.invalidAuthManagement
    return { kind: 'delete-user', name }
  }),
)

export const userChangePassword = serveUnary(RPC.userChangePassword, async ({ name, password }, call) => {
  const change = putUser(name, { password })
  const isOwn = call.api.node.auth.enabled && call.client.principal?.user === name
  if (!isOwn)
    return await changeAuth(call, putUser(name, {}), async () => {
      await readUser(name, call)
      return change
    })
  await call.execute({ kind: 'change-auth', change, ifRevision: undefined })
  return { header: call.header() }
})

export const userGrantRole = serveUnary(RPC.userGrantRole, ({ user, role }, call) =>
  changeAuth(call, putUser(user, {}), async () => {
    const { roles } = await readUser(user, call)
    if (role !== ROOT && (await findRole(role, call)) === undefined) throw ETCD_ERRORS.roleNotFound
    return roles.includes(role) ? undefined : putUser(user, { roles: [...roles, role] })
  }),
)

export const userRevokeRole = serveUnary(RPC.userRevokeRole, ({ name, role }, call) =>
  changeAuth(call, putUser(name, {}), async () => {
    const { roles } = await readUser(name, call)
    if (name === ROOT && role === ROOT && call.api.node.auth.enabled) throw ETCD_ERRORS.invalidAuthManagement
    if (!roles.includes(role)) throw ETCD_ERRORS.roleNotGranted
    return putUser(name, { roles: roles.filter((each) => each !== role) })
  }),
)
