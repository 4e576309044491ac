// Ends the history before a revision: the store can be read at this revision and later ones.

import type { EntryFacts, HttpForm } from './definition.ts'
import { jsonResponse, replayedHeader } from './forms/http.ts'
import { type Idempotency, readIdempotency } from './forms/idempotency.ts'
import { closed, integer, object } from './forms/json-schema.ts'
import { ADMINISTER, NO_LEASES } from './forms/rights.ts'
import { route } from './forms/route.ts'
import { asRevision, type Revision } from './forms/store.ts'

export interface CompactRequest {
  readonly kind: 'compact'
  readonly revision: Revision
  readonly idempotency: Idempotency | undefined
}

export interface CompactOutcome {
  readonly kind: 'compacted'
  readonly revision: Revision
  /** The store can be read at this revision and later ones. */
  readonly compactRevision: Revision
}

const CompactBody = closed(
  object({
    revision: {
      ...integer,
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'The store can be read from this revision on, and watched from the next one on',
    },
  }),
)

export const compact = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  room: 'frees',
  demands: () => ADMINISTER,
  leases: () => NO_LEASES,
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: '/v1/compact',
          summary: 'Forget how the store was before a revision',
          takesToken: true,
          body: CompactBody,
          answers: object({ compact_revision: integer, revision: integer }),
        },
        ({ headers, body }) => ({
          kind: 'compact',
          revision: asRevision(body.revision),
          idempotency: readIdempotency(headers),
        }),
      ),
    ],
    encodeResult: ({ compactRevision, revision }, head) =>
      jsonResponse(
        `{"compact_revision":${compactRevision},"revision":${revision}}`,
        replayedHeader(head),
        revision,
      ),
  },
} satisfies EntryFacts<unknown> & { readonly http: HttpForm<CompactRequest, CompactOutcome> }
