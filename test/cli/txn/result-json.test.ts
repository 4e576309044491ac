// The answer to a transaction is printed in the JSON of the HTTP API.

import { expect, test } from 'vitest'
import { txnResultJson } from '../../../src/cli/txn/result-json.ts'
import type { KvRecord, Txn, TxnResult } from '../../../src/client/index.ts'

const numbers = { createRevision: 12, modRevision: 17, version: 3 }
const metadata = { create_revision: 12, mod_revision: 17, version: 3 }
const record = (key: string | Buffer, value: string | Buffer = '', lease?: string): KvRecord => ({
  key: String(key),
  keyBytes: Buffer.from(key),
  value: Buffer.from(value),
  ...numbers,
  lease,
  text: () => String(value),
  json: () => undefined,
})

const TXN: Txn = {
  success: [
    { put: { key: 'jobs/42', value: 'new' } },
    { put: { key: 'a', value: 'b', prev: true } },
    { put: { key: 'c d', value: 'e', prev: true } },
    { get: { prefix: 'jobs/', limit: 2 } },
    { get: { start: 'k', keysOnly: true } },
    { get: { end: 'x', countOnly: true } },
    { delete: { start: 'a', end: 'b' } },
    { delete: { key: 'key', prev: true } },
    {
      txn: {
        success: [{ get: { key: 'a' } }],
        failure: [{ delete: { key: 'z' } }, { txn: { success: [{ get: { key: 'k', keysOnly: true } }] } }],
      },
    },
  ],
}

const RESULT: TxnResult = {
  succeeded: true,
  revision: 17,
  results: [
    { put: { createRevision: 17, modRevision: 17, version: 1 } },
    { put: { ...numbers, prev: record('a', 'old', '99') } },
    { put: { ...numbers, prev: null } },
    {
      get: {
        kvs: [record('jobs/1', 'two words\n'), record(Buffer.of(0xff), Buffer.of(0x80, 0x31))],
        more: true,
      },
    },
    { get: { kvs: [record('k', '', '99')], more: false } },
    { get: { kvs: [], more: false, count: 7 } },
    { delete: { deleted: 2 } },
    { delete: { deleted: 1, prev: [record('key')] } },
    {
      txn: {
        succeeded: false,
        revision: 17,
        results: [
          { delete: { deleted: 0 } },
          { txn: { succeeded: true, revision: 17, results: [{ get: { kvs: [record('k')], more: false } }] } },
        ],
      },
    },
  ],
}

test('every operation, and transactions in it', () => {
  expect(JSON.parse(JSON.stringify(txnResultJson(TXN, RESULT)))).toEqual({
    succeeded: true,
    revision: 17,
    results: [
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
        },
      },
      { get: { kvs: [{ key: 'k', ...metadata, lease: '99' }], more: false } },
      { get: { kvs: [], more: false, count: 7 } },
      { delete: { deleted: 2 } },
      { delete: { deleted: 1, prev: [{ key: 'key', value: '', ...metadata }] } },
      {
        txn: {
          succeeded: false,
          revision: 17,
          results: [
            { delete: { deleted: 0 } },
            {
              txn: {
                succeeded: true,
                revision: 17,
                results: [{ get: { kvs: [{ key: 'k', ...metadata }], more: false } }],
              },
            },
          ],
        },
      },
    ],
  })
})

test('a repeated request that did not succeed', () => {
  const txn: Txn = { success: [{ put: { key: 'a', value: 'b' } }], failure: [{ get: { key: 'c' } }] }
  const answer: TxnResult = { succeeded: false, revision: 4, results: [{ get: { omitted: true } }] }
  expect(txnResultJson(txn, answer)).toEqual({ ...answer })
})
