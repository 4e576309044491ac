// Removes the replica of this name and adds another one, in one joint change.

import type { HttpForm, OperationFacts } from './definition.ts'
import { ClusterDocument, type ClusterResult } from './documents/members.ts'
import type { NewReplica } from './forms/members.ts'
import { ADMINISTER } from './forms/rights.ts'
import { jsonResponse } from './http/form.ts'
import { closed, object } from './http/json-schema.ts'
import { decodeReplicaId, MemberName, REPLICA_FIELDS, replicaDocument } from './http/members.ts'
import { jsonRequest, namedPath } from './http/requests.ts'
import { route } from './http/route.ts'

export interface ReplaceMemberRequest {
  readonly kind: 'replace-member'
  readonly name: string
  readonly member: NewReplica
}

export const replaceMember = {
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
          path: '/v1/cluster/members/:name/replace',
          summary: 'Drop the replica of this name and add another, in one joint change',
          body: closed(object(REPLICA_FIELDS, { name: MemberName })),
          answers: ClusterDocument.schema,
        },
        ({ params, body: { name, replica_id, peer, url } }) => {
          const { name: oldName = '' } = params
          const member = { id: decodeReplicaId(replica_id), name: name ?? oldName, peer, url }
          return { kind: 'replace-member', name: oldName, member }
        },
      ),
    ],
    encode: ({ name, member }) =>
      jsonRequest('POST', `${namedPath('/v1/cluster/members', name)}/replace`, replicaDocument(member)),
    encodeResult: (result) => jsonResponse(ClusterDocument.stringify(result)),
    decodeResult: ClusterDocument.decode,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<ReplaceMemberRequest, ClusterResult> }
