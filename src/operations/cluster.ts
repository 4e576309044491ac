// The members and the leader, as the node that is asked knows them.

import type { HttpForm, OperationFacts } from './definition.ts'
import { jsonResponse } from './forms/http.ts'
import { getRequest } from './forms/http-requests.ts'
import { type ClusterResult, ClusterSchema, clusterJson, decodeCluster } from './forms/members.ts'
import { CALL } from './forms/rights.ts'
import { route } from './forms/route.ts'

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
          answers: ClusterSchema,
        },
        () => ({ kind: 'cluster' }),
      ),
    ],
    encode: () => getRequest('/v1/cluster'),
    encodeResult: (result) => jsonResponse(clusterJson(result)),
    decodeResult: decodeCluster,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<ClusterRequest, ClusterResult> }
