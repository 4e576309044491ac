// Reads one user, or all. A user may read what is known of himself.

import type { HttpForm, OperationFacts } from './definition.ts'
import { decodeList, decodeObject, decodeWholeNumber } from './forms/decode.ts'
import { ADMINISTER, CALL } from './forms/rights.ts'
import type { UserDescription } from './forms/roles.ts'
import { jsonResponse } from './http/form.ts'
import { arraySchema, integer, object } from './http/json-schema.ts'
import { getRequest, namedPath } from './http/requests.ts'
import { decodeUser, UserSchema, userJson } from './http/roles.ts'
import { route } from './http/route.ts'

export interface ShowUsersRequest {
  readonly kind: 'show-users'
  /** undefined: all of them. */
  readonly name: string | undefined
}

/** One user, or all of them, at an auth revision, which HTTP does not say beside one. */
export type UsersResult =
  | { readonly user: UserDescription; readonly revision?: number | undefined }
  | { readonly users: readonly UserDescription[]; readonly revision: number }

export const showUsers = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  resource: 'auth',
  demands: ({ name }, user) => (name === user ? CALL : ADMINISTER),
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/auth/users',
          summary: 'All users',
          answers: object({ users: arraySchema(UserSchema), revision: integer }),
        },
        () => ({ kind: 'show-users', name: undefined }),
      ),
      route(
        { method: 'GET', path: '/v1/auth/users/:name', summary: 'A user', answers: UserSchema },
        ({ params: { name } }) => ({ kind: 'show-users', name }),
      ),
    ],
    encode: ({ name }) =>
      getRequest(name === undefined ? '/v1/auth/users' : namedPath('/v1/auth/users', name)),
    encodeResult(result) {
      if ('user' in result) return jsonResponse(userJson(result.user))
      const { users, revision } = result
      return jsonResponse(`{"users":[${users.map(userJson).join(',')}],"revision":${revision}}`)
    },
    decodeResult(body, { name }): UsersResult {
      if (name !== undefined) return { user: decodeUser(body) }
      return {
        users: decodeList(body.users, 'users').map((each) => decodeUser(decodeObject(each, 'a user'))),
        revision: decodeWholeNumber(body.revision, 'revision'),
      }
    },
  },
} satisfies OperationFacts<ShowUsersRequest> & { readonly http: HttpForm<ShowUsersRequest, UsersResult> }
