// Grants a lease: its keys are deleted when it ends.

import type { EntryFacts, HttpForm } from './definition.ts'
import { decodeRevision, decodeWholeNumber } from './forms/decode.ts'
import { durationText, parseTtlMs } from './forms/durations.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { decodeLeaseId, parseLeaseId } from './forms/leases.ts'
import { CALL, NO_LEASES } from './forms/rights.ts'
import type { LeaseId, Revision } from './forms/store.ts'
import { jsonResponse, replayedHeader } from './http/form.ts'
import { readIdempotency } from './http/idempotency.ts'
import { closed, object } from './http/json-schema.ts'
import { jsonChange } from './http/requests.ts'
import { route } from './http/route.ts'
import { LeaseGranted, LeaseIdSchema, TtlSchema } from './http/schemas.ts'

export interface GrantRequest {
  readonly kind: 'grant'
  /** undefined: the cluster chooses one. */
  readonly id: LeaseId | undefined
  /** As requested. The node raises it to the shortest time that survives an election. */
  readonly ttlMs: number
  readonly idempotency: Idempotency | undefined
}

export interface GrantOutcome {
  readonly kind: 'granted'
  readonly revision: Revision
  readonly lease: LeaseId
  readonly ttlMs: number
}

export const grant = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  repeat: () => 'by-id',
  resource: 'leases',
  room: 'takes',
  demands: () => CALL,
  leases: () => NO_LEASES,
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: '/v1/leases',
          summary: 'Grant a lease: its keys are deleted when it ends',
          takesToken: true,
          body: closed(
            object(
              { ttl: TtlSchema },
              { id: { ...LeaseIdSchema, description: 'Unless given, the store chooses one' } },
            ),
          ),
          answers: LeaseGranted,
        },
        ({ headers, body }) => {
          const id = body.id === undefined ? undefined : parseLeaseId(body.id, 'id')
          return {
            kind: 'grant',
            id,
            ttlMs: parseTtlMs(body.ttl, 'ttl'),
            idempotency: readIdempotency(headers),
          }
        },
      ),
    ],
    encode: ({ id, ttlMs, idempotency }) =>
      jsonChange('/v1/leases', { ttl: durationText(ttlMs), id }, idempotency),
    encodeResult: ({ lease, ttlMs, revision }, head) =>
      jsonResponse(`{"id":"${lease}","ttl_ms":${ttlMs}}`, replayedHeader(head), revision),
    decodeResult: (body, _request, { revision }) => ({
      kind: 'granted',
      revision: decodeRevision(revision, 'Kv-Revision'),
      lease: decodeLeaseId(body.id, 'id'),
      ttlMs: decodeWholeNumber(body.ttl_ms, 'ttl_ms'),
    }),
  },
} satisfies EntryFacts<unknown> & { readonly http: HttpForm<GrantRequest, GrantOutcome> }
