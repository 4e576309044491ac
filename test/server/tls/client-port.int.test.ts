// The client port of a node over TLS: the client library, other clients, and what is refused.

import { request } from 'node:https'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { Client, type ClientOptions, type ClientTls } from '../../../src/client/index.ts'
import type { NodeTls } from '../../../src/server/options.ts'
import { startNode } from '../../../src/server/start/start-node.ts'
import { RelayedNode } from '../../client/relayed-node.ts'
import { authority, CertificateDirectory } from './certificates.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const ca = authority()
const other = authority('other CA')
const alice = ca.client('alice')
const caFile = directory.write('ca.crt', ca.cert)
const n1 = directory.pair('n1', ca.node('n1'))

async function node(tls: Partial<NodeTls> = {}) {
  const dataDir = directory.file(`data-${Math.random()}`)
  const listen = { host: '127.0.0.1', port: 0 }
  const started = await startNode({
    ...{ name: 'n1', dataDir, listen, peerListen: listen, founding: { kind: 'bootstrap' } },
    tls: { ...n1, ...tls },
  })
  onTestFinished(() => started.crash())
  return started
}

function client(url: string, tls: ClientTls | undefined, options: Partial<ClientOptions> = {}): Client {
  const kv = new Client({ endpoints: [url], timeoutMs: 20_000, unreachableAfterMs: 300, tls, ...options })
  onTestFinished(() => kv.close())
  return kv
}

test('the client library over HTTP and over a multiplexed connection', async () => {
  const { url } = await node()
  expect(url).toMatch(/^https:\/\/127\.0\.0\.1:/)
  const http = client(url, { ca: ca.cert }, { transport: 'http' })
  await http.put('a', 'b')
  expect((await http.get('a'))?.text()).toBe('b')
  const mux = client(url, { ca: ca.cert })
  await mux.put('k', '')
  await Promise.all(Array.from({ length: 20 }, (_, n) => mux.put(`k${n}`, 'x'.repeat(10_000))))
  expect((await http.cluster()).members.map((member) => member.url)).toEqual([url])
  // A further call uses the connection that was made meanwhile.
  const metrics = () => mux.get('k0').then(() => get(`${url}/metrics`))
  await expect.poll(metrics).toMatch(/quorate_http_connections\{lane="mux"\} 1/)
  await Promise.all(Array.from({ length: 200 }, (_, n) => mux.put(`k${n}`, 'y'.repeat(10_000))))
  expect(await metrics()).toMatch(/quorate_tls_certificate_expiry_seconds\{file=".*n1\.crt"\} 77\d{5}/)
  const { certificates } = await http.status()
  expect(certificates.map(({ file }) => file)).toEqual(
    expect.arrayContaining([expect.stringMatching(/n1\.crt$/)]),
  )
  expect(Math.round((certificates[0]?.expiresInMs ?? 0) / 86_400_000)).toBe(90)
  expect(await mux.count({ prefix: 'k' })).toBe(201)
})

function get(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request(url, { ca: ca.cert, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve(text))
    })
      .on('error', reject)
      .end()
  })
}

test('an error says what to do', async () => {
  const { url } = await node({ ca: caFile, clientCert: 'required' })
  const port = new URL(url).port
  const trusted = { ca: ca.cert, cert: alice.cert, key: alice.key }
  const failure = (at: string, tls?: ClientTls) =>
    client(at, tls)
      .put('a', 'b')
      .then(String, (error) => `${error.code} ${error.written}: ${error.message}`)
  expect(await failure(url)).toMatch(/^unreachable no: .*not signed by a CA that this client knows.*--cacert/)
  expect(await failure(url, { ca: other.cert })).toMatch(/not signed by a CA/)
  expect(await failure(url, { ca: ca.cert })).toMatch(
    /^unauthenticated no: this node refuses the client: it shows no certificate; .*--cert and --key/,
  )
  expect(await failure(url, { ...trusted, servername: 'db.example.org' })).toMatch(
    /does not name db\.example\.org, but DNS:n1, IP Address:127\.0\.0\.1/,
  )
  expect(await failure(`http://127.0.0.1:${port}`)).toMatch(/use https:\/\//)
  const plain = await RelayedNode.start()
  onTestFinished(() => plain.close())
  expect(await failure(plain.url.replace('http:', 'https:'), trusted)).toMatch(
    /^unreachable no: .*does not speak TLS; use http:\/\//,
  )
  expect((await client(url, trusted).put('a', 'b')).revision).toBeGreaterThan(0)
})
