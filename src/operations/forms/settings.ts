// The replicated settings.

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
