// Names and limits of users and roles.

import { SIPHASH_KEY_BYTES } from '../../bytes/index.ts'

/** The user who must exist before rights are checked, and the role that may do everything. Neither can be removed. */
export const ROOT = 'root'

export const AUTH_TOKEN_KEY_BYTES = 32
export const LEASE_ID_KEY_BYTES = SIPHASH_KEY_BYTES

/** Letters, digits and `. _ @ + -`, of which the first is a letter or a digit; at most 64. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/

/** Whether a user or a role may have this name. */
export const isAuthName = (name: string): boolean => NAME.test(name)

/** Limit on what all users and roles count together: their names, rows and permissions. */
export const AUTH_BYTES_MAX = 1 << 20
/** Bytes that each user, role and permission counts beside its own: it takes memory and time. */
export const AUTH_ITEM_BYTES = 16
/** Limit on the permissions of one role. */
export const ROLE_PERMISSIONS_MAX = 4096
/** Limit on the roles of one user. Each is searched when a request is decided. */
export const USER_ROLES_MAX = 64
