// kv settings [list], kv settings set NAME=VALUE…: the replicated limits and switches.

import { Command } from '@commander-js/extra-typings'
import type { Settings } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { isObject } from '../../operations/forms/decode.ts'
import { didYouMean } from '../../system/did-you-mean.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { settingsByName } from '../format/setting-names.ts'
import { printJson } from '../terminal/output.ts'
import { isTable, printTable } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('settings'), ['kv settings', 'kv settings set leases=on value_bytes_max=65536'])
    .description('the replicated limits and switches of the cluster')
    .addCommand(
      withExamples(new Command('list'), ['kv settings', 'kv settings list -o json'])
        .description('print them')
        .action(() => listSettings(flags())),
      { isDefault: true },
    )
    .addCommand(
      withExamples(new Command('set'), [
        'kv settings set leases=on',
        'kv settings set value_bytes_max=65536 store_bytes_max=1073741824',
      ])
        .description('change some of them, all at once')
        .argument('<name=value...>', 'a value is a whole number, on or off')
        .action((assignments) => changeSettings(flags(), assignments)),
    )

async function listSettings(global: GlobalFlags): Promise<void> {
  await withContext(global, { kind: 'read' }, async (context) => {
    await print(context, await context.client.settings({ signal: context.signal }))
  })
}

async function changeSettings(global: GlobalFlags, assignments: readonly string[]): Promise<void> {
  const changes = assignments.map(parseAssignment)
  checkOnce(changes)
  const settings = nestSettings(changes)
  await withContext(global, { kind: 'write', check: `${PROGRAM} settings` }, async (context) => {
    const { client, signal } = context
    checkNames(changes, await client.settings({ signal }))
    await print(context, await client.changeSettings(settings, { signal }))
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
    `${name} must be a whole number below 2^53, on or off, not ${JSON.stringify(value)}`,
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
      const hint = didYouMean(name, [...known.keys()])
      const text = `there is no setting ${JSON.stringify(name)}`
      throw new Failure(
        EXIT.usage,
        `${text}${hint === undefined ? '' : ` (${hint})`}; see ${PROGRAM} settings`,
      )
    }
    if (typeof value !== typeof known.get(name)) {
      const expected = typeof value === 'boolean' ? 'a whole number' : 'on or off'
      throw new Failure(EXIT.usage, `${name} must be ${expected}`)
    }
  }
}

/** `leases.duration_ms` is a field of `leases`, and `leases` alone means its switch. */
function nestSettings(assignments: readonly [name: string, value: unknown][]): Settings {
  const settings: Record<string, unknown> = {}
  for (const [name, value] of assignments) {
    const [group, field] = name === 'leases' ? [name, 'on'] : name.split('.', 2)
    if (group === undefined || field === undefined) settings[name] = value
    else settings[group] = { ...(isObject(settings[group]) ? settings[group] : {}), [field]: value }
  }
  return settings
}

async function print({ format }: CommandContext, settings: Settings): Promise<void> {
  if (await printJson(format, settings)) return
  await printTable<readonly [string, unknown]>(
    [
      { title: 'NAME', cell: ([name]) => name },
      {
        title: 'VALUE',
        cell: ([, value]) => (typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)),
      },
      ...(isTable(format)
        ? [
            {
              title: 'MEANING',
              cell: ([name, value]: readonly [string, unknown]) => settingMeaning(name, value),
            },
          ]
        : []),
    ],
    format,
    settingsByName(settings),
  )
}

/** Meaning of a setting, with its value in units that people read. */
function settingMeaning(name: string, value: unknown): string | undefined {
  const meaning = MEANING[name]
  const size = typeof value !== 'number' ? undefined : sizeText(name, value)
  return meaning === undefined || size === undefined ? meaning : `${meaning} (${size})`
}

function sizeText(name: string, value: number): string | undefined {
  if (/_bytes\b|_bytes_/.test(name)) return binaryUnits(value)
  if (/_ms\b|_ms_/.test(name)) return timeText(value)
  return undefined
}

function binaryUnits(bytes: number): string {
  const unit = Math.max(0, Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))
  const amount = bytes / 1024 ** unit
  return `${Number(amount.toFixed(1))} ${['bytes', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`
}

function timeText(ms: number): string {
  const [unit, unitMs] = ms >= HOUR_MS ? ['h', HOUR_MS] : ms >= 1_000 ? ['s', 1_000] : ['ms', 1]
  return `${Number((ms / unitMs).toFixed(1))} ${unit}`
}

const HOUR_MS = 3_600_000

/** Two of the names say "lease": those of reads by the leader, and those with a time to live. */
const MEANING: Readonly<Record<string, string>> = {
  key_bytes_max: 'longest key',
  value_bytes_max: 'largest value',
  store_bytes_max: 'keys and values of the store',
  idempotency_tokens_max: 'remembered outcomes of changes',
  idempotency_bytes_max: 'the same in bytes',
  idempotency_age_ms_max: 'how long they are remembered',
  cluster_version: 'version of the replicated behaviour',
  history_age_ms: 'how long the past can be read',
  history_revisions_max: 'the same in revisions',
  history_bytes_max: 'the same in bytes',
  range_keys_max: 'keys of the ranges of a transaction',
  range_bytes_max: 'the same in bytes',
  lease_checkpoint_ms: 'interval of entries with the cluster time',
  leases_max: 'leases with a time to live',
  leases: 'leader leases, for --consistency lease',
  'leases.duration_ms': 'how long a leader lease lasts',
}
