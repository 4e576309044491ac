// A CRC-32 at the end of each small record of storage. It also covers the key, so that a record under the wrong key is
// rejected like a damaged one.

import { crc32 } from 'node:zlib'
import { Reader } from '../bytes/index.ts'
import { CorruptionError } from './errors.ts'

const CRC_BYTES = 4

/** Appends the CRC-32 of key and payload. */
export function seal(key: Uint8Array, ...payload: readonly Uint8Array[]): Uint8Array {
  const length = payload.reduce((sum, part) => sum + part.length, 0)
  const sealed = Buffer.allocUnsafe(length + CRC_BYTES)
  let at = 0
  for (const part of payload) {
    sealed.set(part, at)
    at += part.length
  }
  sealed.writeUInt32BE(crc32(sealed.subarray(0, length), crc32(key)), length)
  return sealed
}

/** The payload of a sealed record; throws `CorruptionError` when its checksum is wrong. */
export function unseal(key: Uint8Array, sealed: Uint8Array, what: string): Uint8Array {
  const length = sealed.length - CRC_BYTES
  const payload = sealed.subarray(0, length)
  if (readerOf(sealed.subarray(length), what).uint32() !== crc32(payload, crc32(key)))
    throw new CorruptionError(`the checksum of ${what} does not hold`)
  return payload
}

/** Reads the payload of a sealed record. Missing or surplus bytes are corruption of `what`. */
export const readChecksummed = (key: Uint8Array, sealed: Uint8Array, what: string): Reader =>
  readerOf(unseal(key, sealed, what), what)

const readerOf = (bytes: Uint8Array, what: string): Reader => new Reader(bytes, what, CorruptionError)
