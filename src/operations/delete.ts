// Deletes one key, if it exists.

import type { EntryFacts, KeyForm } from './definition.ts'
import type { Condition } from './forms/conditions.ts'
import { decodeRevision, disagree } from './forms/decode.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { unsayable } from './forms/problems.ts'
import { changing, NO_LEASES } from './forms/rights.ts'
import type { KeyRow, Revision } from './forms/store.ts'
import { conditionHeaders, readConditions } from './http/conditions.ts'
import { checkOneKey, decodeKey, jsonResponse, replayedHeader } from './http/form.ts'
import { idempotencyHeaders, readIdempotency } from './http/idempotency.ts'
import { deletedJson } from './http/json.ts'
import { readQuery } from './http/parameters.ts'
import { deleteRequest, keyPath } from './http/requests.ts'
import { DeleteAnswer } from './http/schemas.ts'
import { decodeKeyField, fieldBytes } from './mux/fields.ts'
import { decodeChangeHead, decodeResultRevision, ITEM_BYTES, type MuxForm, SUCCESS } from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'
import {
  conditionSize,
  decodeDeleteOptions,
  decodeIdempotency,
  encodeDeleteOptions,
  encodeIdempotency,
  idempotencySize,
} from './mux/options.ts'
import { decodePrev, encodePrev } from './mux/records.ts'

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

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES.delete

export const del = {
  effect: 'change',
  isAudited: true,
  label: 'delete',
  repeat: () => 'by-id',
  room: 'frees',
  demands: ({ key, condition, prev }) => changing({ key }, condition !== undefined || prev),
  leases: () => NO_LEASES,
  http: {
    summary: 'Delete a key',
    parameters: PARAMETERS,
    answers: DeleteAnswer,
    encode({ key, condition, prev, idempotency }) {
      if (prev) throw unsayable('the record before a delete')
      return deleteRequest(keyPath(key), {
        ...conditionHeaders(condition),
        ...idempotencyHeaders(idempotency),
      })
    },
    decode(request) {
      const { headers, pairs } = request
      checkOneKey(request)
      readQuery(pairs, PARAMETERS)
      const key = decodeKey(request)
      const condition = readConditions(headers)
      return { kind: 'delete', key, condition, prev: false, idempotency: readIdempotency(headers) }
    },
    encodeResult: (result, head) => jsonResponse(deletedJson(result), replayedHeader(head), result.revision),
    decodeResult: (body) => ({
      kind: 'delete',
      revision: decodeRevision(body.revision, 'revision'),
      deleted: decodeDeleted(body.deleted),
      prev: undefined,
    }),
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 6,
    encode(id, timeoutMs, { key, condition, prev, idempotency }) {
      const options = encodeDeleteOptions(condition, prev)
      const identity = encodeIdempotency(idempotency)
      return options === undefined
        ? [id, OPCODE, timeoutMs, key, identity]
        : [id, OPCODE, timeoutMs, key, identity, options]
    },
    decode(item) {
      const key = decodeKeyField(item[3])
      const idempotency = decodeIdempotency(item[4])
      const { condition, prev } = decodeDeleteOptions(item[5])
      return { kind: 'delete', key, condition, prev, idempotency }
    },
    credit: ({ key }) => key.length,
    itemCredit: (item) => fieldBytes(item[3]),
    size: ({ key, condition, idempotency }) =>
      ITEM_BYTES + key.length + conditionSize(condition) + idempotencySize(idempotency),
    encodeResult(id, { revision, deleted, prev }, { replayed = false }) {
      return prev === undefined
        ? [id, SUCCESS, revision, deleted, replayed]
        : [id, SUCCESS, revision, deleted, replayed, encodePrev(prev)]
    },
    decodeResult: (item) => ({
      kind: 'delete',
      revision: decodeResultRevision(item),
      deleted: decodeDeleted(item[3]),
      prev: decodePrev(item[5]),
    }),
    decodeHead: (item) => decodeChangeHead(item, 4),
    resultBytes: ({ prev }) => prev?.value.length ?? 0,
  },
} satisfies EntryFacts<Omit<DeleteRequest, 'idempotency'>> & {
  readonly http: KeyForm<DeleteRequest, DeleteOutcome>
  readonly mux: MuxForm<DeleteRequest, DeleteOutcome>
}

export const decodeDeleted = (field: unknown): 0 | 1 =>
  field === 0 || field === 1 ? field : disagree('"deleted" is neither 0 nor 1')
