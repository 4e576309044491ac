// The same read in other tools, for a shell.

import { utf8Text } from '../../../../src/bytes/index.ts'
import { shellWord } from '../../../../src/bytes/shell-word.ts'
import { decodeUtf8 } from '../../../../src/bytes/utf8.ts'
import { asRevision } from '../../../../src/operations/forms/store.ts'
import { get } from '../../../../src/operations/get.ts'
import { txn as txnOperation } from '../../../../src/operations/txn.ts'
import { nodeUrl } from '../../cluster/node-url.ts'

/**
 * The command that prints the value. An argument is text without a zero byte, so another key is read by a transaction,
 * whose JSON has a form for each key. undefined: no command reads such a key at a revision.
 */
export function readCommand(key: Uint8Array, revision: number | undefined): string | undefined {
  const text = utf8Text(key)
  if (text === undefined || text.includes('\0'))
    return revision === undefined ? `quorate txn <<< ${shellWord(readTxn(key))}` : undefined
  const asOf = revision === undefined ? '' : ` --revision ${revision}`
  return text.startsWith('-')
    ? `quorate get${asOf} ${operands(text)}`
    : `quorate get ${operands(text)}${asOf}`
}

function readTxn(key: Uint8Array): string {
  const read = {
    kind: 'get',
    where: { key },
    limit: undefined,
    keysOnly: false,
    count: false,
    countOnly: false,
  } as const
  const { body } = txnOperation.http.encode({
    kind: 'txn',
    txn: { compare: [], success: [read], failure: [] },
    idempotency: undefined,
    freshness: {},
  })
  return body === undefined ? '' : decodeUtf8(body)
}

/** Operands of a command. One that begins with a dash would be read as an option. */
export const operands = (...texts: readonly string[]): string =>
  `${texts.some((text) => text.startsWith('-')) ? '-- ' : ''}${texts.map(shellWord).join(' ')}`

export function curlCommand(key: Uint8Array, revision: number | undefined): string {
  const asOf = revision === undefined ? undefined : asRevision(revision)
  const { path } = get.http.encode({ kind: 'get', key, revision: asOf, freshness: {} })
  return `curl ${shellWord(`${nodeUrl()}${path}`)}`
}
