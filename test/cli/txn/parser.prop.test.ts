// Round trips through the language and JSON, whatever the bytes of keys and values. A wrong text gets a message with a
// place in it.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseTxn } from '../../../src/cli/txn/parser.ts'
import { formatSyntaxError as describe, TxnSyntaxError } from '../../../src/cli/txn/syntax-error.ts'
import { character } from '../../characters.ts'
import { runs } from '../../runs.ts'
import { formatTxn, httpForm } from './format-txn.ts'
import { anyTxn } from './transactions.ts'

test('a transaction comes back as it was written', () => {
  fc.assert(
    fc.property(anyTxn, (txn) => {
      expect(parseTxn(formatTxn(txn))).toEqual(txn)
    }),
    { numRuns: runs(2_000) },
  )
})

test('it shows every character that it has, and controls no terminal', () => {
  fc.assert(
    fc.property(anyTxn, (txn) => {
      expect(formatTxn(txn)).not.toMatch(/(?![ \n])[\p{C}\p{Z}]/u)
    }),
    { numRuns: runs(1_000) },
  )
})

test('it may have other line ends, blank lines, comments and indents', () => {
  const indent = fc.constantFrom('', ' ', '\t', ' \t ')
  const end = fc.constantFrom('\n', '\r\n', ' \n', '\t# "it\n', '\n\n', '\n # then\r\n')
  fc.assert(
    fc.property(anyTxn, fc.infiniteStream(fc.tuple(indent, end)), (txn, decorations) => {
      const lines = formatTxn(txn).trimEnd().split('\n')
      const text = lines.map((line) => {
        const [before, after] = decorations.next().value
        return before + line.trimStart() + after
      })
      expect(parseTxn(text.join(''))).toEqual(txn)
    }),
    { numRuns: runs(500) },
  )
})

test('in JSON it is the same transaction', () => {
  fc.assert(
    fc.property(anyTxn, fc.constantFrom('', ' ', '\t'), (txn, space) => {
      expect(parseTxn(JSON.stringify(httpForm(txn), null, space))).toEqual(txn)
    }),
    { numRuns: runs(1_000) },
  )
})

const SNIPPETS = [
  ...[
    'then\n',
    'else\n',
    'txn {\n',
    '}\n',
    'put ',
    'get ',
    'delete ',
    'prefix ',
    'range ',
    'value(',
    'version(',
    ')',
  ],
  ...[
    ' = ',
    '"',
    '\\',
    '\\u',
    '\\x',
    '@',
    '#',
    '\n',
    '\r',
    ' ',
    'base64:',
    '{',
    '[',
    ':',
    ',',
    '"key"',
    '"success"',
  ],
]
const snippet = fc.oneof(fc.constantFrom(...SNIPPETS), fc.string({ unit: character, maxLength: 3 }))

/** A valid text of which a part is replaced. */
const damaged = fc
  .tuple(anyTxn, fc.nat(), fc.nat(6), fc.array(snippet, { maxLength: 3 }))
  .map(([txn, place, length, others]) => {
    const text = formatTxn(txn)
    const at = place % (text.length + 1)
    return text.slice(0, at) + others.join('') + text.slice(at + length)
  })

test('a wrong text gets a message, with a place in the text', () => {
  let refused = 0
  fc.assert(
    fc.property(
      fc.oneof(
        damaged,
        fc.array(snippet, { maxLength: 12 }).map((all) => all.join('')),
      ),
      (text) => {
        try {
          parseTxn(text)
        } catch (error) {
          if (!(error instanceof TxnSyntaxError)) throw error
          const { place } = error
          if (place !== undefined) {
            const lines = text.replace(/^\ufeff/, '').split('\n')
            expect(place.line).toBeGreaterThanOrEqual(1)
            expect(place.column).toBeGreaterThanOrEqual(1)
            expect(place.column).toBeLessThanOrEqual([...(lines[place.line - 1] ?? '')].length + 1)
          }
          expect(error.message).toMatch(
            /^expected .*, found .|^not valid JSON: it ends too early \(line [0-9]/s,
          )
          expect(describe(error, 'it')).not.toMatch(/(?!\n)\p{Cc}/u)
          refused += 1
        }
      },
    ),
    { numRuns: runs(3_000) },
  )
  expect(refused).toBeGreaterThan(runs(1_000))
})
