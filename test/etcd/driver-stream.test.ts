// A list of one revision in the driver, whose values are large.

import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import type { RangeRequest, RangeResponse } from '../../src/etcd/messages/kv.ts'
import type { EtcdCalls } from '../../src/etcd-client/operations/operation.ts'
import { range } from '../../src/etcd-client/operations/range.ts'
import { asRevision } from '../../src/operations/forms/index.ts'

const KEYS = 300
const value = new Uint8Array(100_000)

/** A store with keys of two bytes. */
function readRange({ key = new Uint8Array(), limit = 0 }: Partial<RangeRequest>): RangeResponse {
  const from = (key[0] ?? 0) * 256 + (key[1] ?? 0) + (key.length > 2 ? 1 : 0)
  const count = Math.max(0, KEYS - from)
  const kvs = Array.from({ length: Math.min(limit, count) }, (_, at) => ({
    ...{ key: Uint8Array.of((from + at) >> 8, (from + at) & 255), value },
    ...{ createRevision: 2, modRevision: 2, version: 1, lease: 0n },
  }))
  const header = { clusterId: 1n, memberId: 1n, revision: 2, raftTerm: 1 }
  return { header, kvs, more: kvs.length < count, count }
}

test('is read in pages of few bytes', async () => {
  const limits: number[] = []
  const read = (_: unknown, request: Partial<RangeRequest>) => {
    limits.push(request.limit ?? 0)
    return Promise.resolve(readRange(request))
  }
  const calls = { read } as unknown as EtcdCalls
  const where = { start: new Uint8Array([0, 0]), end: undefined }
  const answer = await range(
    { kind: 'range', range: where, stream: true, revision: asRevision(2), freshness: {} },
    calls,
  )
  if (!('stream' in answer && answer.stream instanceof Readable)) throw new Error('it is no stream')
  const lines = (await text(answer.stream)).trim().split('\n')
  expect(lines).toHaveLength(KEYS + 1)
  expect(limits[0]).toBe(64)
  expect(Math.max(...limits.slice(1))).toBe(21)
})
