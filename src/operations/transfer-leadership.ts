// Hands the leadership over, to a voter or to the most up-to-date one.

import type { HttpForm, OperationFacts } from './definition.ts'
import { decodeString } from './forms/decode.ts'
import { ADMINISTER } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { closed, object, string } from './http/json-schema.ts'
import { MemberName } from './http/members.ts'
import { jsonRequest } from './http/requests.ts'
import { route } from './http/route.ts'

export interface TransferLeadershipRequest {
  readonly kind: 'transfer-leadership'
  /** undefined: to the most up-to-date voter. */
  readonly to: string | undefined
}

export interface LeaderResult {
  /** The name of the new leader. */
  readonly leader: string
}

export const transferLeadership = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  resource: 'cluster',
  demands: () => ADMINISTER,
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: '/v1/cluster/leader',
          summary: 'Hand leadership over, to a member or to the most up-to-date voter',
          body: closed(object({}, { to: MemberName })),
          answers: object({ leader: string }),
        },
        ({ body: { to } }) => ({ kind: 'transfer-leadership', to }),
      ),
    ],
    encode: ({ to }) => jsonRequest('POST', '/v1/cluster/leader', { to }),
    encodeResult: ({ leader }) => jsonResponse(JSON.stringify({ leader })),
    decodeResult: ({ leader }) => ({ leader: decodeString(leader, 'leader') }),
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<TransferLeadershipRequest, LeaderResult> }
