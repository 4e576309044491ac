// Users, roles and what they permit. All of it is replicated, and changed only by entries.

import type { KeyRange } from '../types.ts'

export type Access = 'read' | 'write' | 'readwrite' | 'admin'

/** `admin` covers members, settings, compaction, backup and the users themselves; it has no range. */
export type Permission =
  | { readonly access: 'read' | 'write' | 'readwrite'; readonly range: KeyRange }
  | { readonly access: 'admin'; readonly range: undefined }

export interface User {
  readonly name: string
  /** The salted hash of the password, as `src/server/auth/passwords.ts` writes it. undefined: only certificates. */
  readonly passwordHash: string | undefined
  /** In order. */
  readonly roles: readonly string[]
  /** The auth revision of its latest password. Older tokens are void. */
  readonly epoch: number
}

export interface Role {
  readonly name: string
  readonly permissions: readonly Permission[]
}

/** A change of users, roles or of the switch. */
export type AuthChange =
  | {
      readonly kind: 'enable'
      /** The key that signs tokens, of TOKEN_KEY_BYTES random bytes. */
      readonly tokenKey: Uint8Array
      /** The request came from the user root, with a certificate. */
      readonly rootHasCertificate: boolean
    }
  | { readonly kind: 'disable' }
  | {
      readonly kind: 'put-user'
      readonly name: string
      /** undefined: unchanged; null: none. */
      readonly passwordHash: string | null | undefined
      /** undefined: unchanged. */
      readonly roles: readonly string[] | undefined
    }
  | { readonly kind: 'delete-user'; readonly name: string }
  | { readonly kind: 'put-role'; readonly name: string; readonly permissions: readonly Permission[] }
  | { readonly kind: 'delete-role'; readonly name: string }

/** The user who must exist before rights are checked, and the role that may do everything. Neither can be removed. */
export const ROOT = 'root'

export const TOKEN_KEY_BYTES = 32

/** Letters, digits and `. _ @ + -`, of which the first is a letter or a digit; at most 64. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/

/** Whether a user or a role may have this name. */
export const isAuthName = (name: string): boolean => NAME.test(name)

/** Size limit of all users and roles together, as one row. */
export const AUTH_BYTES_MAX = 1 << 20
