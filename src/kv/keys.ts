// Changes of single keys, and the metadata of a key. A change writes the row of the new version and an event, and
// storage remembers the metadata.

import {
  readBigUint64,
  readUint8,
  readUint32,
  readUint64,
  writeBigUint64,
  writeUint32,
  writeUint64,
} from '../bytes/index.ts'
import {
  asRevision,
  type KeptParts,
  type KeyRow,
  type PutLease,
  type RecordMetadata,
  type Revision,
} from '../operations/forms/index.ts'
import type { ApplyContext } from './apply-context.ts'
import {
  asLeaseId,
  decodeVersion,
  decodeVersionKey,
  encodeTombstone,
  encodeVersionHead,
  readVersion,
  tombstoneKey,
  versionKey,
} from './codec/rows.ts'
import type { VersionBefore } from './history.ts'
import { leaseOfPut, moveLease } from './leases.ts'
import { rejection } from './rejections.ts'
import type { KvState, Rejection, RowHash, Rows } from './types.ts'
import { TABLE_KEY_METADATA } from './types.ts'

/** A key as it is now; null: it does not exist. `rowKey`: `metadataKey(key)`. */
export function readCurrent(key: Uint8Array, rowKey: Uint8Array, rows: Rows): KeyMetadata | null {
  const found = rows.read(rowKey, true)
  return found === undefined ? null : decodeMetadata(key, found.bytes)
}

export const keyMeta = ({
  key,
  createRevision,
  modRevision,
  version,
  lease,
}: RecordMetadata): RecordMetadata => ({
  key,
  createRevision,
  modRevision,
  version,
  lease,
})

/** Why no key has this name; undefined: it may. */
export function keyFault(key: Uint8Array, { revision, settings }: KvState): Rejection | undefined {
  if (key.length === 0) return rejection(revision, 'empty-key')
  if (key.length <= settings.keyBytesMax) return undefined
  return rejection(revision, 'key-too-long', [key.length, settings.keyBytesMax])
}

/** Why this value cannot be put under this key; undefined: it can, as far as their sizes matter. */
export function putFault(key: Uint8Array, value: Uint8Array, state: KvState): Rejection | undefined {
  const { valueBytesMax } = state.settings
  const fault = keyFault(key, state)
  if (fault !== undefined || value.length <= valueBytesMax) return fault
  return rejection(state.revision, 'value-too-large', [value.length, valueBytesMax])
}

/** The key with its value, before it is changed. */
export const readKeyRow = ({ key, modRevision }: KeyMetadata, rows: Rows): KeyRow =>
  readVersion(key, modRevision, (rowKey) => rows.read(rowKey, false)?.bytes)

interface RequestedPut extends KeptParts {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly lease?: PutLease | undefined
}

/** Why this put cannot keep what its key has; undefined: it can. */
export function keepFault(
  { keepsValue, keepsLease }: KeptParts,
  current: KeyMetadata | null,
  { revision }: KvState,
): Rejection | undefined {
  return (keepsValue || keepsLease) && current === null ? rejection(revision, 'no-such-key') : undefined
}

/** The length of the value that the key has after this put. */
export const writtenBytes = (
  { value, keepsValue }: Pick<RequestedPut, 'value' | 'keepsValue'>,
  current: KeyMetadata | null,
): number => (keepsValue && current !== null ? current.valueBytes : value.length)

/** `revision`: of the change. Returns the key as it is then. */
export function writeKey(
  put: RequestedPut,
  rowKey: Uint8Array,
  current: KeyMetadata | null,
  revision: Revision,
  work: ApplyContext,
): WrittenMetadata {
  const { state, rows, events, origin } = work
  const { key } = put
  const value = put.keepsValue && current !== null ? readKeyRow(current, rows).value : put.value
  const createRevision = current === null ? revision : current.createRevision
  const version = current === null ? 1 : current.version + 1
  const lease = put.keepsLease ? current?.lease : leaseOfPut(put.lease, work)
  moveLease(key, current?.lease, lease, work)
  const meta = { createRevision, modRevision: revision, version, lease }
  const versionHash = rows.write({
    key: versionKey(key, revision),
    value: encodeVersionHead({ ...meta, ...origin }),
    rest: value,
    before: null,
  })
  rows.write({ key: rowKey, value: encodeMetadata({ ...meta, valueBytes: value.length, versionHash }) })
  events.add(key, revision, undefined, current === null ? undefined : versionBefore(current))
  state.revision = revision
  state.storeBytes += key.length + value.length
  if (current === null) state.keys++
  else state.storeBytes -= key.length + current.valueBytes
  return meta
}

