// Bytes in JSON: a string if they are valid UTF-8, otherwise {"base64": …}.

import { encodeBase64, utf8Text } from '../../bytes/index.ts'

export const bytesDocument = (bytes: Uint8Array): string | { readonly base64: string } =>
  utf8Text(bytes) ?? { base64: encodeBase64(bytes) }
