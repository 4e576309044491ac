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

/** Size limit of all users and roles together, as one row. */
export const AUTH_BYTES_MAX = 1 << 20
/** A role counts as so many bytes at least. So the row has no more of them than it can number. */
export const ROLE_BYTES_MIN = 17
