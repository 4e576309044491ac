// Deletes all keys of a range, at one revision.

import type { EntryFacts, KeyForm } from './definition.ts'
import { decodeRevision, decodeWholeNumber } from './forms/decode.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { type KeyRange, rangeBounds, rangeToDelete } from './forms/places.ts'
import { ApiError } from './forms/problems.ts'
import { changing, NO_LEASES } from './forms/rights.ts'
import type { Revision } from './forms/store.ts'
import { readConditions } from './http/conditions.ts'
import { jsonResponse, replayedHeader } from './http/form.ts'
import { idempotencyHeaders, readIdempotency } from './http/idempotency.ts'
import { deletedJson } from './http/json.ts'
import { integer, object } from './http/json-schema.ts'
import { bytes, flag, readQuery } from './http/parameters.ts'
import { deleteRequest, withQuery } from './http/requests.ts'
import { decodeBounds, decodeBytes, decodeFlag, decodeMap, nestedBytes } from './mux/fields.ts'
import { decodeChangeHead, decodeResultRevision, ITEM_BYTES, type MuxForm, SUCCESS } from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'
import {
  decodeIdempotency,
  encodeBounds,
  encodeIdempotency,
  idempotencySize,
  rangeBytes,
} from './mux/options.ts'

export interface DeleteRangeRequest {
  readonly kind: 'delete-range'
  readonly range: KeyRange
  readonly idempotency: Idempotency | undefined
}

export interface DeleteRangeOutcome {
  readonly kind: 'delete-range'
  readonly revision: Revision
  readonly deleted: number
}

const PARAMETERS = {
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  all: flag('Needed if the range has all keys'),
}

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES['delete-range']

const RANGE_FIELDS = ['prefix', 'start', 'end', 'all'] as const

export const deleteRange = {
  effect: 'change',
  isAudited: true,
  label: 'delete',
  repeat: () => 'by-id',
  room: 'frees',
  demands: ({ range }) => changing(range, false),
  leases: () => NO_LEASES,
  http: {
    summary: 'Delete a range of keys at one revision; with `key` the one key, as under /v1/kv/{key}',
    parameters: PARAMETERS,
    answers: object({ deleted: integer, revision: integer }),
    encode({ range, idempotency }) {
      const all = range.start.length === 0 && range.end === undefined ? true : undefined
      const path = withQuery('/v1/kv', { ...rangeBounds(range), all })
      return deleteRequest(path, idempotencyHeaders(idempotency))
    },
    decode({ headers, pairs }) {
      const { all, ...bounds } = readQuery(pairs, PARAMETERS)
      const range = rangeToDelete(bounds, all)
      if (readConditions(headers) !== undefined)
        throw new ApiError('bad_request', 'If-Match and If-None-Match are for one key, not for a range')
      return { kind: 'delete-range', range, idempotency: readIdempotency(headers) }
    },
    encodeResult: (result, head) => jsonResponse(deletedJson(result), replayedHeader(head), result.revision),
    decodeResult: ({ revision, deleted }) => ({
      kind: 'delete-range',
      revision: decodeRevision(revision, 'revision'),
      deleted: decodeWholeNumber(deleted, 'deleted'),
    }),
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 5,
    encode(id, timeoutMs, { range, idempotency }) {
      const bounds = encodeBounds(range)
      // A range of all keys names a bound, and says that it is meant.
      if (range.start.length === 0 && range.end === undefined) {
        if (range.isPrefix !== true) bounds.start = range.start
        bounds.all = true
      }
      return [id, OPCODE, timeoutMs, bounds, encodeIdempotency(idempotency)]
    },
    decode(item) {
      const options = decodeMap(item[3], 'the range', RANGE_FIELDS)
      const bounds = decodeBounds(options, decodeBytes, 'prefix', 'start', 'end')
      const range = rangeToDelete(bounds, decodeFlag(options.get('all'), 'all'))
      return { kind: 'delete-range', range, idempotency: decodeIdempotency(item[4]) }
    },
    credit: ({ range }) => rangeBytes(range),
    itemCredit: (item) => nestedBytes(item[3]),
    size: ({ range, idempotency }) => ITEM_BYTES + rangeBytes(range) + idempotencySize(idempotency),
    encodeResult: (id, { revision, deleted }, { replayed = false }) => [
      id,
      SUCCESS,
      revision,
      deleted,
      replayed,
    ],
    decodeResult: (item) => ({
      kind: 'delete-range',
      revision: decodeResultRevision(item),
      deleted: decodeWholeNumber(item[3], 'deleted'),
    }),
    decodeHead: (item) => decodeChangeHead(item, 4),
    resultBytes: () => 0,
  },
} satisfies EntryFacts<Pick<DeleteRangeRequest, 'range'>> & {
  readonly http: KeyForm<DeleteRangeRequest, DeleteRangeOutcome>
  readonly mux: MuxForm<DeleteRangeRequest, DeleteRangeOutcome>
}
