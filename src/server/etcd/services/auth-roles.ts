// Auth.RoleAdd, RoleGet, RoleList, RoleDelete, RoleGrantPermission and RoleRevokePermission. The role root is built in
// here. For clients of etcd, who make it, it exists while somebody has it.

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import {
  changeAuth,
  checkPermissionRange,
  decodeAccess,
  decodePermissionRange,
  encodePermissions,
  findRole,
  isSameRange,
  putRole,
  putUser,
  ROOT,
  readRole,
  usersWithRoot,
} from '../auth.ts'
import { serveUnary } from '../rpc.ts'

export const roleAdd = serveUnary(RPC.roleAdd, ({ name }, call) =>
  changeAuth(call, putRole(name, []), async () => {
    if (name === ROOT) {
      if ((await usersWithRoot(call)).length > 0) throw ETCD_ERRORS.roleExists
      return undefined
    }
    const role = await findRole(name, call)
    if (name === '') throw ETCD_ERRORS.roleEmpty
    if (role !== undefined) throw ETCD_ERRORS.roleExists
    return putRole(name, [])
  }),
)

export const roleGet = serveUnary(RPC.roleGet, async ({ role: name }, call) => {
  if (name === ROOT && (await usersWithRoot(call)).length > 0) return { header: call.header() }
  const { permissions } = await readRole(name, call)
  return { header: call.header(), perm: encodePermissions(permissions) }
})

export const roleList = serveUnary(RPC.roleList, async (_request, call) => {
  const { result } = await call.execute({ kind: 'show-roles', name: undefined })
  const roles = 'roles' in result ? result.roles : [result.role]
  const names = roles.map(({ name }) => name)
  if ((await usersWithRoot(call)).length > 0) names.push(ROOT)
  return { header: call.header(), roles: names.sort() }
})

export const roleDelete = serveUnary(RPC.roleDelete, async ({ role: name }, call) => {
  const deletion = { kind: 'delete-role', name } as const
  if (name !== ROOT)
    return await changeAuth(call, deletion, async () => {
      await readRole(name, call)
      return deletion
    })
  const users = await usersWithRoot(call)
  if (call.api.node.auth.enabled) throw ETCD_ERRORS.invalidAuthManagement
  if (users.length === 0) throw ETCD_ERRORS.roleNotFound
  for (const { name: user } of users)
    await changeAuth(call, deletion, async () => {
      const [still] = (await usersWithRoot(call)).filter((each) => each.name === user)
      return still && putUser(user, { roles: still.roles.filter((role) => role !== ROOT) })
    })
  return { header: call.header() }
})

export const roleGrantPermission = serveUnary(RPC.roleGrantPermission, ({ name, perm }, call) =>
  changeAuth(call, putRole(name, []), async () => {
    const access = perm && decodeAccess(perm.permType)
    if (perm === undefined || access === undefined) throw ETCD_ERRORS.permissionNotGiven
    checkPermissionRange(perm.key, perm.rangeEnd)
    // It may do everything already.
    if (name === ROOT) return undefined
    const { permissions } = await readRole(name, call)
    const range = decodePermissionRange(perm.key, perm.rangeEnd)
    const others = permissions.filter((each) => each.range === undefined || !isSameRange(each.range, range))
    return putRole(name, [...others, { access, range }])
  }),
)

export const roleRevokePermission = serveUnary(RPC.roleRevokePermission, ({ role: name, ...where }, call) =>
  changeAuth(call, putRole(name, []), async () => {
    const { permissions } = await readRole(name, call)
    const range = decodePermissionRange(where.key, where.rangeEnd)
    const others = permissions.filter((each) => each.range === undefined || !isSameRange(each.range, range))
    if (others.length === permissions.length) throw ETCD_ERRORS.permissionNotGranted
    return putRole(name, others)
  }),
)
