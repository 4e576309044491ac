// Heads: what apply needs of a key that exists, without its value. A head is not stored. It is made of the newest row
// of versions of its key, and storage keeps it in memory, so that a put reads nothing. A key whose head is not in
// memory is read from LevelDB before the entry that names it is applied.
//
//   head     key    8, user's key
//            value  flags (1), create_revision (8), mod_revision (8), version (8), bytes of the user's value (4), hash of
//                   the row of the version (8); with flag 2 the lease (8)

import {
  readBigUint64,
  readUint8,
  readUint32,
  readUint64,
  writeBigUint64,
  writeUint32,
  writeUint64,
} from '../bytes/index.ts'
import { decodeVersion, decodeVersionKey, leaseOf } from './codec/rows.ts'
import type { KeyMeta, RowHash } from './types.ts'
import { asRevision, TABLE_HEADS } from './types.ts'

const LEASED = 2
const VALUE_BYTES_AT = 25
const VERSION_HASH_AT = 29
const LEASE_AT = 37

export interface KeyMetadata extends KeyMeta {
  readonly valueBytes: number
  /** The hash of the row of this version. */
  readonly versionHash: RowHash
}

export function metadataKey(key: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + key.length)
  bytes[0] = TABLE_HEADS
  bytes.set(key, 1)
  return bytes
}

/** The bytes are valid until the next call. */
export function encodeMetadata(head: Omit<KeyMetadata, 'key'>): Uint8Array {
  const { lease } = head
  const bytes = lease === undefined ? bare : leased
  bytes[0] = lease === undefined ? 0 : LEASED
  writeUint64(bytes, 1, head.createRevision)
  writeUint64(bytes, 9, head.modRevision)
  writeUint64(bytes, 17, head.version)
  writeUint32(bytes, VALUE_BYTES_AT, head.valueBytes)
  writeUint32(bytes, VERSION_HASH_AT, head.versionHash.mix >>> 0)
  writeUint32(bytes, VERSION_HASH_AT + 4, head.versionHash.crc >>> 0)
  if (lease !== undefined) writeBigUint64(bytes, LEASE_AT, BigInt(lease))
  return bytes
}

const bare = new Uint8Array(LEASE_AT)
const leased = new Uint8Array(LEASE_AT + 8)

export const decodeMetadata = (key: Uint8Array, bytes: Uint8Array): KeyMetadata => ({
  key,
  createRevision: asRevision(readUint64(bytes, 1)),
  modRevision: asRevision(readUint64(bytes, 9)),
  version: readUint64(bytes, 17),
  lease: readUint8(bytes, 0) & LEASED ? leaseOf(readBigUint64(bytes, LEASE_AT)) : undefined,
  valueBytes: readUint32(bytes, VALUE_BYTES_AT),
  versionHash: {
    mix: readUint32(bytes, VERSION_HASH_AT) | 0,
    crc: readUint32(bytes, VERSION_HASH_AT + 4) | 0,
  },
})

/**
 * The head of the key of this row, which is its newest row of versions; undefined: the key was deleted. The bytes are
 * valid until the next call. Throws as `decodeVersion` does.
 */
export function metadataOfVersion(
  rowKey: Uint8Array,
  row: Uint8Array,
  versionHash: RowHash,
): Uint8Array | undefined {
  const { key, revision } = decodeVersionKey(rowKey)
  const record = decodeVersion(key, revision, row)
  return record === null
    ? undefined
    : encodeMetadata({ ...record, valueBytes: record.value.length, versionHash })
}
