// Changes users, roles, or the switch that makes rights be checked.

import type { EntryFacts, HttpForm } from './definition.ts'
import {
  AuthDocument,
  type AuthStatusResult,
  PermissionDocument,
  RoleDocument,
  type UserDescription,
  UserDocument,
} from './documents/auth.ts'
import { ApiError } from './forms/problems.ts'
import { ADMINISTER, CALL, NO_LEASES } from './forms/rights.ts'
import type { AuthRole, Permission } from './forms/roles.ts'
import { type RequestHeaders, readConditions } from './http/conditions.ts'
import { jsonResponse } from './http/form.ts'
import { anyOfSchema, arraySchema, closed, nothing, object, string } from './http/json-schema.ts'
import { deleteRequest, jsonRequest, namedPath, type OutgoingRequest } from './http/requests.ts'
import { AuthName, decodePermission, PermissionsBody } from './http/roles.ts'
import { type Route, route } from './http/route.ts'

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
      /** Length of a password at least; undefined: the node's own. Only the API of etcd names it: etcd has none. */
      readonly passwordBytesMin?: number
      /** The password until now. Without it, a token changes no password of its own user. */
      readonly oldPassword: string | undefined
      /** undefined: unchanged. */
      readonly roles: readonly string[] | undefined
    }
  | { readonly kind: 'delete-user'; readonly name: string }
  | { readonly kind: 'put-role'; readonly name: string; readonly permissions: readonly Permission[] }
  | { readonly kind: 'delete-role'; readonly name: string }

/** The user or the role that was put, at an auth revision, which HTTP does not say; otherwise the switch. */
export type ChangeAuthResult =
  | { readonly user: UserDescription; readonly revision?: number | undefined }
  | { readonly role: AuthRole; readonly revision?: number | undefined }
  | AuthStatusResult

/** If-Match with an auth revision: the change is refused when users and roles were changed since. */
const CONDITION = { 'if-match': 'The auth revision must still be this one' } as const

const switchRoute = (kind: 'enable' | 'disable', summary: string): Route<ChangeAuthRequest> =>
  route(
    {
      method: 'POST',
      path: `/v1/auth/${kind}`,
      summary,
      body: closed(object({})),
      answers: AuthDocument.schema,
    },
    ({ headers }) => {
      refuseIdempotency(headers)
      return { kind: 'change-auth', change: { kind }, ifRevision: undefined }
    },
  )

