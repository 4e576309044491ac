// JSON of the API: snake_case; bytes as a string if they are valid UTF-8, otherwise {"base64": …}.

import { bytesDocument, decodeBytesDocument } from '../forms/bytes.ts'
import {
  decodeList,
  decodeObject,
  decodeRevisions,
  decodeTime,
  decodeWholeNumber,
  decodeWriter,
  type Fields,
} from '../forms/decode.ts'
import { decodeLeaseId, decodeLeaseOfRecord, type LeaseDescription } from '../forms/leases.ts'
import type { KeyRevisions, KeyRow, RecordMetadata, Revision } from '../forms/store.ts'

export const bytesJson = (bytes: Uint8Array): string => JSON.stringify(bytesDocument(bytes))

/** `time`: the record has the time of its change, if that is known. */
export function recordJson(row: KeyRow, time = false): string {
  return `{"key":${bytesJson(row.key)},"value":${bytesJson(row.value)},${revisionsJson(row)}${leaseJson(row)}${writerJson(row)}${time ? timeJson(row) : ''}}`
}

/** The user who wrote the version. */
const writerJson = ({ by }: Pick<KeyRow, 'by'>): string => (by === undefined ? '' : `,"by":"${by}"`)

const timeJson = ({ timeMs }: Pick<KeyRow, 'timeMs'>): string =>
  timeMs === undefined ? '' : `,"time_ms":${timeMs}`

/** The user who has made a change, and its time. */
export const originJson = (origin: Pick<KeyRow, 'by' | 'timeMs'>): string =>
  `${writerJson(origin)}${timeJson(origin)}`

/** A record without its value. */
export function metaJson(meta: RecordMetadata & Pick<KeyRow, 'timeMs'>, time = false): string {
  return `{"key":${bytesJson(meta.key)},${revisionsJson(meta)}${leaseJson(meta)}${time ? timeJson(meta) : ''}}`
}

const leaseJson = ({ lease }: Pick<RecordMetadata, 'lease'>): string =>
  lease === undefined ? '' : `,"lease":"${lease}"`

export function revisionsJson({ createRevision, modRevision, version }: KeyRevisions): string {
  return `"create_revision":${createRevision},"mod_revision":${modRevision},"version":${version}`
}

/** undefined: not requested; null: the key did not exist. */
export function prevJson(prev: KeyRow | null | undefined): string {
  if (prev === undefined) return ''
  return `,"prev":${prev === null ? 'null' : recordJson(prev)}`
}

/** How many keys a change has deleted. */
export const deletedJson = ({
  deleted,
  revision,
}: {
  readonly deleted: number
  readonly revision: Revision
}) => `{"deleted":${deleted},"revision":${revision}}`

/** The fields of a lease, without the braces. */
export const leaseFields = ({ id, grantedTtlMs, remainingTtlMs }: LeaseDescription): string =>
  `"id":"${id}","granted_ttl_ms":${grantedTtlMs},"remaining_ttl_ms":${remainingTtlMs}`

// ---------------------------------------------------------------------------------------------------------------------
// Records and leases in an answer. Each function throws `DisagreementError` for anything else.

/** `keysOnly`: a record without its value. Its value is empty then, and it has no writer. */
export function decodeRecordFields(fields: Fields, keysOnly = false): KeyRow {
  const row = {
    key: decodeBytesDocument(fields.key),
    value: keysOnly ? NO_VALUE : decodeBytesDocument(fields.value),
    ...decodeRevisions(fields),
    lease: decodeLeaseOfRecord(fields.lease),
  }
  return { ...row, ...decodeOriginFields(keysOnly ? { time_ms: fields.time_ms } : fields) }
}

/** The user who has made a change, and the time, as far as the answer has them. */
export function decodeOriginFields({ by, time_ms }: Fields): Pick<KeyRow, 'by' | 'timeMs'> {
  const writer = decodeWriter(by)
  const timeMs = decodeTime(time_ms)
  return { ...(writer === undefined ? {} : { by: writer }), ...(timeMs === undefined ? {} : { timeMs }) }
}

const NO_VALUE = new Uint8Array()

export const decodeRecords = (value: unknown, name: string, keysOnly = false): readonly KeyRow[] =>
  decodeList(value, name).map((each) => decodeRecordFields(decodeObject(each, 'a record'), keysOnly))

/** undefined: it was not requested; null: the key did not exist. */
export const decodePrevFields = (value: unknown): KeyRow | null | undefined =>
  value === undefined || value === null ? value : decodeRecordFields(decodeObject(value, '"prev"'))

export const decodeLeaseFields = (fields: Fields): LeaseDescription => ({
  id: decodeLeaseId(fields.id, 'id'),
  grantedTtlMs: decodeWholeNumber(fields.granted_ttl_ms, 'granted_ttl_ms'),
  remainingTtlMs: decodeWholeNumber(fields.remaining_ttl_ms, 'remaining_ttl_ms'),
})
