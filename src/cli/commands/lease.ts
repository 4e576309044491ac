// kv lease grant | keep-alive | revoke | show | list

import { type LeaseInfo, type NewLease, QuorateError } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { formatMs } from '../duration.ts'
import { EXIT } from '../exit-codes.ts'
import type { Format, GlobalFlags } from '../global-flags.ts'
import { bytesToJson, isTable, RowWriter, say, shownBytes, toJson, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'

export async function grantLease(global: GlobalFlags, lease: NewLease): Promise<void> {
  const intent = { kind: 'write', check: `${PROGRAM} lease list` } as const
  await inSession(global, intent, async ({ client, format, signal }) => {
    const { id, ttlMs } = await client.grantLease(lease, { signal })
    if (ttlMs > lease.ttlMs) say(`raised to ${formatMs(ttlMs)}, the shortest that the cluster grants`)
    await print(format, { id, ttl_ms: ttlMs }, id)
  })
}

/** Until Ctrl-C, or once. */
export async function keepLeaseAlive(
  global: GlobalFlags,
  id: string,
  { once }: { readonly once?: true | undefined },
): Promise<void> {
  await inSession(global, { kind: 'read' }, async ({ client, format, signal }) => {
    if (once === true) {
      const { ttlMs } = await client.keepLeaseAlive(id, { signal })
      await print(format, { ttl_ms: ttlMs }, String(ttlMs))
      return
    }
    // When the client has lost it, the cluster says whether it still lives, or why it cannot say.
    for (;;) {
      const session = await client.session({ lease: id, signal })
      say(`lease ${id} is kept alive until Ctrl-C; its time to live is ${formatMs(session.ttlMs)}`)
      await ended(session.signal, signal)
      if (signal.aborted)
        throw new Failure(
          EXIT.interrupted,
          `interrupted: lease ${id} ends within ${formatMs(session.ttlMs)} unless it is kept alive`,
        )
    }
  })
}

/** The timer keeps the process alive: the keep-alives of a session do not. */
async function ended(...signals: readonly AbortSignal[]): Promise<void> {
  const alive = setInterval(() => {}, 2 ** 30)
  await new Promise<void>((resolve) => {
    for (const signal of signals) {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
    }
  })
  clearInterval(alive)
}

export async function revokeLease(global: GlobalFlags, id: string): Promise<void> {
  const intent = { kind: 'write', check: `${PROGRAM} lease show ${id}` } as const
  await inSession(global, intent, async ({ client, format, signal }) => {
    const { deleted, revision } = await client.revokeLease(id, { signal })
    const text = isTable(format) ? `revoked; ${deleted} keys deleted` : String(deleted)
    await print(format, { deleted, revision }, text)
  })
}

export async function showLease(
  global: GlobalFlags,
  id: string,
  { keys }: { readonly keys?: true | undefined },
): Promise<void> {
  await inSession(global, { kind: 'read' }, async (session) => {
    const { client, format, signal } = session
    const lease = await client.lease(id, { keys: keys === true, signal })
    if (lease === undefined)
      throw new QuorateError(`there is no lease ${id}`, { code: 'lease_not_found', written: 'no' })
    if (format === 'json' || format === 'ndjson') {
      const json = { ...jsonOf(lease), ...(lease.keys && { keys: lease.keys.map(bytesToJson) }) }
      await writeLine(format === 'json' ? toJson(json) : JSON.stringify(json))
      return
    }
    await printAll(session, [lease])
    for (const key of lease.keys ?? []) await writeLine(shownBytes(key))
  })
}

export async function listLeases(global: GlobalFlags): Promise<void> {
  await inSession(global, { kind: 'read' }, async (session) => {
    await printAll(session, session.client.leases({ signal: session.signal }))
  })
}

async function printAll(
  { format }: Session,
  leases: AsyncIterable<LeaseInfo> | Iterable<LeaseInfo>,
): Promise<void> {
  if (format === 'json') {
    const all: object[] = []
    for await (const lease of leases) all.push(jsonOf(lease))
    await writeLine(toJson(all))
    return
  }
  if (format === 'ndjson') {
    for await (const lease of leases) await writeLine(JSON.stringify(jsonOf(lease)))
    return
  }
  const time = (ms: number): string => (isTable(format) ? formatMs(ms) : String(ms))
  const table = new RowWriter<LeaseInfo>(
    [
      { title: 'LEASE', cell: ({ id }) => id },
      { title: 'TTL', cell: ({ grantedTtlMs }) => time(grantedTtlMs), alignRight: true },
      { title: 'REMAINING', cell: ({ remainingTtlMs }) => time(remainingTtlMs), alignRight: true },
    ],
    format,
  )
  for await (const lease of leases) await table.add(lease)
  await table.end()
}

const jsonOf = ({ id, grantedTtlMs, remainingTtlMs }: LeaseInfo): object => ({
  id,
  granted_ttl_ms: grantedTtlMs,
  remaining_ttl_ms: remainingTtlMs,
})

async function print(format: Format, json: object, text: string): Promise<void> {
  if (format === 'json') await writeLine(toJson(json))
  else if (format === 'ndjson') await writeLine(JSON.stringify(json))
  else await writeLine(text)
}
