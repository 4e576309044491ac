// Removes a member from the cluster.

import type { HttpForm, OperationFacts } from './definition.ts'
import { ClusterDocument, type ClusterResult } from './documents/members.ts'
import { ADMINISTER } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { deleteRequest, namedPath } from './http/requests.ts'
import { route } from './http/route.ts'

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
          answers: ClusterDocument.schema,
        },
        ({ params: { name = '' } }) => ({ kind: 'remove-member', name }),
      ),
    ],
    encode: ({ name }) => deleteRequest(namedPath('/v1/cluster/members', name)),
    encodeResult: (result) => jsonResponse(ClusterDocument.stringify(result)),
    decodeResult: ClusterDocument.decode,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<RemoveMemberRequest, ClusterResult> }
