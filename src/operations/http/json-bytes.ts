// Bytes in the JSON of a request: a string means its UTF-8, {"base64": …} any bytes.

import { decodeBase64, encodeUtf8 } from '../../bytes/index.ts'
import { ApiError } from '../forms/problems.ts'
import { closed, type FromSchema, object, string, stringOr } from './json-schema.ts'

export const JsonBytes = {
  ...stringOr(closed(object({ base64: string }))),
  description: 'Bytes: a string means its UTF-8; others in base64',
}

export type JsonBytesValue = FromSchema<typeof JsonBytes>

/** The bytes that a field stands for. `name` is that of the field, for the message. Throws `ApiError`. */
export function decodeJsonBytes(json: JsonBytesValue, name: string): Uint8Array {
  if (typeof json === 'string') {
    if (json.isWellFormed()) return encodeUtf8(json)
    throw new ApiError('bad_request', `${name} has half of a surrogate pair, which has no UTF-8`)
  }
  const bytes = decodeBase64(json.base64)
  if (bytes !== undefined) return bytes
  throw new ApiError('bad_request', `${name}.base64 is not base64 with padding`)
}
