// The replicated settings, and their limits.

import type { Fields } from './disagreement.ts'
import { boolean, closed, integer, object } from './json-schema.ts'
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from './store.ts'

/**
 * The newest cluster version that this program knows. A later version raises it when an entry, a row or its meaning
 * changes; the cluster uses the new version once every member knows it.
 */
export const CLUSTER_VERSION = 1

/** Replicated limits and switches. Apply uses no other settings, so all replicas decide alike (KV-5). */
export interface KvSettings {
  readonly keyBytesMax: number
  readonly valueBytesMax: number
  /** Limit for the sum of all keys and values in bytes. A put that would exceed it gets storage_full. */
  readonly storeBytesMax: number
  readonly idempotencyTokensMax: number
  readonly idempotencyBytesMax: number
  readonly idempotencyAgeMsMax: number
  /** Enables new kinds and changed meanings after a rolling upgrade. */
  readonly clusterVersion: number
  /** History that is older, of more revisions, or of more bytes, is compacted. */
  readonly historyAgeMs: number
  readonly historyRevisionsMax: number
  readonly historyBytesMax: number
  /** Keys of all ranges that one transaction names, or that are deleted at once. Keys of one lease. */
  readonly rangeKeysMax: number
  /** Bytes of keys and values that one transaction reads, or answers with. */
  readonly rangeBytesMax: number
  /** How much longer the store keeps a lease than its time to live: so long no keep-alive needs an entry. */
  readonly leaseCheckpointMs: number
  readonly leasesMax: number
}

interface SettingLimits {
  readonly min: number
  readonly max: number
}

/**
 * The limits of key and value cannot be raised: buffers, frames and pages of every node are sized for the defaults. No
 * entry has more than `rangeKeysMax.max` keys, because all writes wait while an entry is applied.
 * Every replica must decide alike, so another range needs a new version of the settings entry.
 */
export const SETTING_LIMITS: Readonly<Record<keyof KvSettings, SettingLimits>> = {
  keyBytesMax: { min: 1, max: KEY_BYTES_MAX },
  valueBytesMax: { min: 0, max: VALUE_BYTES_MAX },
  storeBytesMax: { min: 0, max: 2 ** 50 },
  idempotencyTokensMax: { min: 1, max: 10_000_000 },
  idempotencyBytesMax: { min: 4096, max: 2 ** 40 },
  idempotencyAgeMsMax: { min: 1000, max: 30 * 24 * 3_600_000 },
  clusterVersion: { min: 1, max: 2 ** 32 - 1 },
  historyAgeMs: { min: 1000, max: 365 * 24 * 3_600_000 },
  historyRevisionsMax: { min: 1, max: 2 ** 40 },
  historyBytesMax: { min: 0, max: 2 ** 50 },
  rangeKeysMax: { min: 1, max: 10_000 },
  leaseCheckpointMs: { min: 100, max: 3_600_000 },
  leasesMax: { min: 0, max: 10_000_000 },
  // At least one record of the largest key and value.
  rangeBytesMax: { min: 2 * 2 ** 20, max: 8 * 2 ** 20 },
}

/** Leader leases, which the core keeps. */
export interface LeaderLeases {
  readonly on: boolean
  readonly durationMs: number
}

export interface SettingsResult {
  readonly settings: KvSettings
  readonly leaderLeases: LeaderLeases
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON

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
