// An embedded cluster with TLS for clients and between the nodes.

import { expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { startCluster } from '../../src/embed/index.ts'

test('an embedded cluster', async () => {
  await using cluster = await startCluster({ nodes: 3, tls: true })
  expect(cluster.endpoints.every((url) => url.startsWith('https://'))).toBe(true)
  const kv = cluster.client()
  await kv.put('a', 'b')
  const [url = ''] = cluster.endpoints
  await using plain = new Client({ endpoints: [url.replace('https', 'http')] })
  await expect(plain.get('a')).rejects.toMatchObject({
    ...{ code: 'unreachable', written: 'no' },
    message: `${url.replace('https', 'http')} speaks only TLS: use ${url}`,
  })
  await cluster.leader()?.crash()
  expect((await kv.get('a'))?.text()).toBe('b')
  await kv.put('a', 'c')
  expect((await kv.cluster()).members.length).toBe(3)
})
