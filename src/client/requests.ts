// The operations as HTTP requests, and what the answers mean.

import { isUtf8 } from 'node:buffer'
import { bytesOf, keyPath, withQuery } from './address.ts'
import {
  arrayIn,
  decoded,
  disagree,
  isObject,
  type Json,
  objectOf,
  problemFrom,
  recordFromJson,
  wholeNumberIn,
} from './decode.ts'
import type { Answer, Outgoing } from './exchange.ts'
import {
  CHANGES,
  type ChangeOperation,
  type ChangeResult,
  type ChangesOperation,
  DELETE,
  type Freshness,
  GET,
  isPut,
  type Operation,
  PUT,
  RANGE,
  type Range,
  type Result,
  type SingleOperation,
} from './operation.ts'
import type { DeleteResult, PutResult } from './types.ts'
import { problemError } from './verdict.ts'

/** The operation as a request, without the headers that all requests of the client have. */
export function requestOf(operation: Operation): Outgoing {
  switch (operation.op) {
    case PUT: {
      const headers = conditionsOf(operation.ifRevision, operation.ifAbsent)
      return { method: 'PUT', path: keyPath(operation.key), headers, body: operation.value }
    }
    case DELETE: {
      const headers = conditionsOf(operation.ifRevision, false)
      return { method: 'DELETE', path: keyPath(operation.key), headers, body: undefined }
    }
    case CHANGES: {
      const headers = { 'Content-Type': 'application/json' }
      const body = bytesOf(JSON.stringify({ changes: operation.changes.map(changeJson) }))
      return { method: 'POST', path: '/v1/changes', headers, body }
    }
    case GET:
      return jsonRead(keyPath(operation.key), operation)
    case RANGE: {
      const { limit, after } = operation
      return jsonRead(withQuery(rangePath(operation), { limit, after }), operation)
    }
  }
}

function changeJson(change: ChangeOperation): Json {
  const if_match = change.ifRevision === undefined ? undefined : [change.ifRevision]
  const key = bytesJson(change.key)
  if (!isPut(change)) return { delete: { key, if_match } }
  return {
    put: { key, value: bytesJson(change.value), if_match, if_none_match: change.ifAbsent ? '*' : undefined },
  }
}

const bytesJson = (bytes: Buffer): unknown =>
  isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString('base64') }

export const rangePath = (range: Range): string =>
  withQuery('/v1/kv', {
    prefix: range.prefix,
    start: range.start,
    end: range.end,
    order: range.order,
    keys_only: range.keysOnly ? true : undefined,
  })

export const freshPath = (path: string, { consistency, maxStalenessMs, minRevision }: Freshness): string =>
  withQuery(path, {
    consistency,
    max_staleness: maxStalenessMs === undefined ? undefined : duration(maxStalenessMs),
    min_revision: minRevision > 0 ? minRevision : undefined,
  })

function jsonRead(path: string, freshness: Freshness): Outgoing {
  const headers = { Accept: 'application/json' }
  return { method: 'GET', path: freshPath(path, freshness), headers, body: undefined }
}

function conditionsOf(ifRevision: number | undefined, ifAbsent: boolean): Record<string, string> {
  const headers: Record<string, string> = {}
  if (ifRevision !== undefined) headers['If-Match'] = `"${ifRevision}"`
  if (ifAbsent) headers['If-None-Match'] = '*'
  return headers
}

/** With at most as many decimals as a node reads, and never 0. */
const duration = (ms: number) => `${Math.max(1e-6, Number(ms.toFixed(6)))}ms`

/** What a caller gets for an answer that serves the operation. */
export function resultOf(operation: SingleOperation, answer: Answer): Result {
  switch (operation.op) {
    case PUT:
      return decoded(answer, 'unknown', (json) => putResult(json, wholeNumberIn(json, 'revision')))
    case DELETE:
      return decoded(answer, 'unknown', deleteResult)
    case GET:
      return decoded(answer, 'no', (json) => {
        const record = recordFromJson(json)
        return Buffer.compare(record.keyBytes, operation.key) === 0
          ? record
          : disagree('it is the record of another key')
      })
  }
}

/** The same for a batch. */
export function resultsOf({ changes }: ChangesOperation, answer: Answer): readonly ChangeResult[] {
  return decoded(answer, 'unknown', (json) => {
    wholeNumberIn(json, 'revision')
    const results = arrayIn(json, 'results')
    if (results.length !== changes.length)
      disagree(`it has ${results.length} results of ${changes.length} changes`)
    return changes.map((change, at) => resultOfChange(change, objectOf(results[at], 'a result'), answer))
  })
}

function resultOfChange(change: ChangeOperation, result: Json, { headers, endpoint }: Answer): ChangeResult {
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
