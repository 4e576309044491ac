// kv txn [FILE | -]: reads a transaction in the language of docs/reference/txn.md, or as JSON, and prints its answer.

import { isUtf8 } from 'node:buffer'
import { closeSync, openSync, readSync } from 'node:fs'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { getCommand } from '../get-command.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { fileContent, INPUT_MIB_MAX, standardInput } from '../input.ts'
import { inSession } from '../session.ts'
import { answerOf, changedKeys, txnOf } from '../txn-client.ts'
import { readTxn } from '../txn-interactive.ts'
import { describe, parseTxn, type ReadFile, type TxnJson, TxnSyntaxError } from '../txn-language.ts'
import { printTxn } from '../txn-output.ts'

export async function txn(global: GlobalFlags, source: string | undefined): Promise<void> {
  const readAt = performance.now()
  const given = await transactionFrom(source)
  const waitedMs = performance.now() - readAt
  const keys = changedKeys(given)
  const [first] = keys ?? []
  const intent =
    keys === undefined
      ? ({ kind: 'read' } as const)
      : ({ kind: 'write', check: first === undefined ? undefined : getCommand(first) } as const)
  await inSession(
    global,
    intent,
    async ({ client, read, format, signal }) => {
      const result = await client.txn(txnOf(given), intent.kind === 'read' ? read : { signal })
      await printTxn(format, given, answerOf(given, result))
    },
    { waitedMs },
  )
}

async function transactionFrom(source: string | undefined): Promise<TxnJson> {
  if (source === undefined && process.stdin.isTTY) return typed()
  const isInput = source === undefined || source === '-'
  const name = isInput ? 'standard input' : source
  const content = await (isInput ? standardInput(A_TXN) : fileContent(source, A_TXN))
  if (!isUtf8(content)) throw new Failure(EXIT.usage, `${name} is not UTF-8`)
  try {
    return parseTxn(content.toString(), readFile)
  } catch (error) {
    if (error instanceof TxnSyntaxError) throw new Failure(EXIT.usage, describe(error, name))
    throw error
  }
}

const A_TXN = 'a transaction'

async function typed(): Promise<TxnJson> {
  const onInterrupt = (): never => {
    process.stderr.write('\n')
    process.exit(EXIT.interrupted)
  }
  process.on('SIGINT', onInterrupt)
  const given = await readTxn({ input: process.stdin, output: process.stderr, readFile })
  process.off('SIGINT', onInterrupt)
  if (given === undefined)
    throw new Failure(EXIT.usage, 'the input ended before the transaction was complete: nothing was sent')
  return given
}

/** Up to a limit: a device may never end. */
const readFile: ReadFile = (path) => {
  const file = openSync(path, 'r')
  try {
    const chunks: Buffer[] = []
    for (let bytes = 0; ; ) {
      const chunk = Buffer.alloc(1024 * 1024)
      const read = readSync(file, chunk)
      if (read === 0) return Buffer.concat(chunks)
      chunks.push(chunk.subarray(0, read))
      bytes += read
      if (bytes > INPUT_MIB_MAX * 1024 * 1024) throw new Error(`it has more than ${INPUT_MIB_MAX} MiB`)
    }
  } finally {
    closeSync(file)
  }
}
