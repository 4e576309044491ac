// Begins the time to live of leases anew.

import type { HttpForm, OperationFacts } from './definition.ts'
import type { AnswerHead } from './forms/answer-head.ts'
import { jsonResponse } from './forms/http.ts'
import { anyOf, arrayOf, closed, object } from './forms/json-schema.ts'
import { leaseIdOf } from './forms/leases.ts'
import { CALL } from './forms/rights.ts'
import { route } from './forms/route.ts'
import { LeaseGranted, LeaseIdSchema, TTL_MS_FIELD } from './forms/schemas.ts'
import type { LeaseId } from './forms/store.ts'

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
  ...arrayOf(LeaseIdSchema),
  minItems: 1,
  maxItems: RENEW_LEASES_MAX,
  description: 'Of the leases',
}

export const keepAlive = {
  effect: 'read',
  isAudited: false,
  label: 'other',
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
        ({ params }) => ({ kind: 'keep-alive', ids: [leaseIdOf(params.id ?? '', 'the lease')], one: true }),
      ),
      route(
        {
          method: 'POST',
          path: '/v1/leases/keepalive',
          summary: 'Keep many leases alive',
          body: closed(object({ ids: Ids })),
          answers: object({
            leases: arrayOf(anyOf(LeaseGranted, object({ id: LeaseIdSchema, missing: { const: true } }))),
          }),
        },
        ({ body }) => ({
          kind: 'keep-alive',
          ids: body.ids.map((id, at) => leaseIdOf(id, `ids[${at}]`)),
          one: false,
        }),
      ),
    ],
    encodeResult(ttlsMs, _head, { ids, one }) {
      if (one) return jsonResponse(`{"ttl_ms":${ttlsMs[0]}}`)
      const leases = ids.map((id, at) => {
        const ttlMs = ttlsMs[at]
        return `{"id":"${id}",${ttlMs === undefined ? '"missing":true' : `"ttl_ms":${ttlMs}`}}`
      })
      return jsonResponse(`{"leases":[${leases.join(',')}]}`)
    },
  },
} satisfies OperationFacts<KeepAliveRequest> & {
  readonly http: HttpForm<
    KeepAliveRequest,
    KeepAliveResult,
    AnswerHead,
    Pick<KeepAliveRequest, 'ids' | 'one'>
  >
}
