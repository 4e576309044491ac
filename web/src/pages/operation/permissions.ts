// Users, roles and the switch, as the page has read them at one auth revision.

import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import type { AuthStatusResult, UserDescription } from '../../../../src/operations/documents/auth.ts'
import { keyAfter, prefixRange } from '../../../../src/operations/forms/places.ts'
import type { Access, AuthRole, Permission } from '../../../../src/operations/forms/roles.ts'

export interface AuthOverview extends AuthStatusResult {
  readonly users: readonly UserDescription[]
  readonly roles: readonly AuthRole[]
  /** Why users and roles are not shown; undefined: they are. */
  readonly refusal: string | undefined
}

/** Name of the role that may do everything, and of the user who has it while rights are checked. */
export const ROOT = 'root'
/** Reason why rights cannot be checked yet; undefined: there is none. */
export function enablingFault({ users }: AuthOverview): string | undefined {
  const root = users.find(({ name }) => name === ROOT)
  if (root === undefined || !root.roles.includes(ROOT))
    return 'It needs a user root with the role root, who may do everything.'
  return undefined
}

export type RangeKind = 'prefix' | 'key' | 'range' | 'all'

/** The permission that a form describes; undefined: a text is missing. */
export function makePermission(
  access: Access,
  place: RangeKind,
  first: string,
  end: string,
): Permission | undefined {
  if (access === 'admin') return { access, range: undefined }
  if (place === 'all') return { access, range: { start: new Uint8Array(), end: undefined } }
  if (first === '') return undefined
  const start = encodeUtf8(first)
  if (place === 'prefix') return { access, range: prefixRange(start) }
  if (place === 'key') return { access, range: { start, end: keyAfter(start) } }
  return { access, range: { start, end: end === '' ? undefined : encodeUtf8(end) } }
}
