// The members and the leader, as the node that is asked knows them.

import type { HttpForm, OperationFacts } from './definition.ts'
import { ClusterDocument, type ClusterResult } from './documents/members.ts'
import { CALL } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { getRequest } from './http/requests.ts'
import { route } from './http/route.ts'

export interface ClusterRequest {
  readonly kind: 'cluster'
}

export const cluster = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: () => CALL,
  isForJoining: true,
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/cluster',
          summary: 'The members, as this node knows them',
          answers: ClusterDocument.schema,
        },
        () => ({ kind: 'cluster' }),
      ),
    ],
    encode: () => getRequest('/v1/cluster'),
    encodeResult: (result) => jsonResponse(ClusterDocument.stringify(result)),
    decodeResult: ClusterDocument.decode,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<ClusterRequest, ClusterResult> }
