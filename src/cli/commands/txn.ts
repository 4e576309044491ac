// kv txn [FILE | -]: reads a transaction in the JSON of `POST /v1/txn`, and prints the JSON of its answer.

import { isUtf8 } from 'node:buffer'
import { Command } from '@commander-js/extra-typings'
import type { Txn } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { isObject } from '../../operations/forms/decode.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { getCommand } from '../flags/arguments.ts'
import { toJson, toJsonLine } from '../format/json.ts'
import { fileContent, standardInput } from '../terminal/input.ts'
import { io } from '../terminal/io.ts'
import { writeLine } from '../terminal/output.ts'
import { txnResultJson } from '../txn/result-json.ts'
import { parseTxnText, type TxnText } from '../txn/txn-text.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('txn'), [
    'kv txn transfer.json',
    `echo '{"success":[{"put":{"key":"a","value":"1"}},{"delete":{"key":"b"}}]}' | kv txn`,
    'kv txn transfer.json | jq .succeeded',
  ])
    .description('run a transaction: if the comparisons hold, the first list of operations, else the second')
    .argument('[file]', "the transaction in JSON; '-' or a pipe reads standard input")
    .addHelpText('after', TXN_NOTES)
    .action(async (file) => {
      const readAt = performance.now()
      const { txn, failureFrom } = await readTxn(file)
      const waitedMs = performance.now() - readAt
      const keys = changedKeys(txn)
      const check = keys?.[0] === undefined ? undefined : getCommand(keys[0])
      const isRead = keys === undefined
      await withContext(
        flags(),
        isRead ? { kind: 'read' } : { kind: 'write', check },
        async ({ client, read, format, signal }) => {
          const result = await client.txn(txn, isRead ? read : { signal }).catch((error: unknown) => {
            throw error instanceof TypeError ? failureFrom(error) : error
          })
          const json = txnResultJson(txn, result)
          await writeLine(format === 'ndjson' ? toJsonLine(json) : toJson(json))
        },
        { waitedMs },
      )
    })

async function readTxn(source: string | undefined): Promise<TxnText> {
  const isStdin = source === undefined || source === '-'
  if (source === undefined && io().stdin.isTTY === true)
    throw new Failure(
      EXIT.usage,
      `a transaction is missing: ${PROGRAM} txn FILE, or '-' to read it from standard input, in the JSON of POST /v1/txn`,
    )
  const name = isStdin ? 'standard input' : source
  const content = await (isStdin ? standardInput(A_TXN) : fileContent(source, A_TXN, hintAt(source)))
  if (!isUtf8(content)) throw new Failure(EXIT.usage, `${name} is not UTF-8`)
  return parseTxnText(content.toString().replace(/^\ufeff/, ''), name)
}

/** A transaction in place of the name of its file, in JSON or in words. */
function hintAt(source: string): string {
  if (source.trimStart().startsWith('{'))
    return `; a transaction comes from standard input: ${PROGRAM} txn <<< '{…}'`
  const isInWords = /^\s*(put|get|del(ete)?)\s/i.test(source)
  return isInWords
    ? `; a transaction is JSON, in a file or on standard input: ${PROGRAM} txn <<< '{"success":[{"put":{"key":"a","value":"b"}}]}'`
    : ''
}

/** Operations of which JSON may have any form, before the client has checked it. */
type AnyOperation = { readonly [Kind in 'put' | 'get' | 'delete']?: { readonly key?: unknown } | null } & {
  readonly txn?: Txn | null
}

/** The keys that it may put or delete, as far as they are text; undefined: it changes nothing. */
function changedKeys({ success, failure }: Txn): readonly string[] | undefined {
  const operations = [success, failure]
    .flatMap((list) => list ?? [])
    .filter(isObject) as readonly AnyOperation[]
  const changed = operations
    .filter(({ get }) => get === undefined)
    .map(({ put, delete: removed, txn }) => {
      if (isObject(txn)) return changedKeys(txn)
      const key = (put ?? removed)?.key
      return typeof key === 'string' ? [key] : []
    })
    .filter((keys) => keys !== undefined)
  return changed.length === 0 ? undefined : changed.flat()
}

const A_TXN = 'a transaction'

const TXN_NOTES = `
The body of POST /v1/txn, each list optional:

  {
    "compare": [
      { "key": "jobs/42", "target": "version", "op": "=", "to": 0 },
      { "key": "jobs/41", "exists": true }
    ],
    "success": [
      { "put": { "key": "jobs/42", "value": "two words", "ttl": "30s", "prev": true } },
      { "get": { "prefix": "jobs/", "limit": 10, "keys_only": true } }
    ],
    "failure": [{ "delete": { "start": "a", "end": "b" } }]
  }

A target is value, version, create_revision, mod_revision or lease; an op is =, !=, < or >. The exit code is 0
whichever list was done: succeeded in the answer says which. All of it: docs/reference/http.md.`
