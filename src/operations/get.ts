// Reads one key.

import type { KeyForm, OperationFacts } from './definition.ts'
import type { Condition } from './forms/conditions.ts'
import { disagree } from './forms/decode.ts'
import type { FreshnessOptions, ReadGrant } from './forms/freshness.ts'
import { compareKeys } from './forms/places.ts'
import { ApiError, unsayable } from './forms/problems.ts'
import { reading } from './forms/rights.ts'
import type { KeyRow, Revision } from './forms/store.ts'
import { conditionHeaders, readConditions } from './http/conditions.ts'
import {
  checkOneKey,
  decodeKey,
  entityTag,
  errorResponse,
  freshnessHeaders,
  jsonResponse,
  NOSNIFF,
  OCTETS,
  type WholeResponse,
} from './http/form.ts'
import { decodeRecordFields, recordJson } from './http/json.ts'
import { namesMediaType } from './http/media-types.ts'
import {
  freshnessFrom,
  HISTORY_PARAMETERS,
  READ_PARAMETERS,
  readQuery,
  TIME_PARAMETER,
} from './http/parameters.ts'
import { ACCEPT_JSON, getRequest, keyPath, withFreshness, withQuery } from './http/requests.ts'
import { RecordSchema } from './http/schemas.ts'
import { decodeAsOfRevision, decodeFlag, decodeKeyField, fieldBytes, isNil } from './mux/fields.ts'
import { decodeReadHead, ITEM_BYTES, type MuxForm, SUCCESS, servedField, stalenessField } from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'
import { decodeFreshness, encodeFreshness, minRevisionField } from './mux/options.ts'
import { decodeRecord, encodeRecord, RECORD_BYTES } from './mux/records.ts'

export interface GetRequest {
  readonly kind: 'get'
  readonly key: Uint8Array
  /** The state at this revision; undefined: the current state. */
  readonly revision?: Revision | undefined
  readonly condition?: Condition | undefined
  /** Whether the record has the time of its change. */
  readonly time?: boolean | undefined
  readonly freshness: FreshnessOptions
}

/** undefined: the key does not exist. */
export type GetResult = KeyRow | undefined

const PARAMETERS = { ...HISTORY_PARAMETERS, ...READ_PARAMETERS, time: TIME_PARAMETER }

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES.get

export const get = {
  effect: 'read',
  isAudited: false,
  label: 'get',
  needsLeader: ({ freshness }) => freshness.consistency !== 'stale',
  demands: ({ key }) => [reading({ key })],
  http: {
    summary: 'Read a key',
    parameters: PARAMETERS,
    answers: RecordSchema,
    encode({ key, revision, condition, time, freshness }) {
      const query = { revision, time: time || undefined }
      const path = withFreshness(withQuery(keyPath(key), query), freshness)
      return getRequest(path, { ...ACCEPT_JSON, ...conditionHeaders(condition) })
    },
    decode(request) {
      const { headers, pairs } = request
      checkOneKey(request)
      const { revision, time, ...freshness } = readQuery(pairs, PARAMETERS)
      const key = decodeKey(request)
      return {
        kind: 'get',
        key,
        revision,
        condition: readConditions(headers),
        ...(time === true ? { time } : {}),
        freshness: freshnessFrom(freshness),
      }
    },
    encodeResult(row, grant, { time }, { accept }) {
      if (row === undefined)
        return errorResponse(new ApiError('not_found', 'the key does not exist', { grant }))
      const { revision } = grant
      const headers = rowHeaders(row, grant)
      if (wantsRecord(accept)) return jsonResponse(recordJson(row, time), [...NOSNIFF, ...headers], revision)
      return { status: 200, headers: [...OCTETS, ...NOSNIFF, ...headers], body: row.value, revision }
    },
    decodeResult(body, { key }) {
      const row = decodeRecordFields(body)
      return compareKeys(row.key, key) === 0 ? row : disagree('it is the record of another key')
    },
    decodeAbsence: ({ code }) => (code === 'not_found' ? { result: undefined } : undefined),
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 8,
    encode(id, timeoutMs, { key, revision, condition, time, freshness }) {
      if (condition !== undefined) throw unsayable('the condition of a read')
      const minRevision = minRevisionField(freshness)
      const options = encodeFreshness(freshness)
      if (time === true) return [id, OPCODE, timeoutMs, key, minRevision, options, revision ?? null, true]
      if (revision !== undefined) return [id, OPCODE, timeoutMs, key, minRevision, options, revision]
      return options === null
        ? [id, OPCODE, timeoutMs, key, minRevision]
        : [id, OPCODE, timeoutMs, key, minRevision, options]
    },
    decode(item) {
      const key = decodeKeyField(item[3])
      const freshness = decodeFreshness(item[4], item[5])
      const time = decodeFlag(item[7], 'time') === true ? { time: true } : {}
      return { kind: 'get', key, freshness, revision: decodeAsOfRevision(item[6]), ...time }
    },
    credit: ({ key }) => key.length,
    itemCredit: (item) => fieldBytes(item[3]),
    size: ({ key }) => ITEM_BYTES + key.length,
    encodeResult(id, row, grant, { time }) {
      const found = row === undefined ? null : encodeRecord(null, row, time)
      return [id, SUCCESS, grant.revision, found, servedField(grant), stalenessField(grant)]
    },
    decodeResult: (item, { key }) => (isNil(item[3]) ? undefined : decodeRecord(item[3], key)),
    decodeHead: (item) => decodeReadHead(item, 4),
    resultBytes: (row) => (row === undefined ? 0 : RECORD_BYTES + row.value.length),
  },
} satisfies OperationFacts<GetRequest> & {
  readonly http: KeyForm<GetRequest, GetResult, ReadGrant>
  readonly mux: MuxForm<GetRequest, GetResult, ReadGrant>
}

/** The answer when `If-None-Match` names the revision of the row. */
export const encodeUnchanged = (row: KeyRow, grant: ReadGrant): WholeResponse => ({
  status: 304,
  headers: rowHeaders(row, grant),
  body: '',
  revision: grant.revision,
})

const rowHeaders = ({ modRevision }: KeyRow, grant: ReadGrant): readonly string[] => [
  'ETag',
  entityTag(modRevision),
  'Vary',
  'Accept',
  ...freshnessHeaders(grant),
]

/** Whether Accept names JSON, without the wildcard for all types. */
const wantsRecord = (accept: string | undefined): boolean =>
  accept !== undefined && namesMediaType(accept, 'application/json') && !namesMediaType(accept, '*/*')
