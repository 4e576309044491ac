// Requests of the client as HTTP requests, and the results in the answers. Answers of the multiplexed connection have
// the same form (mux-codec.ts), so results are decoded here for both.

import { isUtf8 } from 'node:buffer'
import { disagree, isObject } from '../../operations/forms/disagreement.ts'
import { conditionHeaders, durationText } from '../../operations/forms/index.ts'
import { bytesOf, keyPath, withQuery } from '../address.ts'
import { problemError } from '../call-error.ts'
import {
  arrayIn,
  decoded,
  type Json,
  objectOf,
  problemFrom,
  recordFromJson,
  wholeNumberIn,
} from '../decode.ts'
import {
  API,
  type CallRequest,
  type CallResult,
  CHANGES,
  type ChangeOperation,
  type ChangeOutcome,
  type ChangesOperation,
  COMPACT,
  conditionOf,
  DELETE,
  DELETE_RANGE,
  GET,
  isPut,
  KEEP_ALIVE,
  PUT,
  RANGE,
  type RangeQuery,
  type ReadFreshness,
  type SingleOperation,
  sealed,
  TXN,
  WATCH,
  type WatchParameters,
} from '../operation.ts'
import type { DeleteResult, PutResult } from '../types.ts'
import type { NodeAnswer } from './transport.ts'

/** One HTTP request. */
export interface OutgoingRequest {
  readonly method: string
  /** The raw request target. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

/** Without the header fields that all requests of the client have. */
export function httpRequestOf(request: CallRequest): OutgoingRequest {
  if (request.op === API) {
    const { method, path, headers = NO_HEADERS, body } = request
    return { method, path, headers, body }
  }
  const operation = sealed(request)
  switch (operation.op) {
    case PUT: {
      const headers = conditionHeaders(conditionOf(operation))
      const { key, value, lease, ttlMs } = operation
      const path = withQuery(keyPath(key), { lease, ttl: ttlMs && durationText(ttlMs) })
      return { method: 'PUT', path, headers, body: value }
    }
    case DELETE: {
      const headers = conditionHeaders(conditionOf(operation))
      return { method: 'DELETE', path: keyPath(operation.key), headers, body: undefined }
    }
    case CHANGES:
      return jsonPost('/v1/changes', { changes: operation.changes.map(changeJson) })
    case GET:
      return jsonRead(withQuery(keyPath(operation.key), { revision: operation.revision }), operation)
    case RANGE: {
      const { limit, after } = operation
      return jsonRead(withQuery(rangePath(operation), { limit, after }), operation)
    }
    case TXN: {
      const { txn, freshness } = operation
      return jsonPost(freshness === undefined ? '/v1/txn' : freshPath('/v1/txn', freshness), txn)
    }
    case DELETE_RANGE: {
      const path = withQuery('/v1/kv', { ...operation.range })
      return { method: 'DELETE', path, headers: {}, body: undefined }
    }
    case COMPACT:
      return jsonPost('/v1/compact', { revision: operation.revision })
    case KEEP_ALIVE:
      return jsonPost('/v1/leases/keepalive', { ids: operation.leases })
    case WATCH:
      return { method: 'GET', path: watchPath(operation.request), headers: LINES, body: undefined }
  }
}

const NO_HEADERS = {}
const LINES = { Accept: 'application/x-ndjson' }

const watchPath = ({ place, from, prev, only, values, progressMs }: WatchParameters): string =>
  withQuery('/v1/watch', {
    ...place,
    from,
    prev: prev ? true : undefined,
    only,
    values: values ? undefined : false,
    progress: durationText(progressMs),
  })

function jsonPost(path: string, content: object): OutgoingRequest {
  const headers = { 'Content-Type': 'application/json' }
  return { method: 'POST', path, headers, body: bytesOf(JSON.stringify(jsonOf(content))) }
}

/** Bytes become strings. */
function jsonOf(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return bytesJson(value)
  if (Array.isArray(value)) return value.map(jsonOf)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inside]) => [name, jsonOf(inside)]))
}

