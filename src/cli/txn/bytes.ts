// Keys and values of a transaction.

import { isUtf8 } from 'node:buffer'

/** Text if the bytes are valid UTF-8. */
export type Bytes = string | Uint8Array

export const textOrBytes = (bytes: Buffer): Bytes => (isUtf8(bytes) ? bytes.toString() : bytes)

/** undefined: the text is not base64 with padding. `Buffer` ignores characters that it does not know. */
export function bytesOfBase64(text: string): Bytes | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? textOrBytes(bytes) : undefined
}

/** The beginnings of words with a special meaning. */
export const BASE64 = 'base64:'
export const FILE = '@'

/** Where a key is expected, these words begin a range. */
export const RANGE_WORDS = ['prefix', 'range', 'from', 'before'] as const
