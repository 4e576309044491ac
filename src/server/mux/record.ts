// Records of keys as elements of items.

import type { KeyRow } from '../../kv/index.ts'

/** A record in an item. */
export type WireRecord = readonly [
  key: Uint8Array | null,
  value: Uint8Array | null,
  create: number,
  mod: number,
  version: number,
  /** Only if the key has one. */
  lease?: string,
]

/** `value` null: left out. */
type Row = Omit<KeyRow, 'key' | 'value'> & { readonly value: Uint8Array | null }

export const record = (key: Uint8Array | null, row: Row): WireRecord => {
  const { value, createRevision, modRevision, version, lease } = row
  return lease === undefined
    ? [key, value, createRevision, modRevision, version]
    : [key, value, createRevision, modRevision, version, lease]
}
