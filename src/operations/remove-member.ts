// Removes a member from the cluster.

import type { HttpForm, OperationFacts } from './definition.ts'
import { jsonResponse } from './forms/http.ts'
import { deleteRequest, namedPath } from './forms/http-requests.ts'
import { type ClusterResult, ClusterSchema, clusterJson, decodeCluster } from './forms/members.ts'
import { ADMINISTER } from './forms/rights.ts'
import { route } from './forms/route.ts'

export interface RemoveMemberRequest {
  readonly kind: 'remove-member'
  readonly name: string
}

export const removeMember = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  resource: 'cluster',
  demands: () => ADMINISTER,
  http: {
    routes: [
      route(
        {
          method: 'DELETE',
          path: '/v1/cluster/members/:name',
          summary: 'Remove a member',
          answers: ClusterSchema,
        },
        ({ params: { name = '' } }) => ({ kind: 'remove-member', name }),
      ),
    ],
    encode: ({ name }) => deleteRequest(namedPath('/v1/cluster/members', name)),
    encodeResult: (result) => jsonResponse(clusterJson(result)),
    decodeResult: decodeCluster,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<RemoveMemberRequest, ClusterResult> }
