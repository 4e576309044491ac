// Records of keys as elements of items.

import type { KeyRow } from '../../kv/index.ts'

/** A record in an item. */
export type WireRecord = readonly [
  key: Uint8Array | null,
  value: Uint8Array | null,
  create: number,
  mod: number,
  version: number,
]

export const record = (key: Uint8Array | null, row: KeyRow): WireRecord => [
  key,
  row.value,
  row.createRevision,
  row.modRevision,
  row.version,
]
