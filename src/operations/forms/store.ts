// The parts of a store: revisions, keys and leases.

declare const brand: unique symbol

/**
 * The store's revision: a safe integer. It is 1 for an empty store and rises by 1 with each change of a key or a
 * setting. 0 means "before all revisions".
 */
export type Revision = number & { readonly [brand]: 'Revision' }

/** Throws RangeError for a number that is no revision. */
export const asRevision = (value: number): Revision => {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a revision: ${value}`)
  return value as Revision
}

/** From 1 to 2^63 - 1, as decimal digits. */
export type LeaseId = string & { readonly [brand]: 'LeaseId' }

/** Limit on a key, whatever the settings of a cluster say. Every value is limited too, by each wire. */
export const KEY_BYTES_MAX = 4096
/** Limit on a value over HTTP and the multiplexed connection: their buffers and the credit of clients assume it. */
export const VALUE_BYTES_MAX = 1 << 20
/** Limit on a value that the store may have, through etcd's API: that of its requests, 1.5 MiB. */
export const STORED_VALUE_BYTES_MAX = 3 << 19

/** How long a lease may live after it was granted or renewed: a second to ten years. */
export const TTL_MS_MIN = 1000
export const TTL_MS_MAX = 3650 * 24 * 3_600_000

/** One key of a user, as stored. */
export interface KeyRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly createRevision: Revision
  readonly modRevision: Revision
  /** 1 at creation, +1 per change, 1 again when the key is created after a delete. */
  readonly version: number
  /** The lease that deletes the key when it expires. */
  readonly lease: LeaseId | undefined
  /** The user who wrote this version, if rights were checked. */
  readonly by?: string
  /** The wall clock of the node that took the change, in milliseconds since 1970. For people: nothing depends on it. */
  readonly timeMs?: number
}

export type RecordMetadata = Omit<KeyRow, 'value' | 'by' | 'timeMs'>
export type KeyRevisions = Pick<KeyRow, 'createRevision' | 'modRevision' | 'version'>

/** Limit on the revision to which a store is raised: as many are left. */
export const RAISED_REVISION_MAX = 2 ** 52
