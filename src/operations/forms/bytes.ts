// Bytes in JSON: a string if they are valid UTF-8, otherwise {"base64": …}.

import { encodeBase64, utf8Text } from '../../bytes/index.ts'

export const bytesDocument = (bytes: Uint8Array): string | { readonly base64: string } =>
  utf8Text(bytes) ?? { base64: encodeBase64(bytes) }

/** Whether a value is bytes. A test runner may have a `Uint8Array` of its own, so `instanceof` does not tell. */
export const isBytes = (value: unknown): value is Uint8Array =>
  Object.prototype.toString.call(value) === '[object Uint8Array]'
