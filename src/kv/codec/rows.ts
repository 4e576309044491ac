// Rows: the data of the state machine, as storage keeps it. Integers are big-endian, so that row keys sort in the
// order of user keys, of revisions and of positions.
//
//   tokens       key:   2, idempotency token
//                value: for each user of the token: the auth revision at which he was made, or 0 if rights were not
//                       checked (8), fingerprint of the command (16), length (4) and bytes of the outcome
//                       (`idempotency.ts`)
//   token order  key:   3, position (8)
//                value: cluster time (8), revision of the outcome (8), bytes that it takes (4), auth revision as above (8),
//                       token
//   versions     key:   65, user's key, escaped, 0, 2 × (2^53 - 1 - mod_revision), plus 1 if it is a tombstone (8); the
//                       newest version of a key sorts first
//                value: flags (1), create_revision (8), version (8), with flag 2 the lease (8), with flag 8 the time:
//                       milliseconds since 1970 (6), with flag 4 who wrote it: length (1), ASCII; the user's value
//                       Of a tombstone: flags (1), with flag 8 the time, with flag 4 who wrote it
//
// Each version of a key that may still be read has a row. So a put neither reads nor moves the value that it replaces.
// The keys of rows alone say which keys exist at a revision: a count reads no values.

import {
  Reader,
  readUint8,
  readUint32,
  writeAscii,
  writeBigUint64,
  writeUint8,
  writeUint16,
  writeUint32,
  writeUint64,
} from '../../bytes/index.ts'
import {
  asRevision,
  type KeyRange,
  type KeyRow,
  type LeaseId,
  type RecordMetadata,
  type Revision,
} from '../../operations/forms/index.ts'
import { MalformedBytesError, MissingRowError, UnknownKindError } from '../errors.ts'
import { TABLE_IDEMPOTENCY_TOKEN_ORDER, TABLE_IDEMPOTENCY_TOKENS, TABLE_VERSIONS } from '../types.ts'

const TOMBSTONE = 1
const LEASED = 2
const HAS_WRITER = 4
const HAS_TIME = 8
const LEASE_BYTES = 8
const TIME_BYTES = 6
const VERSION_HEAD_BYTES = 17
const ORDER_HEADER_BYTES = 28

/** The range of the rows of all versions of these user keys. */
export const versionRange = ({ start, end }: KeyRange): { gte: Uint8Array; lt: Uint8Array } => ({
  gte: escaped(start, 0),
  lt: end === undefined ? Uint8Array.of(TABLE_VERSIONS + 1) : escaped(end, 0),
})

export const asLeaseId = (id: bigint): LeaseId => `${id}` as LeaseId

// ---------------------------------------------------------------------------------------------------------------------
// Versions of keys

/** Replaces 0 in a user's key. 0 alone ends the key, and is followed by a byte below 0xff. */
const ESCAPE = 0xff

/** A version, as the key of its row names it. */
export interface VersionName {
  readonly key: Uint8Array
  readonly revision: Revision
  /** The version is a deletion. */
  readonly isTombstone: boolean
}

/** The key of the row of a version that has a value. */
export const versionKey = (key: Uint8Array, revision: Revision): Uint8Array => encodeRowKey(key, revision, 0)

/** The key of the row of a deletion. */
export const tombstoneKey = (key: Uint8Array, revision: Revision): Uint8Array =>
  encodeRowKey(key, revision, 1)

/** Half of the number at the end of the key of a row, in its first four bytes and the bits of the others. */
const HALF = 2 ** 31

function encodeRowKey(key: Uint8Array, revision: Revision, tombstone: 0 | 1): Uint8Array {
  const bytes = escaped(key, 9)
  // The byte before, the end of the user's key, is 0.
  const at = bytes.length - 8
  const order = Number.MAX_SAFE_INTEGER - revision
  // The double has more bits than a number can have.
  writeUint32(bytes, at, Math.floor(order / HALF))
  writeUint32(bytes, at + 4, 2 * (order % HALF) + tombstone)
  return bytes
}

/** The position before the row of the newest version of this key that is not newer than `revision`. */
export const firstVersionUpTo = versionKey

/** The position before the rows of all versions of this key. */
export const versionsStart = (key: Uint8Array): Uint8Array => escaped(key, 1)

/** The position after the rows of all versions of this key, and before those of the next key. */
export function versionsEnd(key: Uint8Array): Uint8Array {
  const bytes = escaped(key, 2)
  bytes[bytes.length - 1] = ESCAPE
  return bytes
}

/**
 * The table and the user's key, escaped, so that its rows sort like the keys themselves. `more`: the number of extra
 * bytes at the end.
 */
