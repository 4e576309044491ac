// Transactions in JSON instead of the language.

import { expect, test } from 'vitest'
import { parseTxn } from '../../../src/cli/txn/parser.ts'
import { formatTxn } from './format-txn.ts'
import { errorOf } from './wrong-texts.ts'

test('every form of the JSON, written in the language', () => {
  const txn = {
    compare: [
      { key: 'a', target: 'value', op: '=', to: { base64: '/w==' } },
      { prefix: { base64: 'YQ==' }, target: 'version', op: '!=', to: 0 },
      { start: 'a', end: 'b', target: 'create_revision', op: '<', to: 9007199254740991 },
      { start: '', target: 'mod_revision', op: '>', to: 3 },
      { end: 'b', target: 'lease', op: '=', to: '0' },
      { key: 'a', exists: true },
      { key: 'a', exists: false },
    ],
    success: [
      { put: { key: 'a', value: '', lease: '7', prev: true } },
      { put: { key: { base64: '/w==' }, value: 'v', ttl: '30s', prev: false } },
      { get: { key: 'a' } },
      { get: { prefix: 'jobs/', limit: 3, keys_only: true, count_only: false } },
      { get: { prefix: '', keys_only: false, count_only: true } },
      { delete: { start: 'a', end: 'b', prev: true } },
      { txn: { success: [{ txn: {} }] } },
    ],
  }
  expect(formatTxn(parseTxn(`\r\n ${JSON.stringify(txn, null, '\t')}\n`))).toBe(`\
value(a) = "\\xff"
version(prefix a) != 0
create_revision(range a b) < 9007199254740991
mod_revision(from "") > 3
lease(before b) = 0
exists a
missing a
then
  put a "" lease 7 prev
  put "\\xff" v ttl 30000ms
  get a
  get prefix jobs/ limit 3 keys-only
  get prefix "" count-only
  delete range a b prev
  txn {
    then
      txn {
        then
      }
  }
`)
})

test.each([
  ['{', 'not valid JSON: it ends too early (line 1)'],
  ['{"success":\n', 'not valid JSON: it ends too early (line 1)'],
  ['{"success": [\n{"put": {"key": "a', 'not valid JSON: it ends too early (line 2)'],
  ['{"success":[],}', 'expected JSON, found '],
  ['\u000b{', "expected JSON, found Unexpected token '\\x0b'"],
  ['{"success":[{"get":{"key":"\\ud800"}}]}', 'expected text, found half of a surrogate pair in a string'],
])('%s is no transaction', (text, message) => {
  expect(errorOf(text).message).toContain(message)
})
