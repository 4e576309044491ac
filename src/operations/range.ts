// Reads the keys of a range, a page or all of them, or counts them.

import { decodeUtf8 } from '../bytes/index.ts'
import type { HttpAnswerForm, KeyRequestForm, OperationFacts } from './definition.ts'
import type { AnswerHead } from './forms/answer-head.ts'
import { decodeBytesDocument } from './forms/bytes.ts'
import {
  decodeBoolean,
  decodeWholeNumber,
  disagree,
  isObject,
  isWholeNumber,
  tryParseJson,
} from './forms/decode.ts'
import type { FreshnessOptions, ReadGrant } from './forms/freshness.ts'
import { BOUND_BYTES_MAX, type KeyRange, keyRange, rangeBounds } from './forms/places.ts'
import {
  type ApiError,
  decodeProblem,
  type ProblemAnswer,
  problemDocument,
  unsayable,
} from './forms/problems.ts'
import { reading } from './forms/rights.ts'
import type { KeyRow, Revision } from './forms/store.ts'
import { freshnessHeaders, type HttpRequestHead, type WholeResponse } from './http/form.ts'
import { bytesJson, decodeRecordFields, decodeRecords, metaJson, recordJson } from './http/json.ts'
import { arraySchema, boolean, integer, object } from './http/json-schema.ts'
import { LINES, namesMediaType } from './http/media-types.ts'
import {
  bytes,
  choiceParameter,
  flag,
  freshnessFrom,
  HISTORY_PARAMETERS,
  READ_PARAMETERS,
  readQuery,
  recordLimit,
} from './http/parameters.ts'
import { ACCEPT_JSON, ACCEPT_LINES, getRequest, withFreshness, withQuery } from './http/requests.ts'
import { Bytes, lease, revisions } from './http/schemas.ts'
import {
  decodeAsOfRevision,
  decodeBound,
  decodeBounds,
  decodeChoice,
  decodeFlag,
  decodeOptionalMap,
  decodeOptionalNumber,
  isNil,
  nestedBytes,
} from './mux/fields.ts'
import {
  decodeReadHead,
  ITEM_BYTES,
  type Item,
  type MuxRequestForm,
  RANGE_CREDIT_BYTES,
  SUCCESS,
  servedField,
  stalenessField,
} from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'
import {
  decodeFreshness,
  encodeBounds,
  encodeFreshness,
  minRevisionField,
  rangeBytes,
} from './mux/options.ts'
import {
  decodeRecord,
  encodeRecord,
  encodeRecordMeta,
  RECORD_BYTES,
  type RecordField,
} from './mux/records.ts'

export interface RangeRequest {
  readonly kind: 'range'
  readonly range: KeyRange
  /** Exclusive: the page begins after this key, in the order of the range. */
  readonly after?: Uint8Array | undefined
  readonly order?: 'asc' | 'desc' | undefined
  /** Records at most; a stream has no limit unless given, a page the default of the node. */
  readonly limit?: number | undefined
  readonly keysOnly?: boolean | undefined
  /** Counts the whole range as well. */
  readonly count?: boolean | undefined
  /** Counts the whole range, and reads no records. */
  readonly countOnly?: boolean | undefined
  /** Answers with a stream of all records in place of one page. */
  readonly stream?: boolean | undefined
  readonly revision?: Revision | undefined
  readonly freshness: FreshnessOptions
}

/** The facts of a page beside its records. */
export interface PageResult {
  readonly more: boolean
  /** The last key of the page. */
  readonly last: Uint8Array | undefined
  readonly count: number | undefined
}

/** A page at a client. */
export interface RangePage extends PageResult {
  readonly records: readonly KeyRow[]
}

const PARAMETERS = {
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  after: bytes('Only keys behind this one in the requested order: `next` of the page before'),
  limit: recordLimit('Records at most; a page has 1000 unless given, and never more than 10000'),
  order: choiceParameter('Of keys, byte by byte; ascending unless given', 'asc', 'desc'),
  keys_only: flag('Leave the values out'),
  count: flag('Count the whole range as well'),
  count_only: flag('Count the whole range and answer no records'),
  ...HISTORY_PARAMETERS,
  ...READ_PARAMETERS,
}

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES.range

const RANGE_FIELDS = [
  'prefix',
  'start',
  'end',
  'after',
  'limit',
  'order',
  'keys_only',
  'count',
  'count_only',
  'revision',
] as const
const ORDERS = ['asc', 'desc'] as const

