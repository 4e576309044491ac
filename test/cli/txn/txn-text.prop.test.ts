// Whatever the bytes of keys and values, JSON comes back as the transaction that it was written from. A wrong text gets
// a message with a place in it.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseTxnText } from '../../../src/cli/txn/txn-text.ts'
import { Failure } from '../../../src/local/failure.ts'
import { runs } from '../../runs.ts'
import { anyTxn, httpForm } from './transactions.ts'

const space = fc.constantFrom('', ' ', '\t')

test('JSON is the transaction that it was written from', () => {
  fc.assert(
    fc.property(anyTxn, space, (txn, indent) => {
      expect(parseTxnText(JSON.stringify(httpForm(txn), null, indent), 'it').txn).toEqual(txn)
    }),
    { numRuns: runs(1_000) },
  )
})

const SNIPPETS = ['"', '\\', '\\u', '{', '}', '[', ']', ':', ',', '\n', '\r', ' ', '1', '-', 'true', '"key"']
const snippet = fc.oneof(fc.constantFrom(...SNIPPETS), fc.string({ maxLength: 3 }))

/** A valid text of which a part is replaced. */
const damaged = fc
  .tuple(anyTxn, space, fc.nat(), fc.nat(6), fc.array(snippet, { maxLength: 3 }))
  .map(([txn, indent, place, length, others]) => {
    const text = JSON.stringify(httpForm(txn), null, indent)
    const at = place % (text.length + 1)
    return text.slice(0, at) + others.join('') + text.slice(at + length)
  })

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

test('a text that is no JSON is refused, with a place in it', () => {
  let refused = 0
  fc.assert(
    fc.property(
      fc.oneof(
        damaged,
        fc.array(snippet).map((all) => all.join('')),
      ),
      (text) => {
        let failure: unknown
        try {
          parseTxnText(text, 'it')
        } catch (error) {
          failure = error
        }
        if (!isJson(text)) expect(failure).toBeInstanceOf(Failure)
        if (failure === undefined) return
        const { message } = failure as Failure
        const [, line = '', column = ''] = /^line ([0-9]+), column ([0-9]+) of it: ./.exec(message) ?? []
        const lineText = text.split('\n')[Number(line) - 1] ?? expect.fail(`no such line: ${message}`)
        expect(Number(column)).toBeGreaterThanOrEqual(1)
        expect(Number(column)).toBeLessThanOrEqual([...lineText].length + 1)
        refused += 1
      },
    ),
    { numRuns: runs(4_000) },
  )
  expect(refused).toBeGreaterThan(runs(1_000))
})
