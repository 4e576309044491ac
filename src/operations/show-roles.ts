// Reads one role, or all. A user may read the roles that this user has.

import type { HttpForm, OperationFacts } from './definition.ts'
import { decodeList, decodeObject, decodeWholeNumber } from './forms/decode.ts'
import { ADMINISTER } from './forms/rights.ts'
import type { AuthRole } from './forms/roles.ts'
import { jsonResponse } from './http/form.ts'
import { arraySchema, integer, object } from './http/json-schema.ts'
import { getRequest, namedPath } from './http/requests.ts'
import { decodeRole, RoleSchema, roleJson } from './http/roles.ts'
import { route } from './http/route.ts'

export interface ShowRolesRequest {
  readonly kind: 'show-roles'
  /** undefined: all of them. */
  readonly name: string | undefined
}

/** One role, or all of them, at an auth revision, which HTTP does not say beside one. */
export type RolesResult =
  | { readonly role: AuthRole; readonly revision?: number | undefined }
  | { readonly roles: readonly AuthRole[]; readonly revision: number }

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
          answers: object({ roles: arraySchema(RoleSchema), revision: integer }),
        },
        () => ({ kind: 'show-roles', name: undefined }),
      ),
      route(
        { method: 'GET', path: '/v1/auth/roles/:name', summary: 'A role', answers: RoleSchema },
        ({ params: { name } }) => ({ kind: 'show-roles', name }),
      ),
    ],
    encode: ({ name }) =>
      getRequest(name === undefined ? '/v1/auth/roles' : namedPath('/v1/auth/roles', name)),
    encodeResult(result) {
      if ('role' in result) return jsonResponse(roleJson(result.role))
      const { roles, revision } = result
      return jsonResponse(`{"roles":[${roles.map(roleJson).join(',')}],"revision":${revision}}`)
    },
    decodeResult(body, { name }): RolesResult {
      if (name !== undefined) return { role: decodeRole(body) }
      return {
        roles: decodeList(body.roles, 'roles').map((each) => decodeRole(decodeObject(each, 'a role'))),
        revision: decodeWholeNumber(body.revision, 'revision'),
      }
    },
  },
} satisfies OperationFacts<ShowRolesRequest> & { readonly http: HttpForm<ShowRolesRequest, RolesResult> }
