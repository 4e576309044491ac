// Adds a replica to the cluster as a learner, which becomes a voter when it has caught up.

import type { HttpForm, OperationFacts } from './definition.ts'
import { ClusterDocument, type ClusterResult } from './documents/members.ts'
import type { NewReplica } from './forms/members.ts'
import { ADMINISTER } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { closed, object } from './http/json-schema.ts'
import { decodeReplicaId, MemberName, REPLICA_FIELDS, replicaDocument } from './http/members.ts'
import { jsonRequest } from './http/requests.ts'
import { route } from './http/route.ts'

export interface AddMemberRequest {
  readonly kind: 'add-member'
  readonly member: NewReplica
}

export const addMember = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  resource: 'cluster',
  demands: () => ADMINISTER,
  isForJoining: true,
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: '/v1/cluster/members',
          summary: 'Add a member: a learner, promoted when it has caught up',
          body: closed(object({ name: MemberName, ...REPLICA_FIELDS })),
          answers: ClusterDocument.schema,
        },
        ({ body: { name, replica_id, peer, url } }) => ({
          kind: 'add-member',
          member: { id: decodeReplicaId(replica_id), name, peer, url },
        }),
      ),
    ],
    encode: ({ member }) => jsonRequest('POST', '/v1/cluster/members', replicaDocument(member)),
    encodeResult: (result) => jsonResponse(ClusterDocument.stringify(result)),
    decodeResult: ClusterDocument.decode,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<AddMemberRequest, ClusterResult> }
