// The transaction that begins with one key: it writes the key if it is unchanged.

import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import { decodeUtf8 } from '../../../../src/bytes/utf8.ts'
import type { KeyRow } from '../../../../src/operations/forms/store.ts'
import type { KvComparison, KvTxn } from '../../../../src/operations/forms/transactions.ts'
import { txn as txnOperation } from '../../../../src/operations/txn.ts'
import { href } from '../../route.ts'
import { layOutDocument } from '../keys/json-text.ts'

/** Values up to this size stand in a link. */
const LINKED_BYTES_MAX = 2048

/** The link to it. `record` is that of the key; undefined: none. */
export function keyTransactionHref(key: Uint8Array, record: KeyRow | undefined): string {
  const isShort = record !== undefined && record.value.length <= LINKED_BYTES_MAX
  const value = isShort ? record.value : encodeUtf8('new value')
  const lease = record?.lease === undefined ? undefined : { id: record.lease }
  const unchanged: KvComparison =
    record === undefined
      ? { where: { key }, target: 'version', op: '=', to: 0 }
      : { where: { key }, target: 'mod_revision', op: '=', to: record.modRevision }
  return href('transaction', '', {
    text: textOf({
      compare: [unchanged],
      success: [{ kind: 'put', key, value, prev: false, lease }],
      failure: [
        { kind: 'get', where: { key }, limit: undefined, keysOnly: false, count: false, countOnly: false },
      ],
    }),
  })
}

function textOf(txn: KvTxn): string {
  const { body } = txnOperation.http.encode({ kind: 'txn', txn, idempotency: undefined, freshness: {} })
  return body === undefined ? '' : layOutDocument(decodeUtf8(body))
}
