// Ends the history before a revision: the store can be read at this revision and later ones.

import type { EntryFacts, HttpForm } from './definition.ts'
import { decodeRevision } from './forms/decode.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { unsayable } from './forms/problems.ts'
import { ADMINISTER, NO_LEASES } from './forms/rights.ts'
import { asRevision, type Revision } from './forms/store.ts'
import { jsonResponse, replayedHeader } from './http/form.ts'
import { readIdempotency } from './http/idempotency.ts'
import { closed, integer, object } from './http/json-schema.ts'
import { jsonChange } from './http/requests.ts'
import { route } from './http/route.ts'
import { decodeRevisionField } from './mux/fields.ts'
import { decodeChangeHead, decodeResultRevision, ITEM_BYTES, type MuxForm, SUCCESS } from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'
import { decodeIdempotency, encodeIdempotency, idempotencySize } from './mux/options.ts'

export interface CompactRequest {
  readonly kind: 'compact'
  readonly revision: Revision
  /** Refused as compacted if the store is compacted up to there already. Only etcd's API says it. */
  readonly onlyForward?: true | undefined
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
      description: 'The store can be read and watched from this revision on',
    },
  }),
)

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES.compact

export const compact = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  repeat: () => 'by-id',
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
    encode: ({ revision, onlyForward, idempotency }) => {
      checkSayable(onlyForward)
      return jsonChange('/v1/compact', { revision }, idempotency)
    },
    encodeResult: ({ compactRevision, revision }, head) =>
      jsonResponse(
        `{"compact_revision":${compactRevision},"revision":${revision}}`,
        replayedHeader(head),
        revision,
      ),
    decodeResult: (body) => ({
      kind: 'compacted',
      revision: decodeRevision(body.revision, 'revision'),
      compactRevision: decodeRevision(body.compact_revision, 'compact_revision'),
    }),
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 5,
    encode: (id, timeoutMs, { revision, onlyForward, idempotency }) => {
      checkSayable(onlyForward)
      return [id, OPCODE, timeoutMs, revision, encodeIdempotency(idempotency)]
    },
    decode: (item) => ({
      kind: 'compact',
      revision: decodeRevisionField(item[3], 'revision'),
      idempotency: decodeIdempotency(item[4]),
    }),
    credit: () => 0,
    itemCredit: () => 0,
    size: ({ idempotency }) => ITEM_BYTES + idempotencySize(idempotency),
    encodeResult: (id, { revision, compactRevision }, { replayed = false }) => [
      id,
      SUCCESS,
      revision,
      compactRevision,
      replayed,
    ],
    decodeResult: (item) => ({
      kind: 'compacted',
      revision: decodeResultRevision(item),
      compactRevision: decodeRevision(item[3], 'compact_revision'),
    }),
    decodeHead: (item) => decodeChangeHead(item, 4),
    resultBytes: () => 0,
  },
} satisfies EntryFacts<unknown> & {
  readonly http: HttpForm<CompactRequest, CompactOutcome>
  readonly mux: MuxForm<CompactRequest, CompactOutcome>
}

function checkSayable(onlyForward: true | undefined): void {
  if (onlyForward) throw unsayable('a compaction that must go forward')
}
