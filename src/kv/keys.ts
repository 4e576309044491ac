// Changes of single keys. Each leaves the row of data as it is from now on, and from cluster version 3 on also the row
// of the new version and an event.

import { type EventWriter, type VersionBefore } from './history.ts'
import {
  dataKey,
  decodeKeyHead,
  encodeInlineHead,
  encodeKeyHead,
  encodeVersionHead,
  inlineValue,
  type KeyHead,
  readVersion,
  TOMBSTONE_ROW,
  userKey,
  versionKey,
} from './rows.ts'
import { MalformedBytesError } from './errors.ts'
import { refused } from './refusals.ts'
import type { KeyMeta, KeyRow, KvState, LeaseId, Refusal, Revision, RowInRange, Rows } from './types.ts'
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

/** A key as it is now. It must be changed, or read with its value, before the next key is read. */
export interface Current extends KeyHead {
  readonly rowKey: Uint8Array
}

export function readCurrent(key: Uint8Array, rowKey: Uint8Array, rows: Rows): Current | null {
  const found = rows.read(rowKey, true)
  if (found === undefined) return null
  const head = decodeKeyHead(key, found.bytes, found.length)
  if (head !== 'cut') return { ...head, rowKey }
  const whole = rows.read(rowKey, false)
  const leased = whole && decodeKeyHead(key, whole.bytes, whole.length)
  if (leased === undefined || leased === 'cut') throw new MalformedBytesError('a row is cut short')
  return { ...leased, rowKey }
}

/** The key of a row that was read before the entry, and has not been changed since. */
export function currentOf({ key: rowKey, bytes }: RowInRange): Current {
  const head = decodeKeyHead(userKey(rowKey), bytes, bytes.length)
  if (head === 'cut') throw new MalformedBytesError('a row is cut short')
  return { ...head, rowKey }
}

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
export function rowOf(current: Current, rows: Rows): KeyRow {
  const { key, createRevision, modRevision, version, lease } = current
  if (current.versionHash !== undefined)
    return readVersion(key, modRevision, (rowKey) => rows.read(rowKey, false)?.bytes)
  return { key, createRevision, modRevision, version, lease, value: valueInside(current, rows) }
}

function valueInside({ rowKey }: Current, rows: Rows): Uint8Array {
  const row = rows.read(rowKey, false)
  if (row === undefined) throw new MalformedBytesError('a row of data is gone')
  return inlineValue(row.bytes)
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
  current: Current | null,
  revision: Revision,
  { state, rows, events }: Work,
): Written {
  const createRevision = current === null ? revision : current.createRevision
  const version = current === null ? 1 : current.version + 1
  const meta = { createRevision, modRevision: revision, version, lease }
  if (events === undefined) {
    const head = encodeInlineHead(meta, current === null ? NONE : current.modRevision)
    rows.write({ key: rowKey, value: head, rest: value })
  } else {
    const before = current === null ? undefined : versionBefore(current, state, rows)
    const versionHash = rows.write({
      key: versionKey(key, revision),
      value: encodeVersionHead(meta),
      rest: value,
      before: null,
    })
    rows.write({ key: rowKey, value: encodeKeyHead({ ...meta, valueBytes: value.length, versionHash }) })
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
export function removeKey(current: Current, revision: Revision, { state, rows, events }: Work): void {
  const { key, rowKey, valueBytes } = current
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

/** The version that is about to be replaced. If it has no row, it gets one. */
function versionBefore(current: Current, state: Draft, rows: Rows): VersionBefore {
  const { key, modRevision, valueBytes, versionHash } = current
  if (versionHash !== undefined) return { revision: modRevision, valueBytes, hash: versionHash }
  const value = valueInside(current, rows)
  const hash = rows.write({
    key: versionKey(key, modRevision),
    value: encodeVersionHead(current),
    rest: value,
    before: null,
  })
  state.history = { ...state.history, inline: state.history.inline - 1 }
  return { revision: modRevision, valueBytes, hash }
}

const NONE: Revision = asRevision(0)
