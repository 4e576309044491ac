// Every size at its least and its greatest value and at the next one, at the first and the last place and at the next
// one; and what cannot have been written.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  equalBytes,
  Reader,
  readBigUint64,
  readUint8,
  readUint16,
  readUint32,
  readUint48,
  readUint64,
  shortened,
  Writer,
  writeAscii,
  writeBigUint64,
  writeUint8,
  writeUint16,
  writeUint32,
  writeUint48,
  writeUint64,
} from '../../src/bytes/index.ts'
import { runs } from '../runs.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))

class Malformed extends Error {}
const reading = (bytes: Uint8Array): Reader => new Reader(bytes, 'the record', Malformed)
const faultOf = (read: () => unknown): string => {
  try {
    read()
  } catch (error) {
    expect(error).toBeInstanceOf(Malformed)
    return (error as Error).message
  }
  return 'none'
}

const SIZES: readonly [
  size: 'uint8' | 'uint16' | 'uint32' | 'uint48' | 'uint64',
  bytes: number,
  greatest: number,
  write: typeof writeUint8,
  read: typeof readUint8,
][] = [
  ['uint8', 1, 2 ** 8 - 1, writeUint8, readUint8],
  ['uint16', 2, 2 ** 16 - 1, writeUint16, readUint16],
  ['uint32', 4, 2 ** 32 - 1, writeUint32, readUint32],
  ['uint48', 6, 2 ** 48 - 1, writeUint48, readUint48],
  ['uint64', 8, Number.MAX_SAFE_INTEGER, writeUint64, readUint64],
]

describe.each(SIZES)('%s', (size, bytes, greatest, write, read) => {
  test('has the greater bytes first, and touches no others', () => {
    const target = new Uint8Array(bytes + 2).fill(0xee)
    const value = Number.parseInt('01f2e3d4c5b6a7'.padStart(16, '0').slice(-2 * bytes), 16)
    write(target, 1, value)
    expect(hex(target)).toBe(`ee${value.toString(16).padStart(2 * bytes, '0')}ee`)
    expect(read(target, 1)).toBe(value)
  })

  test('holds every integer that fits, alone and in a record', () => {
    const values = fc.oneof(
      fc.constantFrom(0, 1, greatest),
      fc.maxSafeNat().map((value) => value % greatest),
    )
    const property = fc.property(values, (value) => {
      const target = new Uint8Array(bytes)
      write(target, 0, value)
      expect(read(target, 0)).toBe(value)
      if (size === 'uint48') return
      const record = new Writer()[size](value).written()
      expect(hex(record)).toBe(hex(target))
      const from = reading(record)
      expect([from[size](), from.at, from.left]).toEqual([value, bytes, 0])
    })
    fc.assert(property, { numRuns: runs(200) })
  })

  test.each([-1, 0.5, greatest + 1, Number.NaN, Number.POSITIVE_INFINITY])('is not %d', (value) => {
    expect(() => write(new Uint8Array(9), 0, value)).toThrow(/^\S+ does not fit into \d+ bits$/)
    if (size !== 'uint48') expect(() => new Writer()[size](value)).toThrow(RangeError)
  })

  test('lies within the bytes', () => {
    const target = new Uint8Array(bytes + 1)
    for (const at of [0, 1]) expect(() => write(target, at, 1)).not.toThrow()
    for (const at of [-1, 2, bytes + 1]) {
      expect(() => write(target, at, 1)).toThrow(RangeError)
      expect(() => read(target, at)).toThrow(RangeError)
    }
    for (let length = 0; length < bytes; length++) {
      expect(() => write(new Uint8Array(length), 0, 1)).toThrow(RangeError)
      expect(() => read(new Uint8Array(length), 0)).toThrow(RangeError)
      if (size === 'uint48') continue
      expect(faultOf(() => reading(new Uint8Array(length))[size]())).toBe('the record is cut short')
    }
  })
})

test('an integer beyond 2^53 is not read', () => {
  for (const far of ['0020000000000000', 'ffffffffffffffff']) {
    expect(() => readUint64(bytesOf(`00${far}`), 1)).toThrow(new RangeError('integer beyond 2^53 at byte 1'))
    expect(faultOf(() => reading(bytesOf(far)).uint64())).toBe('the record holds an integer beyond 2^53')
  }
})

test('a bigint of 64 bits', () => {
  for (const value of [0n, 1n, 2n ** 32n, 0x0123_4567_89ab_cdefn, 2n ** 64n - 1n]) {
    const target = new Uint8Array(9)
    writeBigUint64(target, 1, value)
    expect(hex(target)).toBe(value.toString(16).padStart(18, '0'))
    expect(readBigUint64(target, 1)).toBe(value)
    const record = new Writer().bigUint64(value).written()
    expect(hex(record)).toBe(value.toString(16).padStart(16, '0'))
    expect(reading(record).bigUint64()).toBe(value)
  }
  for (const value of [-1n, 2n ** 64n])
    expect(() => new Writer().bigUint64(value)).toThrow(new RangeError(`${value} does not fit into 64 bits`))
  expect(faultOf(() => reading(new Uint8Array(7)).bigUint64())).toBe('the record is cut short')
})

test('a float is a finite number', () => {
  const record = new Writer().float64(-0.1).written()
  expect(hex(record)).toBe('bfb999999999999a')
  expect(reading(record).float64()).toBe(-0.1)
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const from = reading(new Writer().float64(value).written())
    expect(faultOf(() => from.float64())).toBe('the record holds a number that is not finite')
  }
})

