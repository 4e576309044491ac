// Changes of single keys. Below cluster version 3 each writes the row of data. From then on it writes the row of the
// new version and an event, and storage remembers the head.

import type { ApplyContext, MutableState } from './apply-context.ts'
import { MalformedBytesError } from './errors.ts'
import type { VersionBefore } from './history.ts'
import { decodeMetadata, encodeMetadata, type KeyMetadata, metadataKey } from './key-metadata.ts'
import { leaseOfPut, moveLease } from './leases.ts'
import { rejection } from './rejections.ts'
import {
  dataKey,
  decodeDataHead,
  decodeDataRow,
  encodeDataHead,
  encodeVersionHead,
  readVersion,
  TOMBSTONE_ROW,
  versionKey,
} from './rows.ts'
import type { KeyMeta, KeyRow, KvState, PutLease, Rejection, Revision, RowFound, Rows } from './types.ts'
import { asRevision } from './types.ts'

/** The key of the row that says whether a key exists. */
export const rowKeyOf = (key: Uint8Array, { events }: ApplyContext): Uint8Array =>
  events === undefined ? dataKey(key) : metadataKey(key)

/** A key as it is now; null: it does not exist. `rowKey`: `rowKeyOf(key)`. */
export function readCurrent(
  key: Uint8Array,
  rowKey: Uint8Array,
  { state, rows, events }: ApplyContext,
): KeyMetadata | null {
  const found = rows.read(rowKey, true)
  if (events === undefined) return found === undefined ? null : dataHeadOf(key, found)
  if (found !== undefined) return decodeMetadata(key, found.bytes)
  const row = state.history.inline > 0 ? rows.read(dataKey(key), true) : undefined
  return row === undefined ? null : dataHeadOf(key, row)
}

const dataHeadOf = (key: Uint8Array, { bytes, length }: RowFound): KeyMetadata => ({
  ...decodeDataHead(key, bytes, length),
  versionHash: undefined,
})

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
export function rowOf({ key, modRevision, versionHash }: KeyMetadata, rows: Rows): KeyRow {
  const read = (rowKey: Uint8Array): Uint8Array | undefined => rows.read(rowKey, false)?.bytes
  if (versionHash !== undefined) return readVersion(key, modRevision, read)
  const rowKey = dataKey(key)
  const row = read(rowKey)
  if (row === undefined) throw new MalformedBytesError('a row of data is gone')
  return decodeDataRow(rowKey, row)
}

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
  if (events === undefined) {
    const head = encodeDataHead(meta, current === null ? NONE : current.modRevision)
    rows.write({ key: rowKey, value: head, rest: value })
  } else {
    const before = current === null ? undefined : versionBefore(current, state, rows)
    const versionHash = rows.write({
      key: versionKey(key, revision),
      value: encodeVersionHead(meta),
      rest: value,
      before: null,
    })
    rows.write({ key: rowKey, value: encodeMetadata({ ...meta, valueBytes: value.length, versionHash }) })
    events.add(key, revision, undefined, before)
  }
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
  if (events !== undefined) {
    const before = versionBefore(current, state, rows)
    const tombstone = rows.write({ key: versionKey(key, revision), value: TOMBSTONE_ROW, before: null })
    events.add(key, revision, tombstone, before)
  }
  rows.write({ key: rowKey, value: undefined })
  state.revision = revision
  state.storeBytes -= key.length + valueBytes
  state.keys--
}

/** The version that is about to be replaced. A value in a row of data moves into a row of versions. */
function versionBefore(current: KeyMetadata, state: MutableState, rows: Rows): VersionBefore {
  const { key, modRevision, valueBytes, versionHash } = current
  if (versionHash !== undefined) return { revision: modRevision, valueBytes, hash: versionHash }
  const { value } = rowOf(current, rows)
  const hash = rows.write({
    key: versionKey(key, modRevision),
    value: encodeVersionHead(current),
    rest: value,
    before: null,
  })
  rows.write({ key: dataKey(key), value: undefined })
  state.history = { ...state.history, inline: state.history.inline - 1 }
  return { revision: modRevision, valueBytes, hash }
}

const NONE: Revision = asRevision(0)
