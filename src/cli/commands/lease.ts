// kv lease grant | keep-alive | revoke | show | list

import { Command } from '@commander-js/extra-typings'
import { type LeaseInfo, type NewLease, QuorateError } from '../../client/index.ts'
import { keepProcessAlive, pause } from '../../client/timer.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { parseLease, parseLeaseTime } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { formatMs, printableText } from '../format/text.ts'
import { print, printJson, printResult, say } from '../terminal/output.ts'
import { keyCount } from '../terminal/progress.ts'
import { isTable, printList } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  new Command('lease')
    .description('leases: their keys are deleted when they end')
    .addCommand(
      withExamples(new Command('grant'), ['kv lease grant 30s', 'kv lease grant 10m --id 77'])
        .description('grant a lease; prints its id')
        .argument('<ttl>', 'its time to live: 1s or more', parseLeaseTime)
        .option('--id <id>', 'instead of one that the cluster chooses', parseLease)
        .action((ttlMs, { id }) => grantLease(flags(), { ttlMs, id })),
    )
    .addCommand(
      withExamples(new Command('keep-alive'), ['kv lease keep-alive 77', 'kv lease keep-alive 77 --once'])
        .description('keep a lease alive until Ctrl-C')
        .argument('<id>', 'of the lease', parseLease)
        .option('--once', 'one time; prints its time to live in milliseconds')
        .action((id, options) => keepLeaseAlive(flags(), id, options)),
    )
    .addCommand(
      withExamples(new Command('revoke'), ['kv lease revoke 77'])
        .description('end a lease and delete its keys')
        .argument('<id>', 'of the lease', parseLease)
        .action((id) => revokeLease(flags(), id)),
    )
    .addCommand(
      withExamples(new Command('show'), ['kv lease show 77', 'kv lease show 77 --keys -o json'])
        .description('what is left of a lease')
        .argument('<id>', 'of the lease', parseLease)
        .option('--keys', 'with its keys')
        .action((id, options) => showLease(flags(), id, options)),
    )
    .addCommand(
      withExamples(new Command('list'), ['kv lease list', 'kv lease list -o ndjson'])
        .description('all leases')
        .action(() => listLeases(flags())),
    )

async function grantLease(global: GlobalFlags, lease: NewLease): Promise<void> {
  const intent = { kind: 'write', check: `${PROGRAM} lease list` } as const
  await withContext(global, intent, async ({ client, format, signal }) => {
    const { id, ttlMs } = await client.grantLease(lease, { signal })
    if (ttlMs > lease.ttlMs) say(`raised to ${formatMs(ttlMs)}, the shortest that the cluster grants`)
    await printResult(format, { id, ttl_ms: ttlMs }, id, `lease ${id}, time to live ${formatMs(ttlMs)}`)
  })
}

/** Keeps a lease alive until Ctrl-C, or once. */
async function keepLeaseAlive(
  global: GlobalFlags,
  id: string,
  { once }: { readonly once?: true | undefined },
): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    if (once === true) {
      const { ttlMs } = await client.keepLeaseAlive(id, { signal })
      await printResult(format, { ttl_ms: ttlMs }, String(ttlMs))
      return
    }
    // When the client has lost it, the cluster says whether it still lives, or why it cannot say.
    for (;;) {
      const session = await client.session({ lease: id, signal })
      say(`lease ${id} is kept alive until Ctrl-C; its time to live is ${formatMs(session.ttlMs)}`)
      await keepProcessAlive(pause(Number.POSITIVE_INFINITY, AbortSignal.any([session.signal, signal])))
      if (signal.aborted)
        throw new Failure(
          EXIT.interrupted,
          `interrupted: lease ${id} ends within ${formatMs(session.ttlMs)} unless it is kept alive`,
        )
    }
  })
}

async function revokeLease(global: GlobalFlags, id: string): Promise<void> {
  const intent = { kind: 'write', check: `${PROGRAM} lease show ${id}` } as const
  await withContext(global, intent, async ({ client, format, signal }) => {
    const { deleted, revision } = await client.revokeLease(id, { signal })
    const text = `revoked; ${keyCount(deleted)} deleted`
    await printResult(format, { deleted, revision }, String(deleted), text)
  })
}

async function showLease(
  global: GlobalFlags,
  id: string,
  { keys }: { readonly keys?: true | undefined },
): Promise<void> {
  await withContext(global, { kind: 'read' }, async (context) => {
    const { client, format, signal } = context
    const lease = await client.lease(id, { keys: keys === true, signal })
    if (lease === undefined)
      throw new QuorateError(`there is no lease ${id}`, { code: 'lease_not_found', written: 'no' })
    const json = { ...leaseJson(lease), ...(lease.keys && { keys: lease.keys.map(bytesDocument) }) }
    if (await printJson(format, json)) return
    await printAll(context, [lease])
    for (const key of lease.keys ?? []) {
      await print(printableText(key))
    }
  })
}

async function listLeases(global: GlobalFlags): Promise<void> {
  await withContext(global, { kind: 'read' }, async (context) => {
    await printAll(context, context.client.leases({ signal: context.signal }))
  })
}

async function printAll(
  { format }: CommandContext,
  leases: AsyncIterable<LeaseInfo> | Iterable<LeaseInfo>,
): Promise<void> {
  const time = (ms: number): string => (isTable(format) ? formatMs(ms) : String(ms))
  await printList<LeaseInfo>(format, leases, leaseJson, [
    { title: 'LEASE', cell: ({ id }) => id },
    { title: 'TTL', cell: ({ grantedTtlMs }) => time(grantedTtlMs), alignRight: true },
    { title: 'REMAINING', cell: ({ remainingTtlMs }) => time(remainingTtlMs), alignRight: true },
  ])
}

const leaseJson = ({ id, grantedTtlMs, remainingTtlMs }: LeaseInfo): object => ({
  id,
  granted_ttl_ms: grantedTtlMs,
  remaining_ttl_ms: remainingTtlMs,
})
