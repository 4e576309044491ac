// Bytes in the JSON of a request: a string means its UTF-8, {"base64": …} any bytes.

import { ApiError } from '../api/errors.ts'
import { closed, type FromSchema, object, string, stringOr } from './json-schema.ts'

export const JsonBytes = {
  ...stringOr(closed(object({ base64: string }))),
  description: 'Bytes: a string means its UTF-8; others in base64',
}

export type JsonBytesValue = FromSchema<typeof JsonBytes>

/** `name` is that of the field, for the message. Throws `ApiError`. */
export function bytesOf(given: JsonBytesValue, name: string): Uint8Array {
  if (typeof given === 'string') {
    if (given.isWellFormed()) return Buffer.from(given)
    throw new ApiError('bad_request', `${name} has half of a surrogate pair, which has no UTF-8`)
  }
  const bytes = Buffer.from(given.base64, 'base64')
  // Buffer skips characters that it does not know.
  if (bytes.toString('base64') === given.base64) return bytes
  throw new ApiError('bad_request', `${name}.base64 is not base64 with padding`)
}
