// Bytes in the JSON of a request: a string means its UTF-8, {"base64": …} any bytes.

import { ApiError } from '../../operations/forms/index.ts'
import { closed, type FromSchema, object, string, stringOr } from './json-schema.ts'

export const JsonBytes = {
  ...stringOr(closed(object({ base64: string }))),
  description: 'Bytes: a string means its UTF-8; others in base64',
}

export type JsonBytesValue = FromSchema<typeof JsonBytes>

/** `name` is that of the field, for the message. Throws `ApiError`. */
export function bytesOf(json: JsonBytesValue, name: string): Uint8Array {
  if (typeof json === 'string') {
    if (json.isWellFormed()) return Buffer.from(json)
    throw new ApiError('bad_request', `${name} has half of a surrogate pair, which has no UTF-8`)
  }
  const bytes = Buffer.from(json.base64, 'base64')
  // Buffer skips characters that it does not know.
  if (bytes.toString('base64') === json.base64) return bytes
  throw new ApiError('bad_request', `${name}.base64 is not base64 with padding`)
}
