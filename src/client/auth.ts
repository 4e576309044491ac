// Calls about users, roles and the switch that makes rights be checked.

import { isUtf8 } from 'node:buffer'
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
  decoded,
  disagree,
  type Json,
  objectOf,
  stringIn,
  wholeNumberIn,
} from './decode.ts'
import { QuorateError } from './errors.ts'
import { ownBytes } from './operation.ts'
import type { NodeAnswer } from './transport/transport.ts'
import type { CallOptions } from './types.ts'
import {
  checkAuthDelete,
  checkAuthName,
  checkCall,
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

export const users = (call: ApiCall): Users => ({
  list: async (options = {}) => {
    checkCall('users.list', options)
    return decoded(await read(call, USERS, options), 'no', (json) => ({
      users: arrayIn(json, 'users').map((user) => userFromJson(objectOf(user, 'a user'))),
      revision: wholeNumberIn(json, 'revision'),
    }))
  },
  get: async (name, options = {}) => {
    checkAuthName('users.get', name, options)
    return one(call, pathOf(USERS, name), options, userFromJson)
  },
  put: async (name, user, options = {}) => {
    checkUserChange(name, user, options)
    const { password, roles } = user
    const request = { method: 'PUT', path: pathOf(USERS, name), json: { password, roles } }
    return decoded(await sent(call, request, options), 'unknown', userFromJson)
  },
  delete: async (name, options = {}) => {
    checkAuthDelete('users.delete', name, options)
    return removed(call, pathOf(USERS, name), options)
  },
})

export const roles = (call: ApiCall): Roles => ({
  list: async (options = {}) => {
    checkCall('roles.list', options)
    return decoded(await read(call, ROLES, options), 'no', (json) => ({
      roles: arrayIn(json, 'roles').map((role) => roleFromJson(objectOf(role, 'a role'))),
      revision: wholeNumberIn(json, 'revision'),
    }))
  },
  get: async (name, options = {}) => {
    checkAuthName('roles.get', name, options)
    return one(call, pathOf(ROLES, name), options, roleFromJson)
  },
  put: async (name, permissions, options = {}) => {
    checkRoleChange(name, permissions, options)
    const json = { permissions: permissions.map(permissionJson) }
    const request = { method: 'PUT', path: pathOf(ROLES, name), json }
    return decoded(await sent(call, request, options), 'unknown', roleFromJson)
  },
  delete: async (name, options = {}) => {
    checkAuthDelete('roles.delete', name, options)
    return removed(call, pathOf(ROLES, name), options)
  },
})

const USERS = '/v1/auth/users'
const ROLES = '/v1/auth/roles'
const pathOf = (folder: string, name: string): string => `${folder}/${encodeURIComponent(name)}`

// ---------------------------------------------------------------------------------------------------------------------
// Requests

const read = (call: ApiCall, path: string, options: CallOptions): Promise<NodeAnswer> =>
  call({ kind: 'read' }, { method: 'GET', path }, options)

async function one<T>(
  call: ApiCall,
  path: string,
  options: CallOptions,
  decode: (json: Json) => T,
): Promise<T | undefined> {
  try {
    return decoded(await read(call, path, options), 'no', decode)
  } catch (error) {
    if (error instanceof QuorateError && error.code === 'not_found') return undefined
    throw error
  }
}

async function removed(call: ApiCall, path: string, options: AuthChangeOptions): Promise<AuthStatus> {
  return decoded(await sent(call, { method: 'DELETE', path }, options), 'unknown', statusFromJson)
}

interface AuthRequest {
  readonly method: string
  readonly path: string
  readonly json?: Json
}

/** Sends a change that must not be sent twice. */
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
  return call({ kind: 'bare' }, { method, path, headers, body }, options)
}

function permissionJson({ access, ...range }: RolePermission): Json {
  const bounds = Object.entries(range).flatMap(([name, value]: [string, unknown]) => {
    if (value === undefined) return []
    return [[name, value === true ? value : bytesJson(ownBytes(value as string | Uint8Array))]]
  })
  return { access, ...Object.fromEntries(bounds) }
}

const bytesJson = (bytes: Buffer): string | Json =>
  isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString('base64') }

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
