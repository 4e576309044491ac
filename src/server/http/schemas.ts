// Schemas of bodies and responses that several routes share.

import type { KvSettings } from '../../operations/forms/index.ts'
import {
  anyOf,
  arrayOf,
  boolean,
  closed,
  integer,
  nothing,
  object,
  string,
} from '../../operations/forms/json-schema.ts'
import { PEER_CHARS_MAX, PEER_PATTERN, URL_CHARS_MAX, URL_PATTERN } from '../../operations/forms/members.ts'
import { CLUSTER_VERSION, SETTING_LIMITS } from '../../operations/forms/settings.ts'

// ---------------------------------------------------------------------------------------------------------------------
// The cluster

export const Name = { ...string, pattern: '^[a-z0-9-]{1,63}$', description: 'A label, unique in the cluster' }
const Id = { ...string, pattern: '^[1-9][0-9]{0,19}$', description: '64 bits as a decimal number' }
const Peer = {
  ...string,
  pattern: PEER_PATTERN,
  maxLength: PEER_CHARS_MAX,
  description: 'host:port of its peer listener',
}
const Url = { ...string, pattern: URL_PATTERN, maxLength: URL_CHARS_MAX, description: 'Base URL of its API' }

export const NewReplica = { replica_id: Id, peer: Peer, url: Url }

export const MemberSchema = object(
  {
    name: Name,
    replica_id: Id,
    role: { ...string, enum: ['voter', 'learner'] },
    peer: string,
    url: string,
  },
  { match_index: { ...integer, description: 'Known to the leader alone' } },
)

export const ClusterSchema = object({
  cluster_id: Id,
  leader: anyOf(string, nothing),
  term: integer,
  joint: { ...boolean, description: 'A change of voters is in progress' },
  members: arrayOf(MemberSchema),
})

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

export const LeasesSchema = closed(
  object(
    {},
    {
      on: { ...boolean, description: 'Leader leases' },
      duration_ms: { ...integer, minimum: 10, maximum: 60_000 },
    },
  ),
)

export const SettingsSchema = object({ leases: LeasesSchema }, settingFields)
export const SettingsBody = closed(object({}, { ...settingFields, leases: LeasesSchema }))

export const SETTING_FIELDS = Object.entries(SETTINGS).map(([field, [name]]) => [field, name] as const)
