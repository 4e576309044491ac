// The user who makes the request, and what this user may do. Every known user may read it.

import type { HttpForm, OperationFacts } from './definition.ts'
import { decodeList, decodeOptionalString, decodeString, disagree } from './forms/decode.ts'
import { CALL } from './forms/rights.ts'
import type { AuthStatusResult, Permission } from './forms/roles.ts'
import { jsonResponse } from './http/form.ts'
import { anyOfSchema, arraySchema, nothing, object, string } from './http/json-schema.ts'
import { getRequest } from './http/requests.ts'
import {
  AuthName,
  AuthSchema,
  decodeAuthStatus,
  decodePermissions,
  PermissionSchema,
  permissionDocument,
} from './http/roles.ts'
import { route } from './http/route.ts'

export interface ShowSelfRequest {
  readonly kind: 'show-self'
}

/** The proof by which a client names its user. */
export const CREDENTIALS = ['password', 'token', 'certificate'] as const
export type Credential = (typeof CREDENTIALS)[number]

export interface SelfResult extends AuthStatusResult {
  /** undefined: nobody is named, which is served only while rights are not checked. */
  readonly user: string | undefined
  readonly credential: Credential | undefined
  readonly roles: readonly string[]
  /** Permissions of all roles together. */
  readonly permissions: readonly Permission[]
}

export const showSelf = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  resource: 'auth',
  demands: () => CALL,
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/auth/self',
          summary: 'Who you are, and what you may do, as this node knows it',
          answers: object({
            ...AuthSchema.properties,
            user: anyOfSchema(AuthName, nothing),
            credential: anyOfSchema({ ...string, enum: CREDENTIALS }, nothing),
            roles: arraySchema(AuthName),
            permissions: arraySchema(PermissionSchema),
          }),
        },
        () => ({ kind: 'show-self' }),
      ),
    ],
    encode: () => getRequest('/v1/auth/self'),
    encodeResult: ({ enabled, revision, user = null, credential = null, roles, permissions }) =>
      jsonResponse(
        JSON.stringify({
          ...{ enabled, revision, user, credential, roles },
          permissions: permissions.map(permissionDocument),
        }),
      ),
    decodeResult: ({ user, credential, roles, permissions, ...status }) => ({
      ...decodeAuthStatus(status),
      user: decodeOptionalString(user, 'user'),
      credential: decodeCredential(credential),
      roles: decodeList(roles, 'roles').map((role) => decodeString(role, 'roles')),
      permissions: decodePermissions(permissions),
    }),
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<ShowSelfRequest, SelfResult> }

function decodeCredential(value: unknown): Credential | undefined {
  if (value === null) return undefined
  return CREDENTIALS.find((each) => each === value) ?? disagree('"credential" is of an unknown kind')
}
