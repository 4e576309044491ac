// Reads the keys of a range, a page or all of them, or counts them.

import type { KeyRequestForm, OperationFacts } from './definition.ts'
import type { FreshnessOptions, ReadGrant } from './forms/freshness.ts'
import { freshnessHeaders, type HttpRequestHead, type WholeResponse } from './forms/http.ts'
import { bytesJson, metaJson, recordJson } from './forms/json.ts'
import { arrayOf, boolean, integer, object } from './forms/json-schema.ts'
import { LINES, namesMediaType } from './forms/media-types.ts'
import {
  bytes,
  flag,
  freshnessOf,
  HISTORY_PARAMETERS,
  oneOf,
  READ_PARAMETERS,
  readQuery,
  recordLimit,
} from './forms/parameters.ts'
import { type KeyRange, rangeOf } from './forms/places.ts'
import { reading } from './forms/rights.ts'
import { Bytes, lease, revisions } from './forms/schemas.ts'
import type { KeyRow, Revision } from './forms/store.ts'

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

const PARAMETERS = {
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  after: bytes('Only keys behind this one in the requested order: `next` of the page before'),
  limit: recordLimit('Records at most; a page has 1000 unless given, and never more than 10000'),
  order: oneOf('Of keys, byte by byte; ascending unless given', 'asc', 'desc'),
  keys_only: flag('Leave the values out'),
  count: flag('Count the whole range as well'),
  count_only: flag('Count the whole range and answer no records'),
  ...HISTORY_PARAMETERS,
  ...READ_PARAMETERS,
}

export const range = {
  effect: 'read',
  isAudited: false,
  label: 'range',
  demands: (operation) => [reading(operation.range)],
  http: {
    summary: 'A range of keys; with `key` the one key, as under /v1/kv/{key}',
    parameters: PARAMETERS,
    answers: object(
      {
        kvs: arrayOf(object({ key: Bytes, ...revisions }, { value: Bytes, ...lease })),
        more: boolean,
        revision: integer,
      },
      { next: Bytes, count: integer },
    ),
    decode({ pairs, headers }, rowsMax) {
      const stream = wantsLines(headers)
      const values = readQuery(pairs, PARAMETERS, stream ? undefined : rowsMax)
      return {
        kind: 'range',
        range: rangeOf(values),
        after: values.after,
        order: values.order,
        limit: values.limit,
        keysOnly: values.keys_only ?? false,
        count: values.count,
        countOnly: values.count_only,
        stream,
        revision: values.revision,
        freshness: freshnessOf(values),
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
    encodeRecord: (row, keysOnly) => (keysOnly ? metaJson(row) : recordJson(row)),
    encodePageEnd({ more, last, count }, { revision }) {
      const next = more && last !== undefined ? `,"next":${bytesJson(last)}` : ''
      const counted = count === undefined ? '' : `,"count":${count}`
      return `],"more":${more}${next}${counted},"revision":${revision}}`
    },
    encodeEndLine: (count, { revision }) => `{"end":true,"count":${count},"revision":${revision}}
`,
  },
} satisfies OperationFacts<RangeRequest> & { readonly http: RangeForm }

/** The body of a page is `PAGE_START`, the records with commas, and the end. That of a stream is lines. */
interface RangeForm extends KeyRequestForm<RangeRequest> {
  readonly encodeHead: (grant: ReadGrant, isStream: boolean) => Omit<WholeResponse, 'body'>
  readonly encodeRecord: (row: KeyRow, keysOnly: boolean) => string
  readonly encodePageEnd: (page: PageResult, grant: ReadGrant) => string
  /** The last line of a stream. Without it the stream is incomplete. */
  readonly encodeEndLine: (count: number, grant: ReadGrant) => string
}

export const PAGE_START = '{"kvs":['

/** Whether the client requests lines. */
const wantsLines = ({ accept }: HttpRequestHead['headers']): boolean => namesMediaType(accept, LINES)
