// Requests in HTTP, as a client encodes them.

import { encodeBase64, encodeUtf8, utf8Text } from '../../bytes/index.ts'
import { isBytes } from '../forms/bytes.ts'
import { durationText } from '../forms/durations.ts'
import type { FreshnessOptions } from '../forms/freshness.ts'
import type { Idempotency } from '../forms/idempotency.ts'
import { idempotencyHeaders } from './idempotency.ts'
import { LINES } from './media-types.ts'
import { percentEncode } from './percent.ts'

export interface OutgoingRequest {
  readonly method: string
  /** The raw request target. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

const NO_HEADERS: Readonly<Record<string, string>> = {}
/** Headers of a request for an answer in JSON, and in lines of JSON. */
export const ACCEPT_JSON = { Accept: 'application/json' }
export const ACCEPT_LINES = { Accept: LINES }

export const getRequest = (path: string, headers = NO_HEADERS): OutgoingRequest => ({
  method: 'GET',
  path,
  headers,
  body: undefined,
})

export const deleteRequest = (path: string, headers = NO_HEADERS): OutgoingRequest => ({
  method: 'DELETE',
  path,
  headers,
  body: undefined,
})

/** A request with a body in JSON. Bytes in `content` become JSON. */
export const jsonRequest = (
  method: 'POST' | 'PUT',
  path: string,
  content: object,
  headers = NO_HEADERS,
): OutgoingRequest => ({
  method,
  path,
  headers: { 'Content-Type': 'application/json', ...headers },
  body: encodeUtf8(JSON.stringify(jsonDocument(content))),
})

/** A change with a body in JSON. */
export const jsonChange = (
  path: string,
  content: object,
  idempotency: Idempotency | undefined,
): OutgoingRequest => jsonRequest('POST', path, content, idempotencyHeaders(idempotency))

function jsonDocument(value: unknown): unknown {
  if (isBytes(value)) return requestBytes(value)
  if (Array.isArray(value)) return value.map(jsonDocument)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inside]) => [name, jsonDocument(inside)]))
}

/** Base64 also for text whose escapes are longer: up to six times the text, and a body has a limit. */
function requestBytes(bytes: Uint8Array): string | { readonly base64: string } {
  const text = utf8Text(bytes)
  const lengthMax = bytes.length * BASE64_SHARE + ESCAPES_BYTES
  if (text !== undefined && encodeUtf8(JSON.stringify(text)).length <= lengthMax) return text
  return { base64: encodeBase64(bytes) }
}

const BASE64_SHARE = 4 / 3
/** Short text stays readable. */
const ESCAPES_BYTES = 64

// ---------------------------------------------------------------------------------------------------------------------
// Targets

/**
 * The path of a key. `/` is written as %2F. An empty, `.` or `..` segment does not survive every proxy and URL library
 * in any form, because even %2F and %2e%2e are normalised away: a write of `/a` would become a write of `a`. Such keys
 * go into the query.
 */
export function keyPath(key: Uint8Array): string {
  return hasFragileSegment(key) ? `/v1/kv?key=${percentEncode(key)}` : `/v1/kv/${percentEncode(key)}`
}

const DOT = 0x2e
const SLASH = 0x2f

/** Also for an empty segment: proxies merge slashes. */
function hasFragileSegment(key: Uint8Array): boolean {
  let from = 0
  for (;;) {
    const slash = key.indexOf(SLASH, from)
    const to = slash < 0 ? key.length : slash
    if (to === from) return true
    if (to - from === 1 && key[from] === DOT) return true
    if (to - from === 2 && key[from] === DOT && key[from + 1] === DOT) return true
    if (slash < 0) return false
    from = slash + 1
  }
}

/** The path of a named resource. */
export const namedPath = (folder: string, name: string): string => `${folder}/${encodeURIComponent(name)}`

type QueryValue = string | number | boolean | Uint8Array | undefined

/** Appends the defined values to a path that may have a query already. */
export function withQuery(path: string, query: Readonly<Record<string, QueryValue>>): string {
  let target = path
  let separator = path.includes('?') ? '&' : '?'
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    const written = isBytes(value) ? percentEncode(value) : encodeURIComponent(String(value))
    target += `${separator}${name}=${written}`
    separator = '&'
  }
  return target
}

export const withFreshness = (
  path: string,
  { consistency, maxStalenessMs, minRevision }: FreshnessOptions,
): string =>
  withQuery(path, {
    consistency,
    max_staleness: maxStalenessMs === undefined ? undefined : durationText(maxStalenessMs),
    min_revision: minRevision,
  })
