// The same read in other tools, for a shell.

import { utf8Text } from '../../../../src/bytes/index.ts'
import { shellWord } from '../../../../src/bytes/shell-word.ts'
import { asRevision } from '../../../../src/operations/forms/store.ts'
import { get } from '../../../../src/operations/get.ts'
import { nodeUrl } from '../../cluster/node-url.ts'
import { toHex } from '../../design/bytes-text.tsx'

export function kvCommand(key: Uint8Array, revision: number | undefined): string {
  const text = utf8Text(key)
  const name = text === undefined ? `"$(printf '${toHex(key).replaceAll(/../g, '\\x$&')}')"` : shellWord(text)
  const asOf = revision === undefined ? '' : ` --revision ${revision}`
  // Such a key would be read as an option.
  return text?.startsWith('-') ? `quorate get${asOf} -- ${name}` : `quorate get ${name}${asOf}`
}

export function curlCommand(key: Uint8Array, revision: number | undefined): string {
  const asOf = revision === undefined ? undefined : asRevision(revision)
  const { path } = get.http.encode({ kind: 'get', key, revision: asOf, freshness: {} })
  return `curl ${shellWord(`${nodeUrl()}${path}`)}`
}