test('a flag is one of two', () => {
  expect(hex(new Writer().flag(false).flag(true).written())).toBe('0001')
  expect([0, 1].map((value) => reading(Uint8Array.of(value)).flag())).toEqual([false, true])
  expect(faultOf(() => reading(Uint8Array.of(2)).flag())).toBe('the record holds a flag of 2')
})

test('bytes follow their number, and are read as views', () => {
  const record = new Writer().bytes(Uint8Array.of(7, 8)).bytes(new Uint8Array()).written()
  expect(hex(record)).toBe('00000002070800000000')
  const from = reading(record)
  const read = from.bytes()
  expect([hex(read), read.buffer, from.bytes().length]).toEqual(['0708', record.buffer, 0])
  from.end()
  expect(faultOf(() => reading(record.subarray(0, 5)).bytes())).toBe('the record is cut short')
  expect(faultOf(() => reading(bytesOf('ffffffff')).bytes())).toBe('the record is cut short')
})

test('slices, and the rest', () => {
  const from = reading(bytesOf('01020304'))
  expect([hex(from.slice(0)), hex(from.slice(3)), hex(from.rest()), hex(from.rest())]).toEqual([
    ...['', '010203', '04', ''],
  ])
  expect(faultOf(() => from.slice(1))).toBe('the record is cut short')
})

test('ASCII ends with DEL', () => {
  const target = new Uint8Array(4).fill(0xff)
  writeAscii(target, 1, '\x00\x7f')
  expect(hex(target)).toBe('ff007fff')
  expect(reading(target.subarray(1)).ascii(2)).toBe('\x00\x7f')
  expect(() => writeAscii(target, 0, 'a\x80')).toThrow(new RangeError('not ASCII: "a\x80"'))
  expect(() => writeAscii(target, 3, 'ab')).toThrow(RangeError)
  expect(faultOf(() => reading(bytesOf('6180')).ascii(2))).toBe(
    'the record holds the byte 128 in place of ASCII',
  )
  expect(faultOf(() => reading(bytesOf('61')).ascii(2))).toBe('the record is cut short')
})

test('UTF-16 keeps every code unit', () => {
  const record = new Writer().utf16('ä\u{1f600}\ud800').written()
  expect(hex(record)).toBe('000400e4d83dde00d800')
  expect(reading(record).utf16()).toBe('ä\u{1f600}\ud800')
  expect(() => new Writer().utf16('a'.repeat(65_536))).toThrow('65536 does not fit into 16 bits')
  expect(faultOf(() => reading(bytesOf('00020061')).utf16())).toBe('the record is cut short')
})

test('UTF-8 keeps every character, a byte order mark too', () => {
  const record = new Writer().utf8('\ufeffa\u00e4\u{1f600}\u0000').written()
  expect(hex(record)).toBe('0000000befbbbf61c3a4f09f988000')
  expect(reading(record).utf8()).toBe('\ufeffa\u00e4\u{1f600}\u0000')
  expect(reading(new Writer().utf8('').written()).utf8()).toBe('')
  expect(reading(bytesOf('00000003ff61ed')).utf8()).toBe('\ufffda\ufffd')
  expect(hex(new Writer().utf8('\ud800').written())).toBe('00000003efbfbd')
  expect(faultOf(() => reading(bytesOf('0000000261')).utf8())).toBe('the record is cut short')
})

test('a record ends where its content does', () => {
  const from = reading(Uint8Array.of(1, 2))
  from.uint8()
  expect(faultOf(() => from.end())).toBe('the record is longer than its content')
  from.uint8()
  from.end()
})

test.each<[string, (out: Writer) => Writer, (from: Reader) => unknown, unknown]>([
  [
    'integers',
    (out) => out.uint8(7).uint16(8).uint32(9),
    (from) => [from.uint8(), from.uint16(), from.uint32()],
    [7, 8, 9],
  ],
  [
    'long integers',
    (out) => out.uint64(7).bigUint64(8n),
    (from) => [from.uint64(), from.bigUint64()],
    [7, 8n],
  ],
  [
    'floats and flags',
    (out) => out.float64(-0.1).flag(true),
    (from) => [from.float64(), from.flag()],
    [-0.1, true],
  ],
  ['bytes', (out) => out.bytes(new Uint8Array(3)), (from) => from.bytes().length, 3],
  ['texts', (out) => out.utf16('\u{1f600}'), (from) => from.utf16(), '\u{1f600}'],
  ['texts in UTF-8', (out) => out.utf8('\u{1f600}'), (from) => from.utf8(), '\u{1f600}'],
])('a record grows as %s are written', (_, write, read, value) => {
  const out = new Writer()
  for (let count = 0; count < 3000; count++) write(out)
  const from = reading(out.written())
  expect(Array.from({ length: 3000 }, () => read(from))).toEqual(Array(3000).fill(value))
  from.end()
})

test('one that is longer than all before has room, and the memory is used again', () => {
  const out = new Writer()
  const long = new Uint8Array(5000).map((_, at) => at)
  expect(reading(out.bytes(long).written()).bytes()).toEqual(long)
  const { buffer } = out.written()
  out.clear()
  expect(hex(out.uint16(3).written())).toBe('0003')
  expect(out.written().buffer).toBe(buffer)
})

test.each([
  ['', '', true],
  ['61', '61', true],
  ['6162', '6163', false],
  ['6162', '616263', false],
  ['616263', '6162', false],
])('%j and %j are equal: %s', (a, b, equal) => {
  expect(equalBytes(bytesOf(a), bytesOf(b))).toBe(equal)
})

test('a long text has its beginning and its end, and no half of a character', () => {
  expect([shortened('0123456789', 10), shortened('01234567890', 10)]).toEqual(['0123456789', '01 […] 90'])
  expect(shortened('a😀'.repeat(9), 10)).toBe('a\uFFFD […] 😀')
})