function escaped(key: Uint8Array, more: number): Uint8Array {
  let zeros = 0
  for (let i = 0; i < key.length; i++) if (key[i] === 0) zeros++
  const bytes = new Uint8Array(1 + key.length + zeros + more)
  bytes[0] = TABLE_VERSIONS
  if (zeros === 0) {
    bytes.set(key, 1)
    return bytes
  }
  let at = 1
  for (let i = 0; i < key.length; i++) {
    bytes[at++] = key[i] ?? 0
    if (key[i] === 0) bytes[at++] = ESCAPE
  }
  return bytes
}

export function decodeVersionKey(rowKey: Uint8Array): VersionName {
  const end = rowKey.length - 9
  if (rowKey[0] !== TABLE_VERSIONS || end < 1 || rowKey[end] !== 0)
    throw new MalformedBytesError(`row of table ${rowKey[0]}, not of versions`)
  const low = readUint32(rowKey, end + 5)
  const order = readUint32(rowKey, end + 1) * HALF + Math.floor(low / 2)
  const revision = asRevision(Number.MAX_SAFE_INTEGER - order)
  // Half the time of `subarray`.
  const key = new Uint8Array(rowKey.buffer, rowKey.byteOffset + 1, end - 1)
  return { key: key.includes(0) ? unescaped(key) : key, revision, isTombstone: low % 2 === 1 }
}

function unescaped(key: Uint8Array): Uint8Array {
  const bytes: number[] = []
  for (let i = 0; i < key.length; i++) {
    bytes.push(key[i] ?? 0)
    if (key[i] !== 0) continue
    i++
    if (key[i] !== ESCAPE) throw new MalformedBytesError('the key of a version is not escaped')
  }
  return Uint8Array.from(bytes)
}

/** The row of a version without the user's value, which follows it. The bytes are valid until the next call. */
export function encodeVersionHead({
  createRevision,
  version,
  lease,
  by,
  timeMs,
}: Omit<RecordMetadata, 'key' | 'modRevision'> & ChangeOrigin): Uint8Array {
  const originAt = VERSION_HEAD_BYTES + (lease === undefined ? 0 : LEASE_BYTES)
  const length = originAt + originBytes(by, timeMs)
  const bytes = by === undefined ? versionHead.subarray(0, length) : new Uint8Array(length)
  bytes[0] = (lease === undefined ? 0 : LEASED) | originFlags(by, timeMs)
  writeUint64(bytes, 1, createRevision)
  writeUint64(bytes, 9, version)
  if (lease !== undefined) writeBigUint64(bytes, VERSION_HEAD_BYTES, BigInt(lease))
  writeOrigin(bytes, originAt, by, timeMs)
  return bytes
}

const versionHead = new Uint8Array(VERSION_HEAD_BYTES + LEASE_BYTES + TIME_BYTES)

/** The row of a deletion. */
export function encodeTombstone({ by, timeMs }: ChangeOrigin): Uint8Array {
  const bytes = new Uint8Array(1 + originBytes(by, timeMs))
  bytes[0] = TOMBSTONE | originFlags(by, timeMs)
  writeOrigin(bytes, 1, by, timeMs)
  return bytes
}

/** The user of a change, and its time, as far as they are known. */
export type ChangeOrigin = Pick<KeyRow, 'by' | 'timeMs'>

const originBytes = (by: string | undefined, timeMs: number | undefined): number =>
  (timeMs === undefined ? 0 : TIME_BYTES) + (by === undefined ? 0 : 1 + by.length)

const originFlags = (by: string | undefined, timeMs: number | undefined): number =>
  (timeMs === undefined ? 0 : HAS_TIME) | (by === undefined ? 0 : HAS_WRITER)

function writeOrigin(
  bytes: Uint8Array,
  at: number,
  by: string | undefined,
  timeMs: number | undefined,
): void {
  if (timeMs !== undefined) {
    writeUint16(bytes, at, Math.floor(timeMs / 2 ** 32))
    writeUint32(bytes, at + 2, timeMs % 2 ** 32)
  }
  if (by === undefined) return
  const writerAt = at + (timeMs === undefined ? 0 : TIME_BYTES)
  writeUint8(bytes, writerAt, by.length)
  writeAscii(bytes, writerAt + 1, by)
}

const readTime = (from: Reader): number => from.uint16() * 2 ** 32 + from.uint32()

function readOrigin(flags: number, from: Reader): ChangeOrigin {
  const timeMs = flags & HAS_TIME ? readTime(from) : undefined
  const by = flags & HAS_WRITER ? from.ascii(from.uint8()) : undefined
  return { ...(by === undefined ? {} : { by }), ...(timeMs === undefined ? {} : { timeMs }) }
}

