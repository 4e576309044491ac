import { expect, test } from 'vitest'
import { nextPiece, PIECE_BYTES } from '../../../src/storage/level/compaction.ts'
import { bytes } from '../samples.ts'

type Table = readonly [level: number, bytes: number, smallest: string, largest: string]

/** Tables in the format of LevelDB's property. */
function told(tables: readonly Table[]): string {
  const levels = Array.from({ length: 7 }, (_, level) => {
    const lines = tables
      .filter(([at]) => at === level)
      .map(
        ([, size, smallest, largest], at) =>
          ` ${level}${at}:${size}['${smallest}' @ 17 : 1 .. '${largest}' @ 4 : 0]`,
      )
    return [`--- level ${level} ---`, ...lines].join('\n')
  })
  return `${levels.join('\n')}\n`
}

/** The bounds of the pieces, one after another. */
function pieces(tables: readonly Table[], pieceBytes: number): string[] {
  const found: string[] = []
  let after = bytes('')
  for (;;) {
    const piece = nextPiece(told(tables), after, pieceBytes)
    if (piece === undefined) return found
    found.push(piece.map((key) => Buffer.from(key).toString('latin1')).join('..'))
    after = piece[1]
  }
}

const deepest: readonly Table[] = [
  [2, 10, 'a', 'c'],
  [2, 10, 'd', 'f'],
  [2, 10, 'g', 'i'],
  [2, 10, 'k', 'm'],
]

test('a piece is 16 MiB of the deepest level', () => expect(PIECE_BYTES).toBe(16_777_216))

test.each<[string, readonly Table[], number, readonly string[]]>([
  ['where there is nothing', [], 20, []],
  ['where all lies in one level', deepest, 20, []],
  ['of what lies over nothing', [[0, 10, 'c', 'e']], 20, ['c..e']],
  ['over all', [[0, 10, 'a', 'z'], ...deepest], 20, ['a..f', 'f\0..m', 'm\0..z']],
  ['of a table each', [[1, 10, 'b', 'n'], ...deepest], 1, ['b..c', 'c\0..f', 'f\0..i', 'i\0..m']],
  ['one byte too small for two tables', [[1, 10, 'b', 'e'], ...deepest], 21, ['b..e']],
  ['over a part', [[1, 10, 'e', 'h'], ...deepest], 20, ['e..h']],
  ['over a part, of a table each', [[1, 10, 'e', 'h'], ...deepest], 10, ['e..f', 'f\0..h']],
  ['from the last key of a table on', [[1, 10, 'c', 'd'], ...deepest], 10, ['c..c', 'c\0..d']],
  ['up to the last key of a table', [[1, 10, 'b', 'f'], ...deepest], 20, ['b..f']],
  [
    'of several levels',
    [[0, 10, 'k', 'l'], [0, 10, 'h', 'h'], [1, 10, 'd', 'e'], ...deepest],
    20,
    ['d..i', 'k..l'],
  ],
])('all is compacted once, and no more than that: %s', (_what, tables, pieceBytes, found) => {
  expect(pieces(tables, pieceBytes)).toEqual(found)
})

test('the key right behind a piece is not passed over', () => {
  const tables: readonly Table[] = [[0, 10, 'f\\x00', 'f\\x00'], ...deepest]
  const piece = nextPiece(told(tables), bytes('f'), 1)
  expect(piece?.map((key) => [...key])).toEqual([
    [102, 0],
    [102, 0],
  ])
})

test('keys of any bytes are read as LevelDB tells them', () => {
  const tables: readonly Table[] = [[0, 10, "\\x00\\x05'b\\xff", "\\xe4 @ 3 : 1 .. 'x"]]
  const piece = nextPiece(told(tables), bytes(''), 1)
  expect(piece?.map((key) => [...key])).toEqual([
    [0, 5, 39, 98, 255],
    [0xe4, ...bytes(" @ 3 : 1 .. 'x")],
  ])
})
