// Words stand for the bytes that they were made of, and are safe in a line of columns and on a terminal.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatWord } from '../../src/cli/format/word.ts'
import { runs } from '../runs.ts'
import { anyBytes } from './odd-bytes.ts'

/** Reads a word as docs/reference/cli.md describes it. */
function bytesOfWord(word: string): Buffer {
  if (word.startsWith('base64:')) return Buffer.from(word.slice('base64:'.length), 'base64')
  if (!word.startsWith('"')) return Buffer.from(word)
  const pieces = word.slice(1, -1).match(/\\x[0-9a-f]{2}|(?:\\u[0-9a-f]{4})+|\\.|[^\\]+/gu) ?? []
  return Buffer.concat(
    pieces.map((piece) =>
      piece.startsWith('\\x') ? Buffer.from(piece.slice(2), 'hex') : Buffer.from(JSON.parse(`"${piece}"`)),
    ),
  )
}

test('a word is read as the bytes that it was made of', () => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      expect(bytesOfWord(formatWord(bytes)).equals(bytes)).toBe(true)
    }),
    { numRuns: runs(2_000) },
  )
})

test('it shows every character that it has, and controls no terminal', () => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      const word = formatWord(bytes)
      expect(word).not.toMatch(/(?! )[\p{C}\p{Z}]/u)
      expect(word).not.toBe('')
    }),
    { numRuns: runs(1_000) },
  )
})

test.each([
  ['jobs/42', 'jobs/42'],
  ['', '""'],
  ['two words', '"two words"'],
  ['C:\\dir\\a=b,c', 'C:\\dir\\a=b,c'],
  ['two\nlines, a "quote"', '"two\\nlines, a \\"quote\\""'],
  ['\u00ad', '"\\u00ad"'],
  ['\u{e0001}', '"\\udb40\\udc01"'],
  ['prefix', '"prefix"'],
  ['#1', '"#1"'],
  ['@scope/name', '"@scope/name"'],
  ['base64:AP8=', '"base64:AP8="'],
  [Buffer.of(0x61, 0xff), '"a\\xff"'],
  [Buffer.alloc(9, 0xff), 'base64:////////////'],
])('%j is %s', (content, word) => {
  expect(formatWord(content)).toBe(word)
})
