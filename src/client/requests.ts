// The operations as HTTP requests, and what the answers mean.

import { keyPath, withQuery } from './address.ts'
import { decoded, disagree, recordFromJson, wholeNumberIn } from './decode.ts'
import type { Answer, Outgoing } from './exchange.ts'
import {
  DELETE,
  type Freshness,
  GET,
  type Operation,
  PUT,
  RANGE,
  type Range,
  type RangeOperation,
  type Result,
} from './operation.ts'

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
    case GET:
      return jsonRead(keyPath(operation.key), operation)
    case RANGE: {
      const { limit, after } = operation
      return jsonRead(withQuery(rangePath(operation), { limit, after }), operation)
    }
  }
}

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
export function resultOf(operation: Exclude<Operation, RangeOperation>, answer: Answer): Result {
  switch (operation.op) {
    case PUT:
      return decoded(answer, 'unknown', (json) => ({
        revision: wholeNumberIn(json, 'revision'),
        createRevision: wholeNumberIn(json, 'create_revision'),
        modRevision: wholeNumberIn(json, 'mod_revision'),
        version: wholeNumberIn(json, 'version'),
      }))
    case DELETE:
      return decoded(answer, 'unknown', (json) => ({
        deleted: wholeNumberIn(json, 'deleted') === 0 ? 0 : 1,
        revision: wholeNumberIn(json, 'revision'),
      }))
    case GET:
      return decoded(answer, 'no', (json) => {
        const record = recordFromJson(json)
        return Buffer.compare(record.keyBytes, operation.key) === 0
          ? record
          : disagree('it is the record of another key')
      })
  }
}
