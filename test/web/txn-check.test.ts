// A transaction that is typed: its first fault with its place, and what it will do in words.

import { expect, test } from 'vitest'
import { decodeUtf8 } from '../../src/bytes/index.ts'
import { TEMPLATES } from '../../web/src/pages/transaction/templates.ts'
import { checkText } from '../../web/src/pages/transaction/txn-check.ts'
import {
  findDeletions,
  type Outline,
  type OutlineSteps,
  outlineTxn,
  type Words,
} from '../../web/src/pages/transaction/txn-words.ts'

test.each([
  ['{\n "success": [1,]}', 'line 2, column 16', 'expected a value, found `]`'],
  ['{"success": [{"put": {"key": "a"}}]}', 'line 1, column 15', 'lacks the field "success[0].put.value"'],
  ['{"sucess": []}', 'line 1, column 2', 'the unknown field "sucess"'],
  [
    '{"success":\n[{"get": {"key": "a", "limit": 0}}]}',
    'line 2, column 23',
    'success[0].get.limit must be >= 1',
  ],
  [
    '{"success": [{"put": {"key": "", "value": ""}}]}',
    'line 1, column 23',
    'success[0].put.key: the key is empty',
  ],
  ['{"compare": [{"key": "a"}]}', 'line 1, column 14', 'lacks the field "compare[0].target"'],
  ['[]', 'line 1, column 1', 'the body must be object'],
])('%j has a fault at %s', (text, position, message) => {
  expect(checkText(text)).toMatchObject({
    kind: 'fault',
    position,
    message: expect.stringContaining(message),
  })
})

const wordsOf = (words: Words): string =>
  words.map((word) => (typeof word === 'string' ? word : decodeUtf8(word))).join('')

function linesOf({ steps, left }: OutlineSteps): string[] {
  const lines = steps.flatMap(({ words, txn }) => [wordsOf(words), ...(txn ? outlineLines(txn) : [])])
  return left === 0 ? lines : [...lines, `${left} more`]
}

const outlineLines = ({ conditions, success, failure }: Outline): string[] => [
  ...conditions.map((words) => `if ${wordsOf(words)}`),
  ...linesOf(success),
  ...linesOf(failure).map((line) => `else ${line}`),
]

function checkedTxn(body: object) {
  const checked = checkText(JSON.stringify(body))
  if (checked.kind !== 'valid') throw new Error(JSON.stringify(checked))
  return checked.txn
}

test.each([
  [
    {
      compare: [
        { key: 'a', target: 'version', op: '!=', to: 3 },
        { key: 'a', exists: false },
        { prefix: 'b/', target: 'lease', op: '=', to: '0' },
        { start: 'c', target: 'value', op: '<', to: 'z' },
      ],
      success: [
        { get: { key: 'x' } },
        { get: { prefix: '', limit: 2, keys_only: true, count: true } },
        { get: { start: 'k', end: 'm', count_only: true } },
        { put: { key: 'a', value: '' } },
        { put: { key: 'a', value: 'v'.repeat(81), ttl: '5m', prev: true } },
        { put: { key: 'a', value: '1', lease: '7' } },
      ],
      failure: [{ delete: { prefix: 'b/', prev: true } }, { txn: { success: [{ get: { key: 'i' } }] } }],
    },
    [
      'if version of a ≠ 3',
      'if a does not exist',
      'if lease of each key that begins with b/ = none',
      'if value of each key from c on < z',
      'reads x',
      'reads all keys, at most 2, without values, and counts all',
      'counts all keys from k up to m, exclusive',
      'writes a, empty',
      `writes a = ${'v'.repeat(81)} (81 B), for 5 min, and shows what was there`,
      'writes a = 1, until lease 7 ends',
      'else deletes all keys that begin with b/, and shows what was there',
      'else runs an inner transaction',
      'else reads i',
    ],
  ],
  [{}, []],
])('%j in words', (body, lines) => {
  expect(outlineLines(outlineTxn(checkedTxn(body)))).toEqual(lines)
})

test('the words of a large transaction are bounded, at any depth', () => {
  const success = Array.from({ length: 90 }, () => ({ get: { key: 'a' } }))
  const nested = Array.from({ length: 90 }, () => ({ txn: { success } }))
  const lines = outlineLines(outlineTxn(checkedTxn({ success: nested })))
  expect(lines).toHaveLength(150 + 2)
  expect(lines.slice(-2)).toEqual(['32 more', '88 more'])
})

test('deletions are found in both branches, at any depth', () => {
  const failure = [{ txn: { success: [{ delete: { key: 'b' } }] } }]
  const txn = checkedTxn({ success: [{ delete: { prefix: 'a/' } }], failure })
  expect(findDeletions(txn).map(wordsOf)).toEqual(['all keys that begin with a/', 'b'])
})

test('the templates have no fault', () => {
  expect(TEMPLATES.map(({ text }) => checkText(text).kind)).toEqual(TEMPLATES.map(() => 'valid'))
})
