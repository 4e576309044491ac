// Deletes one key, if it exists.

import type { EntryFacts, Forms } from './definition.ts'
import { type Condition, readConditions } from './forms/conditions.ts'
import { checkOneKey, decodeKey, jsonResponse, replayedHeader } from './forms/http.ts'
import { type Idempotency, readIdempotency } from './forms/idempotency.ts'
import { deletedJson } from './forms/json.ts'
import { readQuery } from './forms/parameters.ts'
import { changing, NO_LEASES } from './forms/rights.ts'
import { DeleteAnswer } from './forms/schemas.ts'
import type { KeyRow, Revision } from './forms/store.ts'

export interface DeleteRequest {
  readonly kind: 'delete'
  readonly key: Uint8Array
  readonly condition: Condition | undefined
  readonly prev: boolean
  readonly idempotency: Idempotency | undefined
}

export interface DeleteOutcome {
  readonly kind: 'delete'
  readonly deleted: 0 | 1
  readonly revision: Revision
  /** undefined: it was not requested; null: the key did not exist. */
  readonly prev: KeyRow | null | undefined
}

const PARAMETERS = {}

export const del = {
  effect: 'change',
  isAudited: true,
  label: 'delete',
  room: 'frees',
  demands: ({ key, condition, prev }) => changing({ key }, condition !== undefined || prev),
  leases: () => NO_LEASES,
  http: {
    summary: 'Delete a key',
    parameters: PARAMETERS,
    answers: DeleteAnswer,
    decode(request) {
      const { headers, pairs } = request
      checkOneKey(request)
      readQuery(pairs, PARAMETERS)
      const key = decodeKey(request)
      const condition = readConditions(headers)
      return { kind: 'delete', key, condition, prev: false, idempotency: readIdempotency(headers) }
    },
    encodeResult: (result, head) => jsonResponse(deletedJson(result), replayedHeader(head), result.revision),
  },
} satisfies EntryFacts<Omit<DeleteRequest, 'idempotency'>> & Forms<DeleteRequest, DeleteOutcome>
