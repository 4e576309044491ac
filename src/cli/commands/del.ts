// kv del KEY: prints how many keys were deleted, 0 or 1. With --prefix: all keys that begin with KEY, at one revision.

import { Command } from '@commander-js/extra-typings'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { shellWord } from '../../local/shell-word.ts'
import { keyArgument } from '../arguments.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { confirm } from '../confirm.ts'
import { withExamples } from '../examples.ts'
import { EXIT } from '../exit-codes.ts'
import { parseCount } from '../flag-values.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { printResult, setWriteIntent } from '../output.ts'
import type { ProgramContext } from '../program-context.ts'
import { getCommand } from '../shell-commands.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('del'), [
    'kv del greeting',
    'kv del lock --if-revision 42',
    'kv del tmp/ --prefix',
    'kv del tmp/ --prefix --yes',
  ])
    .description('delete a key; prints how many there were: 1 or 0')
    .argument('<key>')
    .option('--if-revision <revision>', "only if this is the key's mod revision", parseCount)
    .option('--prefix', 'all keys that begin with it, at one revision')
    .option('--yes', 'with --prefix: do not ask')
    .action(async (name, { ifRevision, prefix, yes }) => {
      if (prefix === true) {
        if (ifRevision !== undefined)
          throw new Failure(EXIT.usage, '--if-revision is for one key: it cannot be combined with --prefix')
        return deletePrefix(flags(), name, yes === true)
      }
      const key = keyArgument(name)
      await withContext(flags(), { kind: 'write', check: getCommand(key) }, async (context) => {
        const { client, signal } = context
        const result = await client.delete(key, {
          ...(ifRevision === undefined ? {} : { ifRevision }),
          signal,
        })
        await printDeleted(context, result, `there is no key ${key}`)
      })
    })

async function deletePrefix(flags: GlobalFlags, prefix: string, yes: boolean): Promise<void> {
  const check = `${PROGRAM} ls ${shellWord(prefix)} --count`
  await withContext(flags, { kind: 'write', check }, async (context) => {
    const { client, signal } = context
    const isAll = prefix === ''
    const none = isAll ? 'there are none' : `there are no keys that begin with ${prefix}`
    if (!yes) {
      const count = await client.count({ prefix, signal })
      if (count === 0) return printDeleted(context, { deleted: 0, revision: client.revision }, none)
      const keys = count === 1 ? '1 key that begins' : `${count} keys that begin`
      const which = isAll ? `all keys of the store (${count})` : `${keys} with ${prefix}`
      await confirm(`this deletes ${which}`)
    }
    const range = isAll ? ({ all: true } as const) : { prefix }
    await printDeleted(context, await client.deleteRange(range, { signal }), none)
  })
}

async function printDeleted(
  { format }: CommandContext,
  { deleted, revision }: { readonly deleted: number; readonly revision: number },
  none: string,
): Promise<void> {
  if (deleted === 0) setWriteIntent(undefined)
  const keys = deleted === 1 ? '1 key' : `${deleted} keys`
  const text = deleted === 0 ? `0 keys deleted: ${none}` : `${keys} deleted, revision ${revision}`
  await printResult(format, { deleted, revision }, String(deleted), text)
}
