// Clients of a real cluster that remembers the outcome of only one write.

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { kv as run } from '../cli/run-kv.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 3 })
  await cluster.client().changeSettings({ idempotency_tokens_max: 1 })
})

afterAll(() => cluster.close())

test('a client that was idle while others wrote can still write', async () => {
  const [idle, busy] = [cluster.client(), cluster.client()]
  for (let round = 1; round <= 3; round++) {
    expect(await idle.put('idle', `${round}`)).toMatchObject({ version: round })
    for (let n = 0; n < 5; n++) await busy.put(`busy/${n}`, 'v')
  }
  expect(await idle.delete('idle')).toMatchObject({ deleted: 1 })
})

test('the first write of a client is applied once, though its outcome is forgotten before its retry', async () => {
  const other = cluster.client()
  for (const write of [byClient, byCommand]) {
    const url = cluster.endpoints[0] ?? ''
    let puts = 0
    const seen: string[] = []
    await using proxy = await proxyOf(url, async (outgoing, answered) => {
      if (outgoing.method !== 'PUT') return 'pass'
      seen.push(String(outgoing.headers['idempotency-key']))
      if (++puts > 1) return 'pass'
      await answered
      for (let n = 0; n < 5; n++) await other.put(`other/${n}`, 'v')
      return 'cut'
    })
    await write(proxy.url)
    expect(puts).toBe(2)
    expect(new Set(seen).size).toBe(1)
    expect((await other.get(write.name))?.version).toBe(1)
  }
})

async function byClient(url: string): Promise<void> {
  const kv = new Client({ endpoints: [url], discover: false })
  const error = await kv.put('byClient', 'v').catch((reason: unknown) => reason)
  await kv.close()
  expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
}

async function byCommand(url: string): Promise<void> {
  expect(await run(['put', 'byCommand', 'v'], { endpoints: url })).toMatchObject({ code: 6 })
}

interface Proxy extends AsyncDisposable {
  readonly url: string
}

/**
 * A proxy between a client and `url`. `decide` is called for each request, with a promise that resolves when the node
 * has answered it.
 */
async function proxyOf(
  url: string,
  decide: (outgoing: IncomingMessage, answered: Promise<unknown>) => Promise<'pass' | 'cut'>,
): Promise<Proxy> {
  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', headers } = incoming
    const forwarded = request(`${url}${incoming.url}`, { method, headers, agent: false })
    const answered = new Promise<IncomingMessage>((resolve) => forwarded.once('response', resolve))
    forwarded.end(await text(incoming))
    const decision = await decide(incoming, answered)
    const answer = await answered
    if (decision === 'cut') {
      answer.resume()
      incoming.socket.destroy()
      return
    }
    response.writeHead(answer.statusCode ?? 0, answer.headers)
    answer.pipe(response)
  }
  const server = createServer((incoming, response) => void serve(incoming, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
