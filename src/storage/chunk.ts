// One chunk of a snapshot on its way between replicas: rows, with the number of the chunk and a CRC that covers the
// snapshot's id too, so that a chunk of another snapshot is as bad as a damaged one.
//
//   number (8) | { key length (4) | key | value length (4) | value } … | CRC-32 (4)

import { Decoder, Encoder, seal, unseal } from './codec.ts'
import { CorruptionError } from './errors.ts'
import type { StoredRow } from './types.ts'

const idBytes = (id: string): Uint8Array => new TextEncoder().encode(id)

export function encodeChunk(id: string, number: number, rows: readonly StoredRow[]): Uint8Array {
  const encoder = new Encoder().uint64(number)
  for (const { key, value } of rows) encoder.bytes(key).bytes(value)
  return seal(idBytes(id), encoder.finish())
}

export function decodeChunk(id: string, number: number, chunk: Uint8Array): StoredRow[] {
  const what = `chunk ${number} of snapshot ${id}`
  const decoder = new Decoder(unseal(idBytes(id), chunk, what), what)
  const carried = decoder.uint64()
  if (carried !== number) throw new CorruptionError(`${what} is chunk ${carried}`)
  const rows: StoredRow[] = []
  while (!decoder.ended) rows.push({ key: decoder.bytes(), value: decoder.bytes() })
  return rows
}