function versionFlags({ isTombstone }: VersionName, row: Uint8Array): number {
  const flags = readUint8(row, 0)
  if (((flags & TOMBSTONE) !== 0) !== isTombstone)
    throw new MalformedBytesError('the row of a version and its key disagree about a deletion')
  const known = HAS_WRITER | HAS_TIME | (isTombstone ? TOMBSTONE : LEASED)
  if ((flags & ~known) !== 0) throw new UnknownKindError(`the row of a version with flags ${flags}`)
  return flags
}

/** Returns null if the version is a deletion. The value shares its bytes with the row. */
export function decodeVersion(name: VersionName, row: Uint8Array): KeyRow | null {
  const { key, revision: modRevision, isTombstone } = name
  const flags = versionFlags(name, row)
  if (isTombstone) return null
  const from = new Reader(row, 'the row of a version', MalformedBytesError)
  from.uint8()
  const createRevision = asRevision(from.uint64())
  const version = from.uint64()
  const lease = flags & LEASED ? asLeaseId(from.bigUint64()) : undefined
  if ((flags & (HAS_WRITER | HAS_TIME)) === 0)
    return { key, createRevision, modRevision, version, lease, value: from.rest() }
  const timeMs = flags & HAS_TIME ? readTime(from) : undefined
  const by = flags & HAS_WRITER ? from.ascii(from.uint8()) : undefined
  const value = from.rest()
  if (timeMs === undefined)
    return { key, createRevision, modRevision, version, lease, ...(by !== undefined && { by }), value }
  if (by === undefined) return { key, createRevision, modRevision, version, lease, timeMs, value }
  return { key, createRevision, modRevision, version, lease, by, timeMs, value }
}

/** The user and the time of the deletion at this revision. `get` reads a row. */
export function readDeletion(
  key: Uint8Array,
  revision: Revision,
  get: (rowKey: Uint8Array) => Uint8Array | undefined,
): ChangeOrigin {
  const row = get(tombstoneKey(key, revision))
  if (row === undefined) throw new MissingRowError(`the deletion of a key at revision ${revision} has no row`)
  const flags = versionFlags({ key, revision, isTombstone: true }, row)
  const from = new Reader(row, 'the row of a deletion', MalformedBytesError)
  from.uint8()
  const origin = readOrigin(flags, from)
  from.end()
  return origin
}

/** A version of a key that exists. `get` reads a row. */
export function readVersion(
  key: Uint8Array,
  revision: Revision,
  get: (rowKey: Uint8Array) => Uint8Array | undefined,
): KeyRow {
  const row = get(versionKey(key, revision))
  const version = row && decodeVersion({ key, revision, isTombstone: false }, row)
  if (!version) throw new MissingRowError(`version ${revision} of a key has no row`)
  return version
}

// ---------------------------------------------------------------------------------------------------------------------
// Tokens

export function tokenKey(token: Uint8Array): Uint8Array {
  const key = new Uint8Array(1 + token.length)
  key[0] = TABLE_IDEMPOTENCY_TOKENS
  key.set(token, 1)
  return key
}

export function tokenOrderKey(position: number): Uint8Array {
  const key = new Uint8Array(9)
  key[0] = TABLE_IDEMPOTENCY_TOKEN_ORDER
  writeUint64(key, 1, position)
  return key
}

export interface TokenOrderRow {
  readonly token: Uint8Array
  /** The auth revision at which its user was made; 0: rights were not checked. */
  readonly madeAt: number
  readonly clusterTimeMs: number
  readonly revision: Revision
  /** Bytes that eviction frees (`rememberedBytes`). */
  readonly bytes: number
}

/** The bytes of the keys and values of both rows that remember an outcome by this record. */
export const rememberedBytes = (token: Uint8Array, record: Uint8Array): number =>
  1 + token.length + record.length + 9 + ORDER_HEADER_BYTES + token.length

export function encodeTokenOrderRow(row: TokenOrderRow): Uint8Array {
  const bytes = new Uint8Array(ORDER_HEADER_BYTES + row.token.length)
  writeUint64(bytes, 0, row.clusterTimeMs)
  writeUint64(bytes, 8, row.revision)
  writeUint32(bytes, 16, row.bytes)
  writeUint64(bytes, 20, row.madeAt)
  bytes.set(row.token, ORDER_HEADER_BYTES)
  return bytes
}

export function decodeTokenOrderRow(bytes: Uint8Array): TokenOrderRow {
  const from = new Reader(bytes, 'a row of the order of tokens', MalformedBytesError)
  return {
    clusterTimeMs: from.uint64(),
    revision: asRevision(from.uint64()),
    bytes: from.uint32(),
    madeAt: from.uint64(),
    token: from.rest(),
  }
}
