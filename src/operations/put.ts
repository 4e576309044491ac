// Puts one key. The condition, if any, is judged when the put is applied.

import type { EntryFacts, KeyForm } from './definition.ts'
import type { Condition } from './forms/conditions.ts'
import { decodeRevision, decodeRevisions, decodeWholeNumber } from './forms/decode.ts'
import type { Idempotency } from './forms/idempotency.ts'
import {
  checkKeepsNothing,
  type KeptParts,
  leaseNames,
  type PutLease,
  parsePutLease,
} from './forms/leases.ts'
import { ApiError } from './forms/problems.ts'
import { attaching, changing } from './forms/rights.ts'
import type { KeyRow, Revision } from './forms/store.ts'
import { conditionHeaders, readConditions } from './http/conditions.ts'
import {
  checkOneKey,
  codingRefusal,
  decodeKey,
  entityTag,
  type HttpRequestHead,
  jsonResponse,
  replayedHeader,
} from './http/form.ts'
import { idempotencyHeaders, readIdempotency } from './http/idempotency.ts'
import { decodePrevFields, prevJson, revisionsJson } from './http/json.ts'
import { anyOfSchema, integer, nothing, object } from './http/json-schema.ts'
import { flag, readQuery, text } from './http/parameters.ts'
import { keyPath, withQuery } from './http/requests.ts'
import { RecordSchema, revisions } from './http/schemas.ts'
import { decodeKeyField, decodeValueField, fieldBytes } from './mux/fields.ts'
import { decodeChangeHead, decodeResultRevision, ITEM_BYTES, type MuxForm, SUCCESS } from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'
import {
  conditionSize,
  decodeIdempotency,
  decodePutOptions,
  encodeIdempotency,
  encodePutOptions,
  idempotencySize,
} from './mux/options.ts'
import { decodePrev, encodePrev } from './mux/records.ts'

export interface PutRequest extends KeptParts {
  readonly kind: 'put'
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly condition: Condition | undefined
  /** The answer includes the row before the change. */
  readonly prev: boolean
  /** undefined: none, also if it had one before. */
  readonly lease?: PutLease | undefined
  readonly idempotency: Idempotency | undefined
}

/** A put whose value is set when the body of its request has arrived. */
export interface PutDraft extends PutRequest {
  value: Uint8Array
}

export interface PutOutcome {
  readonly kind: 'put'
  readonly revision: Revision
  readonly createRevision: Revision
  readonly modRevision: Revision
  readonly version: number
  /** undefined: it was not requested; null: the key did not exist. */
  readonly prev: KeyRow | null | undefined
}

const PARAMETERS = {
  prev: flag('Answer with the record before'),
  lease: text('The lease that deletes the key when it ends; none unless given'),
  ttl: text('A lease of its own, of this duration, such as 30s'),
}

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES.put

export const put = {
  effect: 'change',
  isAudited: true,
  label: 'put',
  repeat: () => 'by-id',
  room: 'takes',
  demands: ({ key, condition, prev, lease }) => [
    ...changing({ key }, condition !== undefined || prev),
    ...attaching(lease),
  ],
  leases: ({ lease }) => attaching(lease),
  http: {
    summary: 'Write a key',
    parameters: PARAMETERS,
    answers: object({ revision: integer, ...revisions }, { prev: anyOfSchema(RecordSchema, nothing) }),
    encode(request) {
      checkKeepsNothing(request)
      const { key, value, condition, prev, lease, idempotency } = request
      const path = withQuery(keyPath(key), { prev: prev || undefined, ...leaseNames(lease) })
      const headers = { ...conditionHeaders(condition), ...idempotencyHeaders(idempotency) }
      return { method: 'PUT', path, headers, body: value }
    },
    decode(request): PutDraft {
      const { headers, pairs } = request
      checkBodyHeaders(headers)
      checkOneKey(request)
      const { prev = false, lease: leaseId, ttl } = readQuery(pairs, PARAMETERS)
      const key = decodeKey(request)
      const condition = readConditions(headers)
      const lease = parsePutLease(leaseId, ttl)
      const idempotency = readIdempotency(headers)
      return { kind: 'put', key, value: NO_VALUE, condition, prev, lease, idempotency }
    },
    encodeResult(result, head) {
      const { revision, modRevision, prev } = result
      const json = `{"revision":${revision},${revisionsJson(result)}${prevJson(prev)}}`
      return jsonResponse(json, ['ETag', entityTag(modRevision), ...replayedHeader(head)], revision)
    },
    decodeResult: (body) => ({
      kind: 'put',
      revision: decodeRevision(body.revision, 'revision'),
      ...decodeRevisions(body),
      prev: decodePrevFields(body.prev),
    }),
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 7,
    encode(id, timeoutMs, request) {
      const { key, value, idempotency } = request
      const options = encodePutOptions(request)
      const identity = encodeIdempotency(idempotency)
      return options === undefined
        ? [id, OPCODE, timeoutMs, key, value, identity]
        : [id, OPCODE, timeoutMs, key, value, identity, options]
    },
    decode(item) {
      const key = decodeKeyField(item[3])
      const value = decodeValueField(item[4])
      const idempotency = decodeIdempotency(item[5])
      const { condition, prev, lease } = decodePutOptions(item[6])
      return { kind: 'put', key, value, condition, prev, lease, idempotency }
    },
    credit: ({ key, value }) => key.length + value.length,
    itemCredit: (item) => fieldBytes(item[3]) + fieldBytes(item[4]),
    size: ({ key, value, condition, idempotency }) =>
      ITEM_BYTES + key.length + value.length + conditionSize(condition) + idempotencySize(idempotency),
    encodeResult(id, outcome, { replayed = false }) {
      const { revision, createRevision, modRevision, version, prev } = outcome
      return prev === undefined
        ? [id, SUCCESS, revision, createRevision, modRevision, version, replayed]
        : [id, SUCCESS, revision, createRevision, modRevision, version, replayed, encodePrev(prev)]
    },
    decodeResult: (item) => ({
      kind: 'put',
      revision: decodeResultRevision(item),
      createRevision: decodeRevision(item[3], 'create_revision'),
      modRevision: decodeRevision(item[4], 'mod_revision'),
      version: decodeWholeNumber(item[5], 'version'),
      prev: decodePrev(item[7]),
    }),
    decodeHead: (item) => decodeChangeHead(item, 6),
    resultBytes: ({ prev }) => prev?.value.length ?? 0,
  },
} satisfies EntryFacts<Omit<PutRequest, 'idempotency'>> & {
  readonly http: KeyForm<PutRequest, PutOutcome>
  readonly mux: MuxForm<PutRequest, PutOutcome>
}

/** The value of a put whose body has not arrived. */
const NO_VALUE: Uint8Array = new Uint8Array()

/** Throws `ApiError` for a body that is no whole value, or whose end is unknown. */
function checkBodyHeaders(headers: HttpRequestHead['headers']): void {
  if (headers['content-encoding'] !== undefined)
    throw new ApiError(
      'unsupported_media_type',
      'a value is stored as it is sent: Content-Encoding is not accepted',
    )
  const refused = codingRefusal(headers)
  if (refused !== undefined) throw refused
  if (headers['content-range'] !== undefined)
    throw new ApiError('bad_request', 'a value is replaced as a whole: Content-Range is not accepted')
}
