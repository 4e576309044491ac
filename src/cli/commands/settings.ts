// kv settings [list], kv settings set NAME=VALUE…: the replicated limits and switches.

import type { Settings } from '../../client/index.ts'
import { Failure } from '../cluster/failure.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { RowWriter, toJson, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'

export async function listSettings(global: GlobalFlags): Promise<void> {
  await inSession(global, { kind: 'read' }, async (session) => {
    await print(session, await session.client.settings({ signal: session.signal }))
  })
}

export async function changeSettings(global: GlobalFlags, assignments: readonly string[]): Promise<void> {
  const settings = Object.fromEntries(assignments.map(parseAssignment))
  await inSession(global, { kind: 'write', check: 'kv settings' }, async (session) => {
    await print(session, await session.client.changeSettings(settings, { signal: session.signal }))
  })
}

/** `leases=on`, `value_bytes_max=65536`. */
function parseAssignment(text: string): [name: string, value: unknown] {
  const at = text.indexOf('=')
  if (at < 1) throw new Failure(EXIT.usage, `${JSON.stringify(text)} is not of the form NAME=VALUE`)
  const name = text.slice(0, at)
  const value = text.slice(at + 1)
  if (value === 'on' || value === 'true') return [name, true]
  if (value === 'off' || value === 'false') return [name, false]
  if (/^[0-9]+$/.test(value)) return [name, Number(value)]
  throw new Failure(
    EXIT.usage,
    `the value of ${name} is a whole number, on or off, not ${JSON.stringify(value)}`,
  )
}

async function print({ format }: Session, settings: Settings): Promise<void> {
  if (format === 'json') return writeLine(toJson(settings))
  if (format === 'ndjson') return writeLine(JSON.stringify(settings))
  const table = new RowWriter<readonly [string, unknown]>(
    [
      { title: 'NAME', cell: ([name]) => name },
      { title: 'VALUE', cell: ([, value]) => words(value) },
    ],
    format === 'table',
  )
  for (const entry of Object.entries(settings)) await table.add(entry)
  await table.end()
}

function words(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
