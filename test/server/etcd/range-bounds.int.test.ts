// A response to a range has a bound, however many keys there are. Whoever reads all of them reads pages, or a stream.

import { describe, expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { base64, ETCD_WIRES, type Json } from './wires.ts'

const KiB = 1024
const ALL = { key: base64('\0'), range_end: base64('\0') }
const TOO_LARGE = /^8 grpc: trying to send message larger than max \(\d+ vs\. 65536\)$/

describe.each(ETCD_WIRES)('%s', (_, open) => {
  test('a range beyond the bound is refused, and parts of it are not', async () => {
    const node = new FakeNode()
    for (let at = 0; at < 100; at++) node.put(`k${String(at).padStart(3, '0')}`, 'v'.repeat(KiB))
    const { port, http } = await serve({ node, limits: { etcdRangeBytesMax: 64 * KiB } })
    const call = open(port)
    const large = { ...ALL, limit: 90 }
    // Sorted by another field than the key, all rows are read before the limit.
    const sorted = { ...ALL, limit: 1, sort_target: 'MOD', sort_order: 'DESCEND' }
    for (const request of [ALL, large, sorted])
      expect(await call(RPC.range, request)).toEqual({
        responses: [],
        error: expect.stringMatching(TOO_LARGE),
      })
    const parts = [
      { limit: 50 },
      { limit: 90, keys_only: true },
      { count_only: true },
      { limit: 50, sort_order: 'DESCEND' },
    ]
    for (const part of parts) {
      const { responses, error } = await call(RPC.range, { ...ALL, ...part })
      expect([error, responses[0]?.count]).toEqual([undefined, '100'])
    }
    const { responses, error } = await call(RPC.rangeStream, ALL)
    const rows = responses.flatMap(({ range_response }) => range_response.kvs as Json[])
    expect([error, rows.length, responses.at(-1)?.range_response.count]).toEqual([undefined, 100, '100'])
    await node.scansClosed()
    await expect.poll(() => http.inspect()).toMatchObject({ answerBytes: 0, bodyBytes: 0, ranges: 0 })
  })
})
