// Reads of the driver at a member that lags.

import { expect, test } from 'vitest'
import { ETCD_ERRORS } from '../../src/etcd/status.ts'
import { get } from '../../src/etcd-client/operations/get.ts'
import type { EtcdCalls } from '../../src/etcd-client/operations/operation.ts'
import { range } from '../../src/etcd-client/operations/range.ts'
import { txn } from '../../src/etcd-client/operations/txn.ts'
import { asRevision, type FreshnessOptions, type Revision } from '../../src/operations/forms/index.ts'

const isBehind = { read: () => Promise.reject(ETCD_ERRORS.futureRevision) } as unknown as EtcdCalls
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

type Read = (freshness: FreshnessOptions, calls: EtcdCalls, revision?: Revision) => Promise<unknown>

const READS: Readonly<Record<string, Read>> = {
  get: (freshness, calls, at) => get({ kind: 'get', key, revision: at, freshness }, calls),
  range: (freshness, calls, at) =>
    range({ kind: 'range', range: { start: key, end: undefined }, revision: at, freshness }, calls),
  txn: (freshness, calls, at) =>
    txn(
      {
        ...{ kind: 'txn', revision: at, freshness, idempotency: undefined },
        txn: { compare: [], success: [read], failure: [] },
      },
      calls,
    ),
}

test.each(Object.entries(READS))('%s: another member has a revision that was seen', async (_, readIt) => {
  const stale = { consistency: 'stale' } as const
  await expect(readIt({ ...stale, minRevision: revision }, isBehind, revision)).rejects.toMatchObject({
    code: 'revision_behind',
  })
  await expect(readIt({ ...stale, minRevision: asRevision(4) }, isBehind, revision)).rejects.toBe(
    ETCD_ERRORS.futureRevision,
  )
})

test.each(Object.entries(READS))('%s: a member that lags does not take a client back', async (_, readIt) => {
  const header = { clusterId: 1n, memberId: 2n, revision: 5, raftTerm: 3 }
  const found = { kvs: [], more: false, count: 0 }
  const answer = { header, ...found, succeeded: true, responses: [{ responseRange: found }] }
  const calls = { read: async () => answer, cleanUp() {} } as unknown as EtcdCalls
  const stale = { consistency: 'stale' } as const
  await expect(readIt({ ...stale, minRevision: asRevision(6) }, calls)).rejects.toMatchObject({
    code: 'revision_behind',
  })
  expect(await readIt({ ...stale, minRevision: revision }, calls)).toMatchObject({ served: 'stale' })
})
