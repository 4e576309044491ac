// Whether rights are checked. Everybody may ask.

import type { HttpForm, OperationFacts } from './definition.ts'
import { AuthDocument, type AuthStatusResult } from './documents/auth.ts'
import { NOTHING } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { getRequest } from './http/requests.ts'
import { route } from './http/route.ts'

export interface ShowAuthRequest {
  readonly kind: 'show-auth'
}

export const showAuth = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  resource: 'auth',
  demands: () => NOTHING,
  open: { isLogin: false, requestBytesMax: 1024 },
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/auth',
          summary: 'Whether rights are checked',
          answers: AuthDocument.schema,
        },
        () => ({ kind: 'show-auth' }),
      ),
    ],
    encode: () => getRequest('/v1/auth'),
    encodeResult: (result) => jsonResponse(AuthDocument.stringify(result)),
    decodeResult: AuthDocument.decode,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<ShowAuthRequest, AuthStatusResult> }
