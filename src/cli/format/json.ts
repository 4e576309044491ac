// Results as JSON, in the shapes of the HTTP API.

import { escapeControls } from '../../bytes/json-text.ts'
import type { DeleteResult, KvRecord, PutResult, RecordMeta } from '../../client/index.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'

/** JSON of one line. */
export const toJsonLine = (value: unknown): string => escapeControls(JSON.stringify(value))

export const toJson = (value: unknown): string => escapeControls(JSON.stringify(value, null, 2))

export function resultJson(result: PutResult | DeleteResult): object {
  if ('deleted' in result) return { deleted: result.deleted, revision: result.revision }
  return {
    revision: result.revision,
    create_revision: result.createRevision,
    mod_revision: result.modRevision,
    version: result.version,
  }
}

export function printedMetaJson(meta: RecordMeta): object {
  return { key: bytesDocument(meta.keyBytes), ...revisions(meta) }
}

export function printedRecordJson(record: KvRecord): object {
  return {
    key: bytesDocument(record.keyBytes),
    value: bytesDocument(record.value),
    ...revisions(record),
    ...(record.lease === undefined ? {} : { lease: record.lease }),
    ...printedOrigin(record),
  }
}

/** The user of a change, and its time, as far as they are known. */
export const printedOrigin = ({ by, time }: Pick<KvRecord, 'by' | 'time'>): object => ({
  ...(by === undefined ? {} : { by }),
  ...(time === undefined ? {} : { time: time.toISOString() }),
})

const revisions = (meta: RecordMeta) => ({
  create_revision: meta.createRevision,
  mod_revision: meta.modRevision,
  version: meta.version,
})
