// TLS of the client: what a failed handshake says about a write, and certificates that the application renews.

import { readFileSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Server as PlainServer, Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { afterAll, afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { Endpoint } from '../../../src/client/endpoints.ts'
import { Client, type ClientOptions, type ClientTls } from '../../../src/client/index.ts'
import { RENEW_MS, TlsSource } from '../../../src/client/tls.ts'
import { HttpTransport } from '../../../src/client/transport/http-transport.ts'
import { startNode } from '../../../src/server/start/start-node.ts'
import { authority, CertificateDirectory } from '../../server/tls/certificates.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const LISTEN = { host: '127.0.0.1', port: 0 }

afterEach(() => void vi.restoreAllMocks())

const ca = authority()
const n1 = ca.node('n1')
const alice = ca.client('alice')

async function listening(server: PlainServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A client that gives up soon. */
function client(url: string, tls: ClientOptions['tls'], options: Partial<ClientOptions> = {}): Client {
  const kv = new Client({
    ...{ endpoints: [url], tls, discover: false, transport: 'http' },
    ...{ timeoutMs: 700, unreachableAfterMs: 300, ...options },
  })
  onTestFinished(() => kv.close())
  return kv
}

const failure = (kv: Client): Promise<string> =>
  kv.put('a', 'b').then(String, ({ code, written, message }) => `${code} ${written}: ${message}`)

const PEM: ClientTls = { ca: ca.cert, cert: alice.cert, key: alice.key }

test.each<[string, TlsOptions, ClientTls, RegExp]>([
  ['expired', { ...ca.node('n1', ['127.0.0.1'], -1) }, PEM, /its certificate has expired/],
  [
    'of an unknown CA',
    { ...n1 },
    { ca: authority('other').cert },
    /not signed by a CA that this client knows/,
  ],
  ['of another name', { ...ca.node('n1', ['10.0.0.1']) }, PEM, /does not name 127\.0\.0\.1, but DNS:n1/],
  [
    'too old a version',
    { ...n1, maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' },
    PEM,
    /versions? .*of TLS/,
  ],
])('a write at a server that is %s is not written', async (_, server, tls, why) => {
  const url = await listening(createTlsServer(server, (socket) => socket.on('error', () => {})))
  const said = await failure(client(url, tls))
  expect(said).toMatch(/^unreachable no: /)
  expect(said).toMatch(why)
})

test('an alert about the certificate, after the request has left, says that it was not read', async () => {
  const url = await listening(
    createTlsServer({ ...n1, requestCert: true, rejectUnauthorized: true, ca: ca.cert }),
  )
  const patient = client(url, { ca: ca.cert }, { timeoutMs: 20_000 })
  const said = await failure(patient)
  expect(said).toMatch(/^unreachable no: .*it requires a client certificate; give one with tls\.cert/)
})

test('a connection that is cut after the handshake, without an alert, leaves the outcome unknown', async () => {
  const cut = (socket: Socket) => void socket.on('error', () => {}).once('data', () => socket.destroy())
  const url = await listening(createTlsServer({ ...n1 }, cut))
  expect(await failure(client(url, PEM))).toMatch(/^outcome_unknown unknown: /)
})

test('cert and key that do not belong together are named', () => {
  const make = (tls: ClientTls) => () => new Client({ endpoints: ['https://localhost:1'], tls })
  expect(make({ ...PEM, key: n1.key })).toThrow('Client: tls: cert and key do not belong together')
  expect(() => new Client({ endpoints: ['https://localhost:1'], tls: () => ({ cert: alice.cert }) })).toThrow(
    'Client: tls: cert and key go together',
  )
})

test.each(['http', 'auto'] as const)(
  'a renewed certificate is shown by new connections (%s)',
  async (transport) => {
    const node = await startNode({
      ...{ name: 'n1', dataDir: directory.file(`renew-${transport}`), listen: LISTEN, peerListen: LISTEN },
      founding: { kind: 'bootstrap' },
      tls: {
        ...directory.pair(`n1-${transport}`, n1),
        ca: directory.write('ca.crt', ca.cert),
        clientCert: 'required',
      },
      auditLog: { file: directory.file(`audit-${transport}`), operations: 'all' },
    })
    onTestFinished(() => node.crash())
    const warnings: string[] = []
    let now = PEM
    let asked = 0
    const tls = () => {
      asked++
      return now
    }
    const kv = client(node.url, tls, {
      transport,
      timeoutMs: 20_000,
      onWarning: (text) => void warnings.push(text),
    })
    const puts = () => Promise.all(Array.from({ length: 20 }, (_, n) => kv.put(`k${n}`, 'v')))
    const users = () =>
      new Set(
        readFileSync(directory.file(`audit-${transport}`), 'utf8')
          .split('\n')
          .filter(Boolean)
          .slice(-20)
          .map((line) => JSON.parse(line).user),
      )
    const clock = performance.now.bind(performance)
    let ahead = 0
    vi.spyOn(performance, 'now').mockImplementation(() => clock() + ahead)
    await puts()
    await puts()
    await expect.poll(users).toEqual(new Set(['alice']))
    const atFirst = asked
    now = { ...PEM, ...ca.client('bob') }
    await puts()
    expect([asked, await users()]).toEqual([atFirst, new Set(['alice'])])
    ahead += RENEW_MS
    await puts()
    await puts()
    await expect.poll(users).toEqual(new Set(['bob']))
    // A pair that does not fit changes nothing.
    now = { ...PEM, key: n1.key }
    ahead += RENEW_MS
    await puts()
    await expect.poll(users).toEqual(new Set(['bob']))
    expect(warnings).toEqual([expect.stringContaining('cert and key do not belong together')])
  },
)

test('idle connections that have carried no answer since a time end, as without TLS', async () => {
  const sockets = new Set<Socket>()
  const server = createHttpsServer({ ...n1 }, (_, response) => response.setHeader('Kv-Cluster', '77').end())
  server.keepAliveTimeout = 0
  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const endpoint = new Endpoint(new URL(await listening(server)))
  const transport = new HttpTransport({ tls: new TlsSource(PEM) })
  onTestFinished(() => transport.close())
  const get = { method: 'GET', path: '/v1/kv/k', headers: {}, body: undefined }
  const exchange = () => transport.exchange(endpoint, get, { timeoutMs: 60_000 })
  await Promise.all([exchange(), exchange(), exchange()])
  expect(sockets.size).toBe(3)
  const since = performance.now()
  await exchange()
  transport.endIdle(endpoint, since)
  await expect.poll(() => sockets.size).toBe(1)
  expect(await exchange()).toMatchObject({ kind: 'answered' })
  expect(sockets.size).toBe(1)
})

test('after each renewal the connections with the certificates before it end', async () => {
  const sockets = new Set<Socket>()
  const body = JSON.stringify({ revision: 9, create_revision: 9, mod_revision: 9, version: 1 })
  const server = createHttpsServer({ ...n1 }, (_, response) =>
    response.setHeader('Kv-Cluster', '77').setHeader('Kv-Revision', '9').end(body),
  )
  // Only the client ends them.
  server.keepAliveTimeout = 0
  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const url = await listening(server)
  let now = PEM
  const kv = client(url, () => now, { timeoutMs: 20_000, unreachableAfterMs: 20_000 })
  const clock = performance.now.bind(performance)
  let ahead = 0
  vi.spyOn(performance, 'now').mockImplementation(() => clock() + ahead)
  for (let renewal = 0; renewal < 4; renewal++) {
    await Promise.all(
      Array.from({ length: 5 }, (_, n) => kv.get(`k${n}`, { consistency: 'stale' }).catch(String)),
    )
    await kv.put('k', 'v')
    await expect.poll(() => sockets.size).toBeLessThanOrEqual(6)
    now = { ...PEM, ...ca.client('alice') }
    ahead += RENEW_MS
  }
})