export const range = {
  effect: 'read',
  isAudited: false,
  label: 'range',
  needsLeader: ({ freshness }) => freshness.consistency !== 'stale',
  isStreamed: ({ stream }) => stream === true,
  demands: (operation) => [reading(operation.range)],
  http: {
    summary: 'A range of keys; with `key` the one key, as under /v1/kv/{key}',
    parameters: PARAMETERS,
    answers: object(
      {
        kvs: arraySchema(object({ key: Bytes, ...revisions }, { value: Bytes, ...lease })),
        more: boolean,
        revision: integer,
      },
      { next: Bytes, count: integer },
    ),
    encode(request) {
      const path = withQuery('/v1/kv', {
        ...rangeBounds(request.range),
        order: request.order,
        keys_only: request.keysOnly || undefined,
        revision: request.revision,
        limit: request.limit,
        after: request.after,
        count: request.count,
        count_only: request.countOnly,
      })
      return getRequest(withFreshness(path, request.freshness), request.stream ? ACCEPT_LINES : ACCEPT_JSON)
    },
    decode({ pairs, headers }, rowsMax) {
      const stream = wantsLines(headers)
      const values = readQuery(pairs, PARAMETERS, stream ? undefined : rowsMax)
      return {
        kind: 'range',
        range: keyRange(values),
        after: values.after,
        order: values.order,
        limit: values.limit,
        keysOnly: values.keys_only ?? false,
        count: values.count,
        countOnly: values.count_only,
        stream,
        revision: values.revision,
        freshness: freshnessFrom(values),
      }
    },
    encodeHead: (grant, isStream) => ({
      status: 200,
      headers: [
        'Content-Type',
        isStream ? LINES : 'application/json',
        'Vary',
        'Accept',
        ...freshnessHeaders(grant),
      ],
      revision: grant.revision,
    }),
    encodeRecord: encodeRecordJson,
    encodePageEnd({ more, last, count }, { revision }) {
      const next = more && last !== undefined ? `,"next":${bytesJson(last)}` : ''
      const counted = count === undefined ? '' : `,"count":${count}`
      return `],"more":${more}${next}${counted},"revision":${revision}}`
    },
    encodeRecordLine: (row, keysOnly) => `${encodeRecordJson(row, keysOnly)}\n`,
    encodeEndLine: (count, { revision }) => `{"end":true,"count":${count},"revision":${revision}}\n`,
    encodeErrorLine: (error) => `${JSON.stringify({ error: problemDocument(error) })}\n`,
    decodeLine(line, keysOnly) {
      const json = tryParseJson(decodeUtf8(line))
      if (!isObject(json)) return undefined
      if (json.end === true) return { kind: 'end', count: isWholeNumber(json.count) ? json.count : undefined }
      if (isObject(json.error)) return { kind: 'error', problem: decodeProblem(json.error) }
      return { kind: 'record', row: decodeRecordFields(json, keysOnly) }
    },
    decodeResult({ kvs, more, next, count }, { keysOnly, countOnly }) {
      if (countOnly === true)
        return { records: [], more: false, last: undefined, count: decodeWholeNumber(count, 'count') }
      const hasMore = decodeBoolean(more, 'more')
      return {
        records: decodeRecords(kvs, 'kvs', keysOnly),
        more: hasMore,
        last: hasMore ? decodeBytesDocument(next) : undefined,
        count: count === undefined ? undefined : decodeWholeNumber(count, 'count'),
      }
    },
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 6,
    encode(id, timeoutMs, request) {
      const { after, limit, order, keysOnly, count, countOnly, stream, revision, freshness } = request
      if (stream) throw unsayable('the request for a stream of records')
      const options: Record<string, unknown> = encodeBounds(request.range)
      if (after !== undefined) options.after = after
      if (limit !== undefined) options.limit = limit
      if (order !== undefined) options.order = order
      if (keysOnly) options.keys_only = true
      if (count !== undefined) options.count = count
      if (countOnly !== undefined) options.count_only = countOnly
      if (revision !== undefined) options.revision = revision
      return [id, OPCODE, timeoutMs, options, minRevisionField(freshness), encodeFreshness(freshness)]
    },
    decode(item, limits) {
      const options = decodeOptionalMap(item[3], 'the range', RANGE_FIELDS)
      const { after, ...bounds } = decodeBounds(options, decodeBound, 'prefix', 'start', 'end', 'after')
      const limit = decodeOptionalNumber(options.get('limit'), 'limit', 1, limits.pageRowsMax)
      const order = decodeChoice(options.get('order'), 'order', ORDERS)
      const keysOnly = decodeFlag(options.get('keys_only'), 'keys_only') ?? false
      const count = decodeFlag(options.get('count'), 'count')
      const countOnly = decodeFlag(options.get('count_only'), 'count_only')
      const revision = decodeAsOfRevision(options.get('revision'))
      const freshness = decodeFreshness(item[4], item[5])
      return {
        kind: 'range',
        range: keyRange(bounds),
        after,
        limit,
        order,
        keysOnly,
        count,
        countOnly,
        revision,
        freshness,
      }
    },
    // HTTP carries streams, for which items have no field, and counts, which have few bytes and may take long.
    carries: ({ stream, countOnly }) => stream !== true && countOnly !== true,
    credit: () => RANGE_CREDIT_BYTES,
    itemCredit: () => RANGE_CREDIT_BYTES,
    // A start, an end, and the key before a page.
    heldBytes: (item) => Math.min(nestedBytes(item), 3 * BOUND_BYTES_MAX),
    size: ({ range, after }) => 2 * ITEM_BYTES + rangeBytes(range) + (after?.length ?? 0),
    encodeRecord: (row, keysOnly) => (keysOnly ? encodeRecordMeta(row) : encodeRecord(row.key, row)),
    recordBytes: ({ key, value }, keysOnly) => RECORD_BYTES + key.length + (keysOnly ? 0 : value.length),
    encodePage(id, records, { more, count = null }, grant) {
      return [id, SUCCESS, grant.revision, records, more, count, servedField(grant), stalenessField(grant)]
    },
    decodeResult([, , , records, more, count]) {
      if (!Array.isArray(records)) return disagree('the records are not a list')
      if (typeof more !== 'boolean') return disagree('"more" is neither true nor false')
      const rows = records.map((record) => decodeRecord(record))
      return {
        records: rows,
        more,
        last: rows.at(-1)?.key,
        count: isNil(count) ? undefined : decodeWholeNumber(count, 'count'),
      }
    },
    decodeHead: (item) => decodeReadHead(item, 6),
  },
} satisfies OperationFacts<RangeRequest> & {
  readonly http: RangeForm
  readonly mux: MuxRangeForm
}

