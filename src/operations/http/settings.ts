// The replicated settings in JSON.

import type { Fields } from '../forms/decode.ts'
import { CLUSTER_VERSION, type KvSettings, SETTING_LIMITS, type SettingsResult } from '../forms/settings.ts'
import { boolean, closed, integer, object } from './json-schema.ts'

/** Each setting by its name in the API: its name in the store, and what it says. */
const SETTINGS = {
  key_bytes_max: ['keyBytesMax', 'Longest key'],
  value_bytes_max: ['valueBytesMax', 'Largest value'],
  store_bytes_max: ['storeBytesMax', 'Keys and values of the whole store'],
  idempotency_tokens_max: ['idempotencyTokensMax', 'Outcomes remembered, in number'],
  idempotency_bytes_max: ['idempotencyBytesMax', 'Outcomes remembered, in bytes'],
  idempotency_age_ms_max: ['idempotencyAgeMsMax', 'How long an outcome is remembered, in cluster time'],
  cluster_version: ['clusterVersion', 'Never lowered'],
  history_age_ms: ['historyAgeMs', 'How long the store can be read as it was, in cluster time'],
  history_revisions_max: ['historyRevisionsMax', 'Revisions at which the store can be read'],
  history_bytes_max: ['historyBytesMax', 'Versions that were replaced and are kept, in bytes'],
  range_keys_max: [
    'rangeKeysMax',
    'Keys of the ranges of one transaction, or deleted at once, or of one lease',
  ],
  range_bytes_max: [
    'rangeBytesMax',
    'Bytes of keys and values that one transaction reads, and of the keys that range_keys_max limits',
  ],
  lease_checkpoint_ms: [
    'leaseCheckpointMs',
    'How much longer a lease may live after a change of leader; keep-alives need an entry that often',
  ],
  leases_max: ['leasesMax', 'Leases of the whole store'],
} as const satisfies Record<string, readonly [name: keyof KvSettings, description: string]>

const settingFields = Object.fromEntries(
  Object.entries(SETTINGS).map(([field, [name, description]]) => {
    const { min: minimum, max } = SETTING_LIMITS[name]
    const maximum = name === 'clusterVersion' ? CLUSTER_VERSION : max
    return [field, { ...integer, minimum, maximum, description }]
  }),
)

const LeaderLeasesSchema = closed(
  object(
    {},
    {
      on: { ...boolean, description: 'Leader leases' },
      duration_ms: { ...integer, minimum: 10, maximum: 60_000 },
    },
  ),
)

export const SettingsSchema = object({ leases: LeaderLeasesSchema }, settingFields)
export const SettingsBody = closed(object({}, { ...settingFields, leases: LeaderLeasesSchema }))

const SETTING_NAMES = Object.entries(SETTINGS).map(([field, [name]]) => [field, name] as const)

/** The settings in a body. */
export function decodeSettings(body: Readonly<Record<string, unknown>>): Partial<KvSettings> {
  const settings = SETTING_NAMES.flatMap(([field, name]) => {
    const value = body[field]
    return typeof value === 'number' ? [[name, value] as const] : []
  })
  return Object.fromEntries(settings)
}

export const settingsDocument = (settings: Partial<KvSettings>): object =>
  Object.fromEntries(SETTING_NAMES.map(([field, name]) => [field, settings[name]]))

/** The setting of leader leases; undefined: it is not given. */
export const leasesDocument = (
  leases: { readonly on?: boolean | undefined; readonly durationMs?: number | undefined } | undefined,
): object | undefined => leases && { on: leases.on, duration_ms: leases.durationMs }

/**
 * All settings, by their names in the API. A client decodes no more of them, since a newer node may have others than
 * this program knows.
 */
export type SettingsDocument = Fields

export const settingsJson = ({ settings, leaderLeases }: SettingsResult): string =>
  JSON.stringify({ ...settingsDocument(settings), leases: leasesDocument(leaderLeases) })
