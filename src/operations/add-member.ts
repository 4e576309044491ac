// Adds a replica to the cluster as a learner, which becomes a voter when it has caught up.

import type { HttpForm, OperationFacts } from './definition.ts'
import { jsonResponse } from './forms/http.ts'
import { jsonRequest } from './forms/http-requests.ts'
import { closed, object } from './forms/json-schema.ts'
import {
  type ClusterResult,
  ClusterSchema,
  clusterJson,
  decodeCluster,
  decodeReplicaId,
  MemberName,
  type NewReplica,
  REPLICA_FIELDS,
  replicaDocument,
} from './forms/members.ts'
import { ADMINISTER } from './forms/rights.ts'
import { route } from './forms/route.ts'

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
          answers: ClusterSchema,
        },
        ({ body: { name, replica_id, peer, url } }) => ({
          kind: 'add-member',
          member: { id: decodeReplicaId(replica_id), name, peer, url },
        }),
      ),
    ],
    encode: ({ member }) => jsonRequest('POST', '/v1/cluster/members', replicaDocument(member)),
    encodeResult: (result) => jsonResponse(clusterJson(result)),
    decodeResult: decodeCluster,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<AddMemberRequest, ClusterResult> }
