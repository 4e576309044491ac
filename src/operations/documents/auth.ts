// Users, roles, and whether rights are checked.

import { decodeBytesDocument } from '../forms/bytes.ts'
import { decodeObject } from '../forms/decode.ts'
import { keyAfter, prefixRange } from '../forms/places.ts'
import { ACCESSES, type Permission, rangeDocument } from '../forms/roles.ts'
import { boolean, object } from '../http/json-schema.ts'
import { AuthName } from '../http/roles.ts'
import { Bytes } from '../http/schemas.ts'
import {
  type DocumentType,
  described,
  document,
  flag,
  type Kind,
  listOf,
  oneOf,
  orNull,
  text,
  wholeNumber,
} from './document.ts'

const authName = described(AuthName, text)
const access = oneOf(ACCESSES)

export const PermissionDocument: Kind<Permission> = {
  schema: object(
    { access: access.schema },
    { key: Bytes, prefix: Bytes, start: Bytes, end: Bytes, all: boolean },
  ),
  encode: ({ access: named, range }) =>
    range === undefined ? { access: named } : { access: named, ...rangeDocument(range) },
  decode(value) {
    const { access: field, key, prefix, start, end, all } = decodeObject(value, 'a permission')
    const named = access.decode(field, 'access')
    if (named === 'admin') return { access: named, range: undefined }
    if (all === true) return { access: named, range: { start: new Uint8Array(), end: undefined } }
    if (key !== undefined) {
      const first = decodeBytesDocument(key)
      return { access: named, range: { start: first, end: keyAfter(first) } }
    }
    if (prefix !== undefined) return { access: named, range: prefixRange(decodeBytesDocument(prefix)) }
    const until = end === undefined ? undefined : decodeBytesDocument(end)
    return { access: named, range: { start: decodeBytesDocument(start), end: until } }
  },
}

export const AuthDocument = document('a state of rights', {
  /** Rights are checked. */
  enabled: flag,
  /** Rises with each change of users and roles. */
  revision: described('Rises with each change of users and roles', wholeNumber),
})
export type AuthStatusResult = DocumentType<typeof AuthDocument>

export const UserDocument = document('a user', {
  name: authName,
  roles: listOf(authName),
  hasPassword: flag,
})
export type UserDescription = DocumentType<typeof UserDocument>

/** All users, at an auth revision. */
export const UsersDocument = document('a list of users', {
  users: listOf(UserDocument),
  revision: wholeNumber,
})

export const RoleDocument = document('a role', { name: authName, permissions: listOf(PermissionDocument) })

/** All roles, at an auth revision. */
export const RolesDocument = document('a list of roles', {
  roles: listOf(RoleDocument),
  revision: wholeNumber,
})

/** The proof by which a client names its user. */
export const CREDENTIALS = ['password', 'token', 'certificate'] as const
export type Credential = (typeof CREDENTIALS)[number]

/** The user who makes a request, and what this user may do. */
export const SelfDocument = document('a description of the user', {
  ...AuthDocument.table,
  /** undefined: nobody is named, which is served only while rights are not checked. */
  user: orNull(authName),
  credential: orNull(oneOf(CREDENTIALS)),
  roles: listOf(authName),
  /** Permissions of all roles together. */
  permissions: listOf(PermissionDocument),
})
export type SelfResult = DocumentType<typeof SelfDocument>

/** The token that a login makes. */
export const TokenDocument = document('a token', { token: text, expiresInMs: wholeNumber })
export type TokenResult = DocumentType<typeof TokenDocument>
