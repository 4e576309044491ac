// Changes of single keys. Below cluster version 3 each writes the row of data. From then on it writes the row of the
// new version and an event, and storage remembers the head.

import { MalformedBytesError } from './errors.ts'
import { decodeHead, encodeHead, headKey, type KeyHead } from './heads.ts'
import type { EventWriter, VersionBefore } from './history.ts'
import { refused } from './refusals.ts'
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
import type { KeyMeta, KeyRow, KvState, LeaseId, Refusal, Revision, RowFound, Rows } from './types.ts'
import { asRevision } from './types.ts'

/** The registers while an entry is applied. */
export type Draft = { -readonly [name in keyof KvState]: KvState[name] }

/** What applying an entry works on. */
export interface Work {
  readonly state: Draft
  readonly rows: Rows
  /** undefined: the cluster version knows no history. */
  readonly events: EventWriter | undefined
}

/** The key of the row that says whether a key exists. */
export const rowKeyOf = (key: Uint8Array, { events }: Work): Uint8Array =>
  events === undefined ? dataKey(key) : headKey(key)

/** A key as it is now; null: it does not exist. `rowKey`: `rowKeyOf(key)`. */
export function readCurrent(
  key: Uint8Array,
  rowKey: Uint8Array,
  { state, rows, events }: Work,
): KeyHead | null {
  const found = rows.read(rowKey, true)
  if (events === undefined) return found === undefined ? null : dataHeadOf(key, found)
  if (found !== undefined) return decodeHead(key, found.bytes)
  const row = state.history.inline > 0 ? rows.read(dataKey(key), true) : undefined
  return row === undefined ? null : dataHeadOf(key, row)
}

const dataHeadOf = (key: Uint8Array, { bytes, length }: RowFound): KeyHead => ({
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
export function keyFault(key: Uint8Array, { revision, settings }: KvState): Refusal | undefined {
  if (key.length === 0) return refused(revision, 'empty-key')
  if (key.length <= settings.keyBytesMax) return undefined
  return refused(revision, 'key-too-long', [key.length, settings.keyBytesMax])
}

/** The key with its value, before it is changed. */
export function rowOf({ key, modRevision, versionHash }: KeyHead, rows: Rows): KeyRow {
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
  readonly lease: LeaseId | undefined
}

/** `revision`: of the change. Returns the key as it is then. */
export function writeKey(
  { key, value, lease }: NewValue,
  rowKey: Uint8Array,
  current: KeyHead | null,
  revision: Revision,
  { state, rows, events }: Work,
): Written {
  const createRevision = current === null ? revision : current.createRevision
  const version = current === null ? 1 : current.version + 1
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
    rows.write({ key: rowKey, value: encodeHead({ ...meta, valueBytes: value.length, versionHash }) })
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
  current: KeyHead,
  rowKey: Uint8Array,
  revision: Revision,
  { state, rows, events }: Work,
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
function versionBefore(current: KeyHead, state: Draft, rows: Rows): VersionBefore {
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
