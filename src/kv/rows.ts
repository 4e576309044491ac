// Rows: the data of the state machine, as storage keeps it. Integers are big-endian, so that row keys sort in the order
// of user keys and of positions.
//
//   data         key    1, user's key
//                value  flags (1), create_revision (8), mod_revision (8), prev_mod (8), version (8), the user's value
//   tokens       key    2, idempotency token
//                value  fingerprint of the request (8), outcome (`idempotency.ts`)
//   token order  key    3, position (8)
//                value  cluster time (8), revision of the outcome (8), bytes of both rows (4), token
//
// prev_mod is the mod_revision that this change replaced, 0 for a creation. A later version can keep history with it,
// without a change to existing rows. Two flags are reserved for later versions: 1, a tombstone; 2, a lease id (8)
// between version and value. No row has a flag now; a row that has one was written by a newer program.

import { Reader, readUint8, readUint64, writeUint32, writeUint64 } from '../bytes/index.ts'
import { MalformedBytesError, UnknownKindError } from './errors.ts'
import type { KeyMeta, KeyRow, Revision } from './types.ts'
import { asRevision, ROW_HEAD_BYTES, TABLE_DATA, TABLE_TOKEN_ORDER, TABLE_TOKENS } from './types.ts'

/** All bytes before the user's value. */
const DATA_HEADER_BYTES = ROW_HEAD_BYTES
const ORDER_HEADER_BYTES = 20

export function dataKey(key: Uint8Array): Uint8Array {
  return prefixed(TABLE_DATA, key)
}

/** The user's key in the key of a data row. */
export function userKey(rowKey: Uint8Array): Uint8Array {
  if (rowKey[0] !== TABLE_DATA) throw new MalformedBytesError(`row of table ${rowKey[0]}, not of data`)
  return rowKey.subarray(1)
}

/** The range of row keys for all user keys from `start` (inclusive) to `end` (exclusive; undefined: no end). */
export function dataRange(
  start: Uint8Array,
  end: Uint8Array | undefined,
): { gte: Uint8Array; lt: Uint8Array } {
  return { gte: dataKey(start), lt: end === undefined ? Uint8Array.of(TABLE_DATA + 1) : dataKey(end) }
}

/** The first key after all keys that begin with `prefix`; undefined when there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return undefined
  // Not slice(): the slice() of a Buffer shares the caller's bytes.
  const end = new Uint8Array(length)
  end.set(prefix.subarray(0, length))
  end[length - 1] = readUint8(end, length - 1) + 1
  return end
}

/** The first key after `key`. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

/** The row without the user's value, which follows it. The bytes are valid until the next call. */
export function encodeKeyHead(meta: Omit<KeyMeta, 'key'>, prevMod: Revision): Uint8Array {
  head[0] = 0
  writeUint64(head, 1, meta.createRevision)
  writeUint64(head, 9, meta.modRevision)
  writeUint64(head, 17, prevMod)
  writeUint64(head, 25, meta.version)
  return head
}

const head = new Uint8Array(DATA_HEADER_BYTES)

/** The length of the user's value in a row of this length. */
export const valueBytesOf = (rowBytes: number): number => rowBytes - DATA_HEADER_BYTES

/** `value` shares its bytes with the row. */
export function decodeKeyRow(key: Uint8Array, bytes: Uint8Array): KeyRow {
  const { createRevision, modRevision, version } = decodeKeyMeta(key, bytes)
  return { key, value: bytes.subarray(DATA_HEADER_BYTES), createRevision, modRevision, version }
}

export function decodeKeyMeta(key: Uint8Array, bytes: Uint8Array): KeyMeta {
  if (bytes.length < DATA_HEADER_BYTES) throw new MalformedBytesError('a row is cut short')
  const flags = readUint8(bytes, 0)
  if (flags !== 0) throw new UnknownKindError(`row flags ${flags} are not known to this program`)
  return {
    key,
    createRevision: asRevision(readUint64(bytes, 1)),
    modRevision: asRevision(readUint64(bytes, 9)),
    version: readUint64(bytes, 25),
  }
}

export function tokenKey(token: Uint8Array): Uint8Array {
  return prefixed(TABLE_TOKENS, token)
}

export function tokenOrderKey(position: number): Uint8Array {
  const key = new Uint8Array(9)
  key[0] = TABLE_TOKEN_ORDER
  writeUint64(key, 1, position)
  return key
}

export interface TokenOrderRow {
  readonly token: Uint8Array
  readonly clusterTimeMs: number
  readonly revision: Revision
  /** Size of the keys and values of both rows, this one and the token row. Eviction frees that much. */
  readonly bytes: number
}

/** How many bytes it takes to remember `token` with `tokenRow`. */
export const rememberedBytes = (token: Uint8Array, tokenRow: Uint8Array): number =>
  1 + token.length + tokenRow.length + 9 + ORDER_HEADER_BYTES + token.length

export function encodeTokenOrderRow(row: TokenOrderRow): Uint8Array {
  const bytes = new Uint8Array(ORDER_HEADER_BYTES + row.token.length)
  writeUint64(bytes, 0, row.clusterTimeMs)
  writeUint64(bytes, 8, row.revision)
  writeUint32(bytes, 16, row.bytes)
  bytes.set(row.token, ORDER_HEADER_BYTES)
  return bytes
}

export function decodeTokenOrderRow(bytes: Uint8Array): TokenOrderRow {
  const from = new Reader(bytes, 'a row of the order of tokens', MalformedBytesError)
  return {
    clusterTimeMs: from.uint64(),
    revision: asRevision(from.uint64()),
    bytes: from.uint32(),
    token: from.rest(),
  }
}

function prefixed(table: number, rest: Uint8Array): Uint8Array {
  const key = new Uint8Array(1 + rest.length)
  key[0] = table
  key.set(rest, 1)
  return key
}
