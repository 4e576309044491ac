// Changes users, roles, or the switch that makes rights be checked.

import type { EntryFacts } from './definition.ts'
import { ADMINISTER, CALL, NO_LEASES } from './forms/rights.ts'
import type { Permission } from './forms/roles.ts'

export interface ChangeAuthRequest {
  readonly kind: 'change-auth'
  readonly change: RequestedAuthChange
  /** The auth revision must still be this one. */
  readonly ifRevision: number | undefined
}

/** A change of users and roles as a client requests it: with a password, of which the log has only the hash. */
export type RequestedAuthChange =
  | { readonly kind: 'enable' | 'disable' }
  | {
      readonly kind: 'put-user'
      readonly name: string
      /** undefined: unchanged; null: none. */
      readonly password: string | null | undefined
      /** The password until now. Without it, a token changes no password of its own user. */
      readonly oldPassword: string | undefined
      /** undefined: unchanged. */
      readonly roles: readonly string[] | undefined
    }
  | { readonly kind: 'delete-user'; readonly name: string }
  | { readonly kind: 'put-role'; readonly name: string; readonly permissions: readonly Permission[] }
  | { readonly kind: 'delete-role'; readonly name: string }

export const changeAuth: EntryFacts<ChangeAuthRequest> = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  room: 'frees',
  demands: ({ change }, user) => (isOwnPassword(change, user) ? CALL : ADMINISTER),
  leases: () => NO_LEASES,
}

/** The user sets a password of his own, and changes nothing else. In the log its hash stands for the password. */
export const isOwnPassword = (change: UserChange, user: string): boolean =>
  change.kind === 'put-user' &&
  change.name === user &&
  change.roles === undefined &&
  typeof (change.password ?? change.passwordHash) === 'string'

interface UserChange {
  readonly kind: string
  readonly name?: string
  readonly roles?: readonly string[] | undefined
  readonly password?: string | null | undefined
  readonly passwordHash?: string | null | undefined
}
