// GRAVE in its effect, only where an operator has lowered a setting: a write is applied twice and undoes an acknowledged
// write of another client, and nothing is reported. The client sends the first write of its life again for 10 s, since a
// cluster remembers an outcome for 15 minutes or a million tokens (src/client/retry-policy.ts UNDATED_RETRY_MS). But the
// settings idempotency_age_ms_max and idempotency_tokens_max may be as low as 1 s and 1 (src/kv/settings.ts SETTING_RULES,
// docs/reference/limits.md), and no page says what that costs: docs/reference/client.md promises "applied at most once".
// Mend: raise the minima of the two settings above what UNDATED_RETRY_MS and the longest `timeout` of a request (60 s)
// count on, e.g. 2 min and 100,000; or ask for the revision (any answer has it) before an undated write is sent again.

import { createServer, connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Client, type EmbeddedCluster, startCluster } from '../../src/index.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(() => cluster.close())

/** A way to the node on which the answer of the first connection is lost. */
async function lossyWay(port: number, loses: Promise<unknown>): Promise<{ url: string; close(): void }> {
  let connections = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const node = connect(port, '127.0.0.1')
    const isLossy = connections++ === 0
    for (const socket of [client, node]) socket.on('error', () => {}) && sockets.add(socket)
    client.pipe(node)
    if (isLossy) void loses.then(() => client.destroy())
    else node.pipe(client)
    node.resume()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  return {
    url,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

test.each([{ idempotency_age_ms_max: 1_000 }, { idempotency_tokens_max: 1 }])('with %o', async (settings) => {
  const others = cluster.client({ transport: 'http' })
  await others.changeSettings(settings)
  const answerIsLost = Promise.withResolvers<void>()
  const [url = ''] = cluster.endpoints
  const way = await lossyWay(Number(new URL(url).port), answerIsLost.promise)
  const key = `key-${Object.keys(settings)[0]}`
  const client = new Client({ endpoints: [way.url], discover: false, transport: 'http' })
  const writing = client.put(key, 'first', { timeoutMs: 9_000 })
  while ((await others.get(key)) === undefined) await sleep(10)
  // Another client replaces the value that it has read.
  const second = await others.put(key, 'second', { ifRevision: (await others.get(key))?.modRevision ?? 0 })
  await sleep(1_500)
  // Some traffic of the cluster, with which it forgets outcomes.
  for (let at = 0; at < 5; at++) await others.put('traffic', String(at))
  answerIsLost.resolve()
  const outcome = await writing.then(
    ({ version }) => version,
    ({ code }) => code,
  )
  const record = await others.get(key)
  way.close()
  await client.close()
  // The write was applied once, before the second one: the answer is that of then, or its outcome is unknown.
  expect([1, 'outcome_unknown']).toContain(outcome)
  expect([record?.text(), record?.modRevision]).toEqual(['second', second.modRevision])
}, 30_000)
