// The blocks of a LevelDB table (leveldb 1.20, doc/table_format). LevelDB does not check them. A flipped bit in the
// index, in the Bloom filter, or in the type of an entry hides rows from reads without an error. The checksum of a row
// cannot show that.
//
//   data blocks | filter block | metaindex block | index block | footer
//
// Each block is followed by its type (1; 0: not compressed) and a masked CRC-32C of block and type (4). The footer
// holds the places of metaindex and index as varints, padding and a magic number.

import { closeSync, openSync, readSync } from 'node:fs'
import { crc32c, storedCrc } from './crc32c.ts'
import { VarintReader } from './varint.ts'

const FOOTER_BYTES = 48
const TRAILER_BYTES = 5
const MAGIC = Buffer.from('57fb808b247547db', 'hex')
const FILTER_NAME = 'filter.leveldb.BuiltinBloomFilter2'

/** Reads all blocks of a table. Returns its fault; undefined when it has none. */
export function tableFault(path: string, bytes: number): string | undefined {
  const file = openSync(path, 'r')
  try {
    const content = Buffer.allocUnsafe(bytes)
    let length = 0
    for (let count = -1; count !== 0 && length < bytes; length += count)
      count = readSync(file, content, length, bytes - length, length)
    return length < bytes ? 'it was cut off while it was read' : findFault(content)
  } finally {
    closeSync(file)
  }
}

interface BlockHandle {
  readonly at: number
  readonly size: number
}

const readBlockHandle = (reader: VarintReader): BlockHandle => ({
  at: reader.varint(),
  size: reader.varint(),
})
const blockEnd = ({ at, size }: BlockHandle): number => at + size + TRAILER_BYTES

function findFault(table: Buffer): string | undefined {
  const end = table.length - FOOTER_BYTES
  if (end < 0) return 'it is no table'
  const footer = table.subarray(end)
  const places = new VarintReader(footer)
  const [metaindex, index] = [readBlockHandle(places), readBlockHandle(places)]
  // The blocks follow each other without gaps, so a damaged place cannot point to another block that is intact.
  if (
    !footer.subarray(-MAGIC.length).equals(MAGIC) ||
    blockEnd(metaindex) !== index.at ||
    blockEnd(index) !== end
  )
    return 'its footer is damaged'
  const names = blockAt(table, metaindex)
  if (names === undefined) return 'its metaindex is damaged'
  const entries = blockAt(table, index)
  if (entries === undefined) return 'its index is damaged'
  const filter = findFilterBlock(names)
  if (filter === undefined || blockEnd(filter) !== metaindex.at || blockAt(table, filter) === undefined)
    return 'its filter is damaged'
  const damaged = decodeDataBlockHandles(entries).find((place) => blockAt(table, place) === undefined)
  return damaged && `its data block at byte ${damaged.at} is damaged`
}

function blockAt(table: Buffer, place: BlockHandle): Buffer | undefined {
  const typeAt = place.at + place.size
  const isIntact = crc32c(table, place.at, typeAt + 1) === storedCrc(table, typeAt + 1)
  return isIntact ? table.subarray(place.at, typeAt) : undefined
}

/** The entries are like that of the metaindex. Restart points (4 each) and their number follow. */
function decodeDataBlockHandles(index: Buffer): readonly BlockHandle[] {
  const restarts = index.readUInt32LE(index.length - 4)
  const entries = new VarintReader(index.subarray(0, index.length - 4 - 4 * restarts))
  const places: BlockHandle[] = []
  while (!entries.ended) {
    entries.varint()
    const keyBytes = entries.varint()
    const placeBytes = entries.varint()
    entries.take(keyBytes)
    places.push(readBlockHandle(new VarintReader(entries.take(placeBytes))))
  }
  return places
}

/** The only entry of the metaindex: no bytes shared with an earlier key, then lengths of key and value, key, value. */
function findFilterBlock(metaindex: Buffer): BlockHandle | undefined {
  const entry = new VarintReader(metaindex)
  entry.varint()
  const keyBytes = entry.varint()
  entry.varint()
  if (Buffer.from(entry.take(keyBytes)).toString('latin1') !== FILTER_NAME) return undefined
  return readBlockHandle(entry)
}
