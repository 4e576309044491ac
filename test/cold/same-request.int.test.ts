// MINOR: ifRevision 0 is two different requests for the cluster, so a retry over the other transport is refused as
// `idempotency_key_reused`, and the call ends as unknown in place of `precondition_failed`. Over HTTP the entity tag "0" is
// no revision (http/headers.ts readTags: [1-9]…) and the list is empty; on a multiplexed connection, in a batch over HTTP
// and in this process it is [0]. Mend: read the tag "0" as 0, or drop 0 in `readTag`.
//
// SERIOUS: in this process a time to live with a fraction fails (`internal`, `written: 'unknown'`, though nothing can have
// been written). HTTP and multiplexed connections round it up (ttlMsOf, readTtl), embed/in-process-codec.ts changeOf passes
// it on, and writeUint64 throws. Mend: `Math.ceil` in `raised` (api/execute.ts), where all codecs pass.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { MuxClient, PUT } from '../server/mux/mux-client.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(() => cluster.close())

test('a put with ifRevision 0 is the same request over both wires', async () => {
  const [url = ''] = cluster.endpoints
  const client = await new MuxClient(Number(new URL(url).port)).open()
  const first = await client.ask(1, PUT, null, 'k', 'v', ['token'], { if_match: [0] })
  expect(first[2]).toMatchObject({ code: 'precondition_failed', written: 'no' })
  // What src/client/transport/http-codec.ts sends for the same operation.
  const again = await fetch(`${url}/v1/kv/k`, {
    ...{ method: 'PUT', body: 'v', headers: { 'If-Match': '"0"', 'Idempotency-Key': 'token' } },
  })
  expect(await again.json()).toMatchObject({ code: 'precondition_failed' })
})

test('a time to live of a fraction of a millisecond is rounded up in every transport', async () => {
  for (const transport of ['http', 'inprocess'] as const) {
    const kv = cluster.client({ transport })
    await kv.put('t', '1', { ttlMs: 2500.5 })
    const lease = (await kv.get('t'))?.lease ?? ''
    expect([transport, (await kv.lease(lease))?.grantedTtlMs]).toEqual([transport, 2501])
  }
})
