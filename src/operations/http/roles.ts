// Users and roles in requests.

import { keyAfter, keyRange } from '../forms/places.ts'
import { ApiError } from '../forms/problems.ts'
import { ACCESSES, type Permission } from '../forms/roles.ts'
import { decodeJsonBytes, JsonBytes, type JsonBytesValue } from './json-bytes.ts'
import { arraySchema, boolean, closed, object, string } from './json-schema.ts'

export const AuthName = {
  ...string,
  description: 'Up to 64 letters, digits and . _ @ + -; the first is a letter or a digit',
}
const access = { ...string, enum: ACCESSES }
const bounds = { key: JsonBytes, prefix: JsonBytes, start: JsonBytes, end: JsonBytes, all: boolean }
export const PermissionsBody = {
  ...arraySchema(closed(object({ access }, bounds))),
  description: 'Each with one of key, prefix, start and end, or all; admin has none of them',
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
    range: keyRange({ prefix: bytes('prefix'), start: bytes('start'), end: bytes('end') }),
  }
}
