// The parts of a LevelDB table that lead to its rows (leveldb 1.20, doc/table_format). A flipped bit in the index or
// the Bloom filter hides rows from reads without an error, and no checksum of a row can show that. The data blocks are
// covered by the checksums of the rows and by the scrub; a check of a stopped replica reads them too.
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

/** The fault of the table; undefined when it has none. `readsData`: checks its data blocks too. */
export function tableFault(path: string, bytes: number, readsData = false): string | undefined {
  const file = openSync(path, 'r')
  try {
    return findFault(
      (from, to) => {
        const content = Buffer.alloc(to - from)
        return content.subarray(0, readSync(file, content, 0, content.length, from))
      },
      bytes,
      readsData,
    )
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

function findFault(
  read: (from: number, to: number) => Buffer,
  bytes: number,
  readsData: boolean,
): string | undefined {
  if (bytes < FOOTER_BYTES) return 'it is no table'
  const footer = read(bytes - FOOTER_BYTES, bytes)
  const places = new VarintReader(footer)
  const [metaindex, index] = [readBlockHandle(places), readBlockHandle(places)]
  // The blocks follow each other without gaps, so a damaged place cannot point to another block that is intact.
  if (
    !footer.subarray(-MAGIC.length).equals(MAGIC) ||
    blockEnd(metaindex) !== index.at ||
    blockEnd(index) !== bytes - FOOTER_BYTES
  )
    return 'its footer is damaged'
  const names = blockAt(read, metaindex)
  if (names === undefined) return 'its metaindex is damaged'
  const entries = blockAt(read, index)
  if (entries === undefined) return 'its index is damaged'
  const filter = findFilterBlock(names)
  if (filter === undefined || blockEnd(filter) !== metaindex.at || blockAt(read, filter) === undefined)
    return 'its filter is damaged'
  if (!readsData) return undefined
  const damaged = decodeDataBlockHandles(entries).find((place) => blockAt(read, place) === undefined)
  return damaged && `its data block at byte ${damaged.at} is damaged`
}

function blockAt(read: (from: number, to: number) => Buffer, place: BlockHandle): Buffer | undefined {
  const whole = read(place.at, blockEnd(place))
  const checked = place.size + 1
  return crc32c(whole, 0, checked) === storedCrc(whole, checked) ? whole.subarray(0, place.size) : undefined
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
