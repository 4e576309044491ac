// Ends a lease, and deletes its keys: at one revision, or in parts if they do not fit into an entry.

import type { EntryFacts, HttpForm } from './definition.ts'
import { decodeRevision, decodeWholeNumber } from './forms/decode.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { parseLeaseId } from './forms/leases.ts'
import { CALL, type LeaseDemand } from './forms/rights.ts'
import type { LeaseId, Revision } from './forms/store.ts'
import { jsonResponse, replayedHeader } from './http/form.ts'
import { idempotencyHeaders, readIdempotency } from './http/idempotency.ts'
import { deletedJson } from './http/json.ts'
import { integer, object } from './http/json-schema.ts'
import { deleteRequest } from './http/requests.ts'
import { route } from './http/route.ts'

export interface RevokeRequest {
  readonly kind: 'revoke'
  readonly id: LeaseId
  readonly idempotency: Idempotency | undefined
}

const revokedLease = ({ id }: Pick<RevokeRequest, 'id'>): readonly LeaseDemand[] => [
  { to: 'revoke', lease: id },
]

export interface RevokeOutcome {
  readonly kind: 'revoked'
  readonly revision: Revision
  readonly deleted: number
  /** Keys that are not deleted yet; absent: none. No client sees it: the answer waits for them. */
  readonly left?: number
}

export const revoke = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  repeat: () => 'by-id',
  resource: 'leases',
  room: 'frees',
  demands: (operation) => [...CALL, ...revokedLease(operation)],
  leases: revokedLease,
  http: {
    routes: [
      route(
        {
          method: 'DELETE',
          path: '/v1/leases/:id',
          summary:
            'Revoke a lease: its keys are deleted, up to 10,000 (range_keys_max) at one revision, more in parts',
          takesToken: true,
          answers: object({ deleted: integer, revision: integer }),
        },
        ({ headers, params }) => {
          const id = parseLeaseId(params.id ?? '', 'the lease')
          return { kind: 'revoke', id, idempotency: readIdempotency(headers) }
        },
      ),
    ],
    encode: ({ id, idempotency }) => deleteRequest(`/v1/leases/${id}`, idempotencyHeaders(idempotency)),
    encodeResult: (outcome, head) =>
      jsonResponse(deletedJson(outcome), replayedHeader(head), outcome.revision),
    decodeResult: ({ revision, deleted }) => ({
      kind: 'revoked',
      revision: decodeRevision(revision, 'revision'),
      deleted: decodeWholeNumber(deleted, 'deleted'),
    }),
  },
} satisfies EntryFacts<Pick<RevokeRequest, 'id'>> & { readonly http: HttpForm<RevokeRequest, RevokeOutcome> }
