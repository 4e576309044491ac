// Bytes in JSON: a string if they are valid UTF-8, otherwise {"base64": …}.

import { decodeBase64, encodeBase64, encodeUtf8, utf8Text } from '../../bytes/index.ts'
import { disagree, isObject } from './decode.ts'

export const bytesDocument = (bytes: Uint8Array): string | { readonly base64: string } =>
  utf8Text(bytes) ?? { base64: encodeBase64(bytes) }

/** The bytes in an answer. Throws `DisagreementError`. */
export function decodeBytesDocument(document: unknown): Uint8Array {
  // A lone surrogate has no bytes: it would become U+FFFD.
  if (typeof document === 'string')
    return document.isWellFormed() ? encodeUtf8(document) : disagree('not well-formed Unicode')
  // A copy: a Buffer is a part of a pool, and looks otherwise to an application.
  if (isObject(document) && typeof document.base64 === 'string')
    return new Uint8Array(decodeBase64(document.base64) ?? disagree('not base64'))
  return disagree('bytes are neither a string nor {"base64": …}')
}

/** Whether a value is bytes. A test runner may have a `Uint8Array` of its own, so `instanceof` does not tell. */
export const isBytes = (value: unknown): value is Uint8Array =>
  Object.prototype.toString.call(value) === '[object Uint8Array]'
