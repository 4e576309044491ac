// Percent encoding of bytes in a request target (RFC 3986 §2.1). A target is ASCII. In a query, `+` is a space.

import { latin1 } from '../../bytes/index.ts'
import { ApiError } from '../forms/problems.ts'

/** The value of a pair of a query, as it was sent. */
export function parameterValue(pair: string): string {
  const equals = pair.indexOf('=')
  return equals < 0 ? '' : pair.slice(equals + 1)
}

/** The bytes of a percent-encoded text. Throws `ApiError`. */
export function percentDecode(text: string): Uint8Array {
  let length = text.length
  for (let at = text.indexOf('%'); at >= 0; at = text.indexOf('%', at + 1)) length -= 2
  // A text that ends within an escape has less than no bytes beside its escapes.
  const bytes = new Uint8Array(Math.max(length, 0))
  let from = 0
  for (let at = 0; from < text.length; at++) {
    const code = text.charCodeAt(from)
    if (code === PERCENT) {
      bytes[at] = decodeEscape(text, from)
      from += 3
    } else {
      bytes[at] = code
      from++
    }
  }
  return bytes
}

function decodeEscape(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at + 1))
  const low = hexDigit(text.charCodeAt(at + 2))
  if (high < 0 || low < 0)
    throw new ApiError(
      'bad_request',
      `bad escape in the request target: ${JSON.stringify(text.slice(at, at + 3))}`,
    )
  return high * 16 + low
}

/** Decodes percent escapes of a query, where `+` is a space. Throws `ApiError`. */
export const queryDecode = (text: string): Uint8Array => percentDecode(text.replaceAll('+', ' '))

/** The text of a name or a value of a query: one character for each byte. Most are not escaped. */
export function queryText(text: string): string {
  if (!/[%+]/.test(text)) return text
  const bytes = queryDecode(text)
  let decoded = ''
  for (let at = 0; at < bytes.length; at += PIECE) decoded += latin1(bytes.subarray(at, at + PIECE))
  return decoded
}

/** Bytes that become text at once: a query may have more than a function may have arguments. */
const PIECE = 8192

const PERCENT = 0x25

/** The value of a hexadecimal digit, from its character code; −1 for anything else, including NaN (after the end). */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1
}

// Unreserved characters (RFC 3986 §2.3) are not encoded.
const ENCODED = Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte)
  return /[A-Za-z0-9\-._~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
})

export function percentEncode(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += ENCODED[byte]
  return text
}
