// Reads one role, or all. A user may read the roles that this user has.

import type { HttpForm, OperationFacts } from './definition.ts'
import { RoleDocument, RolesDocument } from './documents/auth.ts'
import type { DocumentType } from './documents/document.ts'
import { ADMINISTER } from './forms/rights.ts'
import type { AuthRole } from './forms/roles.ts'
import { jsonResponse } from './http/form.ts'
import { getRequest, namedPath } from './http/requests.ts'
import { route } from './http/route.ts'

export interface ShowRolesRequest {
  readonly kind: 'show-roles'
  /** undefined: all of them. */
  readonly name: string | undefined
}

/** One role, or all of them, at an auth revision, which HTTP does not say beside one. */
export type RolesResult =
  | { readonly role: AuthRole; readonly revision?: number | undefined }
  | DocumentType<typeof RolesDocument>

export const showRoles = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  resource: 'auth',
  demands: ({ name }) => (name === undefined ? ADMINISTER : [{ to: 'see-role', role: name }]),
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/auth/roles',
          summary: 'All roles',
          answers: RolesDocument.schema,
        },
        () => ({ kind: 'show-roles', name: undefined }),
      ),
      route(
        { method: 'GET', path: '/v1/auth/roles/:name', summary: 'A role', answers: RoleDocument.schema },
        ({ params: { name } }) => ({ kind: 'show-roles', name }),
      ),
    ],
    encode: ({ name }) =>
      getRequest(name === undefined ? '/v1/auth/roles' : namedPath('/v1/auth/roles', name)),
    encodeResult: (result) =>
      jsonResponse('role' in result ? RoleDocument.stringify(result.role) : RolesDocument.stringify(result)),
    decodeResult: (body, { name }): RolesResult =>
      name === undefined ? RolesDocument.decode(body) : { role: RoleDocument.decode(body) },
  },
} satisfies OperationFacts<ShowRolesRequest> & { readonly http: HttpForm<ShowRolesRequest, RolesResult> }
