// How keys and endpoints are written into URLs.

import { isIPv4 } from 'node:net'
import { types } from 'node:util'
import { encodeUtf8 } from '../bytes/utf8.ts'
import { QuorateError } from './errors.ts'

export const bytesOf = (value: string | Uint8Array): Uint8Array =>
  typeof value === 'string' ? encodeUtf8(value) : value

/** Far more than any cluster accepts, and as much as the head of a request may hold. */
const KEY_BYTES_MAX = 64 * 1024

/** The bytes of a key, or of a bound of a range. */
export function keyBytes(key: string | Uint8Array): Uint8Array {
  const bytes = bytesOf(key)
  checkKeyLength(bytes)
  return bytes
}

/** A key that fits into no request is rejected before it is encoded: encoding many megabytes takes seconds. */
export function checkKeyLength({ length }: Uint8Array): void {
  if (length <= KEY_BYTES_MAX) return
  const message = `a key of ${length} bytes fits into no request`
  throw new QuorateError(message, { code: 'key_too_long', written: 'no' })
}

/**
 * The path of a key. `/` is written as %2F. An empty, `.` or `..` segment does not survive every proxy and URL library
 * in any form, because even %2F and %2e%2e are normalised away: a write of `/a` would become a write of `a`. Such keys
 * go into the query.
 */
export function keyPath(key: Uint8Array): string {
  return hasFragileSegment(key) ? `/v1/kv?key=${percentEncode(key)}` : `/v1/kv/${percentEncode(key)}`
}

export type QueryValue = string | number | boolean | Uint8Array | undefined

/** Appends the defined values to a path that may have a query already. */
export function withQuery(path: string, query: Readonly<Record<string, QueryValue>>): string {
  let target = path
  let separator = path.includes('?') ? '&' : '?'
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    const written = types.isUint8Array(value) ? percentEncode(value) : encodeURIComponent(String(value))
    target += `${separator}${name}=${written}`
    separator = '&'
  }
  return target
}

/** A host of 0 means this machine, for what connects to it. */
const ANY_ADDRESS = '0.0.0.0'

/**
 * `http://host:port` or `https://host:port` from user input. A trailing slash and a missing scheme are accepted.
 * Shorthand for an IPv4 address is not, although URLs may have it: 7301 would be 0.0.28.133, and 127.1 would be
 * 127.0.0.1.
 */
export function endpointUrl(written: string): URL {
  const text = written.trim()
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (url === null || url.hostname === '') throw new TypeError(`not an endpoint: ${JSON.stringify(written)}`)
  if (isIPv4(url.hostname) && url.hostname !== ANY_ADDRESS && !text.includes(url.hostname)) {
    const [number] = /(?<=^|:\/\/)[0-9]+(?=[:/]|$)/.exec(text) ?? []
    throw new TypeError(
      number === undefined
        ? `${JSON.stringify(written)}: write the address in full, as ${url.hostname}`
        : `${number} is no address. For a port of this machine: 127.0.0.1:${number}`,
    )
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new TypeError(`${JSON.stringify(written)}: only http:// and https:// endpoints are supported`)
  }
  if (url.href !== `${url.origin}/`) {
    throw new TypeError(
      `${JSON.stringify(written)}: an endpoint is a scheme, a host and a port, nothing more`,
    )
  }
  return url
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

// Unreserved characters of RFC 3986 §2.3 are not encoded.
const WRITTEN = Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte)
  return /[A-Za-z0-9\-._~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
})

function percentEncode(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += WRITTEN[byte]
  return text
}
