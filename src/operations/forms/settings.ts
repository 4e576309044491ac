// The replicated settings, their defaults and their limits.

import { KEY_BYTES_MAX, STORED_VALUE_BYTES_MAX } from './store.ts'

/**
 * The newest cluster version that this program knows. A later version raises it when an entry, a row or its meaning
 * changes; the cluster uses the new version once every member knows it.
 */
export const CLUSTER_VERSION = 2

/**
 * Features, each with the cluster version from which on the cluster has it. Before, no node proposes it, writes it into
 * a row or accepts it from a client: a member may still be of a version that does not know it.
 */
const FEATURES = {
  /** An entry carries the wall clock of its proposer; versions of keys keep it, and deletions also their user. */
  changeTimes: 2,
  /** The command that raises the revision of an empty store. */
  revisionRaise: 2,
  /** A lease has any number of keys. One with more than fit into an entry ends in parts. */
  leaseParts: 2,
} as const satisfies Readonly<Record<string, number>>

export type ClusterFeature = keyof typeof FEATURES

export const hasFeature = (
  { clusterVersion }: Pick<KvSettings, 'clusterVersion'>,
  feature: ClusterFeature,
): boolean => clusterVersion >= FEATURES[feature]

/** Refusal of a request that needs the feature, with the next step; undefined: the cluster has it. */
export function featureRefusal(
  settings: Pick<KvSettings, 'clusterVersion'>,
  feature: ClusterFeature,
): string | undefined {
  if (hasFeature(settings, feature)) return undefined
  const needed = FEATURES[feature]
  return (
    `the cluster is at cluster version ${settings.clusterVersion}, and this needs ${needed}: when every node runs a ` +
    `version of quorate that knows it, raise it with: quorate settings set cluster_version=${needed}`
  )
}

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
  /** Keys of all ranges that one transaction names, or that are deleted at once, also those of one lease. */
  readonly rangeKeysMax: number
  /** Bytes of keys and values that one transaction reads, or answers with. */
  readonly rangeBytesMax: number
  /** How much longer the store keeps a lease than its time to live: so long no keep-alive needs an entry. */
  readonly leaseCheckpointMs: number
  readonly leasesMax: number
}

export const DEFAULT_SETTINGS: KvSettings = {
  keyBytesMax: 4096,
  valueBytesMax: STORED_VALUE_BYTES_MAX,
  storeBytesMax: 8 * 2 ** 30,
  idempotencyTokensMax: 1_000_000,
  idempotencyBytesMax: 256 * 2 ** 20,
  idempotencyAgeMsMax: 15 * 60_000,
  clusterVersion: CLUSTER_VERSION,
  historyAgeMs: 3_600_000,
  // Five minutes at 13,000 writes a second of 1 KiB: clients such as an API server of Kubernetes count on so much.
  historyRevisionsMax: 4_000_000,
  historyBytesMax: 4 * 2 ** 30,
  rangeKeysMax: 10_000,
  leaseCheckpointMs: 5000,
  leasesMax: 1_000_000,
  rangeBytesMax: 4 * 2 ** 20,
}

interface SettingLimits {
  readonly min: number
  readonly max: number
}

/**
 * The limit of keys cannot be raised: layouts of the log, heads of HTTP and buffers of every node are made for it. That
 * of values can, to the requests of etcd's API: an entry, a page and a message have room for such a value. No entry has
 * more than `rangeKeysMax.max` keys, because all writes wait while an entry is applied.
 * Every replica must decide alike, so another range needs a new version of the settings entry.
 */
export const SETTING_LIMITS: Readonly<Record<keyof KvSettings, SettingLimits>> = {
  keyBytesMax: { min: 1, max: KEY_BYTES_MAX },
  valueBytesMax: { min: 0, max: STORED_VALUE_BYTES_MAX },
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
interface LeaderLeases {
  readonly on: boolean
  readonly durationMs: number
}

export interface SettingsResult {
  readonly settings: KvSettings
  readonly leaderLeases: LeaderLeases
}
