// JSON of the API: snake_case; bytes as a string if they are valid UTF-8, otherwise {"base64": …}.

import { bytesDocument, decodeBytesDocument } from '../forms/bytes.ts'
import {
  decodeList,
  decodeObject,
  decodeRevisions,
  decodeWholeNumber,
  decodeWriter,
  type Fields,
} from '../forms/decode.ts'
import { decodeLeaseId, decodeLeaseOfRecord, type LeaseDescription } from '../forms/leases.ts'
import type { KeyRevisions, KeyRow, RecordMetadata, Revision } from '../forms/store.ts'

export const bytesJson = (bytes: Uint8Array): string => JSON.stringify(bytesDocument(bytes))

export function recordJson(row: KeyRow): string {
  return `{"key":${bytesJson(row.key)},"value":${bytesJson(row.value)},${revisionsJson(row)}${leaseJson(row)}${writerJson(row)}}`
}

/** The user who wrote the version. */
const writerJson = ({ by }: Pick<KeyRow, 'by'>): string => (by === undefined ? '' : `,"by":"${by}"`)

/** A record without its value. */
export function metaJson(meta: RecordMetadata): string {
  return `{"key":${bytesJson(meta.key)},${revisionsJson(meta)}${leaseJson(meta)}}`
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
  const by = keysOnly ? undefined : decodeWriter(fields.by)
  return by === undefined ? row : { ...row, by }
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
