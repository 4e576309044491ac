// The user who makes the request, and what this user may do. Every known user may read it.

import type { HttpForm, OperationFacts } from './definition.ts'
import { SelfDocument, type SelfResult } from './documents/auth.ts'
import { CALL } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { getRequest } from './http/requests.ts'
import { route } from './http/route.ts'

export interface ShowSelfRequest {
  readonly kind: 'show-self'
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
          answers: SelfDocument.schema,
        },
        () => ({ kind: 'show-self' }),
      ),
    ],
    encode: () => getRequest('/v1/auth/self'),
    encodeResult: (result) => jsonResponse(SelfDocument.stringify(result)),
    decodeResult: SelfDocument.decode,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<ShowSelfRequest, SelfResult> }
