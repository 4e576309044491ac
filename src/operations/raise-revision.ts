// Raises the revision of a store without keys. What is moved there from another store may name revisions of that one:
// a store that begins above them gives none of them another meaning.

import type { EntryFacts, HttpForm } from './definition.ts'
import { decodeRevision } from './forms/decode.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { ADMINISTER, NO_LEASES } from './forms/rights.ts'
import { asRevision, RAISED_REVISION_MAX, type Revision } from './forms/store.ts'
import { jsonResponse, replayedHeader } from './http/form.ts'
import { readIdempotency } from './http/idempotency.ts'
import { closed, integer, object } from './http/json-schema.ts'
import { jsonChange } from './http/requests.ts'
import { route } from './http/route.ts'

export interface RaiseRevisionRequest {
  readonly kind: 'raise-revision'
  /** The revision of the store from then on. */
  readonly revision: Revision
  readonly idempotency: Idempotency | undefined
}

export interface RaiseRevisionOutcome {
  readonly kind: 'revision-raised'
  readonly revision: Revision
}

const PATH = '/v1/revision'

const RaiseBody = closed(
  object({
    revision: {
      ...integer,
      minimum: 1,
      maximum: RAISED_REVISION_MAX,
      description: 'The revision of the store from then on',
    },
  }),
)

export const raiseRevision = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  repeat: () => 'by-id',
  resource: 'cluster',
  room: 'takes',
  demands: () => ADMINISTER,
  leases: () => NO_LEASES,
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: PATH,
          summary: 'Raise the revision of a store without keys',
          takesToken: true,
          body: RaiseBody,
          answers: object({ revision: integer }),
        },
        ({ headers, body }) => ({
          kind: 'raise-revision',
          revision: asRevision(body.revision),
          idempotency: readIdempotency(headers),
        }),
      ),
    ],
    encode: ({ revision, idempotency }) => jsonChange(PATH, { revision }, idempotency),
    encodeResult: ({ revision }, head) =>
      jsonResponse(`{"revision":${revision}}`, replayedHeader(head), revision),
    decodeResult: (body) => ({
      kind: 'revision-raised',
      revision: decodeRevision(body.revision, 'revision'),
    }),
  },
} satisfies EntryFacts<unknown> & {
  readonly http: HttpForm<RaiseRevisionRequest, RaiseRevisionOutcome>
}
