// Begins the time to live of leases anew.

import type { HttpForm, OperationFacts } from './definition.ts'
import { decodeList, decodeObject, decodeWholeNumber, disagree } from './forms/decode.ts'
import { parseLeaseId } from './forms/leases.ts'
import { unsayable } from './forms/problems.ts'
import { CALL } from './forms/rights.ts'
import type { LeaseId } from './forms/store.ts'
import { jsonResponse } from './http/form.ts'
import { anyOfSchema, arraySchema, closed, object } from './http/json-schema.ts'
import { jsonRequest } from './http/requests.ts'
import { route } from './http/route.ts'
import { LeaseGranted, LeaseIdSchema, TTL_MS_FIELD } from './http/schemas.ts'
import { invalidField } from './mux/fields.ts'
import { decodeResultRevision, ITEM_BYTES, type Item, type MuxForm, SUCCESS } from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'

/** Limit on the leases of one request, and of the entry that renews them. */
export const RENEW_LEASES_MAX = 1000

export interface KeepAliveRequest {
  readonly kind: 'keep-alive'
  readonly ids: readonly LeaseId[]
  /** It is about one lease, and a missing one is an error. */
  readonly one: boolean
}

/** The times to live in the order of the ids; undefined: there is no such lease. */
export type KeepAliveResult = readonly (number | undefined)[]

const Ids = {
  ...arraySchema(LeaseIdSchema),
  minItems: 1,
  maxItems: RENEW_LEASES_MAX,
  description: 'Of the leases',
}

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES['keep-alive']

/** Credit for the id of a lease. */
const LEASE_ID_BYTES = 20
/** Memory of an id that waits for its renewal: a text, a number, and its place in both lists. */
const LEASE_ID_MEMORY = 80
/** Memory of the time to live of a lease. */
const OUTCOME_BYTES = 60

export const keepAlive = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  needsLeader: () => true,
  demands: ({ ids }) => [...CALL, ...ids.map((lease) => ({ to: 'keep-alive', lease }) as const)],
  http: {
    routes: [
      route(
        {
          method: 'POST',
          path: '/v1/leases/:id/keepalive',
          summary: 'Keep a lease alive: its time to live begins anew',
          body: closed(object({})),
          answers: object(TTL_MS_FIELD),
        },
        ({ params }) => ({
          kind: 'keep-alive',
          ids: [parseLeaseId(params.id ?? '', 'the lease')],
          one: true,
        }),
      ),
      route(
        {
          method: 'POST',
          path: '/v1/leases/keepalive',
          summary: 'Keep many leases alive',
          body: closed(object({ ids: Ids })),
          answers: object({
            leases: arraySchema(
              anyOfSchema(LeaseGranted, object({ id: LeaseIdSchema, missing: { const: true } })),
            ),
          }),
        },
        ({ body }) => ({
          kind: 'keep-alive',
          ids: body.ids.map((id, at) => parseLeaseId(id, `ids[${at}]`)),
          one: false,
        }),
      ),
    ],
    encode: ({ ids, one }) =>
      one
        ? jsonRequest('POST', `/v1/leases/${ids[0]}/keepalive`, {})
        : jsonRequest('POST', '/v1/leases/keepalive', { ids }),
    encodeResult(ttlsMs, _head, { ids, one }) {
      if (one) return jsonResponse(`{"ttl_ms":${ttlsMs[0]}}`)
      const leases = ids.map((id, at) => {
        const ttlMs = ttlsMs[at]
        return `{"id":"${id}",${ttlMs === undefined ? '"missing":true' : `"ttl_ms":${ttlMs}`}}`
      })
      return jsonResponse(`{"leases":[${leases.join(',')}]}`)
    },
    decodeResult(body, { ids, one }) {
      if (one) return [decodeWholeNumber(body.ttl_ms, 'ttl_ms')]
      const leases = decodeList(body.leases, 'leases')
      if (leases.length !== ids.length) disagree(`it has ${leases.length} leases of ${ids.length}`)
      return ids.map((requested, at) => {
        const { id, missing, ttl_ms } = decodeObject(leases[at], 'a lease')
        if (id !== requested) disagree('it has another lease')
        return missing === true ? undefined : decodeWholeNumber(ttl_ms, 'ttl_ms')
      })
    },
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 4,
    encode(id, timeoutMs, { ids, one }) {
      if (one) throw unsayable('a keep-alive of one lease')
      return [id, OPCODE, timeoutMs, ids]
    },
    decode: (item) => ({ kind: 'keep-alive', ids: decodeIds(item[3]), one: false }),
    credit: ({ ids }) => LEASE_ID_BYTES * ids.length,
    itemCredit: (item) => LEASE_ID_BYTES * countIds(item),
    heldBytes: (item) => LEASE_ID_MEMORY * countIds(item),
    size: ({ ids }) => ITEM_BYTES + 2 * LEASE_ID_BYTES * ids.length,
    encodeResult: (id, ttlsMs, { revision }) => [id, SUCCESS, revision, ttlsMs.map((ttlMs) => ttlMs ?? null)],
    decodeResult([, , , ttlsMs], { ids }) {
      if (!Array.isArray(ttlsMs)) return disagree('"leases" is not a list')
      if (ttlsMs.length !== ids.length) disagree(`it has ${ttlsMs.length} leases of ${ids.length}`)
      return ttlsMs.map((ttlMs) => (ttlMs === null ? undefined : decodeWholeNumber(ttlMs, 'ttl_ms')))
    },
    decodeHead: (item) => ({ revision: decodeResultRevision(item) }),
    resultBytes: (ttlsMs) => OUTCOME_BYTES * ttlsMs.length,
  },
} satisfies OperationFacts<KeepAliveRequest> & {
  readonly http: HttpForm<KeepAliveRequest, KeepAliveResult>
  readonly mux: MuxForm<KeepAliveRequest, KeepAliveResult>
}

const countIds = (item: Item): number => (Array.isArray(item[3]) ? item[3].length : 0)

function decodeIds(field: unknown): readonly LeaseId[] {
  if (!Array.isArray(field) || field.length < 1 || field.length > RENEW_LEASES_MAX)
    throw invalidField('leases', `a list of 1 to ${RENEW_LEASES_MAX} ids`)
  return field.map((id, at) => parseLeaseId(typeof id === 'string' ? id : '', `leases[${at}]`))
}
