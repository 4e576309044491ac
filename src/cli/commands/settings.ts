// kv settings [list], kv settings set NAME=VALUE…: the replicated limits and switches.

import { isObject } from '../../client/decode.ts'
import { didYouMean } from '../../client/did-you-mean.ts'
import type { Settings } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
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
  const changes = assignments.map(parseAssignment)
  checkOnce(changes)
  const settings = nested(changes)
  await inSession(global, { kind: 'write', check: `${PROGRAM} settings` }, async (session) => {
    const { client, signal } = session
    checkNames(changes, await client.settings({ signal }))
    await print(session, await client.changeSettings(settings, { signal }))
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
  if (/^[0-9]+$/.test(value) && Number.isSafeInteger(Number(value))) return [name, Number(value)]
  throw new Failure(
    EXIT.usage,
    `the value of ${name} is a whole number below 2^53, on or off, not ${JSON.stringify(value)}`,
  )
}

function checkOnce(assignments: readonly [name: string, value: unknown][]): void {
  const names = assignments.map(([name]) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw new Failure(EXIT.usage, `${twice} is given twice`)
}

/** The command line is wrong if the cluster does not know a name, or if a switch is set to a number. */
function checkNames(assignments: readonly [name: string, value: unknown][], settings: Settings): void {
  const known = new Map(settingsByName(settings))
  for (const [name, value] of assignments) {
    if (!known.has(name)) {
      const near = didYouMean(name, [...known.keys()])
      const hint = near === undefined ? '' : `\n(Did you mean ${near}?)`
      throw new Failure(EXIT.usage, `there is no setting ${JSON.stringify(name)}${hint}`)
    }
    if (typeof value !== typeof known.get(name)) {
      const wanted = typeof value === 'boolean' ? 'a whole number' : 'on or off'
      throw new Failure(EXIT.usage, `${name} is ${wanted}`)
    }
  }
}

/** `leases.duration_ms` is a field of `leases`, and `leases` alone means its switch. */
function nested(assignments: readonly [name: string, value: unknown][]): Settings {
  const settings: Record<string, unknown> = {}
  for (const [name, value] of assignments) {
    const [group, field] = name === 'leases' ? [name, 'on'] : name.split('.', 2)
    if (group === undefined || field === undefined) settings[name] = value
    else settings[group] = { ...(isObject(settings[group]) ? settings[group] : {}), [field]: value }
  }
  return settings
}

export function settingsByName(settings: Settings): [name: string, value: unknown][] {
  return Object.entries(settings).flatMap(([name, value]) => {
    if (!isObject(value)) return [[name, value]]
    return Object.entries(value).map(([field, inner]): [string, unknown] => [
      field === 'on' ? name : `${name}.${field}`,
      inner,
    ])
  })
}

async function print({ format }: Session, settings: Settings): Promise<void> {
  if (format === 'json') return writeLine(toJson(settings))
  if (format === 'ndjson') return writeLine(JSON.stringify(settings))
  const table = new RowWriter<readonly [string, unknown]>(
    [
      { title: 'NAME', cell: ([name]) => name },
      {
        title: 'VALUE',
        cell: ([, value]) => (typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)),
      },
    ],
    format,
  )
  for (const entry of settingsByName(settings)) await table.add(entry)
  await table.end()
}
