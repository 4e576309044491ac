// Records of keys as fields of items, both ends.

import { decodeRevision, decodeTime, decodeWholeNumber, decodeWriter, disagree } from '../forms/decode.ts'
import { decodeLeaseOfRecord } from '../forms/leases.ts'
import type { KeyRow } from '../forms/store.ts'
import type { Item } from './form.ts'

/** Memory of a record beside its key and its value. */
export const RECORD_BYTES = 100

/** A record in an item. */
export type RecordField = readonly [
  key: Uint8Array | null,
  value: Uint8Array | null,
  create: number,
  mod: number,
  version: number,
  /** Present only if the key has one, or there is a writer. */
  lease?: string | null,
  /** The user who wrote it. Present only with a value, if rights were checked. */
  by?: string | null,
  /** The time of its change, in milliseconds since 1970. Present only if it was requested and is known. */
  timeMs?: number,
]

/** `key`: null if the request has it. `time`: the record has the time of its change. */
export function encodeRecord(key: Uint8Array | null, row: KeyRow, time = false): RecordField {
  const { value, createRevision, modRevision, version, lease, by, timeMs } = row
  if (time && timeMs !== undefined)
    return [key, value, createRevision, modRevision, version, lease ?? null, by ?? null, timeMs]
  if (by !== undefined) return [key, value, createRevision, modRevision, version, lease ?? null, by]
  return lease === undefined
    ? [key, value, createRevision, modRevision, version]
    : [key, value, createRevision, modRevision, version, lease]
}

/** A record without its value and its writer. */
export function encodeRecordMeta(row: Omit<KeyRow, 'value'>, time = false): RecordField {
  const { key, createRevision, modRevision, version, lease, timeMs } = row
  if (time && timeMs !== undefined)
    return [key, null, createRevision, modRevision, version, lease ?? null, null, timeMs]
  return lease === undefined
    ? [key, null, createRevision, modRevision, version]
    : [key, null, createRevision, modRevision, version, lease]
}

/** The record before a change; null: the key did not exist. */
export const encodePrev = (prev: KeyRow | null): RecordField | null =>
  prev === null ? null : encodeRecord(prev.key, prev)

/** undefined: it was not requested. */
export const decodePrev = (field: unknown): KeyRow | null | undefined =>
  field === undefined || field === null ? field : decodeRecord(field)

/** `key`: that of the request, if the record has none. A value that was left out is empty. */
export function decodeRecord(field: unknown, key?: Uint8Array): KeyRow {
  if (!Array.isArray(field)) return disagree('a record is not a list')
  const [ownKey, value, create, mod, version, lease, by, timeMs]: Item = field
  const row = {
    key: key ?? decodeOwnBytes(ownKey, 'key'),
    value: value === null ? NO_VALUE : decodeOwnBytes(value, 'value'),
    createRevision: decodeRevision(create, 'create_revision'),
    modRevision: decodeRevision(mod, 'mod_revision'),
    version: decodeWholeNumber(version, 'version'),
    lease: decodeLeaseOfRecord(lease),
  }
  return { ...row, ...decodeOriginItem(by, timeMs) }
}

/** The user who has made a change, and the time, as far as the item has them. */
export function decodeOriginItem(by: unknown, timeMs: unknown): Pick<KeyRow, 'by' | 'timeMs'> {
  const [writer, time] = [decodeWriter(by), decodeTime(timeMs)]
  return { ...(writer === undefined ? {} : { by: writer }), ...(time === undefined ? {} : { timeMs: time }) }
}

const NO_VALUE = new Uint8Array()

/** A copy: the original is a part of a message, which would stay in memory as long as it. */
export const decodeOwnBytes = (field: unknown, name: string): Uint8Array =>
  field instanceof Uint8Array ? new Uint8Array(field) : disagree(`"${name}" is not bytes`)