function changeJson(change: ChangeOperation): Json {
  const if_match = change.ifRevision === undefined ? undefined : [change.ifRevision]
  const key = bytesJson(change.key)
  if (!isPut(change)) return { delete: { key, if_match } }
  return {
    put: {
      key,
      value: bytesJson(change.value),
      if_match,
      if_none_match: change.ifAbsent ? '*' : undefined,
      lease: change.lease,
      ttl: change.ttlMs && durationText(change.ttlMs),
    },
  }
}

/** Base64 also for text whose escapes are longer: up to six times the text, and a body has a limit. */
function bytesJson(bytes: Buffer): unknown {
  if (isUtf8(bytes)) {
    const text = bytes.toString()
    if (Buffer.byteLength(JSON.stringify(text)) <= bytes.length * BASE64_SHARE + ESCAPES_BYTES) return text
  }
  return { base64: bytes.toString('base64') }
}

const BASE64_SHARE = 4 / 3
/** Short text stays readable. */
const ESCAPES_BYTES = 64

export const rangePath = (range: RangeQuery): string =>
  withQuery('/v1/kv', {
    prefix: range.prefix,
    start: range.start,
    end: range.end,
    order: range.order,
    keys_only: range.keysOnly ? true : undefined,
    revision: range.revision,
  })

export const freshPath = (
  path: string,
  { consistency, maxStalenessMs, minRevision }: ReadFreshness,
): string =>
  withQuery(path, {
    consistency,
    max_staleness: maxStalenessMs === undefined ? undefined : durationText(maxStalenessMs),
    min_revision: minRevision > 0 ? minRevision : undefined,
  })

function jsonRead(path: string, freshness: ReadFreshness): OutgoingRequest {
  const headers = { Accept: 'application/json' }
  return { method: 'GET', path: freshPath(path, freshness), headers, body: undefined }
}

/** The result of an operation that was served. */
export function resultOf(operation: SingleOperation, answer: NodeAnswer): CallResult {
  switch (operation.op) {
    case PUT:
      return decoded(answer, 'unknown', (json) => putResult(json, wholeNumberIn(json, 'revision')))
    case DELETE:
      return decoded(answer, 'unknown', deleteResult)
    case GET:
      if (answer.kind === 'answered' && answer.status === 404) return undefined
      return decoded(answer, 'no', (json) => {
        const record = recordFromJson(json)
        return Buffer.compare(record.keyBytes, operation.key) === 0
          ? record
          : disagree('it is the record of another key')
      })
  }
}

/** The result of each change of a batch. */
export function resultsOf({ changes }: ChangesOperation, answer: NodeAnswer): readonly ChangeOutcome[] {
  const [first] = changes
  if (first !== undefined && changes.length === 1) return [resultOf(first, answer) as ChangeOutcome]
  return decoded(answer, 'unknown', (json) => {
    wholeNumberIn(json, 'revision')
    const results = arrayIn(json, 'results')
    if (results.length !== changes.length)
      disagree(`it has ${results.length} results of ${changes.length} changes`)
    return changes.map((change, at) => resultOfChange(change, objectOf(results[at], 'a result'), answer))
  })
}

function resultOfChange(
  change: ChangeOperation,
  result: Json,
  { headers, endpoint }: NodeAnswer,
): ChangeOutcome {
  const { problem, put } = result
  if (isObject(problem))
    return problemError(
      problemFrom(wholeNumberIn(problem, 'status'), headers, problem),
      headers,
      endpoint,
      'keyed',
    )
  if (!isPut(change)) return deleteResult(objectOf(result.delete, 'the result of a delete'))
  const json = objectOf(put, 'the result of a put')
  return putResult(json, wholeNumberIn(json, 'mod_revision'))
}

const putResult = (json: Json, revision: number): PutResult => ({
  revision,
  createRevision: wholeNumberIn(json, 'create_revision'),
  modRevision: wholeNumberIn(json, 'mod_revision'),
  version: wholeNumberIn(json, 'version'),
})

const deleteResult = (json: Json): DeleteResult => ({
  deleted: wholeNumberIn(json, 'deleted') === 0 ? 0 : 1,
  revision: wholeNumberIn(json, 'revision'),
})