export const changeAuth = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  // A copy that arrives late would undo a later change, and could give back a right that was taken away.
  repeat: ({ ifRevision }) => (ifRevision === undefined ? 'never' : 'by-revision'),
  hashesPassword: ({ change }) =>
    change.kind === 'put-user' && (typeof change.password === 'string' || change.oldPassword !== undefined),
  resource: 'auth',
  room: 'frees',
  demands: ({ change }, user) => (isOwnPassword(change, user) ? CALL : ADMINISTER),
  leases: () => NO_LEASES,
  http: {
    routes: [
      switchRoute('enable', 'Check rights from now on'),
      switchRoute('disable', 'Check rights no longer'),
      route(
        {
          method: 'PUT',
          path: '/v1/auth/users/:name',
          summary: 'Make or change a user; what is not named stays as it is',
          headers: CONDITION,
          body: closed(
            object(
              {},
              {
                password: {
                  ...anyOfSchema(string, nothing),
                  description: '8 to 1024 bytes; null: none, only certificates',
                },
                old_password: {
                  ...string,
                  description:
                    'The password until now: a token alone does not change the password of its own user',
                },
                roles: {
                  ...arraySchema(AuthName),
                  description: 'Names of the roles; root may do everything',
                },
              },
            ),
          ),
          answers: UserDocument.schema,
        },
        ({ headers, params: { name = '' }, body }) => ({
          kind: 'change-auth',
          change: {
            kind: 'put-user',
            name,
            password: decodePassword(body.password),
            oldPassword: body.old_password,
            roles: body.roles,
          },
          ifRevision: decodeIfRevision(headers),
        }),
      ),
      route(
        {
          method: 'DELETE',
          path: '/v1/auth/users/:name',
          summary: 'Remove a user: their tokens and watches end',
          headers: CONDITION,
          answers: AuthDocument.schema,
        },
        ({ headers, params: { name = '' } }) => ({
          kind: 'change-auth',
          change: { kind: 'delete-user', name },
          ifRevision: decodeIfRevision(headers),
        }),
      ),
      route(
        {
          method: 'PUT',
          path: '/v1/auth/roles/:name',
          summary: 'Make a role, or replace its permissions',
          headers: CONDITION,
          body: closed(object({ permissions: PermissionsBody })),
          answers: RoleDocument.schema,
        },
        ({ headers, params: { name = '' }, body }) => ({
          kind: 'change-auth',
          change: { kind: 'put-role', name, permissions: body.permissions.map(decodePermission) },
          ifRevision: decodeIfRevision(headers),
        }),
      ),
      route(
        {
          method: 'DELETE',
          path: '/v1/auth/roles/:name',
          summary: 'Remove a role, from its users too',
          headers: CONDITION,
          answers: AuthDocument.schema,
        },
        ({ headers, params: { name = '' } }) => ({
          kind: 'change-auth',
          change: { kind: 'delete-role', name },
          ifRevision: decodeIfRevision(headers),
        }),
      ),
    ],
    encode: ({ change, ifRevision }) =>
      encodeAuthChange(change, ifRevision === undefined ? {} : { 'If-Match': `"${ifRevision}"` }),
    encodeResult(result) {
      if ('user' in result) return jsonResponse(UserDocument.stringify(result.user))
      return jsonResponse(
        'role' in result ? RoleDocument.stringify(result.role) : AuthDocument.stringify(result),
      )
    },
    decodeResult(body, { change }): ChangeAuthResult {
      if (change.kind === 'put-user') return { user: UserDocument.decode(body) }
      return change.kind === 'put-role' ? { role: RoleDocument.decode(body) } : AuthDocument.decode(body)
    },
  },
} satisfies EntryFacts<ChangeAuthRequest> & { readonly http: HttpForm<ChangeAuthRequest, ChangeAuthResult> }

/** The schema allows a string or null. */
const decodePassword = (password: unknown): string | null | undefined =>
  typeof password === 'string' || password === null ? password : undefined

/** Throws `ApiError`: no such change is remembered, and a late copy would be made again. */
function refuseIdempotency(headers: RequestHeaders): void {
  if (headers['idempotency-key'] === undefined && headers['kv-session'] === undefined) return
  throw new ApiError(
    'bad_request',
    'changes of users and roles have no Idempotency-Key and no Kv-Session: use If-Match with the auth revision',
  )
}

/** Throws `ApiError`. */
function decodeIfRevision(headers: RequestHeaders): number | undefined {
  refuseIdempotency(headers)
  const { ifMatch, ifNoneMatch } = readConditions(headers) ?? {}
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined
  const [revision, ...others] = typeof ifMatch === 'object' ? ifMatch : []
  if (revision === undefined || others.length > 0 || ifNoneMatch !== undefined)
    throw new ApiError('bad_request', 'If-Match must be the auth revision in quotes, such as "7"')
  return revision
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

function encodeAuthChange(
  change: RequestedAuthChange,
  headers: Readonly<Record<string, string>>,
): OutgoingRequest {
  switch (change.kind) {
    case 'enable':
    case 'disable':
      return jsonRequest('POST', `/v1/auth/${change.kind}`, {}, headers)
    case 'put-user': {
      const { name, password, oldPassword, roles } = change
      const body = { password, old_password: oldPassword, roles }
      return jsonRequest('PUT', namedPath('/v1/auth/users', name), body, headers)
    }
    case 'delete-user':
      return deleteRequest(namedPath('/v1/auth/users', change.name), headers)
    case 'put-role': {
      const body = { permissions: change.permissions.map(PermissionDocument.encode) }
      return jsonRequest('PUT', namedPath('/v1/auth/roles', change.name), body, headers)
    }
    case 'delete-role':
      return deleteRequest(namedPath('/v1/auth/roles', change.name), headers)
  }
}
