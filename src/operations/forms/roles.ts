// Users and roles, as operations name them.

import { bytesDocument } from './bytes.ts'
import { decodeJsonBytes, JsonBytes, type JsonBytesValue } from './json-bytes.ts'
import { arrayOf, boolean, closed, integer, object, string } from './json-schema.ts'
import { compareKeys, type KeyRange, keyAfter, prefixEnd, rangeOf } from './places.ts'
import { ApiError } from './problems.ts'
import { Bytes } from './schemas.ts'

export type Access = 'read' | 'write' | 'readwrite' | 'admin'

/** `admin` covers members, settings, compaction, backup and the users themselves; it has no range. */
export type Permission =
  | { readonly access: 'read' | 'write' | 'readwrite'; readonly range: KeyRange }
  | { readonly access: 'admin'; readonly range: undefined }

export interface AuthRole {
  readonly name: string
  readonly permissions: readonly Permission[]
}

export interface AuthStatusResult {
  /** Rights are checked. */
  readonly enabled: boolean
  /** Rises with each change of users and roles. */
  readonly revision: number
}

export interface UserDescription {
  readonly name: string
  readonly roles: readonly string[]
  readonly hasPassword: boolean
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON

export const AuthSchema = object({
  enabled: boolean,
  revision: { ...integer, description: 'Rises with each change of users and roles' },
})
export const AuthName = {
  ...string,
  description: 'Up to 64 letters, digits and . _ @ + -; the first is a letter or a digit',
}
export const UserSchema = object({ name: AuthName, roles: arrayOf(AuthName), has_password: boolean })
const ACCESSES = ['read', 'write', 'readwrite', 'admin'] as const
const access = { ...string, enum: ACCESSES }
const bounds = { key: JsonBytes, prefix: JsonBytes, start: JsonBytes, end: JsonBytes, all: boolean }
const PermissionSchema = object(
  { access },
  { key: Bytes, prefix: Bytes, start: Bytes, end: Bytes, all: boolean },
)
export const RoleSchema = object({ name: AuthName, permissions: arrayOf(PermissionSchema) })
export const PermissionsBody = {
  ...arrayOf(closed(object({ access }, bounds))),
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

/** A range of keys, as people name it. */
export function rangeDocument({ start, end, isPrefix }: KeyRange): object {
  if (isPrefix === true) return { prefix: bytesDocument(start) }
  if (start.length === 0 && end === undefined) return { all: true }
  if (end !== undefined && compareKeys(keyAfter(start), end) === 0) return { key: bytesDocument(start) }
  const prefixed = start.length === 0 ? undefined : prefixEnd(start)
  if (prefixed !== undefined && end !== undefined && compareKeys(prefixed, end) === 0)
    return { prefix: bytesDocument(start) }
  return { start: bytesDocument(start), ...(end === undefined ? {} : { end: bytesDocument(end) }) }
}

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
    range: rangeOf({ prefix: bytes('prefix'), start: bytes('start'), end: bytes('end') }),
  }
}
