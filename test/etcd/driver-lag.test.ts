// Reads of the driver at a member that lags.

import { expect, test } from 'vitest'
import { ETCD_ERRORS } from '../../src/etcd/status.ts'
import { get } from '../../src/etcd-client/operations/get.ts'
import type { EtcdCalls } from '../../src/etcd-client/operations/operation.ts'
import { range } from '../../src/etcd-client/operations/range.ts'
import { txn } from '../../src/etcd-client/operations/txn.ts'
import { asRevision, type FreshnessOptions } from '../../src/operations/forms/index.ts'

const calls = { read: () => Promise.reject(ETCD_ERRORS.futureRevision) } as unknown as EtcdCalls
const key = new Uint8Array([1])
const revision = asRevision(5)
const read = {
  kind: 'get',
  where: { key },
  limit: 1,
  keysOnly: false,
  count: false,
  countOnly: false,
} as const

const READS = {
  get: (freshness: FreshnessOptions) => get({ kind: 'get', key, revision, freshness }, calls),
  range: (freshness: FreshnessOptions) =>
    range({ kind: 'range', range: { start: key, end: undefined }, revision, freshness }, calls),
  txn: (freshness: FreshnessOptions) =>
    txn(
      {
        ...{ kind: 'txn', revision, freshness, idempotency: undefined },
        txn: { compare: [], success: [read], failure: [] },
      },
      calls,
    ),
}

test.each(Object.entries(READS))('%s: another member has a revision that was seen', async (_, readIt) => {
  const stale = { consistency: 'stale' } as const
  await expect(readIt({ ...stale, minRevision: revision })).rejects.toMatchObject({ code: 'revision_behind' })
  await expect(readIt({ ...stale, minRevision: asRevision(4) })).rejects.toBe(ETCD_ERRORS.futureRevision)
})
