// Calls about users, roles and the switch that makes rights be checked.

import { disagree } from '../operations/forms/disagreement.ts'
import { bytesOf } from './address.ts'
import type { ApiCall } from './administration.ts'
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
import {
  arrayIn,
  bytesFromJson,
  bytesToJson,
  decoded,
  type Json,
  objectOf,
  stringIn,
  wholeNumberIn,
} from './decode.ts'
import { QuorateError } from './errors.ts'
import type { NodeAnswer } from './transport/transport.ts'
import type { CallOptions } from './types.ts'
import {
  checkAuthDelete,
  checkCall,
  checkName,
  checkRoleChange,
  checkUserChange,
} from './validate-arguments.ts'

export function authSwitch(call: ApiCall): AuthSwitch {
  const change = async (kind: 'enable' | 'disable', options: CallOptions): Promise<AuthStatus> => {
    checkCall(`auth.${kind}`, options)
    const answer = await sent(call, { method: 'POST', path: `/v1/auth/${kind}`, json: {} }, options)
    return decoded(answer, 'unknown', statusFromJson)
  }
  return {
    status: async (options = {}) => {
      checkCall('auth.status', options)
      return decoded(await read(call, '/v1/auth', options), 'no', statusFromJson)
    },
    enable: (options = {}) => change('enable', options),
    disable: (options = {}) => change('disable', options),
  }
}

/** `ownPassword`: the password of a user as the client knows it. */
export function users(call: ApiCall, ownPassword: (name: string) => string | undefined): Users {
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
      const json = { password, old_password: oldPassword, roles }
      const request = { method: 'PUT', path: pathOf('users', name), json }
      return decoded(await sent(call, request, options), 'unknown', userFromJson)
    },
  }
}

export function roles(call: ApiCall): Roles {
  const { list, ...calls } = named(call, 'roles', roleFromJson)
  return {
    ...calls,
    list: async (options) => {
      const { all, revision } = await list(options)
      return { roles: all, revision }
    },
    put: async (name, permissions, options = {}) => {
      checkRoleChange(name, permissions, options)
      const json = { permissions: permissions.map(permissionJson) }
      const request = { method: 'PUT', path: pathOf('roles', name), json }
      return decoded(await sent(call, request, options), 'unknown', roleFromJson)
    },
  }
}

type Folder = 'users' | 'roles'

const pathOf = (folder: Folder, name: string): string => `/v1/auth/${folder}/${encodeURIComponent(name)}`

/** The calls that are the same for users and roles. */
const named = <T>(call: ApiCall, folder: Folder, decode: (json: Json) => T) => ({
  list: async (options: CallOptions = {}) => {
    checkCall(`${folder}.list`, options)
    return decoded(await read(call, `/v1/auth/${folder}`, options), 'no', (json) => ({
      all: arrayIn(json, folder).map((each) => decode(objectOf(each, `one of the ${folder}`))),
      revision: wholeNumberIn(json, 'revision'),
    }))
  },
  /** undefined: there is none. */
  get: async (name: string, options: CallOptions = {}): Promise<T | undefined> => {
    checkName(`${folder}.get`, name)
    checkCall(`${folder}.get`, options)
    try {
      return decoded(await read(call, pathOf(folder, name), options), 'no', decode)
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'not_found') return undefined
      throw error
    }
  },
  delete: async (name: string, options: AuthChangeOptions = {}): Promise<AuthStatus> => {
    checkAuthDelete(`${folder}.delete`, name, options)
    const answer = await sent(call, { method: 'DELETE', path: pathOf(folder, name) }, options)
    return decoded(answer, 'unknown', statusFromJson)
  },
})

// ---------------------------------------------------------------------------------------------------------------------
// Requests

const read = (call: ApiCall, path: string, options: CallOptions): Promise<NodeAnswer> =>
  call({ kind: 'read' }, { method: 'GET', path }, options)

interface AuthRequest {
  readonly method: string
  readonly path: string
  readonly json?: Json
}

/**
 * Sends a change. Without a revision it must not be sent twice: a copy that arrives late would undo a later change, and
 * could give back a right that was taken away.
 */
function sent(
  call: ApiCall,
  { method, path, json }: AuthRequest,
  options: AuthChangeOptions,
): Promise<NodeAnswer> {
  const { ifRevision } = options
  const headers = {
    ...(ifRevision === undefined ? undefined : { 'If-Match': `"${ifRevision}"` }),
    ...(json === undefined ? undefined : { 'Content-Type': 'application/json' }),
  }
  const body = json && bytesOf(JSON.stringify(json))
  const kind = ifRevision === undefined ? 'bare' : 'conditional'
  return call({ kind }, { method, path, headers, body }, options)
}

function permissionJson({ access, ...range }: RolePermission): Json {
  const bounds = Object.entries(range).flatMap(([name, value]: [string, unknown]) => {
    if (value === undefined) return []
    return [[name, value === true ? value : bytesToJson(bytesOf(value as string | Uint8Array))]]
  })
  return { access, ...Object.fromEntries(bounds) }
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
