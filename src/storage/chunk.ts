// One chunk of a snapshot on its way between replicas: rows and a CRC. The CRC also covers the snapshot's id, so that a
// chunk of another snapshot is rejected like a damaged one.
//
//   number (8) | { key length (4) | key | value length (4) | value } … | CRC-32 (4)

import { encodeUtf8, Writer } from '../bytes/index.ts'
import { CorruptionError } from './errors.ts'
import { readSealed, seal } from './seal.ts'
import type { StoredRow } from './types.ts'

export function encodeChunk(id: string, number: number, rows: readonly StoredRow[]): Uint8Array {
  const out = new Writer().uint64(number)
  for (const { key, value } of rows) out.bytes(key).bytes(value)
  return seal(encodeUtf8(id), out.written())
}

export function decodeChunk(id: string, number: number, chunk: Uint8Array): StoredRow[] {
  const what = `chunk ${number} of snapshot ${id}`
  const from = readSealed(encodeUtf8(id), chunk, what)
  const carried = from.uint64()
  if (carried !== number) throw new CorruptionError(`${what} is chunk ${carried}`)
  const rows: StoredRow[] = []
  while (from.left > 0) rows.push({ key: from.bytes(), value: from.bytes() })
  return rows
}
