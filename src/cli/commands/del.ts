// kv del KEY: prints how many keys were deleted, 0 or 1. With --prefix: all keys that begin with KEY, at one revision.

import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { shellWord } from '../../local/shell-word.ts'
import { confirm } from '../confirm.ts'
import { EXIT } from '../exit-codes.ts'
import { getCommand } from '../get-command.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { printable, tellsOfChange, toJson, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'

export interface DelFlags {
  readonly ifRevision?: number | undefined
  readonly prefix?: true | undefined
  readonly yes?: true | undefined
}

export async function del(global: GlobalFlags, key: string, flags: DelFlags): Promise<void> {
  const { ifRevision, prefix, yes } = flags
  if (prefix === true) {
    if (ifRevision !== undefined)
      throw new Failure(EXIT.usage, '--if-revision is for one key: it cannot be combined with --prefix')
    await delPrefix(global, key, yes === true)
    return
  }
  await inSession(global, { kind: 'write', check: getCommand(key) }, async (session) => {
    const { client, signal } = session
    const result = await client.delete(key, { ...(ifRevision === undefined ? {} : { ifRevision }), signal })
    await report(session, result, `there is no key ${printable(key)}`)
  })
}

async function delPrefix(global: GlobalFlags, prefix: string, yes: boolean): Promise<void> {
  const check = `${PROGRAM} ls ${shellWord(prefix)} --count`
  await inSession(global, { kind: 'write', check }, async (session) => {
    const { client, signal } = session
    const which = prefix === '' ? 'all keys' : `keys that begin with ${printable(prefix)}`
    const none = prefix === '' ? 'there are none' : `there are no ${which}`
    if (!yes) {
      const count = await client.count({ prefix, signal })
      if (count === 0) return report(session, { deleted: 0, revision: client.revision }, none)
      const all =
        prefix === ''
          ? `all keys of the store (${count})`
          : `${count} ${count === 1 ? which.replace('keys that begin', 'key that begins') : which}`
      await confirm(`This deletes ${all}.`)
    }
    const range = prefix === '' ? ({ all: true } as const) : { prefix }
    await report(session, await client.deleteRange(range, { signal }), none)
  })
}

async function report(
  { format }: Session,
  { deleted, revision }: { readonly deleted: number; readonly revision: number },
  none: string,
): Promise<void> {
  if (deleted === 0) tellsOfChange(undefined)
  if (format === 'json') await writeLine(toJson({ deleted, revision }))
  else if (format === 'ndjson') await writeLine(JSON.stringify({ deleted, revision }))
  else if (format === 'plain') await writeLine(String(deleted))
  else if (deleted === 0) await writeLine(`0 keys deleted: ${none}`)
  else await writeLine(`${deleted} ${deleted === 1 ? 'key' : 'keys'} deleted, revision ${revision}`)
}
