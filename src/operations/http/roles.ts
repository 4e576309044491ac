// Users and roles in JSON.

import { decodeBytesDocument } from '../forms/bytes.ts'
import {
  decodeBoolean,
  decodeList,
  decodeObject,
  decodeString,
  decodeWholeNumber,
  disagree,
  type Fields,
} from '../forms/decode.ts'
import { keyAfter, keyRange, prefixRange } from '../forms/places.ts'
import { ApiError } from '../forms/problems.ts'
import {
  type AuthRole,
  type AuthStatusResult,
  type Permission,
  rangeDocument,
  type UserDescription,
} from '../forms/roles.ts'
import { decodeJsonBytes, JsonBytes, type JsonBytesValue } from './json-bytes.ts'
import { arraySchema, boolean, closed, integer, object, string } from './json-schema.ts'
import { Bytes } from './schemas.ts'

export const AuthSchema = object({
  enabled: boolean,
  revision: { ...integer, description: 'Rises with each change of users and roles' },
})
export const AuthName = {
  ...string,
  description: 'Up to 64 letters, digits and . _ @ + -; the first is a letter or a digit',
}
export const UserSchema = object({ name: AuthName, roles: arraySchema(AuthName), has_password: boolean })
const ACCESSES = ['read', 'write', 'readwrite', 'admin'] as const
const access = { ...string, enum: ACCESSES }
const bounds = { key: JsonBytes, prefix: JsonBytes, start: JsonBytes, end: JsonBytes, all: boolean }
export const PermissionSchema = object(
  { access },
  { key: Bytes, prefix: Bytes, start: Bytes, end: Bytes, all: boolean },
)
export const RoleSchema = object({ name: AuthName, permissions: arraySchema(PermissionSchema) })
export const PermissionsBody = {
  ...arraySchema(closed(object({ access }, bounds))),
  description: 'Each with one of key, prefix, start and end, or all; admin has none of them',
}

export const authStatusJson = ({ enabled, revision }: AuthStatusResult): string =>
  JSON.stringify({ enabled, revision })

export const userJson = ({ name, roles, hasPassword }: UserDescription): string =>
  JSON.stringify({ name, roles, has_password: hasPassword })

export const roleJson = ({ name, permissions }: AuthRole): string =>
  `{"name":${JSON.stringify(name)},"permissions":[${permissions.map((each) => JSON.stringify(permissionDocument(each))).join(',')}]}`

export const permissionDocument = ({ access: named, range }: Permission): object =>
  range === undefined ? { access: named } : { access: named, ...rangeDocument(range) }

interface PermissionFields {
  readonly access: string
  readonly key?: JsonBytesValue
  readonly prefix?: JsonBytesValue
  readonly start?: JsonBytesValue
  readonly end?: JsonBytesValue
  readonly all?: boolean
}

/** Throws `ApiError`. */
export function decodePermission(
  { access: named, all, ...fields }: PermissionFields,
  at: number,
): Permission {
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
    range: keyRange({ prefix: bytes('prefix'), start: bytes('start'), end: bytes('end') }),
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Users and roles in an answer. Each function throws `DisagreementError` for anything else.

export const decodeAuthStatus = ({ enabled, revision }: Fields): AuthStatusResult => ({
  enabled: decodeBoolean(enabled, 'enabled'),
  revision: decodeWholeNumber(revision, 'revision'),
})

export const decodeUser = ({ name, roles, has_password }: Fields): UserDescription => ({
  name: decodeString(name, 'name'),
  roles: decodeList(roles, 'roles').map((role) => decodeString(role, 'roles')),
  hasPassword: decodeBoolean(has_password, 'has_password'),
})

export const decodeRole = ({ name, permissions }: Fields): AuthRole => ({
  name: decodeString(name, 'name'),
  permissions: decodePermissions(permissions),
})

export const decodePermissions = (permissions: unknown): readonly Permission[] =>
  decodeList(permissions, 'permissions').map((each) =>
    decodePermissionFields(decodeObject(each, 'a permission')),
  )

function decodePermissionFields({ access: named, all, ...bounds }: Fields): Permission {
  if (named === 'admin') return { access: named, range: undefined }
  if (named !== 'read' && named !== 'write' && named !== 'readwrite')
    return disagree(`a permission has the access ${named}`)
  const { key, prefix, start, end } = bounds
  if (all === true) return { access: named, range: { start: NO_BYTES, end: undefined } }
  if (key !== undefined) {
    const first = decodeBytesDocument(key)
    return { access: named, range: { start: first, end: keyAfter(first) } }
  }
  if (prefix !== undefined) return { access: named, range: prefixRange(decodeBytesDocument(prefix)) }
  const until = end === undefined ? undefined : decodeBytesDocument(end)
  return { access: named, range: { start: decodeBytesDocument(start), end: until } }
}

const NO_BYTES = new Uint8Array()
