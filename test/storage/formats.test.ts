// The exact bytes on disk and between replicas. A change here is a new format version.

import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import {
  decodeChunk,
  encodeChunk,
  encodePart,
  encodeRows,
  joinParts,
  PART_BYTES,
  readChunk,
} from '../../src/storage/chunk.ts'
import { FORMAT_VERSION } from '../../src/storage/format.ts'
import {
  APPLIED_KEY,
  keyString,
  logKey,
  META_KEY,
  prefixed,
  rowPrefix,
  STAGING_KEY,
} from '../../src/storage/keys.ts'
import {
  decodeAppliedRecord,
  decodeMeta,
  decodeStaging,
  encodeAppliedRecord,
  encodeMeta,
  encodeStaging,
  type Meta,
  seal,
  unseal,
} from '../../src/storage/records.ts'
import { hashOfRow, hashOfStored, openRow, StateHash } from '../../src/storage/rows.ts'
import { createWatermark, WATERMARK_FILE, Watermark } from '../../src/storage/watermark.ts'
import { temporaryDirectory } from './files.ts'
import { applied, bytes, hardState, must, rowKey, sealRow, text } from './samples.ts'

const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')

const meta: Meta = {
  boot: 3,
  hardState: hardState(2 ** 40 + 7, 41, '18446744073709551615'),
  logStart: { index: applied(5, 2).index, term: applied(5, 2).term },
  logEnd: { index: applied(42, 7).index, term: applied(42, 7).term },
  generation: 4,
  nextGeneration: 6,
  dead: [2, 3],
  appliedAt: 1000,
}

const state = { applied: applied(40, 6), stateHash: 0xfedcba9876543210n }

test('the meta record', () => {
  const sealed = encodeMeta(meta, 1234)
  expect(hex(sealed)).toBe(META)
  expect(decodeMeta(sealed)).toEqual({ meta, sequence: 1234 })
  const unvoted = { ...meta, hardState: hardState(1, 0), dead: [] }
  expect(decodeMeta(encodeMeta(unvoted, 0))).toEqual({ meta: unvoted, sequence: 0 })
})

test('the applied record', () => {
  const sealed = encodeAppliedRecord(state, 1000)
  expect(hex(sealed)).toBe(APPLIED)
  const decoded = decodeAppliedRecord(sealed)
  expect(decoded).toMatchObject({
    stateHash: state.stateHash,
    sequence: 1000,
    applied: { index: 40, term: 6 },
  })
  expect([text(decoded.applied.raft), text(decoded.applied.kv)]).toEqual(['raft at 40', 'kv at 40'])
})

test('the staging record', () => {
  const staging = {
    ...state,
    id: '9-2-1',
    from: '9',
    generation: 5,
    nextChunk: 17,
    received: 0x1234567800000042n,
    complete: true,
  }
  expect(hex(encodeStaging(staging))).toBe(STAGING)
  const decoded = decodeStaging(encodeStaging(staging))
  expect({ ...decoded, applied: undefined }).toEqual({ ...staging, applied: undefined })
  expect([decoded.applied.index, text(decoded.applied.kv)]).toEqual([40, 'kv at 40'])
  expect(decodeStaging(encodeStaging({ ...staging, complete: false })).complete).toBe(false)
})

const staging = {
  ...state,
  ...{ id: '9-2-1', from: '9', generation: 5, nextChunk: 17, received: 42n, complete: true },
}

test.each<[string, Uint8Array, Uint8Array, (sealed: Uint8Array) => unknown]>([
  ['the meta record', META_KEY, encodeMeta(meta, 1234), decodeMeta],
  ['the applied record', APPLIED_KEY, encodeAppliedRecord(state, 1000), decodeAppliedRecord],
  ['the staging record', STAGING_KEY, encodeStaging(staging), decodeStaging],
])('%s is read as a whole or not at all', (what, key, sealed, decode) => {
  const content = sealed.subarray(0, -4)
  expect(() => decode(seal(key, content))).not.toThrow()
  expect(() => decode(seal(key, content, Uint8Array.of(0)))).toThrow(`${what} is longer than its content`)
  expect(() => decode(seal(key, content.subarray(0, -1)))).toThrow(`${what} is cut short`)
  expect(() => decode(seal(bytes('another key'), content))).toThrow(`the checksum of ${what} does not hold`)
  expect(() => decode(new Uint8Array(3))).toThrow(`${what} is cut short`)
})

test('the meta record of a newer format is not read', () => {
  const other = Buffer.from(encodeMeta(meta, 1234).subarray(0, -4))
  other.writeUInt16BE(FORMAT_VERSION + 1)
  expect(() => decodeMeta(seal(META_KEY, other))).toThrow(
    'format 3, of a newer version of quorate, and this one reads format 2: start the version that wrote it.',
  )
})

test('a row', () => {
  const { engineKey, stored: sealed } = sealRow(
    bytes('prefix'),
    rowKey('name'),
    bytes('some '),
    bytes('value'),
  )
  expect(Buffer.from(engineKey).toString()).toBe('prefix\u0001name')
  expect(hex(sealed)).toBe(ROW)
  expect(Buffer.from(openRow(rowKey('name'), sealed)).toString()).toBe('some value')
  expect(() => openRow(rowKey('nam'), sealed)).toThrow('checksum')
  expect(() => openRow(rowKey('name'), sealed.subarray(0, 7))).toThrow('checksum')
  expect(hashOfRow(rowKey('name'), bytes('some value'))).toMatchObject(hashOfStored(sealed))
  const empty = sealRow(bytes('prefix'), rowKey('name'), new Uint8Array()).stored
  expect(openRow(rowKey('name'), empty)).toHaveLength(0)
  // The checksum of the key alone, because the row is too short to have another.
  const short = Buffer.alloc(4)
  short.writeUInt32BE(crc32(rowKey('name')))
  expect(() => openRow(rowKey('name'), short)).toThrow('checksum')
})

