// The transaction that the page of a key begins with.

import { beforeAll, expect, test, vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'
import { asRevision, type KeyRow, type LeaseId } from '../../src/operations/forms/store.ts'
import { load } from './page-modules.ts'

let keyTransactionHref: (key: Uint8Array, record: KeyRow | undefined) => string
beforeAll(async () => {
  vi.stubGlobal('sessionStorage', { getItem: () => null, setItem: () => {}, removeItem: () => {} })
  vi.stubGlobal('location', { hash: '', origin: 'http://n1' })
  vi.stubGlobal('addEventListener', () => {})
  ;({ keyTransactionHref } = await load<{ keyTransactionHref: typeof keyTransactionHref }>(
    'pages/transaction/key-transaction.ts',
  ))
  return () => vi.unstubAllGlobals()
})

const key = encodeUtf8('k')
const transactionOf = (record: KeyRow | undefined): unknown =>
  JSON.parse(new URLSearchParams(keyTransactionHref(key, record).split('?')[1]).get('text') ?? '')

test('it holds for the version that was seen, which is not the first one', () => {
  const record: KeyRow = {
    ...{ key, value: encodeUtf8('v'), version: 3, lease: '9' as LeaseId },
    ...{ createRevision: asRevision(4), modRevision: asRevision(8) },
  }
  expect(transactionOf(record)).toMatchObject({
    compare: [{ key: 'k', target: 'mod_revision', op: '=', to: 8 }],
    success: [{ put: { key: 'k', value: 'v', lease: '9' } }],
  })
  expect(transactionOf(undefined)).toMatchObject({
    compare: [{ key: 'k', exists: false }],
  })
})
