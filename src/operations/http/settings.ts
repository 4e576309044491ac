// The replicated settings in JSON.

import type { Fields } from '../forms/decode.ts'
import {
  CLUSTER_VERSION,
  DEFAULT_SETTINGS,
  type KvSettings,
  SETTING_LIMITS,
  type SettingsResult,
} from '../forms/settings.ts'
import { boolean, closed, integer, object } from './json-schema.ts'

/** Each setting by its name in the API: its name in the store, and what it does. */
const SETTINGS = {
  key_bytes_max: ['keyBytesMax', 'Longest key. Longer ones that exist can be read and deleted'],
  value_bytes_max: ['valueBytesMax', 'Largest value. Larger ones that exist can be read and deleted'],
  store_bytes_max: [
    'storeBytesMax',
    'Keys and values of the whole store. Beyond it, only changes that do not make it larger are possible',
  ],
  idempotency_tokens_max: [
    'idempotencyTokensMax',
    'Outcomes remembered, in number. A change that is sent again is only recognized while its outcome is',
  ],
  idempotency_bytes_max: [
    'idempotencyBytesMax',
    'Outcomes remembered, in bytes: each about 100 and twice its token',
  ],
  idempotency_age_ms_max: [
    'idempotencyAgeMsMax',
    'How long an outcome is remembered, in cluster time. Below 10 s, the first write of a client may be applied twice',
  ],
  cluster_version: ['clusterVersion', 'Version of the replicated behaviour. Never lowered'],
  history_age_ms: [
    'historyAgeMs',
    'How long the store can be read as it was, in cluster time. What is older is compacted',
  ],
  history_revisions_max: [
    'historyRevisionsMax',
    'Revisions at which the store can be read. Older ones are compacted',
  ],
  history_bytes_max: [
    'historyBytesMax',
    'Versions that were replaced and are kept, in bytes. Beyond it, the oldest are compacted',
  ],
  range_keys_max: [
    'rangeKeysMax',
    'Keys of the ranges of one transaction, or deleted at once. A lease with more ends in parts. Other writes wait some tenths of a second for 10000 keys',
  ],
  range_bytes_max: [
    'rangeBytesMax',
    'Bytes of keys and values that one transaction reads, and of the keys that range_keys_max limits',
  ],
  lease_checkpoint_ms: [
    'leaseCheckpointMs',
    'How much longer a lease may live after a change of leader; keep-alives need an entry that often',
  ],
  leases_max: ['leasesMax', 'Leases of the whole store. Each takes about 400 bytes of memory of the leader'],
} as const satisfies Record<string, readonly [name: keyof KvSettings, description: string]>

const settingFields = Object.fromEntries(
  Object.entries(SETTINGS).map(([field, [name, description]]) => {
    const { min: minimum, max } = SETTING_LIMITS[name]
    const maximum = name === 'clusterVersion' ? CLUSTER_VERSION : max
    return [field, { ...integer, minimum, maximum, default: DEFAULT_SETTINGS[name], description }]
  }),
)

const LeaderLeasesSchema = closed(
  object(
    {},
    {
      on: {
        ...boolean,
        default: false,
        description:
          'Leader leases. A read with consistency=lease needs no round trip to a majority. It may be stale if the clocks of the nodes differ in speed by more than 5 %, or stop',
      },
      duration_ms: {
        ...integer,
        minimum: 10,
        maximum: 60_000,
        description:
          'How long a leader lease lasts. After the loss of a leader, an election waits at least that long',
      },
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
