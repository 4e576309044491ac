// Reads one user, or all. A user may read what is known of himself.

import type { HttpForm, OperationFacts } from './definition.ts'
import { type UserDescription, UserDocument, UsersDocument } from './documents/auth.ts'
import type { DocumentType } from './documents/document.ts'
import { ADMINISTER, CALL } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { getRequest, namedPath } from './http/requests.ts'
import { route } from './http/route.ts'

export interface ShowUsersRequest {
  readonly kind: 'show-users'
  /** undefined: all of them. */
  readonly name: string | undefined
}

/** One user, or all of them, at an auth revision, which HTTP does not say beside one. */
export type UsersResult =
  | { readonly user: UserDescription; readonly revision?: number | undefined }
  | DocumentType<typeof UsersDocument>

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
          answers: UsersDocument.schema,
        },
        () => ({ kind: 'show-users', name: undefined }),
      ),
      route(
        { method: 'GET', path: '/v1/auth/users/:name', summary: 'A user', answers: UserDocument.schema },
        ({ params: { name } }) => ({ kind: 'show-users', name }),
      ),
    ],
    encode: ({ name }) =>
      getRequest(name === undefined ? '/v1/auth/users' : namedPath('/v1/auth/users', name)),
    encodeResult: (result) =>
      jsonResponse('user' in result ? UserDocument.stringify(result.user) : UsersDocument.stringify(result)),
    decodeResult: (body, { name }): UsersResult =>
      name === undefined ? UsersDocument.decode(body) : { user: UserDocument.decode(body) },
  },
} satisfies OperationFacts<ShowUsersRequest> & { readonly http: HttpForm<ShowUsersRequest, UsersResult> }
