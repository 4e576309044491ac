// Changes of single keys. Each writes the row of the new version and an event, and storage remembers the metadata.

import type { ApplyContext } from './apply-context.ts'
import { encodeVersionHead, readVersion, TOMBSTONE_ROW, versionKey } from './codec/rows.ts'
import type { VersionBefore } from './history.ts'
import { decodeMetadata, encodeMetadata, type KeyMetadata } from './key-metadata.ts'
import { leaseOfPut, moveLease } from './leases.ts'
import { rejection } from './rejections.ts'
import type { KeyMeta, KeyRow, KvState, PutLease, Rejection, Revision, Rows } from './types.ts'

/** A key as it is now; null: it does not exist. `rowKey`: `metadataKey(key)`. */
export function readCurrent(key: Uint8Array, rowKey: Uint8Array, rows: Rows): KeyMetadata | null {
  const found = rows.read(rowKey, true)
  return found === undefined ? null : decodeMetadata(key, found.bytes)
}

export const metaOf = ({ key, createRevision, modRevision, version, lease }: KeyMeta): KeyMeta => ({
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

/** The key with its value, before it is changed. */
export const rowOf = ({ key, modRevision }: KeyMetadata, rows: Rows): KeyRow =>
  readVersion(key, modRevision, (rowKey) => rows.read(rowKey, false)?.bytes)

interface NewValue {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly lease: PutLease | undefined
}

/** `revision`: of the change. Returns the key as it is then. */
export function writeKey(
  { key, value, lease: given }: NewValue,
  rowKey: Uint8Array,
  current: KeyMetadata | null,
  revision: Revision,
  work: ApplyContext,
): Written {
  const { state, rows, events } = work
  const createRevision = current === null ? revision : current.createRevision
  const version = current === null ? 1 : current.version + 1
  const lease = leaseOfPut(given, work)
  moveLease(key, current?.lease, lease, work)
  const meta = { createRevision, modRevision: revision, version, lease }
  const versionHash = rows.write({
    key: versionKey(key, revision),
    value: encodeVersionHead(meta),
    rest: value,
    before: null,
  })
  rows.write({ key: rowKey, value: encodeMetadata({ ...meta, valueBytes: value.length, versionHash }) })
  events.add(key, revision, undefined, current === null ? undefined : versionOf(current))
  state.revision = revision
  state.storeBytes += key.length + value.length
  if (current === null) state.keys++
  else state.storeBytes -= key.length + current.valueBytes
  return meta
}

type Written = Omit<KeyMeta, 'key'>

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
  { state, rows, events }: ApplyContext,
): void {
  const { key, valueBytes } = current
  const tombstone = rows.write({ key: versionKey(key, revision), value: TOMBSTONE_ROW, before: null })
  events.add(key, revision, tombstone, versionOf(current))
  rows.write({ key: rowKey, value: undefined })
  state.revision = revision
  state.storeBytes -= key.length + valueBytes
  state.keys--
}

const versionOf = ({ modRevision, valueBytes, versionHash }: KeyMetadata): VersionBefore => ({
  revision: modRevision,
  valueBytes,
  hash: versionHash,
})
