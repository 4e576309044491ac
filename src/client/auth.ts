// Calls about users, roles and the switch that makes rights be checked.

import { disagree } from '../operations/forms/disagreement.ts'
import { keyAfter, type Permission } from '../operations/forms/index.ts'
import type { RequestedAuthChange } from '../operations/index.ts'
import type { RequestCall } from './administration.ts'
import type {
  AuthChangeOptions,
  AuthStatus,
  AuthSwitch,
  RoleInfo,
  RolePermission,
  Roles,
  UserInfo,
  Users,
} from './auth-types.ts'
import { QuorateError } from './errors.ts'
import { ownBytes, ownRange } from './request.ts'
import type { ChangedAuth, Named } from './transport/results.ts'
import { type NodeAnswer, resultFrom } from './transport/transport.ts'
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
      return resultFrom(await call({ kind: 'show-auth' }, options))
    },
    enable: (options = {}) => change('enable', options),
    disable: (options = {}) => change('disable', options),
  }
}

/** `ownPassword`: the password of a user as the client knows it. */
export function users(call: RequestCall, ownPassword: (name: string) => string | undefined): Users {
  const { list, ...calls } = named<UserInfo>(
    'users',
    (name, options) => call({ kind: 'show-users', name }, options),
    call,
  )
  return {
    ...calls,
    list: async (options) => {
      const { all, revision } = await list(options)
      return { users: all, revision }
    },
    put: async (name, user, options = {}) => {
      checkUserChange(name, user, options)
      const { password, roles, oldPassword = password === undefined ? undefined : ownPassword(name) } = user
      const change = { kind: 'put-user', name, password, oldPassword, roles } as const
      const result = await changed(call, change, options)
      return result.kind === 'user' ? result.user : disagree('it is no user')
    },
  }
}

export function roles(call: RequestCall): Roles {
  const { list, ...calls } = named<RoleInfo>(
    'roles',
    (name, options) => call({ kind: 'show-roles', name }, options),
    call,
  )
  return {
    ...calls,
    list: async (options) => {
      const { all, revision } = await list(options)
      return { roles: all, revision }
    },
    put: async (name, permissions, options = {}) => {
      checkRoleChange(name, permissions, options)
      const change = { kind: 'put-role', name, permissions: permissions.map(readPermission) } as const
      const result = await changed(call, change, options)
      return result.kind === 'role' ? result.role : disagree('it is no role')
    },
  }
}

/** The calls that are the same for users and roles. */
const named = <T>(
  folder: 'users' | 'roles',
  show: (name: string | undefined, options: CallOptions) => Promise<NodeAnswer<Named<T>>>,
  call: RequestCall,
) => ({
  list: async (options: CallOptions = {}) => {
    checkCall(`${folder}.list`, options)
    const { all, revision = 0 } = resultFrom(await show(undefined, options))
    return { all, revision }
  },
  /** undefined: there is none. */
  get: async (name: string, options: CallOptions = {}): Promise<T | undefined> => {
    checkName(`${folder}.get`, name)
    checkCall(`${folder}.get`, options)
    try {
      return resultFrom(await show(name, options)).all[0]
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'not_found') return undefined
      throw error
    }
  },
  delete: async (name: string, options: AuthChangeOptions = {}): Promise<AuthStatus> => {
    checkAuthDelete(`${folder}.delete`, name, options)
    const kind = folder === 'users' ? 'delete-user' : 'delete-role'
    return statusFrom(await changed(call, { kind, name }, options))
  },
})

// ---------------------------------------------------------------------------------------------------------------------
// Requests

async function changed(
  call: RequestCall,
  change: RequestedAuthChange,
  { ifRevision, ...options }: AuthChangeOptions,
): Promise<ChangedAuth> {
  return resultFrom(await call({ kind: 'change-auth', change, ifRevision }, options))
}

const statusFrom = (result: ChangedAuth): AuthStatus =>
  result.kind === 'auth' ? result.status : disagree('it is no status')

function readPermission(permission: RolePermission): Permission {
  if (permission.access === 'admin') return { access: 'admin', range: undefined }
  const { access, ...range } = permission
  if ('all' in range) return { access, range: ownRange({}) }
  if (!('key' in range)) return { access, range: ownRange(range) }
  const start = ownBytes(range.key)
  return { access, range: { start, end: keyAfter(start) } }
}
