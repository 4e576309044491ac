// kv txn [FILE | -]: reads a transaction in the language of docs/reference/txn.md, or as JSON, and prints its answer.

import { isUtf8 } from 'node:buffer'
import { Command } from '@commander-js/extra-typings'
import { isObject } from '../../client/decode.ts'
import type { Txn } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { checkedByClient, withContext } from '../command-context.ts'
import { withExamples } from '../examples.ts'
import { EXIT } from '../exit-codes.ts'
import { fileContent, readFileUpToLimit, standardInput } from '../input.ts'
import { io } from '../io.ts'
import type { ProgramContext } from '../program-context.ts'
import { getCommand } from '../shell-commands.ts'
import { readInteractively } from '../txn/interactive.ts'
import { parseTxn } from '../txn/parser.ts'
import { printTxn } from '../txn/print-result.ts'
import { formatSyntaxError, TxnSyntaxError } from '../txn/syntax-error.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('txn'), [
    'kv txn',
    'kv txn transfer.txn',
    "printf 'missing lock\\nthen\\n put lock me\\nelse\\n get lock\\n' | kv txn",
    'kv txn transfer.json -o json',
  ])
    .description('run a transaction: if the comparisons hold, the first list of operations, else the second')
    .argument(
      '[file]',
      "the transaction; '-' or a pipe reads standard input; on a terminal the command prompts for it",
    )
    .addHelpText('after', TXN_NOTES)
    .action(async (file) => {
      const readAt = performance.now()
      const txn = await readTxn(file)
      const waitedMs = performance.now() - readAt
      const keys = changedKeys(txn)
      const check = keys?.[0] === undefined ? undefined : getCommand(keys[0])
      const isRead = keys === undefined
      await withContext(
        flags(),
        isRead ? { kind: 'read' } : { kind: 'write', check },
        async ({ client, read, format, signal }) => {
          await printTxn(
            format,
            txn,
            await checkedByClient(() => client.txn(txn, isRead ? read : { signal })),
          )
        },
        { waitedMs },
      )
    })

async function readTxn(source: string | undefined): Promise<Txn> {
  const name = source === undefined || source === '-' ? 'standard input' : source
  try {
    return parseTxn(await textFrom(source, name), readFileUpToLimit)
  } catch (error) {
    if (!(error instanceof TxnSyntaxError)) throw error
    const [message = '', ...details] = formatSyntaxError(error, name).split('\n')
    throw new Failure(EXIT.usage, message, details)
  }
}

async function textFrom(source: string | undefined, name: string): Promise<string> {
  if (source === undefined && io().stdin.isTTY === true) return readInteractively()
  const isStdin = source === undefined || source === '-'
  const content = await (isStdin ? standardInput(A_TXN) : fileContent(source, A_TXN, hintAt(source)))
  if (!isUtf8(content)) throw new Failure(EXIT.usage, `${name} is not UTF-8`)
  return content.toString()
}

/** A transaction in place of the name of its file. */
const hintAt = (source: string): string =>
  /\s/.test(source.trim())
    ? `; a transaction comes from standard input: printf 'then\\n put a b\\n' | ${PROGRAM} txn`
    : ''

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
Each comparison and each operation has a line of its own:

  version(jobs/42) = 0            value, version, create_revision, mod_revision, lease;  = != < >
  exists jobs/41                  or: missing KEY
  version(prefix tmp/) = 0        for every key of a range
  then                            what is done if all of them hold
    put jobs/42 "two words" prev
    get prefix jobs/ limit 10
  else                            what is done otherwise
    delete range a b

It may also be JSON, the body of POST /v1/txn. The exit code is 0 whichever list was done; the first line of
the output says which. All of it: docs/reference/txn.md.`
