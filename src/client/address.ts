// URLs of endpoints, and the limit on keys in requests.

import { isIPv4 } from 'node:net'
import { QuorateError } from './errors.ts'

/** Far more than any cluster accepts, and as much as the head of a request may hold. */
const KEY_BYTES_MAX = 64 * 1024

/** A key that fits into no request is rejected before it is encoded: encoding many megabytes takes seconds. */
export function checkKeyLength({ length }: Uint8Array): void {
  if (length <= KEY_BYTES_MAX) return
  const message = `a key of ${length} bytes fits into no request`
  throw new QuorateError(message, { code: 'key_too_long', written: 'no' })
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
