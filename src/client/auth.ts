// Calls about users, roles and the switch that makes rights be checked. Most clients make none of them, so each loads
// its operation when it is made.

import { utf8Text } from '../bytes/index.ts'
import type { ChangeAuthResult, RequestedAuthChange } from '../operations/change-auth.ts'
import type { AuthStatusResult, SelfResult, UserDescription } from '../operations/documents/auth.ts'
import { disagree } from '../operations/forms/decode.ts'
import {
  type AuthRole,
  type KeyRange,
  keyAfter,
  nameRange,
  type Permission,
} from '../operations/forms/index.ts'
import type { RequestCall } from './administration.ts'
import type {
  AuthChangeOptions,
  AuthSelf,
  AuthStatus,
  AuthSwitch,
  PermittedRange,
  RoleInfo,
  RolePermission,
  Roles,
  UserInfo,
  Users,
} from './auth-types.ts'
import type { Complete } from './complete.ts'
import { QuorateError } from './errors.ts'
import { ownBytes, ownRange } from './request.ts'
import { resultFrom } from './transport/transport.ts'
import type { CallOptions } from './types.ts'
import {
  checkAuthDelete,
  checkCall,
  checkName,
  checkRoleChange,
  checkUserChange,
} from './validate-arguments.ts'

export function authSwitch(call: RequestCall): AuthSwitch {
  const change = async (kind: 'enable' | 'disable', options: CallOptions): Promise<AuthStatus> => {
    checkCall(`auth.${kind}`, options)
    return statusFrom(await changed(call, { kind }, options))
  }
  return {
    status: async (options = {}) => {
      checkCall('auth.status', options)
      const { showAuth } = await import('../operations/show-auth.ts')
      return resultFrom(await call(showAuth, { kind: 'show-auth' }, options))
    },
    self: async (options = {}): Promise<Complete<AuthSelf, SelfResult>> => {
      checkCall('auth.self', options)
      const { showSelf } = await import('../operations/show-self.ts')
      const { permissions, ...self } = resultFrom(await call(showSelf, { kind: 'show-self' }, options))
      return { ...self, permissions: permissions.map(rolePermission) }
    },
    enable: (options = {}) => change('enable', options),
    disable: (options = {}) => change('disable', options),
  }
}

/** `ownPassword`: the password of a user as the client knows it. */
export function users(call: RequestCall, ownPassword: (name: string) => string | undefined): Users {
  const show = async (name: string | undefined, options: CallOptions) => {
    const { showUsers } = await import('../operations/show-users.ts')
    return resultFrom(await call(showUsers, { kind: 'show-users', name }, options))
  }
  return {
    list: async (options = {}) => {
      checkCall('users.list', options)
      const result = await show(undefined, options)
      return 'users' in result ? result : disagree('it has no users')
    },
    get: async (name, options = {}) => {
      checkName('users.get', name)
      checkCall('users.get', options)
      const result = await unlessNotFound(show(name, options))
      return result && 'user' in result ? result.user : undefined
    },
    put: async (name, user, options = {}): Promise<Complete<UserInfo, UserDescription>> => {
      checkUserChange(name, user, options)
      const { password, roles, oldPassword = password === undefined ? undefined : ownPassword(name) } = user
      const change = { kind: 'put-user', name, password, oldPassword, roles } as const
      const result = await changed(call, change, options)
      return 'user' in result ? result.user : disagree('it is no user')
    },
    delete: async (name, options = {}) => {
      checkAuthDelete('users.delete', name, options)
      return statusFrom(await changed(call, { kind: 'delete-user', name }, options))
    },
  }
}

export function roles(call: RequestCall): Roles {
  const show = async (name: string | undefined, options: CallOptions) => {
    const { showRoles } = await import('../operations/show-roles.ts')
    return resultFrom(await call(showRoles, { kind: 'show-roles', name }, options))
  }
  return {
    list: async (options = {}) => {
      checkCall('roles.list', options)
      const result = await show(undefined, options)
      if (!('roles' in result)) return disagree('it has no roles')
      return { roles: result.roles.map(roleInfo), revision: result.revision }
    },
    get: async (name, options = {}) => {
      checkName('roles.get', name)
      checkCall('roles.get', options)
      const result = await unlessNotFound(show(name, options))
      return result && 'role' in result ? roleInfo(result.role) : undefined
    },
    put: async (name, permissions, options = {}) => {
      checkRoleChange(name, permissions, options)
      const change = { kind: 'put-role', name, permissions: permissions.map(readPermission) } as const
      const result = await changed(call, change, options)
      return 'role' in result ? roleInfo(result.role) : disagree('it is no role')
    },
    delete: async (name, options = {}) => {
      checkAuthDelete('roles.delete', name, options)
      return statusFrom(await changed(call, { kind: 'delete-role', name }, options))
    },
  }
}

/** undefined: there is none of this name. */
const unlessNotFound = <T>(found: Promise<T>): Promise<T | undefined> =>
  found.catch((error: unknown) => {
    if (error instanceof QuorateError && error.code === 'not_found') return undefined
    throw error
  })

// ---------------------------------------------------------------------------------------------------------------------
// Requests

async function changed(
  call: RequestCall,
  change: RequestedAuthChange,
  { ifRevision, ...options }: AuthChangeOptions,
): Promise<ChangeAuthResult> {
  const { changeAuth } = await import('../operations/change-auth.ts')
  return resultFrom(await call(changeAuth, { kind: 'change-auth', change, ifRevision }, options))
}

const statusFrom = (result: ChangeAuthResult): Complete<AuthStatus, AuthStatusResult> =>
  'enabled' in result ? result : disagree('it is no status')

/** A permission of a caller. */
export function readPermission(permission: RolePermission): Permission {
  if (permission.access === 'admin') return { access: 'admin', range: undefined }
  const { access, ...range } = permission
  if ('all' in range) return { access, range: ownRange({}) }
  if (!('key' in range)) return { access, range: ownRange(range) }
  const start = ownBytes(range.key)
  return { access, range: { start, end: keyAfter(start) } }
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers

const roleInfo = ({ name, permissions }: AuthRole): Complete<RoleInfo, AuthRole> => ({
  name,
  permissions: permissions.map(rolePermission),
})

const rolePermission = ({ access, range }: Permission): RolePermission =>
  access === 'admin' ? { access } : { access, ...permittedRange(range) }

function permittedRange(range: KeyRange): PermittedRange {
  const named = nameRange(range)
  if ('all' in named) return named
  if ('key' in named) return { key: keyText(named.key) }
  if ('prefix' in named) return { prefix: keyText(named.prefix) }
  const { start, end } = named
  return { start: keyText(start), ...(end === undefined ? {} : { end: keyText(end) }) }
}

/** Keys are strings where they are UTF-8. */
const keyText = (key: Uint8Array): string | Uint8Array => utf8Text(key) ?? key
