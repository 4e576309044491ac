// How the answer to a transaction is printed.

import { expect, test } from 'vitest'
import type { Format } from '../../../src/cli/global-flags.ts'
import type { RecordJson, ResultJson, TxnAnswerJson } from '../../../src/cli/txn/json-types.ts'
import { parseTxn } from '../../../src/cli/txn/parser.ts'
import { printTxn } from '../../../src/cli/txn/print-result.ts'
import { printedBy } from '../run-kv.ts'

const printed = (format: Format, txn: string, answer: TxnAnswerJson): Promise<string> =>
  printedBy(() => printTxn(format, parseTxn(txn), answer))

const numbers = { create_revision: 12, mod_revision: 17, version: 3 }
const record = (key: RecordJson['key'], value?: RecordJson['value']): RecordJson => ({
  key,
  ...(value === undefined ? {} : { value }),
  ...numbers,
})

const TXN = `
version(jobs/42) = 0
then
  put jobs/42 "a value that is not printed again"
  put a b prev
  put "c d" e prev
  get prefix jobs/ limit 2
  get from k keys-only
  get before x count-only
  delete range a b
  delete key prev
  txn {
    exists a
    then
      get a
    else
      delete z
      txn {
        then
          get empty
      }
  }
`

const RESULTS: readonly ResultJson[] = [
  { put: { create_revision: 17, mod_revision: 17, version: 1 } },
  { put: { ...numbers, prev: { ...record('a', 'old'), lease: '99' } } },
  { put: { ...numbers, prev: null } },
  {
    get: {
      kvs: [record('jobs/1', 'two words\n'), record({ base64: '/w==' }, { base64: 'gDE=' })],
      more: true,
      count: 9,
    },
  },
  { get: { kvs: [record('k')], more: false, count: 1 } },
  { get: { kvs: [], more: false, count: 7 } },
  { delete: { deleted: 2 } },
  { delete: { deleted: 1, prev: [record('key', '')] } },
  {
    txn: {
      succeeded: false,
      results: [
        { delete: { deleted: 0 } },
        { txn: { succeeded: true, results: [{ get: { kvs: [], more: false, count: 0 } }] } },
      ],
    },
  },
]

const ANSWER: TxnAnswerJson = { succeeded: true, revision: 17, results: RESULTS }

test('for people', async () => {
  expect(await printed('table', TXN, ANSWER)).toBe(`\
succeeded
revision 17
put jobs/42
  version 1, create revision 17, mod revision 17
put a
  version 3, create revision 12, mod revision 17; before:
  KEY  VALUE  REVISION  VERSION
  a    old          17        3
put "c d"
  version 3, create revision 12, mod revision 17; there was no such key
get prefix jobs/
  the first 2 of 9 keys
  KEY     VALUE          REVISION  VERSION
  jobs/1  two words\\x0a        17        3
  \\xff    \\x801                17        3
get from k
  1 key
  KEY  REVISION  VERSION
  k          17        3
get before x
  7 keys
delete range a b
  2 keys deleted
delete key
  1 key deleted:
  KEY  VALUE  REVISION  VERSION
  key  -            17        3
txn
  not succeeded: the else branch was done
  delete z
    0 keys deleted
  txn
    succeeded
    get empty
      0 keys
`)
})

test('for people, with all columns', async () => {
  const results: ResultJson[] = [
    { get: { kvs: [{ ...record('a', 'b'), lease: '99' }], more: false, count: 1 } },
  ]
  expect(await printed('wide', 'then\nget a', { succeeded: true, revision: 17, results })).toBe(`\
succeeded
revision 17
get a
  1 key
  KEY  VALUE  CREATED  REVISION  VERSION  LEASE
  a    b           12        17        3     99
`)
})

test('for scripts', async () => {
  const lines = [
    'succeeded',
    '17',
    'put jobs/42',
    '\t17\t17\t1',
    'put a',
    '\t12\t17\t3',
    '\ta\told\t12\t17\t3\t99',
    'put "c d"',
    '\t12\t17\t3',
    'get prefix jobs/',
    '\t9',
    '\tjobs/1\t"two words\\n"\t12\t17\t3\t-',
    '\t"\\xff"\t"\\x801"\t12\t17\t3\t-',
    'get from k',
    '\t1',
    '\tk\t12\t17\t3\t-',
    'get before x',
    '\t7',
    'delete range a b',
    '\t2',
    'delete key',
    '\t1',
    '\tkey\t""\t12\t17\t3\t-',
    'txn',
    '\tnot succeeded: the else branch was done',
    '\tdelete z',
    '\t\t0',
    '\ttxn',
    '\t\tsucceeded',
    '\t\tget empty',
    '\t\t\t0',
    '',
  ]
  expect(await printed('plain', TXN, ANSWER)).toBe(lines.join('\n'))
})

test('as JSON', async () => {
  expect(await printed('json', TXN, ANSWER)).toBe(`${JSON.stringify(ANSWER, null, 2)}\n`)
  const [first, ...others] = (await printed('ndjson', TXN, ANSWER)).trimEnd().split('\n')
  expect(first).toBe('{"succeeded":true,"revision":17}')
  expect(others.map((line) => JSON.parse(line))).toEqual(RESULTS)
})

test('a repeated request that did not succeed', async () => {
  const answer: TxnAnswerJson = { succeeded: false, revision: 4, results: [{ get: { omitted: true } }] }
  const txn = 'exists a\nthen\nput a b\nelse\nget c'
  expect(await printed('table', txn, answer)).toBe(`\
not succeeded: the else branch was done
revision 4
get c
  records are not kept for a repeated request
`)
  expect(await printed('plain', txn, answer)).toBe(
    'not succeeded: the else branch was done\n4\nget c\n\tomitted\n',
  )
})
