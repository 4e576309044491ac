// Compacts all keys, piece by piece. If LevelDB compacts all keys at once, it takes several small tables of a
// level together with everything between the first and the last of them one level below. Where little was written since
// the last compaction, that is the whole database, and it is written anew before any of it is deleted. For one piece it
// takes only the few tables that reach into the piece, and what lies below those.

import { prefixed } from '../keys.ts'

/** A piece is this much of the deepest level. LevelDB may compact several times as much with it. */
export const PIECE_BYTES = 16 * 1024 * 1024

interface Table {
  readonly level: number
  readonly bytes: number
  readonly smallest: Uint8Array
  readonly largest: Uint8Array
}

/** Both bounds are inclusive. */
type Piece = readonly [first: Uint8Array, last: Uint8Array]

/**
 * The next piece to compact, after the key `after`; undefined: nothing is left. `sstables`: LevelDB's property of this
 * name, as it is now. If it shows a key inexactly, only the size of the pieces changes.
 */
export function nextPiece(sstables: string, after: Uint8Array, pieceBytes: number): Piece | undefined {
  const from = prefixed(after, Uint8Array.of(0))
  const tables = parseTables(sstables).filter(({ largest }) => Buffer.compare(largest, from) >= 0)
  const deepest = tables.reduce((level, table) => Math.max(level, table.level), 1)
  const upper = tables.filter(({ level }) => level < deepest)
  if (upper.length === 0) return undefined
  // Where no table lies above the deepest level, there is nothing to compact.
  const begin = later(from, upper.map(({ smallest }) => smallest).reduce(earlier))
  const end = upper.map(({ largest }) => largest).reduce(later)
  let bytes = 0
  for (const { level, bytes: more, largest } of tables) {
    if (level !== deepest || Buffer.compare(largest, begin) < 0) continue
    bytes += more
    if (bytes >= pieceBytes) return [begin, earlier(largest, end)]
  }
  return [begin, end]
}

const earlier = (a: Uint8Array, b: Uint8Array): Uint8Array => (Buffer.compare(a, b) <= 0 ? a : b)
const later = (a: Uint8Array, b: Uint8Array): Uint8Array => (Buffer.compare(a, b) >= 0 ? a : b)

const TABLE = /^ [0-9]+:([0-9]+)\['(.*)' @ [0-9]+ : [01] \.\. '(.*)' @ [0-9]+ : [01]\]$/

/** In LevelDB's order: by level, and within a level by key. */
function parseTables(sstables: string): Table[] {
  let level = 0
  return sstables.split('\n').flatMap((line) => {
    level = Number(/^--- level ([0-9]+) ---$/.exec(line)?.[1] ?? level)
    const table = TABLE.exec(line)
    if (table === null) return []
    const [, bytes, smallest = '', largest = ''] = table
    return [
      { level, bytes: Number(bytes), smallest: parsePrintedKey(smallest), largest: parsePrintedKey(largest) },
    ]
  })
}

/** LevelDB prints unprintable bytes as `\x00`. */
const parsePrintedKey = (printed: string): Uint8Array =>
  Buffer.from(
    printed.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
