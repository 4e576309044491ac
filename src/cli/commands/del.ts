// kv del: deletes keys and prints how many there were. A range is deleted in parts, however many keys it has; --atomic
// deletes all keys at one revision.

import { Command, Option } from '@commander-js/extra-typings'
import { QuorateError } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { deleteInParts } from '../delete-in-parts.ts'
import { formatError } from '../error-message.ts'
import { EXIT } from '../exit-codes.ts'
import { getCommand, keyArgument } from '../flags/arguments.ts'
import { parseCount } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import {
  boundsArguments,
  boundsText,
  countedBoundsText,
  END,
  type KeyBounds,
  parseBounds,
  START,
} from '../flags/key-range.ts'
import { printResult, say, setWriteIntent } from '../terminal/output.ts'
import { keyCount, ProgressDisplay } from '../terminal/progress.ts'
import { confirm } from '../terminal/questions.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('del'), [
    'kv del greeting',
    'kv del a b c',
    'kv del lock --if-revision 42',
    'kv del --prefix tmp/',
    'kv del --start log/2025 --end log/2026 --yes',
    'kv del --prefix conf/ --atomic --yes',
  ])
    .description('delete keys; prints how many there were')
    .argument('[keys...]')
    .option('--if-revision <revision>', "only if this is the key's mod revision", parseCount)
    .option('--prefix [prefix]', "all keys that begin with it, in parts; '' are all keys")
    .addOption(new Option(...START))
    .addOption(new Option(...END))
    .option('--atomic', 'all at one revision, or none')
    .option('--yes', 'do not ask before a range is deleted')
    .action(async (keys, { ifRevision, atomic, yes, ...range }) => {
      const bounds = parseBounds(keys, range, 'del')
      if (ifRevision !== undefined && (bounds !== undefined || keys.length > 1))
        throw new Failure(EXIT.usage, '--if-revision is for one key')
      if (bounds !== undefined) return deleteRange(flags(), bounds, { atomic, yes })
      const [key, ...more] = keys
      if (key === undefined)
        throw new Failure(EXIT.usage, "missing required argument 'key'", [`See: ${PROGRAM} help del`])
      if (more.length === 0) return deleteKey(flags(), keyArgument(key), ifRevision)
      await deleteKeys(flags(), keys.map(keyArgument), atomic === true)
    })

async function deleteKey(flags: GlobalFlags, key: string, ifRevision: number | undefined): Promise<void> {
  await withContext(flags, { kind: 'write', check: getCommand(key) }, async (context) => {
    const { client, signal } = context
    const condition = ifRevision === undefined ? {} : { ifRevision }
    await printDeleted(context, await client.delete(key, { ...condition, signal }), `there is no key ${key}`)
  })
}

async function deleteKeys(flags: GlobalFlags, keys: readonly string[], atomic: boolean): Promise<void> {
  const unique = [...new Set(keys)]
  await withContext(flags, { kind: 'write' }, async (context) => {
    const { client, signal } = context
    const none = 'there are none of these keys'
    if (!atomic)
      return deleteEach(
        context,
        (async function* () {
          for (const key of unique) yield await client.delete(key, { signal })
        })(),
        none,
      )
    const { results, revision } = await client.txn(
      { success: unique.map((key) => ({ delete: { key } })) },
      { signal },
    )
    const deleted = results.reduce((sum, each) => sum + (each.delete?.deleted ?? 0), 0)
    await printDeleted(context, { deleted, revision }, none)
  })
}

async function deleteRange(
  flags: GlobalFlags,
  bounds: KeyBounds,
  { atomic, yes }: { readonly atomic?: true | undefined; readonly yes?: true | undefined },
): Promise<void> {
  const check = `${PROGRAM} ls ${boundsArguments(bounds)} --count`
  await withContext(flags, { kind: 'write', check }, async (context) => {
    const { client, signal, contextName } = context
    const isAll = 'prefix' in bounds && bounds.prefix === ''
    const none = isAll ? 'there are none' : `there are no ${boundsText(bounds)}`
    let expected: number | undefined
    if (yes !== true) {
      expected = await client.count({ ...bounds, signal })
      if (expected === 0) return printDeleted(context, { deleted: 0, revision: client.revision }, none)
      await confirm(
        `this deletes ${isAll ? allKeys(expected) : countedBoundsText(expected, bounds)}`,
        contextName,
      )
    }
    if (atomic !== true) return deleteEach(context, deleteInParts(client, bounds, signal), none, expected)
    const range = isAll ? ({ all: true } as const) : deletedRange(bounds)
    await printDeleted(context, await client.deleteRange(range, { signal }), none)
  })
}

const allKeys = (count: number): string => `all keys of the store (${count})`

function deletedRange(bounds: KeyBounds) {
  if ('prefix' in bounds) return bounds
  const { start, end } = bounds
  if (start === undefined) return { end: end ?? '' }
  return end === undefined ? { start } : { start, end }
}

/** Deletes one part after the other. What is deleted when a part fails stays deleted, and the error says so. */
async function deleteEach(
  context: CommandContext,
  parts: AsyncIterable<{ readonly deleted: number; readonly revision: number }>,
  none: string,
  expected?: number,
): Promise<void> {
  const progress = new ProgressDisplay()
  let [deleted, revision, count] = [0, 0, 0]
  try {
    for await (const part of parts) {
      deleted += part.deleted
      revision = part.revision
      count++
      progress.show(() => `deleted ${deleted}${expected === undefined ? '' : ` of ${expected}`} keys`)
    }
  } catch (error) {
    progress.clear()
    if (deleted === 0 || !(error instanceof QuorateError)) throw error
    const before = `${keyCount(deleted)} ${deleted === 1 ? 'was' : 'were'} deleted before`
    if (error.code === 'aborted' || error.written === 'unknown') {
      say(`${before}; the same command deletes the others`)
      throw error
    }
    // Not "nothing was written", which the exit code of the error alone would say.
    const text = formatError(error, { kind: 'write', fromFiles: true }, context.endpoints.source)
    throw new Failure(EXIT.failed, `${text}; ${before}: the same command deletes the others`)
  }
  progress.clear()
  if (count === 0) revision = context.client.revision
  await printDeleted(context, { deleted, revision }, none, count)
}

async function printDeleted(
  { format }: CommandContext,
  { deleted, revision }: { readonly deleted: number; readonly revision: number },
  none: string,
  parts = 1,
): Promise<void> {
  if (deleted === 0) setWriteIntent(undefined)
  const at = parts === 1 ? `revision ${revision}` : `in ${parts} parts, the last at revision ${revision}`
  const text = deleted === 0 ? `0 keys deleted: ${none}` : `${keyCount(deleted)} deleted, ${at}`
  await printResult(format, { deleted, revision }, String(deleted), text)
}
