// The routes of users, roles and logins.

import type { User } from '../../kv/index.ts'
import {
  ApiError,
  type AuthRole,
  keyAfter,
  type Permission,
  rangeOf,
  readConditions,
} from '../../operations/forms/index.ts'
import { decodeJsonBytes, JsonBytes, type JsonBytesValue } from '../../operations/forms/json-bytes.ts'
import {
  anyOf,
  arrayOf,
  boolean,
  closed,
  integer,
  nothing,
  object,
  string,
} from '../../operations/forms/json-schema.ts'
import { Bytes } from '../../operations/forms/schemas.ts'
import { rangeDocument } from '../api/audit.ts'
import { type Route, type RouteRequest, route } from './route.ts'

const AuthSchema = object({
  enabled: boolean,
  revision: { ...integer, description: 'Rises with each change of users and roles' },
})
const AuthName = {
  ...string,
  description: 'Up to 64 letters, digits and . _ @ + -; the first is a letter or a digit',
}
const UserSchema = object({ name: AuthName, roles: arrayOf(AuthName), has_password: boolean })
const ACCESSES = ['read', 'write', 'readwrite', 'admin'] as const
const access = { ...string, enum: ACCESSES }
const bounds = { key: JsonBytes, prefix: JsonBytes, start: JsonBytes, end: JsonBytes, all: boolean }
const PermissionSchema = object(
  { access },
  { key: Bytes, prefix: Bytes, start: Bytes, end: Bytes, all: boolean },
)
const RoleSchema = object({ name: AuthName, permissions: arrayOf(PermissionSchema) })
const PERMISSIONS = 'Each with one of key, prefix, start and end, or all; admin has none of them'
const Nothing = closed(object({}))

/** If-Match with an auth revision: the change is refused when users and roles were changed since. */
const CONDITION = { 'if-match': 'The auth revision must still be this one' } as const

function ifRevisionOf({ headers }: Pick<RouteRequest<never, never>, 'headers'>): number | undefined {
  const { ifMatch, ifNoneMatch } = readConditions(headers) ?? {}
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined
  const [revision] = typeof ifMatch === 'object' ? ifMatch : []
  if (revision === undefined || ifNoneMatch !== undefined)
    throw new ApiError('bad_request', 'If-Match must be the auth revision in quotes, such as "7"')
  return revision
}

/** The longest name and the longest password, with each byte escaped. */
const LOGIN_BYTES_MAX = 8 * 1024

