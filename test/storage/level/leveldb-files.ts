// Writes LevelDB's file formats, for tests of the readers: a second implementation, made from the documentation.

import { crc32c, maskCrc } from '../../../src/storage/level/crc32c.ts'

const BLOCK = 32 * 1024

/** Types: 1 FULL, 2 FIRST, 3 MIDDLE, 4 LAST. */
export function frame(type: number, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.of(type), content])
  const header = Buffer.alloc(6)
  header.writeUInt32LE(maskCrc(crc32c(body, 0, body.length)))
  header.writeUInt16LE(content.length, 4)
  return Buffer.concat([header, body])
}

/** A log file of these records. */
export function logFile(records: readonly Uint8Array[]): Buffer {
  const parts: Buffer[] = []
  let at = 0
  const push = (part: Buffer): void => {
    parts.push(part)
    at += part.length
  }
  for (const record of records) {
    let left = Buffer.from(record)
    let isFirst = true
    do {
      const room = BLOCK - (at % BLOCK)
      if (room < 7) push(Buffer.alloc(room))
      const take = Math.min(left.length, BLOCK - (at % BLOCK) - 7)
      const isLast = take === left.length
      const type = isFirst ? (isLast ? 1 : 2) : isLast ? 4 : 3
      push(frame(type, left.subarray(0, take)))
      left = left.subarray(take)
      isFirst = false
    } while (left.length > 0)
  }
  return Buffer.concat(parts)
}

/** A WAL record of `count` operations (their bytes do not matter here). */
export function walRecord(sequence: number, count: number, bodyBytes = 20): Buffer {
  const record = Buffer.alloc(12 + bodyBytes, sequence & 0xff)
  record.writeBigUInt64LE(BigInt(sequence))
  record.writeUInt32LE(count, 8)
  return record
}

const varint = (value: number): number[] =>
  value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...varint(Math.floor(value / 0x80))]
const slice = (text: string): number[] => [...varint(text.length), ...Buffer.from(text)]

export interface Edit {
  readonly comparator?: string
  readonly log?: number
  /** The number of the WAL before `log`; 0: none. */
  readonly prev?: number
  readonly next?: number
  readonly last?: number
  readonly pointer?: number
  readonly deleted?: readonly (readonly [level: number, number: number])[]
  readonly added?: readonly (readonly [level: number, number: number, bytes: number])[]
}

export function edit(content: Edit): Buffer {
  const { comparator, log, prev = 0, next, last, pointer, deleted = [], added = [] } = content
  return Buffer.from([
    ...(comparator === undefined ? [] : [1, ...slice(comparator)]),
    ...(log === undefined ? [] : [2, ...varint(log), 9, ...varint(prev)]),
    ...(next === undefined ? [] : [3, ...varint(next)]),
    ...(last === undefined ? [] : [4, ...varint(last)]),
    ...(pointer === undefined ? [] : [5, pointer, ...slice('somewhere')]),
    ...deleted.flatMap(([level, number]) => [6, level, ...varint(number)]),
    ...added.flatMap(([level, number, bytes]) => [
      7,
      level,
      ...varint(number),
      ...varint(bytes),
      ...slice('a'),
      ...slice('z'),
    ]),
  ])
}

function block(content: Buffer): Buffer {
  const typed = Buffer.concat([content, Buffer.of(0)])
  const crc = Buffer.alloc(4)
  crc.writeUInt32LE(maskCrc(crc32c(typed, 0, typed.length)))
  return Buffer.concat([typed, crc])
}

/** A table with this many arbitrary bytes in its data blocks. The entry that leads to the filter may be wrong. */
export function tableFile(
  dataBytes: number,
  { filterName: name = 'filter.leveldb.BuiltinBloomFilter2', filterAt = dataBytes } = {},
): Buffer {
  const data = Buffer.alloc(dataBytes, 0xdd)
  const filter = block(Buffer.from('the bits of a Bloom filter'))
  const place = [...varint(filterAt), ...varint(filter.length - 5)]
  const metaindex = block(
    Buffer.from([0, name.length, place.length, ...Buffer.from(name), ...place, 0, 0, 0, 0, 1, 0, 0, 0]),
  )
  const index = block(Buffer.from('where the data blocks lie.'))
  const metaindexAt = dataBytes + filter.length
  const footer = Buffer.alloc(48)
  const places = [metaindexAt, metaindex.length - 5, metaindexAt + metaindex.length, index.length - 5]
  Buffer.from(places.flatMap(varint)).copy(footer)
  Buffer.from('57fb808b247547db', 'hex').copy(footer, 40)
  return Buffer.concat([data, filter, metaindex, index, footer])
}
