// Records of the source that are about to be copied.

import type { KvRecord } from '../../client/index.ts'
import { compareOrder, type SourceRecord, sourceRecord } from './changes.ts'

/** Values up to this many bytes are kept between a scan and the copy. Others are read again. */
const KEPT_BYTES_MAX = 128 * 1024 * 1024
const NOT_KEPT = new Uint8Array()

export const isKept = ({ value }: SourceRecord): boolean => value !== NOT_KEPT

/** They are copies: a record may be a part of a page, which would stay in memory as a whole. */
export class RecordList {
  readonly #records: SourceRecord[] = []
  #bytes = 0

  add(found: KvRecord): SourceRecord {
    const record = sourceRecord(found)
    this.#bytes += record.bytes
    const value = this.#bytes <= KEPT_BYTES_MAX ? new Uint8Array(record.value) : NOT_KEPT
    this.#records.push({ ...record, keyBytes: new Uint8Array(record.keyBytes), value })
    return record
  }

  /** The records in the order in which they are copied. */
  sort(): readonly SourceRecord[] {
    return this.#records.sort(compareOrder)
  }
}
