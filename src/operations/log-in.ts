// Makes a token for a password. Every node accepts it.

import type { HttpForm, OperationFacts } from './definition.ts'
import { TokenDocument, type TokenResult } from './documents/auth.ts'
import { NOTHING } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { closed, object, string } from './http/json-schema.ts'
import { jsonRequest } from './http/requests.ts'
import { route } from './http/route.ts'

export interface LogInRequest {
  readonly kind: 'log-in'
  readonly user: string
  readonly password: string
}

/** Limit on the body: the longest name and the longest password, with each byte escaped. */
const BODY_BYTES = 8 * 1024
const NO_STORE = ['Cache-Control', 'no-store'] as const

export const logIn = {
  effect: 'read',
  isAudited: true,
  label: 'other',
  hashesPassword: () => true,
  resource: 'auth',
  demands: () => NOTHING,
  open: { isLogin: true, requestBytesMax: BODY_BYTES },
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: '/v1/auth/login',
          summary: 'A token for a password, which every node accepts as Authorization: Bearer',
          body: closed(
            object({
              user: { ...string, description: 'Name of the user' },
              password: { ...string, description: 'Password of the user' },
            }),
          ),
          answers: TokenDocument.schema,
        },
        ({ body: { user, password } }) => ({ kind: 'log-in', user, password }),
      ),
    ],
    encode: ({ user, password }) => jsonRequest('POST', '/v1/auth/login', { user, password }),
    encodeResult: (result) => jsonResponse(TokenDocument.stringify(result), NO_STORE),
    decodeResult: TokenDocument.decode,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<LogInRequest, TokenResult> }
