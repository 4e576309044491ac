// GET /v1/kv: a range as a page of JSON or as a stream of NDJSON.

import type { KeyRow } from '../../kv/index.ts'
import type { ReadGrant } from '../node/types.ts'
import { namesMediaType } from './accept-header.ts'
import type { Answer, ApiRequest, Respond } from './answer.ts'
import { bytesJson, metaJson, recordJson } from './json.ts'
import type { HttpLimits } from './limits.ts'
import {
  bytes,
  flag,
  HISTORY_PARAMETERS,
  integer,
  order,
  type Parameter,
  READ_PARAMETERS,
  readQuery,
} from './parameters.ts'
import { type ApiError, problemDocument } from './problem.ts'
import { countRows, pourSlices, type RangeReader, type Reading, readPage } from './range-reading.ts'
import { freshnessHeaders } from './read-options.ts'

function limitUpTo(max: number): Parameter<number> {
  return integer('Records at most; a page has 1000 unless given, and never more than 10000', 1, max)
}

export const RANGE_PARAMETERS = {
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  after: bytes('Only keys behind this one in the order asked for: `next` of the page before'),
  limit: limitUpTo(Number.MAX_SAFE_INTEGER),
  order,
  keys_only: flag('Leave the values out'),
  count: flag('Count the whole range as well'),
  count_only: flag('Count the whole range and answer no records'),
  ...HISTORY_PARAMETERS,
  ...READ_PARAMETERS,
}

/** The problem for an error. Reports the error if it is not the client's fault. */
type Failed = (error: unknown) => ApiError

export class Ranges {
  readonly #reader: RangeReader
  readonly #limits: HttpLimits
  readonly #failed: Failed
  readonly #pageParameters: typeof RANGE_PARAMETERS

  constructor(reader: RangeReader, limits: HttpLimits, failed: Failed) {
    this.#reader = reader
    this.#limits = limits
    this.#failed = failed
    this.#pageParameters = { ...RANGE_PARAMETERS, limit: limitUpTo(limits.pageRowsMax) }
  }

  get(asked: ApiRequest, respond: Respond): void {
    const streams = namesMediaType(asked.headers.accept, 'application/x-ndjson')
    const values = readQuery(asked.pairs, streams ? RANGE_PARAMETERS : this.#pageParameters)
    const { limit = streams ? Number.MAX_SAFE_INTEGER : this.#limits.pageRowsDefault } = values
    // A stream counts the records that it sends.
    const counts = values.count_only || (values.count && !streams) || false
    this.#reader.read(
      { asked, values, freshness: values, limit, counts },
      (reading) => (streams ? stream(reading, this.#failed, respond) : page(reading, respond)),
      respond,
    )
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// One page

async function page(reading: Reading, respond: Respond): Promise<void> {
  const { grant, backlog } = reading
  const hold = backlog.hold()
  try {
    const { slices, more, last } = await readPage(
      reading,
      hold,
      reading.values.keys_only ? META_JSON : RECORD_JSON,
    )
    const count = await countRows(reading)
    const next = more && last !== undefined ? `,"next":${bytesJson(last)}` : ''
    const counted = count === undefined ? '' : `,"count":${count}`
    const tail = `],"more":${more}${next}${counted},"revision":${grant.revision}}`
    hold.release()
    respond({ ...rangeAnswer(grant, 'application/json'), body: ['{"kvs":[', ...slices, tail] })
  } finally {
    hold.release()
  }
}

const RECORD_JSON = jsonForm(recordJson)
const META_JSON = jsonForm(metaJson)

/** Each slice is one text: its records, separated by commas. */
function jsonForm(record: typeof recordJson) {
  return {
    record,
    bytes: (json: string) => Buffer.byteLength(json),
    slice: (records: string[], isFirst: boolean) => `${isFirst ? '' : ','}${records.join(',')}`,
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// A stream

/** A stream without the end line is incomplete. Clients check that. */
async function stream(reading: Reading, failed: Failed, respond: Respond): Promise<void> {
  const { grant, values, records: scan } = reading
  if (scan === undefined) {
    const count = (await countRows(reading)) ?? 0
    return respond({ ...rangeAnswer(grant, NDJSON), body: endLine(count, grant) })
  }
  const toJson = values.keys_only ? metaJson : recordJson
  let count = 0
  const lines = {
    answer: rangeAnswer(grant, NDJSON),
    text: (rows: readonly KeyRow[]) => {
      count += rows.length
      return rows.map((row) => `${toJson(row)}\n`).join('')
    },
    end: () => endLine(count, grant),
    failed: (error: unknown) => `${JSON.stringify({ error: problemDocument(failed(error)) })}\n`,
  }
  await pourSlices(reading, scan, reading.limit, lines, respond)
}

const NDJSON = 'application/x-ndjson'

const endLine = (count: number, { revision }: ReadGrant): string =>
  `{"end":true,"count":${count},"revision":${revision}}\n`

// ---------------------------------------------------------------------------------------------------------------------
// Rows

const rangeAnswer = (grant: ReadGrant, contentType: string): Omit<Answer, 'body'> => ({
  status: 200,
  headers: ['Content-Type', contentType, 'Vary', 'Accept', ...freshnessHeaders(grant)],
  revision: grant.revision,
})
