// kv lock NAME [-- CMD…]: holds a lock while a command runs, or until Ctrl-C; kv lock --list: who holds which lock.

import { Command } from '@commander-js/extra-typings'
import { shellWord } from '../../bytes/shell-word.ts'
import type { Client, KvRecord, LeaseInfo } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'
import { lock } from '../../recipes/index.ts'
import { keySpace } from '../../recipes/key-space.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { COMMAND_HELP, holdWhile } from '../exec/hold-while.ts'
import { EXIT } from '../exit-codes.ts'
import { nameBeforeDashes, splitAtDashes } from '../flags/arguments.ts'
import { parseDuration, parseLeaseTime, parseText } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { listRecipeNames } from '../flags/key-range.ts'
import { formatMs, printableText } from '../format/text.ts'
import { isTable, printList } from '../terminal/table.ts'

export const command = ({ flags, argv }: ProgramContext) =>
  withExamples(new Command('lock'), [
    'kv lock deploy -- ./deploy.sh production',
    'kv lock deploy --wait 10s -- make install',
    'kv lock deploy',
    'kv lock --list',
  ])
    .description('hold a lock while a command runs, or until Ctrl-C')
    .argument('[name]', 'of the lock', parseText)
    .argument('[command...]', COMMAND_HELP)
    .option(
      '--wait <duration>',
      'how long to wait for it; 0s: not at all. Otherwise as long as it takes',
      parseDuration,
    )
    .option('--ttl <duration>', 'how long it stays taken after this process has died (10s)', parseLeaseTime)
    .option('--list', 'print the locks that are held, and how many clients wait for each')
    .action(async (first, more, { list, ...options }) => {
      const { words, command } = splitAtDashes([...(first === undefined ? [] : [first]), ...more], argv)
      if (list === true) {
        if (words.length + command.length > 0 || Object.keys(options).length > 0)
          throw new Failure(EXIT.usage, '--list takes no name, no command and no other flag')
        return listLocks(flags())
      }
      const name = nameBeforeDashes('lock', words, 1)
      await holdWhile(
        {
          flags: flags(),
          what: `the lock ${shellWord(name)}`,
          command,
          ...options,
          queuePrefix: keySpace('lock', 'lock', name).prefix,
        },
        (client, lockOptions) => lock(client, name, lockOptions),
      )
    })

interface LockState {
  readonly name: Uint8Array
  readonly token: number
  readonly lease: LeaseInfo
  readonly waiting: number
}

async function listLocks(global: GlobalFlags): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    await printList<LockState>(
      format,
      readLocks(client, signal),
      ({ name, token, lease, waiting }) => ({
        name: bytesDocument(name),
        token,
        lease: lease.id,
        remaining_ttl_ms: lease.remainingTtlMs,
        waiting,
      }),
      [
        { title: 'LOCK', cell: ({ name }) => printableText(name) },
        { title: 'TOKEN', cell: ({ token }) => token, alignRight: true },
        { title: 'LEASE', cell: ({ lease }) => lease.id },
        {
          title: 'REMAINING',
          cell: ({ lease: { remainingTtlMs: ms } }) => (isTable(format) ? formatMs(ms) : ms),
          alignRight: true,
        },
        { title: 'WAITING', cell: ({ waiting }) => waiting, alignRight: true },
      ],
    )
  })
}

/** The oldest key with a lease is that of the holder. */
async function* readLocks(client: Client, signal: AbortSignal): AsyncGenerator<LockState> {
  for await (const name of listRecipeNames(client, 'lock', signal)) {
    const { prefix } = keySpace('lock', 'lock', name)
    const keys: KvRecord[] = []
    for await (const record of client.list({ prefix, keysOnly: true, signal }))
      if (record.lease !== undefined) keys.push(record)
    const [holder, ...waiting] = keys.sort((a, b) => a.createRevision - b.createRevision)
    const lease = holder?.lease === undefined ? undefined : await client.lease(holder.lease, { signal })
    // Otherwise the lock was released in between, or an import wrote the keys.
    if (holder !== undefined && lease !== undefined)
      yield { name, token: holder.createRevision, lease, waiting: waiting.length }
  }
}
