// Messages about the JSON of a transaction: line, column and field.

import { expect, test } from 'vitest'
import { RelayedNode } from '../../client/relayed-node.ts'
import { kv } from '../run-kv.ts'

/** Runs `txn` with a node that must not be asked. */
async function messageOn(text: string): Promise<string> {
  const node = await RelayedNode.start()
  const { code, out, err } = await kv(['txn'], { endpoints: node.url, stdin: text })
  await node.close()
  expect([code, out, node.seen]).toEqual([2, '', []])
  return err
}

const at = (place: string, message: string): string => {
  const [line, column] = place.split(':')
  return `error: line ${line}, column ${column} of standard input: ${message}\n`
}

const BYTES = 'a string or {"base64": …}'

test.each([
  ['', '1:1', 'expected a value, found the end of the text'],
  ['{', '1:2', 'expected the name of a field, in double quotes, found the end of the text'],
  ['{"success":\n', '2:1', 'expected a value, found the end of the text'],
  ['{"success":[],}', '1:15', 'expected the name of a field, in double quotes, found `}`'],
  ['{"success" []}', '1:12', 'expected `:`, found `[`'],
  ['{"success":[] "failure":[]}', '1:15', 'expected `,` or `}`, found `"`'],
  ['{"success":[1 2]}', '1:15', 'expected `,` or `]`, found `2`'],
  ['{"success":[]}\nelse', '2:1', 'expected the end of the text, found `else`'],
  ['then\n  put a b', '1:1', 'expected a value, found `then`'],
  ['{"success":[01]}', '1:14', 'expected `,` or `]`, found `1`'],
  ['{"success":[{"put":{"key":"😀", "value":yes}}]}', '1:40', 'expected a value, found `yes`'],
  ['{"a":"b', '1:8', 'expected `"` at the end of the string, found the end of the text'],
  ['{"a":"b\n"}', '1:8', 'expected `"` or an escape, such as \\n, found the end of the line'],
  ['{"a":"\\q"}', '1:7', 'expected an escape, such as \\n, \\\\ or \\u00e9, found `\\q`'],
  ['{"a":"\\ud800"}', '1:6', 'expected text, found half of a surrogate pair in a string'],
  ['{"a":1,\n "a":2}', '2:2', 'the field "a" is there twice'],
])('%j is no JSON', async (text, place, message) => {
  expect(await messageOn(text)).toBe(at(place, message))
})

test('brackets end', async () => {
  expect(await messageOn('['.repeat(2_000))).toBe(at('1:1002', 'more than 1000 brackets in one another'))
})

const put = (fields: string): string => `{"success":\n  [{"put":{${fields}}}]}`
const get = (fields: string): string => `{"failure":[{"txn":{"success":[{"get":{${fields}}}]}}]}`

test.each([
  ['[1]', '1:1', 'a transaction is an object with compare, success and failure'],
  ['{"sucess":[]}', '1:2', 'there is no field "sucess" (did you mean success?)'],
  ['{"success":5}', '1:2', 'success must be a list, not 5'],
  ['{"success":[5]}', '1:13', 'success[0]: an operation must be an object, not 5'],
  [put('"key":"a","value":5'), '2:22', `success[0].put: value must be ${BYTES}, not 5`],
  [put('"key":"a"'), '2:5', `success[0].put: value must be ${BYTES}, not undefined`],
  [put('"key":"a","value":"b","ttl":30'), '2:34', 'success[0].put.ttl: it must be a duration, such as "30s"'],
  [
    put('"key":"a","value":"b","ttl":"30s","lease":"1"'),
    '2:5',
    'success[0].put: lease and ttl contradict each other: a key has one lease',
  ],
  [
    put('"key":"a","value":{"base64":"AP8"}'),
    '2:22',
    'success[0].put.value: base64 must be bytes in base64 with padding',
  ],
  [
    get('"key":"a","key_only":true'),
    '1:50',
    'failure[0].txn.success[0].get: there is no field "key_only" (did you mean keys_only?)',
  ],
  [
    get('"key":"a","keysOnly":true'),
    '1:50',
    'failure[0].txn.success[0].get.keysOnly: there is no such field (did you mean keys_only?)',
  ],
  [get(''), '1:33', 'failure[0].txn.success[0].get: name either key, or prefix, or start and end'],
  ['{"compare":[{"key":"a","exists":1}]}', '1:24', 'compare[0]: exists must be true or false, not 1'],
])('%j is no transaction', async (text, place, message) => {
  expect(await messageOn(text)).toBe(at(place, message))
})
