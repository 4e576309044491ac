// Reads one lease.

import type { HttpForm, OperationFacts } from './definition.ts'
import { decodeBytesDocument } from './forms/bytes.ts'
import { decodeList } from './forms/decode.ts'
import type { FreshnessOptions, ReadGrant } from './forms/freshness.ts'
import { type LeaseDescription, parseLeaseId } from './forms/leases.ts'
import { CALL } from './forms/rights.ts'
import type { LeaseId } from './forms/store.ts'
import { freshnessHeaders, jsonResponse } from './http/form.ts'
import { bytesJson, decodeLeaseFields, leaseFields } from './http/json.ts'
import { arraySchema, object } from './http/json-schema.ts'
import { flag, freshnessFrom, READ_PARAMETERS } from './http/parameters.ts'
import { getRequest, withFreshness, withQuery } from './http/requests.ts'
import { route } from './http/route.ts'
import { Bytes, LEASE_FIELDS } from './http/schemas.ts'

export interface ShowLeaseRequest {
  readonly kind: 'show-lease'
  readonly id: LeaseId
  /** The answer has its keys. */
  readonly keys: boolean
  readonly freshness: FreshnessOptions
}

export interface ShowLeaseResult {
  readonly lease: LeaseDescription
  /** undefined: they were not requested. */
  readonly keys: readonly Uint8Array[] | undefined
}

export const showLease = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  resource: 'leases',
  demands: ({ id, keys }) => (keys ? [...CALL, { to: 'read-lease', lease: id }] : CALL),
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/leases/:id',
          summary: 'A lease',
          parameters: { keys: flag('Answer with its keys'), ...READ_PARAMETERS },
          answers: object(LEASE_FIELDS, { keys: arraySchema(Bytes) }),
        },
        ({ params, values: { keys = false, ...freshness } }) => {
          const id = parseLeaseId(params.id ?? '', 'the lease')
          return { kind: 'show-lease', id, keys, freshness: freshnessFrom(freshness) }
        },
      ),
    ],
    encode: ({ id, keys, freshness }) =>
      getRequest(withFreshness(withQuery(`/v1/leases/${id}`, { keys: keys || undefined }), freshness)),
    encodeResult({ lease, keys }, grant) {
      const json =
        keys === undefined ? `{${leaseFields(lease)}}` : `${leaseStart(lease)}${keysJson(keys)}${LEASE_END}`
      return jsonResponse(json, freshnessHeaders(grant), grant.revision)
    },
    decodeResult: (body, { keys }) => ({
      lease: decodeLeaseFields(body),
      keys: keys ? decodeList(body.keys, 'keys').map(decodeBytesDocument) : undefined,
    }),
  },
} satisfies OperationFacts<ShowLeaseRequest> & {
  readonly http: HttpForm<ShowLeaseRequest, ShowLeaseResult, ReadGrant>
}

/** The JSON of a lease before its keys, which may be many. */
export const leaseStart = (lease: LeaseDescription): string => `{${leaseFields(lease)},"keys":[`
export const LEASE_END = ']}'
export const keysJson = (keys: readonly Uint8Array[]): string => keys.map(bytesJson).join(',')
