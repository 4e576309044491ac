// Schemas of bodies and responses that several routes share.

import { CLUSTER_VERSION, SETTING_RULES } from '../../kv/index.ts'
import type { KvSettings } from '../../operations/forms/index.ts'
import { LEASE_ID_PATTERN, PROBLEMS } from '../../operations/forms/index.ts'
import { PEER_CHARS_MAX, PEER_PATTERN, URL_CHARS_MAX, URL_PATTERN } from '../addresses.ts'
import { anyOf, arrayOf, boolean, closed, integer, nothing, object, string } from './json-schema.ts'

export const Bytes = {
  ...anyOf(string, object({ base64: string })),
  description: 'Bytes: a string when they are valid UTF-8, otherwise base64',
}

export const revisions = { create_revision: integer, mod_revision: integer, version: integer }

/** The field of a record with a lease. */
export const lease = {
  lease: { ...string, description: 'The id of the lease that deletes the key when it ends' },
}

/** The field of a record with its writer. */
const by = { by: { ...string, description: 'The user who wrote it, if rights were checked' } }

export const RecordSchema = object({ key: Bytes, value: Bytes, ...revisions }, { ...lease, ...by })

export const DeleteAnswer = object({ deleted: { ...integer, enum: [0, 1] }, revision: integer })

const problemFields = {
  type: string,
  title: string,
  status: integer,
  code: { ...string, enum: Object.keys(PROBLEMS) },
  detail: string,
}
const problemMore = {
  retry_after_ms: integer,
  current: {
    ...anyOf(object({ key: Bytes, ...revisions }, lease), nothing),
    description: 'Of precondition_failed: the record without its value, or null',
  },
}

export const ProblemSchema = object(problemFields, {
  ...problemMore,
  compact_revision: { ...integer, description: 'Of compacted: the first revision that can be read' },
  resume_from: { ...integer, description: 'Of a watch: the revision to give as from to continue' },
  count: { ...integer, description: 'Of range_too_large: the keys of the range, counted after the refusal' },
  reasons: { ...arrayOf(string), description: 'Of /readyz: why it is not ready' },
})

/** The problem of one change in a batch. */
export const ChangeProblem = object({ ...problemFields, written: { ...string, enum: ['no'] } }, problemMore)

// ---------------------------------------------------------------------------------------------------------------------
// Leases

export const LeaseIdSchema = {
  ...string,
  pattern: LEASE_ID_PATTERN,
  description: 'The id of a lease: 64 bits as a decimal number',
}
export const TtlSchema = { ...string, description: 'A duration from a second to ten years, such as 30s' }

export const PUT_LEASE_FIELDS = {
  lease: { ...LeaseIdSchema, description: 'The lease that deletes the key when it ends' },
  ttl: { ...TtlSchema, description: 'A lease of its own, of this duration, such as 30s' },
}

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
    const { min: minimum, max } = SETTING_RULES[name]
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
