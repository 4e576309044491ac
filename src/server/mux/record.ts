// Records of keys as fields of items.

import type { KeyRevisions, KeyRow } from '../../operations/forms/index.ts'

/** Memory of a record beside its key and its value. */
export const RECORD_BYTES = 100

/** A record in an item. */
export type WireRecord = readonly [
  key: Uint8Array | null,
  value: Uint8Array | null,
  create: number,
  mod: number,
  version: number,
  /** Present only if the key has one, or there is a writer. */
  lease?: string | null,
  /** The user who wrote it. Present only with a value, if rights were checked. */
  by?: string,
]

/** A value that is null is left out. */
type Row = Omit<KeyRow, 'key' | 'value'> & { readonly value: Uint8Array | null }

export const record = (key: Uint8Array | null, row: Row): WireRecord => {
  const { value, createRevision, modRevision, version, lease, by } = row
  if (by !== undefined && value !== null)
    return [key, value, createRevision, modRevision, version, lease ?? null, by]
  return lease === undefined
    ? [key, value, createRevision, modRevision, version]
    : [key, value, createRevision, modRevision, version, lease]
}

export const writerField = ({ by }: Pick<KeyRow, 'by'>) => (by === undefined ? undefined : { by })

export const leaseField = ({ lease }: KeyRow) => (lease === undefined ? undefined : { lease })

export const revisionFields = ({ createRevision, modRevision, version }: KeyRevisions) => ({
  create_revision: createRevision,
  mod_revision: modRevision,
  version,
})