test('the side file', async () => {
  const dir = await temporaryDirectory()
  onTestFinished(() => rmSync(dir, { recursive: true }))
  createWatermark(dir, 2 ** 40 + 3)
  expect(hex(readFileSync(join(dir, WATERMARK_FILE)))).toBe(MARK)
  const watermark = new Watermark(dir)
  watermark.noteFailed({ from: 2 ** 40 + 4, through: 2 ** 40 + 6 })
  watermark.close()
  expect(hex(readFileSync(join(dir, WATERMARK_FILE)))).toBe(MARK + FAILED)
})

test('a chunk', () => {
  const rows = [
    { key: rowKey('a'), value: bytes('1') },
    { key: rowKey('b'), value: new Uint8Array(0) },
  ]
  const chunk = encodeChunk('9-2-1', 17, rows)
  expect(hex(chunk)).toBe(CHUNK)
  expect(decodeChunk('9-2-1', 17, chunk).map(({ key, value }) => [hex(key), hex(value)])).toEqual([
    ['0161', '31'],
    ['0162', ''],
  ])
  expect(() => decodeChunk('9-2-1', 16, chunk)).toThrow('chunk 16 of snapshot 9-2-1 is chunk 17')
  expect(() => decodeChunk('9-2-2', 17, chunk)).toThrow('checksum')
})

test('a chunk that is a part of rows', () => {
  const rows = [{ key: rowKey('a'), value: Buffer.alloc(2 * PART_BYTES, 7) }]
  const long = encodeRows(rows)
  const parts = [0, 1, 2].map((part) => encodePart('9-2-1', 17 + part, long, part))
  expect(hex(must(parts[0]).subarray(0, 28))).toBe('0000000000000011ffffffff00000002000000020161004000000707')
  expect(hex(must(parts[2]).subarray(0, 16))).toBe('0000000000000013ffffffff00000000')
  const read = parts.map((part, at) => readChunk('9-2-1', 17 + at, part))
  expect(read.map((part) => 'left' in part && part.left)).toEqual([2, 1, 0])
  const joined = encodeRows(
    joinParts(
      '9-2-1',
      read.map((part) => ('left' in part ? part.bytes : bytes(''))),
    ),
  )
  expect(Buffer.compare(joined, long)).toBe(0)
  expect(() => decodeChunk('9-2-1', 17, must(parts[0]))).toThrow(
    'chunk 17 of snapshot 9-2-1 is a part of rows',
  )
})

test('keys', () => {
  expect(hex(logKey(2 ** 33 + 1))).toBe('0000040000000200000001')
  expect(hex(prefixed(rowPrefix(7), rowKey('x')))).toBe('000005000000070178')
})

test('names of keys sort as their bytes do', () => {
  const keys = ['', 'a', 'a\0', 'b', '\u00ff', '\u00ff\u00ff', '\x7f', '\x80'].map((text) =>
    Buffer.from(text, 'latin1'),
  )
  const byBytes = keys.toSorted(Buffer.compare).map(keyString)
  expect(keys.map(keyString).sort()).toEqual(byBytes)
})

test('every flipped bit and every cut of a sealed record is found', () => {
  const key = bytes('key')
  const sealed = seal(key, bytes('some '), bytes('content'))
  expect(unseal(key, sealed, 'it')).toEqual(Buffer.from('some content'))
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const flipped = Uint8Array.from(sealed)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    expect(() => unseal(key, flipped, 'it')).toThrow('the checksum of it')
  }
  for (let length = 0; length < sealed.length; length++)
    expect(() => unseal(key, sealed.subarray(0, length), 'it')).toThrow('it')
  expect(() => unseal(bytes('kez'), sealed, 'it')).toThrow('the checksum of it')
})

test('the state hash does not depend on order, and is undone exactly', () => {
  const rows = Array.from({ length: 200 }, (_, at) => hashOfRow(rowKey(`${at}`), bytes(`${at * 7}`)))
  const [one, other] = [new StateHash(), new StateHash()]
  for (const row of rows) one.add(row)
  for (const row of rows.toReversed()) other.add(row)
  expect(one.value).toBe(other.value)
  expect(new StateHash(one.value).value).toBe(one.value)
  expect(one.value).toBeGreaterThan(2n ** 32n)
  for (const row of rows) one.subtract(row)
  expect(one.value).toBe(0n)
})

const META =
  '000200000000000004d2000000000000000300000100000000070000001431383434363734343037' +
  '33373039353531363135000000000000002900000000000000050000000000000002000000000000' +
  '002a0000000000000007000000040000000600000000000003e8000000020000000200000003138e' +
  '7d32'
const APPLIED =
  '00000000000003e8fedcba9876543210000000000000002800000000000000060000000a72616674' +
  '206174203430000000086b76206174203430f1023f83'
const STAGING =
  '00000005392d322d310000000139000000050000000000000011123456780000004201fedcba9876' +
  '543210000000000000002800000000000000060000000a72616674206174203430000000086b7620' +
  '6174203430e79d78ae'
const MARK = '514d524b0000010000000003292f31d2'
const FAILED = '51464c4400000100000000040000010000000006508cc4bd'
const ROW = '736f6d652076616c75653abc5d1320f9d37e'
const CHUNK = '00000000000000110000000201610000000131000000020162000000008c356fd2'
