// The types of users, roles and the switch that makes rights be checked.

import type { CallOptions } from './types.ts'

export interface AuthStatus {
  /** Rights are checked. */
  readonly enabled: boolean
  /** It rises with each change of users and roles. */
  readonly revision: number
}

export interface UserInfo {
  readonly name: string
  /** In the order of their names. */
  readonly roles: readonly string[]
  /** Without a password, only a certificate shows who the user is. */
  readonly hasPassword: boolean
}

/** A change of a user: fields that are absent stay as they are. */
export interface UserChange {
  /** From 8 to 1024 bytes; null: none. */
  readonly password?: string | null | undefined
  /** Password until now. A token alone does not change that of its user. By default the client's, for its own user. */
  readonly oldPassword?: string | undefined
  /** Names of roles; `root` may do everything. */
  readonly roles?: readonly string[] | undefined
}

export type RolePermission =
  | ({ readonly access: 'read' | 'write' | 'readwrite' } & PermittedRange)
  /** Members, settings, compaction, users and roles. */
  | { readonly access: 'admin' }

/** A key, a prefix, the keys between two bounds, or all keys. */
export type PermittedRange =
  | { readonly key: string | Uint8Array }
  | { readonly prefix: string | Uint8Array }
  | { readonly start: string | Uint8Array; readonly end?: string | Uint8Array | undefined }
  | { readonly end: string | Uint8Array }
  | { readonly all: true }

export interface RoleInfo {
  readonly name: string
  /** Keys are strings where they are UTF-8. */
  readonly permissions: readonly RolePermission[]
}

export interface UserList {
  readonly users: readonly UserInfo[]
  /** The auth revision that the list shows. */
  readonly revision: number
}

export interface RoleList {
  readonly roles: readonly RoleInfo[]
  readonly revision: number
}

/** The user of a client, and what this user may do. */
export interface AuthSelf extends AuthStatus {
  /** undefined: nobody is named, which is possible only while rights are not checked. */
  readonly user: string | undefined
  /** The proof that names the user. */
  readonly credential: 'password' | 'token' | 'certificate' | undefined
  readonly roles: readonly string[]
  /** Permissions of all roles together; everything while rights are not checked. */
  readonly permissions: readonly RolePermission[]
}

export interface AuthChangeOptions extends CallOptions {
  /** Only if the auth revision is this one: nobody has changed users and roles since. */
  readonly ifRevision?: number
}

/** `client.auth` */
export interface AuthSwitch {
  /** Whether rights are checked, as one node knows it. It needs no user. */
  status(options?: CallOptions): Promise<AuthStatus>
  /** The user of the client, and what this user may do, as one node knows it. */
  self(options?: CallOptions): Promise<AuthSelf>
  /** Checks rights from now on. It needs a user `root` with the role `root` and a password. */
  enable(options?: CallOptions): Promise<AuthStatus>
  disable(options?: CallOptions): Promise<AuthStatus>
}

/** `client.users` */
export interface Users {
  list(options?: CallOptions): Promise<UserList>
  /** undefined: there is no such user. */
  get(name: string, options?: CallOptions): Promise<UserInfo | undefined>
  /** Makes or changes a user. */
  put(name: string, user: UserChange, options?: AuthChangeOptions): Promise<UserInfo>
  /** Throws `not_found`. */
  delete(name: string, options?: AuthChangeOptions): Promise<AuthStatus>
}

/** `client.roles` */
export interface Roles {
  list(options?: CallOptions): Promise<RoleList>
  /** undefined: there is no such role. */
  get(name: string, options?: CallOptions): Promise<RoleInfo | undefined>
  /** Makes a role, or replaces its permissions. */
  put(name: string, permissions: readonly RolePermission[], options?: AuthChangeOptions): Promise<RoleInfo>
  /** Removes it from its users too. Throws `not_found`. */
  delete(name: string, options?: AuthChangeOptions): Promise<AuthStatus>
}