export const AUTH_ROUTES: readonly Route[] = [
  route(
    { method: 'GET', path: '/v1/auth', summary: 'Whether rights are checked', answers: AuthSchema },
    () => ({ kind: 'show-auth' }),
  ),
  ...(['enable', 'disable'] as const).map((kind) =>
    route(
      {
        method: 'POST',
        path: `/v1/auth/${kind}`,
        summary: kind === 'enable' ? 'Check rights from now on' : 'Check rights no longer',
        body: Nothing,
        answers: AuthSchema,
      },
      () => ({ kind: 'change-auth', change: { kind }, ifRevision: undefined }),
    ),
  ),
  route(
    {
      method: 'POST',
      path: '/v1/auth/login',
      summary: 'A token for a password, which every node accepts as Authorization: Bearer',
      openBodyBytesMax: LOGIN_BYTES_MAX,
      body: closed(
        object({
          user: { ...string, description: 'Name of the user' },
          password: { ...string, description: 'Password of the user' },
        }),
      ),
      answers: object({ token: string, expires_in_ms: integer }),
    },
    ({ body: { user, password } }) => ({ kind: 'log-in', user, password }),
  ),
  route(
    {
      method: 'GET',
      path: '/v1/auth/users',
      summary: 'All users',
      answers: object({ users: arrayOf(UserSchema), revision: integer }),
    },
    () => ({ kind: 'show-users', name: undefined }),
  ),
  route(
    { method: 'GET', path: '/v1/auth/users/:name', summary: 'A user', answers: UserSchema },
    ({ params: { name } }) => ({ kind: 'show-users', name }),
  ),
  route(
    {
      method: 'PUT',
      path: '/v1/auth/users/:name',
      summary: 'Make or change a user; what is not named stays as it is',
      headers: CONDITION,
      body: closed(
        object(
          {},
          {
            password: {
              ...anyOf(string, nothing),
              description: '8 to 1024 bytes; null: none, only certificates',
            },
            old_password: {
              ...string,
              description:
                'The password until now: a token alone does not change the password of its own user',
            },
            roles: { ...arrayOf(AuthName), description: 'Names of the roles; root may do everything' },
          },
        ),
      ),
      answers: UserSchema,
    },
    (request) => {
      const { password, old_password: oldPassword, roles } = request.body
      const change = {
        kind: 'put-user',
        name: request.params.name ?? '',
        password: passwordOf(password),
        oldPassword,
        roles,
      } as const
      return { kind: 'change-auth', change, ifRevision: ifRevisionOf(request) }
    },
  ),
  route(
    {
      method: 'DELETE',
      path: '/v1/auth/users/:name',
      summary: 'Remove a user: their tokens and watches end',
      headers: CONDITION,
      answers: AuthSchema,
    },
    (request) => ({
      kind: 'change-auth',
      change: { kind: 'delete-user', name: request.params.name ?? '' },
      ifRevision: ifRevisionOf(request),
    }),
  ),
  route(
    {
      method: 'GET',
      path: '/v1/auth/roles',
      summary: 'All roles',
      answers: object({ roles: arrayOf(RoleSchema), revision: integer }),
    },
    () => ({ kind: 'show-roles', name: undefined }),
  ),
  route(
    { method: 'GET', path: '/v1/auth/roles/:name', summary: 'A role', answers: RoleSchema },
    ({ params: { name } }) => ({ kind: 'show-roles', name }),
  ),
  route(
    {
      method: 'PUT',
      path: '/v1/auth/roles/:name',
      summary: 'Make a role, or replace its permissions',
      headers: CONDITION,
      body: closed(
        object({ permissions: { ...arrayOf(closed(object({ access }, bounds))), description: PERMISSIONS } }),
      ),
      answers: RoleSchema,
    },
    (request) => ({
      kind: 'change-auth',
      change: {
        kind: 'put-role',
        name: request.params.name ?? '',
        permissions: request.body.permissions.map(permissionOf),
      },
      ifRevision: ifRevisionOf(request),
    }),
  ),
  route(
    {
      method: 'DELETE',
      path: '/v1/auth/roles/:name',
      summary: 'Remove a role, from its users too',
      headers: CONDITION,
      answers: AuthSchema,
    },
    (request) => ({
      kind: 'change-auth',
      change: { kind: 'delete-role', name: request.params.name ?? '' },
      ifRevision: ifRevisionOf(request),
    }),
  ),
]

/** The schema allows a string or null. */
const passwordOf = (password: unknown): string | null | undefined =>
  typeof password === 'string' || password === null ? password : undefined

interface PermissionFields {
  readonly access: string
  readonly key?: JsonBytesValue
  readonly prefix?: JsonBytesValue
  readonly start?: JsonBytesValue
  readonly end?: JsonBytesValue
  readonly all?: boolean
}

/** Throws `ApiError`. */
function permissionOf({ access: named, all, ...fields }: PermissionFields, at: number): Permission {
  const name = `permissions[${at}]`
  const wanted = ACCESSES.find((each) => each === named)
  if (wanted === undefined)
    throw new ApiError('bad_request', `${name}.access must be one of ${ACCESSES.join(', ')}`)
  const given = Object.keys(fields)
  if (wanted === 'admin') {
    if (given.length === 0 && all === undefined) return { access: wanted, range: undefined }
    throw new ApiError('bad_request', `${name}: admin has no range`)
  }
  const forms = [fields.key, fields.prefix, fields.start ?? fields.end, all].filter(
    (form) => form !== undefined,
  )
  if (forms.length !== 1 || all === false)
    throw new ApiError('bad_request', `${name} needs one of key, prefix, start and end, or "all": true`)
  const bytes = (field: 'key' | 'prefix' | 'start' | 'end'): Uint8Array | undefined => {
    const json = fields[field]
    return json === undefined ? undefined : decodeJsonBytes(json, `${name}.${field}`)
  }
  const key = bytes('key')
  if (key !== undefined) return { access: wanted, range: { start: key, end: keyAfter(key) } }
  return {
    access: wanted,
    range: rangeOf({ prefix: bytes('prefix'), start: bytes('start'), end: bytes('end') }),
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Responses

export const userJson = ({ name, roles, passwordHash }: User): string =>
  JSON.stringify({ name, roles, has_password: passwordHash !== undefined })

export const roleJson = ({ name, permissions }: AuthRole): string =>
  `{"name":${JSON.stringify(name)},"permissions":[${permissions.map(permissionJson).join(',')}]}`

const permissionJson = ({ access: named, range }: Permission): string =>
  JSON.stringify({ access: named, ...(range === undefined ? {} : rangeDocument(range)) })
