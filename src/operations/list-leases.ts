// Reads the leases of the store, in the order of their ids.

import type { HttpForm, OperationFacts } from './definition.ts'
import { decodeBoolean, decodeList, decodeObject } from './forms/decode.ts'
import type { FreshnessOptions, ReadGrant } from './forms/freshness.ts'
import { type LeaseDescription, parseLeaseId } from './forms/leases.ts'
import { CALL } from './forms/rights.ts'
import type { LeaseId } from './forms/store.ts'
import { freshnessHeaders, jsonResponse } from './http/form.ts'
import { decodeLeaseFields, leaseFields } from './http/json.ts'
import { arraySchema, boolean, integer, object } from './http/json-schema.ts'
import { freshnessFrom, pageLimit, READ_PARAMETERS, text } from './http/parameters.ts'
import { getRequest, withFreshness, withQuery } from './http/requests.ts'
import { route } from './http/route.ts'
import { LEASE_FIELDS, LeaseIdSchema } from './http/schemas.ts'

export interface ListLeasesRequest {
  readonly kind: 'list-leases'
  /** Exclusive: the page begins after this id. */
  readonly after: LeaseId | undefined
  readonly limit: number | undefined
  readonly freshness: FreshnessOptions
}

export interface LeasesResult {
  readonly leases: readonly LeaseDescription[]
  /** There are leases after the last one. */
  readonly more: boolean
}

export const listLeases = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  resource: 'leases',
  demands: () => CALL,
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/leases',
          summary: 'All leases, in the order of their ids',
          parameters: {
            limit: pageLimit('Leases at most'),
            after: text('Leases after this id: the `next` of the page before'),
            ...READ_PARAMETERS,
          },
          answers: object(
            { leases: arraySchema(object(LEASE_FIELDS)), more: boolean, revision: integer },
            { next: LeaseIdSchema },
          ),
        },
        ({ values: { limit, after, ...freshness } }) => ({
          kind: 'list-leases',
          after: after === undefined ? undefined : parseLeaseId(after, 'after'),
          limit,
          freshness: freshnessFrom(freshness),
        }),
      ),
    ],
    encode: ({ after, limit, freshness }) =>
      getRequest(withFreshness(withQuery('/v1/leases', { limit, after }), freshness)),
    encodeResult({ leases, more }, grant) {
      const next = more ? `,"next":"${leases.at(-1)?.id}"` : ''
      const listed = leases.map((lease) => `{${leaseFields(lease)}}`).join(',')
      const json = `{"leases":[${listed}],"more":${more}${next},"revision":${grant.revision}}`
      return jsonResponse(json, freshnessHeaders(grant), grant.revision)
    },
    decodeResult: ({ leases, more }) => ({
      leases: decodeList(leases, 'leases').map((lease) => decodeLeaseFields(decodeObject(lease, 'a lease'))),
      more: decodeBoolean(more, 'more'),
    }),
  },
} satisfies OperationFacts<ListLeasesRequest> & {
  readonly http: HttpForm<ListLeasesRequest, LeasesResult, ReadGrant>
}
