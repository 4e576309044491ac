// What a key may be, whichever way it came.

import { SETTING_RULES } from '../../kv/index.ts'
import { ApiError } from './problem.ts'

const KEY_BYTES_MAX = SETTING_RULES.keyBytesMax.max

/**
 * Throws `Refused` for bytes that are no key in any cluster. Its settings may allow less. `where`: before the sentence.
 */
export function checkedKey(key: Uint8Array, where = ''): Uint8Array {
  if (key.length === 0) throw new ApiError('key_empty', `${where}the key is empty`)
  if (key.length > KEY_BYTES_MAX)
    throw new ApiError('key_too_long', `${where}key of ${key.length} bytes, at most ${KEY_BYTES_MAX}`)
  return key
}

/**
 * Throws `Refused` for bytes that are longer than a bound of a range needs to be: the first key after the longest one
 * has one byte more. `name`: of the parameter or field.
 */
export function checkedBound(bound: Uint8Array, name: string): Uint8Array {
  if (bound.length <= KEY_BYTES_MAX + 1) return bound
  throw new ApiError('key_too_long', `${name} of ${bound.length} bytes, at most ${KEY_BYTES_MAX + 1}`)
}
