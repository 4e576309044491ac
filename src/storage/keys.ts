// The keys in LevelDB. Every key begins with a group number (two bytes, 0 today) and a table.
//
//   group meta:                           one small record, part of every batch (records.ts)
//   group applied:                        the applied record and the state hash
//   group staging:                        the snapshot that is being received, if any
//   group log, first index (8):           entries packed into one record (log.ts)
//   group rows, generation (4), row key:  one row of the state machine (rows.ts)

import { readBigUint64, writeBigUint64, writeUint8, writeUint16, writeUint32 } from '../bytes/index.ts'

const GROUP = 0

const TABLE_META = 1
const TABLE_APPLIED = 2
const TABLE_STAGING = 3
export const TABLE_LOG = 4
export const TABLE_ROWS = 5

const TABLE_PREFIX_BYTES = 3
export const ROW_PREFIX_BYTES = 7

export const META_KEY = tableKey(TABLE_META, 0)
export const APPLIED_KEY = tableKey(TABLE_APPLIED, 0)
export const STAGING_KEY = tableKey(TABLE_STAGING, 0)

function tableKey(table: number, more: number): Uint8Array {
  const key = new Uint8Array(TABLE_PREFIX_BYTES + more)
  writeUint16(key, 0, GROUP)
  writeUint8(key, 2, table)
  return key
}

export function logKey(first: number): Uint8Array {
  const key = tableKey(TABLE_LOG, 8)
  writeBigUint64(key, TABLE_PREFIX_BYTES, BigInt(first))
  return key
}

export const decodeFirstIndex = (key: Uint8Array): number => Number(readBigUint64(key, TABLE_PREFIX_BYTES))

/** The common prefix of the keys of all rows of a generation. */
export function rowPrefix(generation: number): Uint8Array {
  const prefix = tableKey(TABLE_ROWS, 4)
  writeUint32(prefix, TABLE_PREFIX_BYTES, generation)
  return prefix
}

export function prefixed(prefix: Uint8Array, key: Uint8Array): Uint8Array {
  const whole = Buffer.allocUnsafe(prefix.length + key.length)
  whole.set(prefix)
  whole.set(key, prefix.length)
  return whole
}

export const LOG_RANGE = { gte: tableKey(TABLE_LOG, 0), lt: tableKey(TABLE_LOG + 1, 0) }

/** Row keys begin with a table byte of the state machine, which is below 0xff. So this range holds all rows. */
export const ALL_ROWS = { gte: new Uint8Array(0), lt: Uint8Array.of(0xff) }

export const rowRange = (generation: number, after?: Uint8Array): { gte: Uint8Array; lt: Uint8Array } => ({
  gte: after === undefined ? rowPrefix(generation) : prefixed(after, Uint8Array.of(0)),
  lt: prefixed(rowPrefix(generation), ALL_ROWS.lt),
})

/** Bytes as a string with the same order. Maps of rows use it as key. */
export const keyString = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