type WrittenMetadata = Omit<RecordMetadata, 'key'>

/** A key that exists is deleted. */
export function removeKey(
  current: KeyMetadata,
  rowKey: Uint8Array,
  revision: Revision,
  work: ApplyContext,
): void {
  moveLease(current.key, current.lease, undefined, work)
  removeDetached(current, rowKey, revision, work)
}

/** A key that exists, and is attached to no lease any more, is deleted. */
export function removeDetached(
  current: KeyMetadata,
  rowKey: Uint8Array,
  revision: Revision,
  { state, rows, events, originOfDeletion }: ApplyContext,
): void {
  const { key, valueBytes } = current
  const tombstone = rows.write({
    key: tombstoneKey(key, revision),
    value: encodeTombstone(originOfDeletion),
    before: null,
  })
  events.add(key, revision, tombstone, versionBefore(current))
  rows.write({ key: rowKey, value: undefined })
  state.revision = revision
  state.storeBytes -= key.length + valueBytes
  state.keys--
}

const versionBefore = ({ modRevision, valueBytes, versionHash }: KeyMetadata): VersionBefore => ({
  revision: modRevision,
  valueBytes,
  hash: versionHash,
})

// ---------------------------------------------------------------------------------------------------------------------
// Metadata: what apply needs of a key that exists, without its value. It is not stored. It is made of the newest row of
// versions of its key, and storage keeps it in memory, so that a put reads nothing. A key whose metadata is not
// in memory is read from LevelDB before the entry that names it is applied.
//
//   metadata key    8, user's key
//            value  flags (1), create_revision (8), mod_revision (8), version (8), bytes of the user's value (4), hash of
//                   the row of the version (8); with flag 2 the lease (8)

const LEASED = 2
const VALUE_BYTES_AT = 25
const VERSION_HASH_AT = 29
const LEASE_AT = 37

export interface KeyMetadata extends RecordMetadata {
  readonly valueBytes: number
  /** The hash of the row of this version. */
  readonly versionHash: RowHash
}

export function metadataKey(key: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + key.length)
  bytes[0] = TABLE_KEY_METADATA
  bytes.set(key, 1)
  return bytes
}

/** The bytes are valid until the next call. */
function encodeMetadata(metadata: Omit<KeyMetadata, 'key'>): Uint8Array {
  const { lease } = metadata
  const bytes = lease === undefined ? bare : leased
  bytes[0] = lease === undefined ? 0 : LEASED
  writeUint64(bytes, 1, metadata.createRevision)
  writeUint64(bytes, 9, metadata.modRevision)
  writeUint64(bytes, 17, metadata.version)
  writeUint32(bytes, VALUE_BYTES_AT, metadata.valueBytes)
  writeUint32(bytes, VERSION_HASH_AT, metadata.versionHash.mix >>> 0)
  writeUint32(bytes, VERSION_HASH_AT + 4, metadata.versionHash.crc >>> 0)
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
  lease: readUint8(bytes, 0) & LEASED ? asLeaseId(readBigUint64(bytes, LEASE_AT)) : undefined,
  valueBytes: readUint32(bytes, VALUE_BYTES_AT),
  versionHash: {
    mix: readUint32(bytes, VERSION_HASH_AT) | 0,
    crc: readUint32(bytes, VERSION_HASH_AT + 4) | 0,
  },
})

/** The revision of the newest version, from the bytes of metadata. */
export const modRevisionOf = (metadata: Uint8Array): Revision => asRevision(readUint64(metadata, 9))

/**
 * The metadata of the key of this row, which is its newest row of versions; undefined: the key was deleted. The bytes
 * are valid until the next call. Throws as `decodeVersion` does.
 */
export function metadataOfVersion(
  rowKey: Uint8Array,
  row: Uint8Array,
  versionHash: RowHash,
): Uint8Array | undefined {
  const record = decodeVersion(decodeVersionKey(rowKey), row)
  return record === null
    ? undefined
    : encodeMetadata({ ...record, valueBytes: record.value.length, versionHash })
}
