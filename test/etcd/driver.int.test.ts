// The driver for etcd, against etcd's API of quorate itself: the recipes, and calls whose answer is lost.

import { createSecureServer } from 'node:http2'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { EtcdClient, type EtcdClientOptions } from '../../src/etcd-client/index.ts'
import { authority } from '../server/tls/certificates.ts'
import { CALLS, FLOWS } from './recipe-flows.ts'

let cluster: EmbeddedCluster
let kv: EtcdClient
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  kv = new EtcdClient({ endpoints: cluster.endpoints })
})
afterAll(async () => {
  await kv?.close()
  await cluster?.close()
})

describe('the calls', () => {
  test.each(Object.entries(CALLS))('%s', (name, flow) => flow(kv, `call ${name}`))
})

describe('a recipe', () => {
  test.each(Object.entries(FLOWS))('%s', (name, flow) => flow(kv, name.replaceAll(' ', '-')))
})

/** A relay to the node, which loses what the node answers while `isDeaf`. */
class Relay {
  isDeaf = false
  url = ''
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((near) => {
    const { hostname, port } = new URL(cluster.endpoints[0] ?? '')
    const far = connectTcp(Number(port), hostname)
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
    }
    near.on('data', (chunk) => far.write(chunk)).on('close', () => far.destroy())
    far.on('data', (chunk) => this.isDeaf || near.write(chunk)).on('close', () => near.destroy())
  })

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    onTestFinished(() => this.close())
    return this
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}

function open(options: Partial<EtcdClientOptions>): EtcdClient {
  const client = new EtcdClient({ endpoints: [], ...options })
  onTestFinished(() => client.close())
  return client
}

describe('a lost answer', () => {
  it('leaves the outcome of a change unknown, which is sent once', async () => {
    const relay = await new Relay().listen()
    const client = open({ endpoints: [relay.url] })
    await client.put('lost', '0')
    relay.isDeaf = true
    const sent = client.put('lost', '1')
    await expect.poll(() => kv.get('lost').then((record) => record?.version)).toBe(2)
    relay.cut()
    relay.isDeaf = false
    await expect(sent).rejects.toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    expect(await kv.get('lost')).toMatchObject({ version: 2 })
    // A read is made again, on a new connection.
    expect((await client.get('lost'))?.text()).toBe('1')
  })

  it('lets a watch continue where it was', async () => {
    const relay = await new Relay().listen()
    const client = open({ endpoints: [relay.url] })
    const watch = client.watch({ prefix: 'resumed/' })
    await watch.ready
    await kv.put('resumed/1', '1')
    expect((await watch.next()).value?.events).toMatchObject([{ key: 'resumed/1' }])
    relay.cut()
    await kv.put('resumed/2', '2')
    expect((await watch.next()).value?.events).toMatchObject([{ key: 'resumed/2' }])
  })

  it('is no loss when nothing was sent', async () => {
    const relay = await new Relay().listen()
    relay.close()
    const client = open({ endpoints: [relay.url], timeoutMs: 200 })
    await expect(client.put('a', '1')).rejects.toMatchObject({
      ...{ code: 'unreachable', written: 'no' },
      message: expect.stringContaining('connection refused'),
    })
    const both = open({ endpoints: [relay.url, cluster.endpoints[0] ?? ''] })
    for (let n = 0; n < 4; n++) expect(await both.put('both', String(n))).toMatchObject({ version: n + 1 })
  })
})

it('does not say that nothing was written where etcd has no space: it may have made the change', async () => {
  await cluster.client().changeSettings({ store_bytes_max: 10 })
  try {
    const refused = { code: 'storage_full', written: 'unknown' }
    await expect(kv.put('full', 'x'.repeat(100))).rejects.toMatchObject(refused)
  } finally {
    await cluster.client().changeSettings({ store_bytes_max: 2 ** 33 })
  }
})

it('keeps the answers of changes while many large ones are sent', async () => {
  const value = new Uint8Array(500_000)
  const client = open({ endpoints: cluster.endpoints, callsMax: 64, timeoutMs: 20_000 })
  await client.put('large', value)
  const puts = Array.from({ length: 10 }, () => client.put('large', value))
  expect(new Set((await Promise.all(puts)).map(({ version }) => version)).size).toBe(10)
})

it('reports progress to a watch of the future when the store is there, and not beyond the store', async () => {
  const { revision } = await kv.put('future', '1')
  const over = new AbortController()
  const reported: number[] = []
  const watch = kv.watch({
    ...{ key: 'future', fromRevision: revision + 5, progressMs: 100, signal: over.signal },
    onProgress: (at) => {
      reported.push(at)
      over.abort()
    },
  })
  await watch.ready
  for (let at = 0; at < 10; at++) await kv.put('another', String(at))
  await expect(watch[Symbol.asyncIterator]().next()).rejects.toMatchObject({ name: 'AbortError' })
  expect(reported[0]).toBeGreaterThanOrEqual(revision + 4)
  expect(reported[0]).toBeLessThan(revision + 100)
})

it('says why a certificate is not accepted', async () => {
  const { key, cert } = authority().node('n1')
  const server = createSecureServer({ key, cert })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const client = open({ endpoints: [`https://127.0.0.1:${port}`], timeoutMs: 3_000 })
  // On a busy machine a handshake may take longer than the call: then the next call says it.
  const failure = () =>
    client.put('a', '1').catch(({ code, written, message }) => `${code} ${written} ${message}`)
  await expect.poll(failure).toMatch(/^unreachable no .*not signed by a CA that this client knows/)
})

it('ends calls and watches at once when it is closed', async () => {
  const client = open({ endpoints: cluster.endpoints })
  const watch = client.watch({ key: 'closed' })
  await watch.ready
  const next = watch.next()
  await client.close()
  await expect(next).rejects.toMatchObject({ code: 'closed' })
  await expect(client.put('a', '1')).rejects.toMatchObject({ code: 'closed' })
})
