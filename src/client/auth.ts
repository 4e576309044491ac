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
import { arrayIn, bytesFromJson, decoded, type Json, objectOf, stringIn, wholeNumberIn } from './decode.ts'
import { QuorateError } from './errors.ts'
import { ownBytes, ownRange } from './request.ts'
import type { NodeAnswer } from './transport/transport.ts'
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
    const answer = await changed(call, { kind }, options)
    return decoded(answer, 'unknown', statusFromJson)
  }
  return {
    status: async (options = {}) => {
      checkCall('auth.status', options)
      return decoded(await call({ kind: 'show-auth' }, options), 'no', statusFromJson)
    },
    enable: (options = {}) => change('enable', options),
    disable: (options = {}) => change('disable', options),
  }
}

/** `ownPassword`: the password of a user as the client knows it. */
export function users(call: RequestCall, ownPassword: (name: string) => string | undefined): Users {
  const { list, ...calls } = named(call, 'users', userFromJson)
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
      return decoded(await changed(call, change, options), 'unknown', userFromJson)
    },
  }
}

export function roles(call: RequestCall): Roles {
  const { list, ...calls } = named(call, 'roles', roleFromJson)
  return {
    ...calls,
    list: async (options) => {
      const { all, revision } = await list(options)
      return { roles: all, revision }
    },
    put: async (name, permissions, options = {}) => {
      checkRoleChange(name, permissions, options)
      const change = { kind: 'put-role', name, permissions: permissions.map(readPermission) } as const
      return decoded(await changed(call, change, options), 'unknown', roleFromJson)
    },
  }
}

/** The calls that are the same for users and roles. */
const named = <T>(call: RequestCall, folder: 'users' | 'roles', decode: (json: Json) => T) => ({
  list: async (options: CallOptions = {}) => {
    checkCall(`${folder}.list`, options)
    return decoded(await call({ kind: `show-${folder}`, name: undefined }, options), 'no', (json) => ({
      all: arrayIn(json, folder).map((each) => decode(objectOf(each, `one of the ${folder}`))),
      revision: wholeNumberIn(json, 'revision'),
    }))
  },
  /** undefined: there is none. */
  get: async (name: string, options: CallOptions = {}): Promise<T | undefined> => {
    checkName(`${folder}.get`, name)
    checkCall(`${folder}.get`, options)
    try {
      return decoded(await call({ kind: `show-${folder}`, name }, options), 'no', decode)
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'not_found') return undefined
      throw error
    }
  },
  delete: async (name: string, options: AuthChangeOptions = {}): Promise<AuthStatus> => {
    checkAuthDelete(`${folder}.delete`, name, options)
    const answer = await changed(
      call,
      { kind: folder === 'users' ? 'delete-user' : 'delete-role', name },
      options,
    )
    return decoded(answer, 'unknown', statusFromJson)
  },
})

// ---------------------------------------------------------------------------------------------------------------------
// Requests

function changed(
  call: RequestCall,
  change: RequestedAuthChange,
  { ifRevision, ...options }: AuthChangeOptions,
): Promise<NodeAnswer> {
  return call({ kind: 'change-auth', change, ifRevision }, options)
}

function readPermission(permission: RolePermission): Permission {
  if (permission.access === 'admin') return { access: 'admin', range: undefined }
  const { access, ...range } = permission
  if ('all' in range) return { access, range: ownRange({}) }
  if (!('key' in range)) return { access, range: ownRange(range) }
  const start = ownBytes(range.key)
  return { access, range: { start, end: keyAfter(start) } }
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers

function statusFromJson(json: Json): AuthStatus {
  const { enabled } = json
  if (typeof enabled !== 'boolean') return disagree('"enabled" is neither true nor false')
  return { enabled, revision: wholeNumberIn(json, 'revision') }
}

function userFromJson(json: Json): UserInfo {
  const { has_password: hasPassword } = json
  if (typeof hasPassword !== 'boolean') return disagree('"has_password" is neither true nor false')
  const names = arrayIn(json, 'roles').map((name) =>
    typeof name === 'string' ? name : disagree('the name of a role is not a string'),
  )
  return { name: stringIn(json, 'name'), roles: names, hasPassword }
}

const roleFromJson = (json: Json): RoleInfo => ({
  name: stringIn(json, 'name'),
  permissions: arrayIn(json, 'permissions').map((each) => permissionFromJson(objectOf(each, 'a permission'))),
})

function permissionFromJson(json: Json): RolePermission {
  const access = stringIn(json, 'access')
  if (access === 'admin') return { access }
  if (access !== 'read' && access !== 'write' && access !== 'readwrite')
    return disagree(`a permission has the access ${access}`)
  const { key, prefix, start, end, all } = json
  if (all === true) return { access, all }
  if (key !== undefined) return { access, key: keyFromJson(key) }
  if (prefix !== undefined) return { access, prefix: keyFromJson(prefix) }
  const until = end === undefined ? undefined : { end: keyFromJson(end) }
  return { access, start: keyFromJson(start), ...until }
}

const keyFromJson = (json: unknown): string | Uint8Array =>
  typeof json === 'string' ? json : bytesFromJson(json)
