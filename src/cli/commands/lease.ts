// kv lease grant TTL | keep-alive ID | revoke ID | show ID | list: times to live that keys are attached to.

import { setTimeout as sleep } from 'node:timers/promises'
import type { LeaseInfo } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { formatMs } from '../duration.ts'
import { EXIT } from '../exit-codes.ts'
import type { Format, GlobalFlags } from '../global-flags.ts'
import { bytesToJson, isTable, RowWriter, say, toJson, write, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'

/** The longest time-out of a timer. */
const LONG_MS = 2 ** 31 - 1

export async function grantLease(global: GlobalFlags, ttlMs: number): Promise<void> {
  await inSession(global, writes(), async ({ client, format, signal }) => {
    const lease = await client.grantLease({ ttlMs }, { signal })
    const words = `lease ${lease.id}, for ${formatMs(lease.ttlMs)}`
    await print(format, { id: lease.id, ttl_ms: lease.ttlMs }, words, lease.id)
  })
}

/** Until Ctrl-C, unless once. The lease is not revoked at the end. */
export async function keepLeaseAlive(
  global: GlobalFlags,
  id: string,
  { once }: { readonly once?: true | undefined },
): Promise<void> {
  await inSession(global, { kind: 'read' }, async (session) => {
    const { client, format, signal } = session
    if (once === true) return printKept(format, id, await client.keepLeaseAlive(id, { signal }))
    for (let isFirst = true; ; isFirst = false) {
      // After the end of a session this says why: there is no such lease, or no node answers.
      const { signal: lost, ttlMs } = await client.session({ lease: id, signal })
      if (isFirst) await printKept(format, id, { ttlMs })
      // The timers of a session do not keep a process running.
      await sleep(LONG_MS, undefined, { signal: AbortSignal.any([lost, signal]) }).catch(() => {})
      if (signal.aborted) throw new Failure(EXIT.interrupted, 'interrupted; the lease was not revoked')
      if (lost.aborted) say(`warning: ${lost.reason.message}; looking for it`)
    }
  })
}

export async function revokeLease(global: GlobalFlags, id: string): Promise<void> {
  await inSession(global, writes(id), async ({ client, format, signal }) => {
    const { deleted, revision } = await client.revokeLease(id, { signal })
    const words = `revoked, ${deleted} ${deleted === 1 ? 'key' : 'keys'} deleted, revision ${revision}`
    await print(format, { deleted, revision }, words, String(deleted))
  })
}

export async function showLease(
  global: GlobalFlags,
  id: string,
  { keys }: { readonly keys?: true | undefined },
): Promise<void> {
  await inSession(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const lease = await client.lease(id, { keys, signal })
    if (lease === undefined) throw new Failure(EXIT.notFound, `there is no lease ${id}`)
    const attached = lease.keys?.map(bytesToJson)
    const json = { ...infoJson(lease), ...(attached && { keys: attached }) }
    if (format === 'json') return writeLine(toJson(json))
    if (format === 'ndjson') return writeLine(JSON.stringify(json))
    const table = rows(format)
    await table.add(lease)
    await table.end()
    const { formatBytes } = await import('../txn-format.ts')
    for (const key of attached ?? []) await writeLine(formatBytes(key))
  })
}

export async function listLeases(global: GlobalFlags): Promise<void> {
  await inSession(global, { kind: 'read' }, async ({ client, format, signal }: Session) => {
    const leases = client.leases({ signal })
    if (format === 'json') {
      let separator = '['
      for await (const lease of leases) {
        await write(`${separator}\n  ${JSON.stringify(infoJson(lease))}`)
        separator = ','
      }
      return writeLine(separator === '[' ? toJson([]) : '\n]')
    }
    if (format === 'ndjson') {
      for await (const lease of leases) await writeLine(JSON.stringify(infoJson(lease)))
      return
    }
    const table = rows(format)
    for await (const lease of leases) await table.add(lease)
    await table.end()
  })
}

const writes = (id?: string) => ({
  kind: 'write' as const,
  check: id === undefined ? `${PROGRAM} lease list` : `${PROGRAM} lease show ${id}`,
})

function printKept(format: Format, id: string, { ttlMs }: { readonly ttlMs: number }): Promise<void> {
  return print(format, { id, ttl_ms: ttlMs }, `lease ${id} lives on for ${formatMs(ttlMs)}`, String(ttlMs))
}

async function print(format: Format, json: object, words: string, plain: string): Promise<void> {
  if (format === 'json') await writeLine(toJson(json))
  else if (format === 'ndjson') await writeLine(JSON.stringify(json))
  else await writeLine(isTable(format) ? words : plain)
}

/** Milliseconds for scripts. */
function rows(format: Format): RowWriter<LeaseInfo> {
  const shown = isTable(format) ? formatMs : String
  return new RowWriter<LeaseInfo>(
    [
      { title: 'ID', cell: ({ id }) => id },
      { title: 'GRANTED', cell: ({ grantedTtlMs }) => shown(grantedTtlMs), alignRight: true },
      { title: 'REMAINING', cell: ({ remainingTtlMs }) => shown(remainingTtlMs), alignRight: true },
    ],
    format,
  )
}

const infoJson = ({ id, grantedTtlMs, remainingTtlMs }: LeaseInfo) => ({
  id,
  granted_ttl_ms: grantedTtlMs,
  remaining_ttl_ms: remainingTtlMs,
})
