// How the answer to a transaction is printed.

import { expect, test } from 'vitest'
import type { Format } from '../../../src/cli/global-flags.ts'
import { parseTxn } from '../../../src/cli/txn/parser.ts'
import { printTxn } from '../../../src/cli/txn/print-result.ts'
import type { KvRecord, TxnOperationResult, TxnResult } from '../../../src/client/index.ts'
import { printedBy } from '../run-kv.ts'

const printed = (format: Format, txn: string, answer: TxnResult): Promise<string> =>
  printedBy(() => printTxn(format, parseTxn(txn), answer))

const numbers = { createRevision: 12, modRevision: 17, version: 3 }
const bytesOf = (content: string | Buffer): Buffer => Buffer.from(content)
const record = (key: string | Buffer, value: string | Buffer = '', lease?: string): KvRecord => ({
  key: String(key),
  keyBytes: bytesOf(key),
  value: bytesOf(value),
  ...numbers,
  lease,
  text: () => String(value),
  json: () => undefined,
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

const RESULTS: readonly TxnOperationResult[] = [
  { put: { createRevision: 17, modRevision: 17, version: 1 } },
  { put: { ...numbers, prev: record('a', 'old', '99') } },
  { put: { ...numbers, prev: null } },
  {
    get: {
      kvs: [record('jobs/1', 'two words\n'), record(Buffer.of(0xff), Buffer.of(0x80, 0x31))],
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
      revision: 17,
      results: [
        { delete: { deleted: 0 } },
        { txn: { succeeded: true, revision: 17, results: [{ get: { kvs: [], more: false, count: 0 } }] } },
      ],
    },
  },
]

const ANSWER: TxnResult = { succeeded: true, revision: 17, results: RESULTS }

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

test('a get whose records are not counted', async () => {
  const results: TxnOperationResult[] = [
    { get: { kvs: [record('a', 'b')], more: true } },
    { get: { kvs: [record('a', 'b')], more: false } },
  ]
  const answer = { succeeded: true, revision: 17, results }
  const text = 'then\nget prefix a limit 1\nget prefix a limit 2'
  expect(await printed('table', text, answer)).toContain('\n  the first 1 of more\n')
  expect(await printed('table', text, answer)).toContain('\n  1 key\n')
  expect(await printed('plain', text, answer)).toContain('\n\t1\tmore\n')
  expect(await printed('json', text, answer)).not.toContain('count')
})

test('for people, with all columns', async () => {
  const results: TxnOperationResult[] = [{ get: { kvs: [record('a', 'b', '99')], more: false, count: 1 } }]
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
  const metadata = { create_revision: 12, mod_revision: 17, version: 3 }
  const { results, ...verdict } = JSON.parse(await printed('json', TXN, ANSWER))
  expect(verdict).toEqual({ succeeded: true, revision: 17 })
  expect(results).toEqual([
    { put: { create_revision: 17, mod_revision: 17, version: 1 } },
    { put: { ...metadata, prev: { key: 'a', value: 'old', ...metadata, lease: '99' } } },
    { put: { ...metadata, prev: null } },
    {
      get: {
        kvs: [
          { key: 'jobs/1', value: 'two words\n', ...metadata },
          { key: { base64: '/w==' }, value: { base64: 'gDE=' }, ...metadata },
        ],
        more: true,
        count: 9,
      },
    },
    { get: { kvs: [{ key: 'k', ...metadata }], more: false, count: 1 } },
    { get: { kvs: [], more: false, count: 7 } },
    { delete: { deleted: 2 } },
    { delete: { deleted: 1, prev: [{ key: 'key', value: '', ...metadata }] } },
    {
      txn: {
        succeeded: false,
        results: [
          { delete: { deleted: 0 } },
          { txn: { succeeded: true, results: [{ get: { kvs: [], more: false, count: 0 } }] } },
        ],
      },
    },
  ])
  const [first, ...others] = (await printed('ndjson', TXN, ANSWER)).trimEnd().split('\n')
  expect(first).toBe('{"succeeded":true,"revision":17}')
  expect(others.map((line) => JSON.parse(line))).toEqual(results)
})

test('a repeated request that did not succeed', async () => {
  const answer: TxnResult = { succeeded: false, revision: 4, results: [{ get: { omitted: true } }] }
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