/** The body of a page is `PAGE_START`, the records with commas, and the end. That of a stream is lines. */
interface RangeForm extends KeyRequestForm<RangeRequest>, HttpAnswerForm<RangeRequest, RangePage> {
  readonly encodeHead: (grant: ReadGrant, isStream: boolean) => Omit<WholeResponse, 'body'>
  readonly encodeRecord: (row: KeyRow, keysOnly: boolean) => string
  readonly encodePageEnd: (page: PageResult, grant: ReadGrant) => string
  readonly encodeRecordLine: (row: KeyRow, keysOnly: boolean) => string
  /** The last line of a stream. Without it the stream is incomplete. */
  readonly encodeEndLine: (count: number, grant: ReadGrant) => string
  /** The last line of a stream whose other records cannot be read. */
  readonly encodeErrorLine: (error: ApiError) => string
  /**
   * Decodes a line of a stream, without its LF. undefined: it is not a JSON object, as when the stream broke within it.
   * Throws `DisagreementError`.
   */
  readonly decodeLine: (line: Uint8Array, keysOnly: boolean) => StreamLine | undefined
}

/** A line of a stream as a client decodes it. */
export type StreamLine =
  | { readonly kind: 'record'; readonly row: KeyRow }
  /** undefined: it does not say how many records the stream has. */
  | { readonly kind: 'end'; readonly count: number | undefined }
  /** undefined: the problem has no code. */
  | { readonly kind: 'error'; readonly problem: ProblemAnswer | undefined }

/** The records of a page are encoded one by one, as they are read. */
interface MuxRangeForm extends MuxRequestForm<RangeRequest> {
  readonly encodeRecord: (row: KeyRow, keysOnly: boolean) => RecordField
  /** Memory of a record. */
  readonly recordBytes: (row: KeyRow, keysOnly: boolean) => number
  readonly encodePage: (
    id: number,
    records: readonly RecordField[],
    page: Omit<PageResult, 'last'>,
    grant: ReadGrant,
  ) => Item
  readonly decodeResult: (item: Item) => RangePage
  readonly decodeHead: (item: Item) => AnswerHead
}

export const PAGE_START = '{"kvs":['

function encodeRecordJson(row: KeyRow, keysOnly: boolean): string {
  return keysOnly ? metaJson(row) : recordJson(row)
}

/** Whether the client requests lines. */
const wantsLines = ({ accept }: HttpRequestHead['headers']): boolean => namesMediaType(accept, LINES)
