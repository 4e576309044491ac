// Opens a session, by whose slots changes are applied at most once.

import type { EntryFacts, HttpForm } from './definition.ts'
import type { AnswerHead } from './forms/answer-head.ts'
import { decodeRevision, decodeWholeNumber } from './forms/decode.ts'
import { SESSION_SLOTS_MAX } from './forms/idempotency.ts'
import { CHANGE, NO_LEASES } from './forms/rights.ts'
import type { Revision } from './forms/store.ts'
import { jsonResponse, replayedHeader } from './http/form.ts'
import { closed, integer, object } from './http/json-schema.ts'
import { jsonRequest } from './http/requests.ts'
import { route } from './http/route.ts'
import { decodeResultRevision, ITEM_BYTES, type MuxForm, SUCCESS } from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'

export interface OpenSessionRequest {
  readonly kind: 'open-session'
}

export interface SessionOutcome {
  readonly kind: 'session'
  readonly revision: Revision
  readonly session: number
  /** It is forgotten this long after it was opened, or earlier when there are too many. */
  readonly ageMsMax: number
}

/** `SessionOutcome` at a client. */
interface OpenedSession extends SessionOutcome {
  /** The number of changes that it can name at a time. */
  readonly slots: number
}

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES['open-session']

export const openSession = {
  effect: 'change',
  // A client opens one by itself, before its first change.
  isAudited: false,
  label: 'other',
  resource: 'sessions',
  room: 'takes',
  // Sessions take the places of others.
  demands: () => CHANGE,
  leases: () => NO_LEASES,
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: '/v1/sessions',
          summary: 'Open a session, by whose slots changes are applied at most once (Kv-Session)',
          body: closed(object({}, {})),
          answers: object({ session: integer, age_ms: integer, slots: integer }),
        },
        () => ({ kind: 'open-session' }),
      ),
    ],
    encode: () => jsonRequest('POST', '/v1/sessions', {}),
    encodeResult: ({ session, ageMsMax, revision }, head) =>
      jsonResponse(
        `{"session":${session},"age_ms":${ageMsMax},"slots":${SESSION_SLOTS_MAX}}`,
        replayedHeader(head),
        revision,
      ),
    decodeResult: (body, _request, { revision }) => ({
      kind: 'session',
      revision: decodeRevision(revision, 'Kv-Revision'),
      session: decodeWholeNumber(body.session, 'session'),
      ageMsMax: decodeWholeNumber(body.age_ms, 'age_ms'),
      slots: decodeWholeNumber(body.slots, 'slots'),
    }),
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 3,
    encode: (id, timeoutMs) => [id, OPCODE, timeoutMs],
    decode: () => ({ kind: 'open-session' }),
    credit: () => 0,
    itemCredit: () => 0,
    size: () => ITEM_BYTES,
    encodeResult: (id, { revision, session, ageMsMax }) => [
      id,
      SUCCESS,
      revision,
      session,
      ageMsMax,
      SESSION_SLOTS_MAX,
    ],
    decodeResult: (item) => ({
      kind: 'session',
      revision: decodeResultRevision(item),
      session: decodeWholeNumber(item[3], 'session'),
      ageMsMax: decodeWholeNumber(item[4], 'age_ms'),
      slots: decodeWholeNumber(item[5], 'slots'),
    }),
    decodeHead: (item) => ({ revision: decodeResultRevision(item) }),
    resultBytes: () => 0,
  },
} satisfies EntryFacts<unknown> & {
  readonly http: HttpForm<OpenSessionRequest, SessionOutcome, AnswerHead, OpenedSession>
  readonly mux: MuxForm<OpenSessionRequest, SessionOutcome, AnswerHead, OpenedSession>
}
