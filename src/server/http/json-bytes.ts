// Bytes in the JSON of a request: a string means its UTF-8, {"base64": …} any bytes. A multiplexed connection carries
// bytes as they are.

import { SETTING_RULES } from '../../kv/index.ts'
import { closed, type FromSchema, object, string, stringOr } from './json-schema.ts'
import { ApiError } from './problem.ts'

const VALUE_BYTES_MAX = SETTING_RULES.valueBytesMax.max

export const JsonBytes = {
  ...stringOr(closed(object({ base64: string }))),
  description: 'Bytes: a string means its UTF-8; others in base64',
}

export type JsonBytesValue = FromSchema<typeof JsonBytes> | Buffer

/** `name`: of the field, for the message. Throws `Refused`. */
export function bytesOf(given: JsonBytesValue, name: string): Uint8Array {
  if (Buffer.isBuffer(given)) return given
  if (typeof given === 'string') {
    if (given.isWellFormed()) return Buffer.from(given)
    throw new ApiError('bad_request', `${name} has half of a surrogate pair, which has no UTF-8`)
  }
  const bytes = Buffer.from(given.base64, 'base64')
  // Buffer skips characters that it does not know.
  if (bytes.toString('base64') === given.base64) return bytes
  throw new ApiError('bad_request', `${name}.base64 is not base64 with padding`)
}

/** The value of a put that is called `name`. Throws `Refused`, also if no cluster allows so large a value. */
export function valueBytesOf(given: JsonBytesValue, name: string): Uint8Array {
  const value = bytesOf(given, `${name}.value`)
  if (value.length <= VALUE_BYTES_MAX) return value
  const detail = `${name}: value of ${value.length} bytes, at most ${VALUE_BYTES_MAX}`
  throw new ApiError('value_too_large', detail)
}
